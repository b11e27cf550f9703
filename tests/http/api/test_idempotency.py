"""Idempotency-Key: a request sent again is not carried out again."""

import asyncio

from served_api import CONTENT, Api

KEY = {"Idempotency-Key": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}
CASE = {"case": {"user_custom_id": "u1", "channel": "cch1", **CONTENT}}


async def test_the_same_request_gets_the_first_answer_and_writes_once(api: Api) -> None:
    await api.channel()
    for path, body in [
        ("cases.json", CASE),
        ("cases/1/messages.json", {"message": {"content": "staff"}}),
        ("cases/1/messages.json/", {"message": {"content": "user", "user_id": 1}}),
        ("cases/1/note.json", {"note": CONTENT}),
        ("users.json", {"user": {"user_email": "ann@example.com"}}),
        ("groups.json", {"group": {"group_title": "Sales"}}),
    ]:
        key = {"Idempotency-Key": f"for {path}"}
        first = await api.call("POST", path, body, headers=key)
        assert first.status == 201
        head = api.head()
        again = await api.call("POST", path, body, headers=key)
        assert (again.status, again.text) == (201, first.text)
        assert api.head() == head


async def test_a_key_that_is_no_plain_text_is_refused_and_writes_nothing(api: Api) -> None:
    await api.channel()
    head = api.head()
    for key in ("", "x" * 256, "\u043a\u043b\u044e\u0447"):
        refused = await api.call("POST", "cases.json", CASE, headers={"Idempotency-Key": key})
        assert (refused.status, refused.json["error"]) == (400, "invalid_idempotency_key")
    assert api.head() == head


async def test_of_many_at_once_one_is_carried_out(api: Api) -> None:
    await api.channel()
    answers = await asyncio.gather(*(api.post("cases.json", CASE, headers=KEY) for _ in range(20)))
    assert {answer["case"]["case_id"] for answer in answers} == {1}
    assert (await api.get("cases.json"))["total_count"] == 1


async def test_the_form_of_the_body_does_not_matter(api: Api) -> None:
    await api.channel()
    await api.case()
    json = await api.call(
        "POST", "cases/1/messages.json", {"message": {"content": "x", "user_id": "1"}}, headers=KEY
    )
    form = await api.call(
        "POST",
        "cases/1/messages.json",
        data={"message[user_id]": "1", "message[content]": "x"},
        headers=KEY,
    )
    assert form.text == json.text


async def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    await api.channel()
    await api.post("cases.json", CASE, headers=KEY)
    head = api.head()
    other = {"case": {**CASE["case"], "content": "other"}}
    refused = await api.call("POST", "cases.json", other, headers=KEY)
    assert refused.refusal == (422, "idempotency_key_reused")
    note = await api.call("POST", "cases/1/note.json", {"note": CONTENT}, headers=KEY)
    assert note.refusal == (422, "idempotency_key_reused")
    assert api.head() == head


async def test_a_refused_request_may_be_sent_again_under_its_key(api: Api) -> None:
    refused = await api.call("POST", "cases.json", CASE, headers=KEY)
    assert refused.refusal == (404, "channel_not_found")
    await api.channel()
    assert (await api.post("cases.json", CASE, headers=KEY))["case"]["case_id"] == 1


async def test_each_colleague_has_keys_of_their_own(api: Api) -> None:
    await api.channel()
    bob = (await api.post("staff.json", {"staff": {"staff_email": "bob@example.com"}}))["staff"]
    await api.post("cases.json", CASE, headers=KEY)
    async with api.as_staff("bob@example.com", bob["api_key"]) as other:
        assert (await other.post("cases.json", CASE, headers=KEY))["case"]["case_id"] == 2


async def test_a_key_has_1_to_255_characters(api: Api) -> None:
    await api.channel()
    head = api.head()
    for key in ("", "x" * 256):
        refused = await api.call("POST", "cases.json", CASE, headers={"Idempotency-Key": key})
        assert refused.refusal == (400, "invalid_idempotency_key")
    assert api.head() == head
