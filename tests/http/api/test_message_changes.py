"""What may happen to a message later: edited, deleted, rated, sent at its time; and what was written earlier."""

from email.utils import parsedate_to_datetime
from typing import Any

from served_api import Api

DAY = 86400


async def listed(api: Api, query: str = "") -> list[Any]:
    return await api.items(f"cases/1/messages.json{query}", "message")


async def prepared(api: Api) -> None:
    """Case 1 with the user's message 1, the caller's reply 2, note 3."""
    await api.channel()
    await api.case(content="Help!")
    await api.message(1, content="Ok!", content_html="<b onclick=x>Ok!</b>")
    await api.post("cases/1/note.json", {"note": {"content": "VIP"}})


async def test_messages_and_notes_are_edited_each_under_its_path(api: Api) -> None:
    await prepared(api)
    new = {"content": "New", "content_html": "<i onclick=x>New</i>"}
    for path, body, message_id in [
        ("cases/1/messages/1.json", {"message": new}, 1),
        ("cases/1/messages/2.json", new, 2),
        ("cases/1/note/3.json", {"note": new}, 3),
        ("cases/1/notes/3/", {"message": new}, 3),
    ]:
        edited = (await api.put(path, body))["message"]
        assert (edited["content"], edited["content_html"]) == ("New", "<i>New</i>")
        assert edited == (await listed(api))[message_id - 1]
    head = api.head()
    await api.put("cases/1/messages/2.json", {"message": new})
    assert api.head() == head
    edited = (await api.put("cases/1/messages/2.json", {"content_html": "x", "content": None}))[
        "message"
    ]
    assert (edited["content"], edited["content_html"]) == ("", "x")


async def test_an_edit_that_would_be_shown_the_same_is_none(api: Api) -> None:
    await prepared(api)
    head = api.head()
    for html in ("<b onclick=x>Ok!</b>", "<b>Ok!</b>"):
        await api.put("cases/1/messages/2.json", {"content": "Ok!", "content_html": html})
    assert api.head() == head


async def test_what_is_deleted_is_gone_and_totals_know_it(api: Api) -> None:
    await prepared(api)
    for path in ("cases/1/messages/2.json", "cases/1/notes/3.json"):
        deleted = await api.call("DELETE", path, [])
        assert (deleted.status, deleted.text) == (200, "")
        assert (await api.call("DELETE", path)).refusal == (404, "message_not_found")
    assert [each["message_id"] for each in await listed(api)] == [1]
    assert (await api.get("cases/1/messages.json?page=2"))["total_count"] == 1


async def test_a_reply_is_rated_and_shows_it(api: Api) -> None:
    await prepared(api)
    assert "rating" not in (await listed(api))[1]
    cool = {"rate": {"rating": "high", "rating_comment": "cool123"}}
    rated = (await api.put("cases/1/rate/2.json", cool))["message"]
    assert list(rated.items())[-3:] == [
        ("rating", "high"),
        ("rating_comment", "cool123"),
        ("rated_staff_id", 1),
    ]
    assert (await listed(api))[1] == rated
    for given, shown in (("positive", "high"), ("middle", "middle"), ("negative", "low")):
        path = "cases/1/messages/2/rate.json"
        answered = await api.call("POST", path, {"rate": {"rating": given}})
        assert (answered.status, answered.json["message"]["rating"]) == (200, shown)
    head = api.head()
    await api.put("cases/1/rate/2.json", {"rating": "low"})
    assert api.head() == head


async def test_notes_can_be_left_out_and_totals_are_those_without_them(api: Api) -> None:
    await prepared(api)
    await api.message(1, content="Later", send_at="2099-01-01 00:00:00")

    async def ids(query: str) -> tuple[list[int], int]:
        found = await api.get(f"cases/1/messages.json{query}")
        total = found.pop("total_count")
        return [row["message"]["message_id"] for row in found.values()], total

    assert await ids("") == ([1, 2, 3, 4], 4)
    assert await ids("?notes=1") == ([1, 2, 3, 4], 4)
    # What is not sent yet is not the user's to see either.
    assert await ids("?notes=0") == ([1, 2], 2)
    assert await ids("?notes=false&order=desc") == ([2, 1], 2)
    assert await ids("?notes=False&limit=1&page=2") == ([2], 2)
    assert await ids("?notes=0&limit=1&page=3") == ([], 2)


async def test_a_reply_for_later_is_listed_edited_and_deleted_before_its_time(api: Api) -> None:
    await prepared(api)
    before = await api.get("cases/1.json")
    later = await api.message(1, content="Later", staff_id=1, send_at="2099-01-01 00:00:00")
    assert (later["message_id"], later["staff_id"]) == (4, 1)
    assert later["sent_at"] == "Thu, 01 Jan 2099 00:00:00 +0300"
    assert parsedate_to_datetime(later["created_at"]).year < 2099
    assert (await listed(api))[3] == later
    assert await api.get("cases/1.json") == before
    assert await api.get("deliveries.json?message_id=4") == {"total_count": 0}
    edited = (await api.put("cases/1/messages/4.json", {"content": "Even later"}))["message"]
    assert edited == later | {"content": "Even later"}
    rating = await api.call("PUT", "cases/1/rate/4.json", {"rating": "low"})
    assert rating.refusal == (400, "message_not_rateable")
    assert (await api.call("DELETE", "cases/1/messages/4.json")).status == 200
    assert len(await listed(api)) == 3


async def test_a_time_to_send_that_is_past_means_now(api: Api) -> None:
    await prepared(api)
    message = await api.message(1, content="x", send_at="2014-01-01", do_not_send_email="1")
    assert message["sent_at"] == message["created_at"]
    assert (await api.get("deliveries.json?message_id=4"))["total_count"] == 1
    events = await api.items("events.json?case_id=1&order=desc", "event")
    added = next(each for each in events if each["type"] == "case.message_added.1")
    assert added["data"]["do_not_send_email"] is True


async def test_what_was_written_earlier_shows_when_and_keeps_its_place(api: Api) -> None:
    await api.channel()
    case = await api.case(created_at="2014-05-05 00:15:17")
    assert case["created_at"] == "Mon, 05 May 2014 00:15:17 +0400"
    assert case["last_response_at"] == case["created_at"] != case["updated_at"]
    user = await api.message(1, user_id=1, created_at=1399234600)
    note = (await api.post("cases/1/note.json", {"note": {"content": "n", "created_at": 1}}))[
        "message"
    ]
    now = await api.message(1, created_at="")
    assert [each["created_at"] for each in await listed(api)] == [
        case["created_at"],
        "Mon, 05 May 2014 00:16:40 +0400",
        "Thu, 01 Jan 1970 03:00:01 +0300",
        now["created_at"],
    ]
    assert all(each["sent_at"] == each["created_at"] for each in (user, note, now))
    found = await api.get("cases.json?from_time=2014-05-05&to_time=2014-05-06")
    assert found["total_count"] == 1


async def test_a_note_names_its_author_in_either_way(api: Api) -> None:
    await prepared(api)
    await api.post("staff.json", {"staff": {"staff_email": "bob@example.com"}})
    body = {"message": {"content": "n", "note_staff_id": "2"}}
    assert (await api.post("cases/1/notes.json", body))["message"]["staff_id"] == 2


async def test_at_each_position_messages_are_as_they_were_then(api: Api) -> None:
    await prepared(api)
    seen: dict[int, str] = {}

    async def remember() -> None:
        seen[api.head()] = (await api.call("GET", "cases/1/messages.json")).text

    await remember()
    for method, path, body in [
        ("PUT", "cases/1/messages/2.json", {"content": "New"}),
        ("PUT", "cases/1/rate/2.json", {"rating": "low"}),
        (
            "POST",
            "cases/1/messages.json",
            {"message": {"content": "x", "send_at": "2099-01-01"}},
        ),
        ("PUT", "cases/1/messages/4.json", {"content": "y"}),
        ("DELETE", "cases/1/messages/2.json", None),
        ("DELETE", "cases/1/note/3.json", None),
        ("DELETE", "cases/1/messages/4.json", None),
    ]:
        assert (await api.call(method, path, body)).status in (200, 201)
        await remember()
    assert len(seen) == 8
    for position, messages in seen.items():
        then = await api.call("GET", f"cases/1/messages.json?as_of={position}")
        assert then.text == messages


async def test_messages_of_a_merged_case_are_found_where_they_went(api: Api) -> None:
    await prepared(api)
    await api.case(content="Again")
    await api.put("cases/2/merge.json", {"parent_case_id": 1})
    message = await api.message(2, content="x")
    edited = await api.put(f"cases/2/messages/{message['message_id']}.json", {"content": "y"})
    assert edited["message"]["content"] == "y"


async def test_a_repeated_request_for_later_answers_the_same_and_waits_once(api: Api) -> None:
    await prepared(api)
    body = {"message": {"content": "x", "send_at": "2099-01-01"}}
    again = [
        await api.post("cases/1/messages.json", body, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    assert again[0] == again[1]
    assert len(await listed(api)) == 4
