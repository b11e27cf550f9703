"""What the outbox makes of the log's events, on both databases."""

from urllib.parse import parse_qs

import pytest
from delivering import Desk
from sqlalchemy import Connection

from kanal.delivery.outbox import CHANNEL_DELETED, WRITTEN_AFTER_DELETION
from kanal.domain import channels, conversation
from kanal.domain.links import Contact
from kanal.domain.staff import create_staff
from kanal.eventlog.database import BatchStart
from kanal.eventlog.projection import Changes

URL = "http://127.0.0.1:9/hook"


def form(body: bytes) -> dict[str, str]:
    parsed = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
    return {name: values[0] for name, values in parsed.items()}


async def test_each_message_that_goes_out_is_one_delivery_with_the_seeds_body(desk: Desk) -> None:
    channel_id = await desk.channel(URL)
    case_id = await desk.case(channel_id)
    email = Contact("email", "ann@example.com", "ann@example.com", "1")
    staff = await desk.do(create_staff, email=email, full_name="Ann", key_fingerprint="f")
    reply = {"case_id": case_id, "staff_id": staff.staff_id}
    await desk.do(conversation.add_staff_reply, **reply, content="  Hi!\r\n")
    await desk.do(conversation.add_note, **reply, content="0")
    await desk.say(case_id, "By a rule")

    rows = await desk.deliveries()
    forms = [form(row["body"]) for row in rows]
    assert [each["type"] for each in forms] == ["message_new"] * 3
    assert [each["object[content]"] for each in forms] == ["  Hi!\r\n", "0", "By a rule"]
    assert [each["object[note]"] for each in forms] == ["0", "1", "0"]
    assert [each["object[sent_via_rule]"] for each in forms] == ["0", "0", "1"]
    assert [each["object[staff_id]"] for each in forms] == ["1", "1", "0"]
    assert {each["object[user_id]"] for each in forms} == {"1"}
    assert {each["object[custom_user_id]"] for each in forms} == {"ext-1"}
    assert forms[0]["object[created_at]"].endswith("+0300")
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    assert [row["previous_id"] for row in rows] == [""] + [row["delivery_id"] for row in rows[:2]]


async def test_a_users_message_is_not_sent_back(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel(URL))
    await desk.do(conversation.add_user_message, case_id=case_id, user_id=1, content="Still me")
    assert await desk.deliveries() == []


async def test_what_was_written_earlier_goes_out_with_the_time_that_it_bears(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel(URL))
    then = 1_399_234_517_000_000
    await desk.do(
        conversation.add_rule_message, case_id=case_id, rule_id=7, content="x", created_at=then
    )
    (row,) = await desk.deliveries()
    assert form(row["body"])["object[created_at]"] == "Mon, 05 May 2014 00:15:17 +0400"


async def test_html_without_text_goes_out_as_its_text(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel(URL))
    html = "<p>Dear <b>Ann</b>,</p><p>see<br>below</p><style>p {}</style>"
    rule = {"case_id": case_id, "rule_id": 1}
    await desk.do(conversation.add_rule_message, **rule, content="", content_html=html)
    (row,) = await desk.deliveries()
    assert form(row["body"])["object[content]"] == "Dear Ann,\n\nsee\nbelow"


async def test_only_the_head_of_a_case_is_due(desk: Desk) -> None:
    channel_id = await desk.channel(URL)
    first, second = await desk.case(channel_id), await desk.case(channel_id)
    for case_id in (first, first, second, first, second):
        await desk.say(case_id, "Hello")
    due = [(row["case_id"], row["sequence"]) for row in await desk.deliveries() if row["due_at"]]
    assert due == [(first, 1), (second, 1)]


async def test_a_message_is_due_now_although_the_log_is_ahead_of_the_clock(desk: Desk) -> None:
    channel_id = await desk.channel(URL)
    case_id = await desk.case(channel_id)
    right = desk.writer.clock
    desk.writer.clock = lambda: right() + 3_600_000_000
    await desk.say(case_id, "An hour ahead")
    (row,) = await desk.deliveries()
    assert row["created_at"] > right() >= row["due_at"]


async def test_a_batch_holds_messages_and_what_happens_to_their_channel_in_order(
    desk: Desk,
) -> None:
    channel_id = await desk.channel(URL)
    case_id = await desk.case(channel_id)

    def command(work: object) -> None:
        said = {"case_id": case_id, "rule_id": 1}
        conversation.add_rule_message(work, **said, content="before")  # type: ignore[arg-type]
        channels.delete_channel(work, channel_id=channel_id)  # type: ignore[arg-type]
        conversation.add_rule_message(work, **said, content="after")  # type: ignore[arg-type]

    await desk.writer.submit(command, who="system", origin="api", request="")
    rows = await desk.deliveries()
    assert [row["state"] for row in rows] == ["dead", "dead"]
    assert [row["reason"] for row in rows] == [CHANNEL_DELETED, WRITTEN_AFTER_DELETION]


async def test_what_staff_write_after_a_channel_was_deleted_is_dead_at_once(desk: Desk) -> None:
    channel_id = await desk.channel(URL)
    case_id = await desk.case(channel_id)
    await desk.do(channels.delete_channel, channel_id=channel_id)
    await desk.say(case_id, "Anybody?")
    await desk.say(case_id, "Nobody?")
    rows = await desk.deliveries()
    assert [row["state"] for row in rows] == ["dead", "dead"]
    assert {row["reason"] for row in rows} == {WRITTEN_AFTER_DELETION}
    assert {row["due_at"] for row in rows} == {None}


async def test_ids_hold_no_dot_and_come_from_the_event(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel(URL))
    await desk.say(case_id, "One")
    await desk.say(case_id, "Two")
    ids = [row["delivery_id"] for row in await desk.deliveries()]
    assert len(set(ids)) == 2
    assert all(each.startswith("msg_") and "." not in each for each in ids)

    events = desk.database.events_after(0)

    def apply_again(connection: Connection) -> None:
        outgoing = [each for each in events if getattr(each.event, "outgoing", 0)]
        desk.outbox.apply(connection, outgoing, BatchStart(0), changes := Changes())
        changes.flush(connection)

    await desk.writer.run(apply_again)
    assert [row["delivery_id"] for row in await desk.deliveries()] == ids


async def test_a_refused_command_leaves_no_delivery(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel(URL))

    def fails(work: object) -> None:
        conversation.add_rule_message(work, case_id=case_id, rule_id=1, content="x")  # type: ignore[arg-type]
        raise RuntimeError("after all")

    with pytest.raises(RuntimeError, match="after all"):
        await desk.writer.submit(fails, who="system", origin="api", request="")
    assert await desk.deliveries() == []
