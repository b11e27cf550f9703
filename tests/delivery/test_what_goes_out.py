"""What a channel's options let out, and in which form, on both databases."""

import json
from typing import Any
from urllib.parse import parse_qs

from delivering import Desk
from webhook_receiver import Receiver

from kanal.delivery.overview import Filter, listed
from kanal.domain import cases, channels, conversation, messages
from kanal.domain.case_events import MessageKind
from kanal.domain.links import Contact
from kanal.domain.message_events import Texts
from kanal.domain.messages import Original
from kanal.domain.staff import create_staff

URL = "http://127.0.0.1:9/hook"


def form(body: bytes) -> dict[str, str]:
    parsed = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: values[0] for name, values in parsed.items()}


async def staff(desk: Desk) -> int:
    email = Contact("email", "ann@example.com", "ann@example.com", "1")
    made = await desk.do(create_staff, email=email, full_name="Ann", key_fingerprint="f")
    staff_id: int = made.staff_id
    return staff_id


async def test_what_is_not_sent_has_no_delivery_and_leaves_no_gap(desk: Desk) -> None:
    channel_id = await desk.channel(URL, notes=False)
    case_id, staff_id = await desk.case(channel_id), await staff(desk)
    by_staff = {"case_id": case_id, "staff_id": staff_id}

    async def say_all() -> None:
        await desk.do(conversation.add_staff_reply, **by_staff, content="reply")
        await desk.do(conversation.add_note, **by_staff, content="note")
        await desk.say(case_id, "rule")

    async def only(**kinds: bool) -> None:
        await desk.do(channels.change_channel, channel_id=channel_id, webhook=kinds)
        await say_all()

    await say_all()
    await only(replies=False)
    await only(rule_messages=False, notes=True)
    await only(notes=False)
    rows = await desk.deliveries()
    said = [form(row["body"])["object[content]"] for row in rows]
    assert said == ["reply", "rule", "rule", "note"]
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert [row["previous_id"] for row in rows] == ["", *(row["delivery_id"] for row in rows[:-1])]


async def test_a_batch_lets_out_what_the_options_were_when_it_was_said(desk: Desk) -> None:
    channel_id = await desk.channel(URL)
    case_id = await desk.case(channel_id)

    def command(work: Any) -> None:
        rule = {"case_id": case_id, "rule_id": 1}
        change = {"channel_id": channel_id}
        conversation.add_rule_message(work, **rule, content="form")
        channels.change_channel(work, **change, webhook={"format": "json"})
        conversation.add_rule_message(work, **rule, content="json")
        channels.change_channel(work, **change, webhook={"rule_messages": False})
        conversation.add_rule_message(work, **rule, content="nothing")

    await desk.writer.submit(command, who="system", origin="api", request="")
    first, second = await desk.deliveries()
    assert first["content_type"] == "application/x-www-form-urlencoded"
    assert form(first["body"])["object[content]"] == "form"
    assert second["content_type"] == "application/json"
    assert json.loads(second["body"])["object"]["content"] == "json"


async def test_json_brings_the_html_cleaned_and_every_try_the_same_bytes(desk: Desk) -> None:
    html = "<p onclick='x()'>Да<script>alert(1)</script></p>"
    async with Receiver() as receiver:
        channel_id = await desk.channel(receiver.url, format="json")
        case_id = await desk.case(channel_id)
        rule = {"case_id": case_id, "rule_id": 1}
        await desk.do(conversation.add_rule_message, **rule, content_html=html)
        # What waits keeps its form when the channel's changes.
        await desk.do(channels.change_channel, channel_id=channel_id, webhook={"format": "form"})
        async with desk.sending():
            [request] = await receiver.wait_for(1)
            await desk.until_delivered()
    assert request.headers["content-type"] == "application/json"
    message = json.loads(request.body)["object"]
    assert (message["content"], message["content_html"]) == ("Да", "<p>Да</p>")
    assert message["sent_via_rule"] is True
    [row] = await desk.deliveries()
    assert row["body"] == request.body


def original(message_id: int, case_id: int, kind: MessageKind = "rule_message") -> Original:
    return Original(message_id, case_id, kind, 0, Texts("Hello", ""))


async def test_edits_deletions_and_statuses_stand_in_their_cases_queue(desk: Desk) -> None:
    news = {"edits": True, "deletions": True, "statuses": True}
    async with Receiver() as receiver:
        channel_id = await desk.channel(receiver.url, format="json", **news)
        case_id, staff_id = await desk.case(channel_id), await staff(desk)
        message_id = await desk.say(case_id, "Hello")
        html = {"content": "", "content_html": "<b>Bye</b><script>x</script>"}
        it = original(message_id, case_id)
        await desk.do(messages.edit_message, original=it, **html)
        await desk.do(messages.edit_message, original=it, **html)
        by_staff = {"case_id": case_id, "staff_id": staff_id}
        await desk.do(conversation.add_staff_reply, **by_staff, content="Ok")
        await desk.do(messages.delete_message, original=it)
        await desk.do(conversation.add_user_message, case_id=case_id, user_id=1, content="Oh")
        async with desk.sending():
            received = await receiver.wait_for(6)
            await desk.until_delivered()
    told = [json.loads(request.body) for request in received]
    dates = [each["object"].pop("created_at") for each in told]
    assert all(date.endswith("+0300") for date in dates)
    user = {"case_id": case_id, "user_id": 1, "custom_user_id": "ext-1"}
    by = {"by": "staff", "by_id": 1}
    assert [told[1], told[3], told[4], told[5]] == [
        {
            "type": "message_edited",
            "object": {
                "message_id": message_id,
                **user,
                "content": "Bye",
                "content_html": "<b>Bye</b>",
                "note": False,
                **by,
            },
        },
        {
            "type": "case_status",
            "object": {**user, "old_status": "open", "status": "waiting", **by},
        },
        {
            "type": "message_deleted",
            "object": {"message_id": message_id, **user, "note": False, **by},
        },
        {
            "type": "case_status",
            "object": {
                **user,
                "old_status": "waiting",
                "status": "open",
                "by": "user",
                "by_id": 1,
            },
        },
    ]
    assert [request.headers["kanal-sequence"] for request in received] == list("123456")
    rows = sorted(await desk.deliveries(), key=lambda row: row["position"])
    assert [row["delivery_id"] for row in rows] == [each.headers["webhook-id"] for each in received]
    assert [row["kind"] for row in rows] == [each["type"] for each in told]
    statuses, total = await desk.database.read(listed, Filter(kind="case_status"), 100, 0)
    assert [(row.sequence, row.message_id) for row in statuses] == [(6, 0), (4, 0)]
    said, of_messages = await desk.database.read(listed, Filter(kind="message_new"), 100, 0)
    assert (total, of_messages, [row.sequence for row in said]) == (2, 2, [3, 1])


async def test_nothing_is_told_of_what_never_went_out(desk: Desk) -> None:
    quiet = await desk.channel(URL)
    case_id = await desk.case(quiet)
    message_id = await desk.say(case_id, "Hello")
    change = {"content": "Other", "content_html": ""}
    await desk.do(messages.edit_message, original=original(message_id, case_id), **change)
    await desk.do(cases.change_case, case_id=case_id, status="closed")
    assert [row["kind"] for row in await desk.deliveries()] == ["message_new"]

    news = {"edits": True, "deletions": True}
    told = await desk.channel(URL, notes=False, **news)
    case_id, staff_id = await desk.case(told), await staff(desk)
    by_staff = {"case_id": case_id, "staff_id": staff_id}
    note = await desk.do(conversation.add_note, **by_staff, content="Secret")
    said = await desk.do(
        conversation.add_user_message, case_id=case_id, user_id=2, content="My words"
    )
    later = desk.writer.clock() + 3_600_000_000
    waiting = await desk.do(
        messages.schedule_staff_reply, **by_staff, content="Later", send_at=later
    )
    await desk.do(channels.change_channel, channel_id=told, webhook={"notes": True})
    kinds: list[tuple[int, MessageKind]] = [
        (note.message_id, "note"),
        (said.message_id, "user_message"),
        (waiting.message_id, "staff_reply"),
    ]
    for number, kind in kinds:
        it = original(number, case_id, kind)
        await desk.do(messages.edit_message, original=it, **change)
        await desk.do(messages.delete_message, original=it)
    assert [row["kind"] for row in await desk.deliveries()] == ["message_new"]


async def test_what_is_said_and_edited_in_one_batch_is_told_in_that_order(desk: Desk) -> None:
    channel_id = await desk.channel(URL, edits=True)
    case_id = await desk.case(channel_id)

    def command(work: Any) -> None:
        added = conversation.add_rule_message(work, case_id=case_id, rule_id=1, content="Hello")
        it = original(added.message_id, case_id)
        messages.edit_message(work, original=it, content="Bye", content_html="")

    await desk.writer.submit(command, who="rule:1", origin="rule", request="")
    rows = sorted(await desk.deliveries(), key=lambda row: row["sequence"])
    assert [row["kind"] for row in rows] == ["message_new", "message_edited"]
    edited = form(rows[1]["body"])
    assert (edited["object[content]"], edited["object[by]"]) == ("Bye", "rule")
    assert rows[1]["previous_id"] == rows[0]["delivery_id"]
