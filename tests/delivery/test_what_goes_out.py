"""What a channel's options let out, and in which form, on both databases."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from delivering import Desk, open_database
from webhook_receiver import Receiver

from kanal.domain import channels, conversation
from kanal.domain.links import Contact
from kanal.domain.staff import create_staff

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
async def desk(database_url: str, data_dir: Path) -> AsyncIterator[Desk]:
    async with Desk(open_database(database_url, data_dir)) as desk:
        yield desk


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

    def command(work: object) -> None:
        rule = {"case_id": case_id, "rule_id": 1}
        change = {"channel_id": channel_id}
        conversation.add_rule_message(work, **rule, content="form")  # type: ignore[arg-type]
        channels.change_channel(work, **change, webhook={"format": "json"})  # type: ignore[arg-type]
        conversation.add_rule_message(work, **rule, content="json")  # type: ignore[arg-type]
        channels.change_channel(work, **change, webhook={"rule_messages": False})  # type: ignore[arg-type]
        conversation.add_rule_message(work, **rule, content="nothing")  # type: ignore[arg-type]

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
