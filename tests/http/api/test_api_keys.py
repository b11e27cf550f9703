"""API keys: named, limited to reading, to channels and in time, revoked; shown once."""

import asyncio

from served_api import EMAIL, Api

from kanal.domain.staff import KeyLimits, issue_key
from kanal.http.keys import keep, new_key
from kanal.http.lost_keys import LostKeys

BOB = {"staff_email": "bob@example.com"}
NOTE = {"note": {"content": "x"}}


async def test_a_key_takes_away_from_its_holders_role(api: Api) -> None:
    for _ in range(2):
        await api.channel()
    for number in (1, 2):
        await api.case(channel=f"cch{number}")
    made = (await api.post("staff/me/api_keys.json", {"name": "till", "channels": ["cch2"]}))[
        "api_key"
    ]
    reading = {"name": "figures", "read_only": True}
    only = (await api.post("staff/1/api_keys.json", {"api_key": reading}))["api_key"]
    async with (
        api.as_staff(EMAIL, made["key"]) as till,
        api.as_staff(EMAIL, only["key"]) as figures,
    ):
        assert (await till.get("cases.json"))["total_count"] == 1
        assert (await till.call("GET", "cases/1.json")).refusal == (404, "case_not_found")
        await till.post("cases/2/note.json", NOTE)
        refused = await till.call("POST", "cases.json", {"case": {"user_email": "a@example.com"}})
        assert refused.status in (400, 403)
        for method, path in [
            ("GET", "events.json"),
            ("POST", "groups.json"),
            ("DELETE", "cases/2.json"),
            ("POST", "staff/me/api_keys.json"),
            ("DELETE", f"staff/me/api_keys/{only['key_id']}.json"),
        ]:
            answer = await till.call(method, path, {"name": "more"})
            assert answer.refusal == (403, "staff_has_not_access"), (method, path)
        assert (await figures.get("cases.json"))["total_count"] == 2
        await figures.get("events.json")
        head = api.head()
        for path, body in (("cases/2/note.json", NOTE), ("staff/me/api_keys.json", {"name": "x"})):
            refused = await figures.call("POST", path, body)
            assert refused.refusal == (403, "staff_has_not_access")
            assert "only reads" in refused.json["message"]
        assert api.head() == head
        listed = await figures.items("staff/me/api_keys.json", "api_key")
    assert [(key["name"], key["used_now"]) for key in listed] == [
        ("first key", False),
        ("till", False),
        ("figures", True),
    ]
    assert all(key["last_used_at"] != "-" for key in listed)
    assert "key" not in listed[1]
    log = (await api.call("GET", "events.json")).text
    assert listed[1]["fingerprint"] in log
    assert made["key"] not in log


async def test_a_key_ends_when_it_expires_or_is_revoked(api: Api) -> None:
    await api.channel()
    await api.case()
    bobs = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    made = new_key(api.store.stream_ids)
    expired = api.store.writer.submit_and_wait(
        lambda work: issue_key(
            work,
            staff_id=2,
            name="old",
            fingerprint=made.fingerprint,
            limits=KeyLimits(expires_at=1),
        ),
        beside=lambda connection, new: keep(
            connection,
            staff_id=2,
            key_id=new.key_id,
            email="bob@example.com",
            hash=made.hash,
        ),
    )
    async with (
        api.as_staff("bob@example.com", made.key) as old,
        api.as_staff("bob@example.com", bobs) as bob,
    ):
        assert (await old.call("GET", "cases.json")).refusal == (401, "unauthorized")
        listed = await bob.items("staff/2/api_keys.json", "api_key")
        assert [key["expires_at"] == "-" for key in listed] == [True, False]
        # Of others they see none, and revoke their own alone.
        for method, path in (
            ("GET", "staff/1/api_keys.json"),
            ("DELETE", "staff/1/api_keys/1.json"),
        ):
            assert (await bob.call(method, path)).refusal == (403, "staff_has_not_access")
        revoke = f"staff/me/api_keys/{expired.result.key_id}.json"
        assert (await bob.call("DELETE", revoke)).status == 200
        noted, revoked = await asyncio.gather(
            bob.call("POST", "cases/1/note.json", NOTE),
            api.call("DELETE", "staff/2/api_keys/2.json"),
        )
        assert revoked.status == 200
        notes = (await api.get("cases/1/messages.json"))["total_count"] - 1
        assert (noted.status, notes) in ((201, 1), (401, 0))
        assert (await bob.call("GET", "cases.json")).refusal == (401, "unauthorized")

    lost = LostKeys(api.store.writer, api.store.stream_ids)
    [step] = await asyncio.to_thread(lambda: list(lost.steps(" BOB@example.com")))
    async with api.as_staff("bob@example.com", step["answer"]["key"]) as bob:
        await bob.get("cases.json")
    [step] = await asyncio.to_thread(lambda: list(lost.steps("nobody@example.com")))
    assert step == {"refused": "There is no staff member nobody@example.com."}
    # The last owner keeps a key with which everything can be done.
    await api.post("staff/me/api_keys.json", {"name": "reads", "read_only": True})
    refused = await api.call("DELETE", "staff/me/api_keys/1.json")
    assert refused.refusal == (400, "last_administrator")
