"""Messages and notes: whose they are, what they do to the case, how they are read."""

import asyncio
from typing import Any

import pytest
from served_api import Api
from sqlalchemy import event

TEXTS = [
    "0",
    " ",
    "  both ends\t",
    "line\r\nline\nline\r",
    "😀 👨‍👩‍👧 é",
    '<b>&amp;</b> "quoted" \\ /',
    "x" * 1024 * 1024,
    "я" * 512 * 1024,
]


async def test_the_answer_to_a_new_message_is_what_the_list_shows_for_it(api: Api) -> None:
    await api.channel()
    case = await api.case(content="opened")
    answered = [
        await api.message(1, content="user", user_id=case["user_id"]),
        await api.message(1, content="", content_html="<p>staff</p>"),
        (await api.post("cases/1/note.json", {"note": {"content": "note"}}))["message"],
        (await api.post("cases/1/notes.json", {"message": {"content": "note"}}))["message"],
    ]
    listed = await api.items("cases/1/messages.json", "message")
    assert [list(each.items()) for each in listed[1:]] == [list(m.items()) for m in answered]
    assert [m["message_type"] for m in listed] == [
        "reply_user",
        "reply_user",
        "reply_staff",
        "note",
        "note",
    ]


async def test_the_answer_to_a_new_message_needs_no_reading(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.message(1)
    read: list[str] = []

    def listen(*arguments: Any) -> None:
        read.append(arguments[2])

    engine = api.store.database.reader
    event.listen(engine, "before_cursor_execute", listen)
    await api.message(1)
    await api.message(1, user_id=1)
    # The follower looks at the log and at the generations whenever it likes.
    assert not [statement for statement in read if "_v1" in statement]
    await api.get("cases/1/messages.json")
    event.remove(engine, "before_cursor_execute", listen)
    assert [statement for statement in read if "_v1" in statement]


async def test_texts_are_kept_byte_for_byte(api: Api) -> None:
    await api.channel()
    await api.case()
    for text in TEXTS:
        message = await api.message(1, content=text)
        assert message["content"] == text
    listed = await api.items("cases/1/messages.json", "message")
    assert [each["content"] for each in listed[1:]] == TEXTS


async def test_html_is_shown_cleaned_and_kept_as_it_came(api: Api) -> None:
    await api.channel()
    html = "<p onclick='x()'>a <b>b</b><script>alert(1)</script></p>"
    await api.case(content="", content_html=html)
    message = await api.message(1, content="", content_html=html)
    assert message["content_html"] == "<p>a <b>b</b></p>"
    listed = await api.items("cases/1/messages.json", "message")
    assert [each["content_html"] for each in listed] == ["<p>a <b>b</b></p>"] * 2
    events = await api.items("events.json?case_id=1", "event")
    kept = [each["data"]["content_html"] for each in events if "content_html" in each["data"]]
    assert kept == [html, html]


AUTHORS: list[tuple[dict[str, Any], int, int]] = [
    ({"user_id": 1}, 1, 0),
    ({"user_id": "1"}, 1, 0),
    ({"user_id": 1, "staff_id": 0}, 1, 0),
    ({"staff_id": 2}, 0, 2),
    ({"user_id": 0, "staff_id": "2"}, 0, 2),
    ({}, 0, 1),
    ({"user_id": None, "staff_id": ""}, 0, 1),
    ({"user_custom_id": "u1", "user_id": 1}, 1, 0),
]


async def test_the_author_is_the_user_the_staff_member_or_the_caller(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.post("staff.json", {"staff": {"staff_email": "bob@example.com"}})
    for author, user_id, staff_id in AUTHORS:
        message = await api.message(1, **author)
        assert (message["user_id"], message["staff_id"]) == (user_id, staff_id), author


async def test_a_note_is_the_callers_or_that_staff_members(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.post("staff.json", {"staff": {"staff_email": "bob@example.com"}})
    for given, staff_id in [({}, 1), ({"staff_id": 2}, 2), ({"user_id": 1}, 1)]:
        body = {"note": {"content": "n", **given}}
        note = (await api.post("cases/1/note.json", body))["message"]
        assert (note["note"], note["staff_id"], note["user_id"]) == (True, staff_id, 0)


async def test_no_call_from_outside_makes_a_rules_message_or_turns_a_reply_into_a_note(
    api: Api,
) -> None:
    await api.channel()
    await api.case()
    message = await api.message(1, sent_via_rule=1, note=1, rule_id=5)
    assert (message["sent_via_rule"], message["note"]) == (False, False)


async def test_the_status_follows_who_wrote_last(api: Api) -> None:
    await api.channel()
    case = await api.case()

    async def status() -> Any:
        return (await api.get("cases/1.json"))["case"]["status"]

    assert case["status"] == "open"
    await api.message(1)
    assert await status() == "waiting"
    await api.post("cases/1/note.json", {"note": {"content": "n"}})
    assert await status() == "waiting"
    await api.message(1, user_id=1)
    assert await status() == "open"
    await api.put("cases/1.json", {"case": {"status": "closed"}})
    await api.post("cases/1/note.json", {"note": {"content": "n"}})
    assert await status() == "closed"
    await api.message(1, user_id=1)
    assert await status() == "open"


async def test_a_linked_profile_may_write_and_a_stranger_may_not(api: Api) -> None:
    await api.channel()
    await api.channel()
    await api.case(user_email="ann@example.com")
    linked = await api.case(channel="cch2", user_email="ann@example.com")
    stranger = await api.case(channel="cch2", user_custom_id="u2")
    message = await api.message(1, user_id=linked["user_id"])
    assert message["user_id"] == linked["user_id"]
    head = api.head()
    body = {"message": {"content": "x", "user_id": stranger["user_id"]}}
    refused = await api.call("POST", "cases/1/messages.json", body)
    assert refused.refusal == (403, "user_has_not_access")
    assert api.head() == head


@pytest.mark.parametrize(
    ("end", "code"), [("disable", "channel_disabled"), ("delete", "channel_deleted")]
)
async def test_on_a_channel_that_is_closed_only_staff_write(api: Api, end: str, code: str) -> None:
    await api.channel()
    await api.case()
    if end == "disable":
        await api.put("custom_channels/1/disable.json")
    else:
        await api.call("DELETE", "custom_channels/1.json")
    head = api.head()
    user = {"message": {"content": "x", "user_id": 1}}
    assert (await api.call("POST", "cases/1/messages.json", user)).refusal == (400, code)
    case = {"case": {"user_custom_id": "u1", "channel": "cch1", "content": "x"}}
    assert (await api.call("POST", "cases.json", case)).refusal == (400, code)
    assert api.head() == head
    await api.message(1)
    await api.post("cases/1/note.json", {"note": {"content": "n"}})


async def test_without_a_page_the_last_hundred_messages_are_shown(api: Api) -> None:
    await api.channel()
    await api.case(content="1")
    await asyncio.gather(*(api.message(1, content=str(n)) for n in range(2, 104)))

    async def ids(query: str) -> list[Any]:
        found = await api.get(f"cases/1/messages.json{query}")
        assert found["total_count"] == 103
        return [row["message"]["message_id"] for row in list(found.values())[:-1]]

    assert await ids("") == list(range(4, 104))
    assert await ids("?order=desc") == list(range(103, 3, -1))
    assert await ids("?page=1") == list(range(1, 101))
    assert await ids("?limit=2") == [1, 2]
    assert await ids("?limit=2&page=2&order=desc") == [101, 100]
    assert await ids("?page=3") == []
    past = await api.call("GET", "cases/1/messages.json?page=3")
    assert past.text == '{\n    "total_count": 103\n}'
