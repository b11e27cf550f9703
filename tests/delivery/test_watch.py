"""Channels in trouble: people are told step by step, the channel is paused at the end, and a second webhook hears of it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from delivering import Desk, open_database
from sqlalchemy import Connection, update
from standardwebhooks import Webhook
from webhook_receiver import Receiver, status

from kanal.delivery import notices
from kanal.delivery.overview import of_channels
from kanal.delivery.schedule import DAY, HOUR, MINUTE, SECOND
from kanal.delivery.signing import new_secret
from kanal.delivery.tables import NEVER, lanes
from kanal.delivery.watch import FailingChannels, notice_times
from kanal.domain import channels
from kanal.domain.channel_delivery import ChannelDeliveryPaused, resume_delivery
from kanal.domain.deliveries import DeliveryDeadLettered

PAUSE_AFTER = 5 * DAY


def test_people_are_told_after_ten_minutes_and_on_the_way_to_the_pause() -> None:
    assert notice_times(0, 10 * HOUR) == [
        (0, 10 * MINUTE),
        (50, 5 * HOUR),
        (70, 7 * HOUR),
        (90, 9 * HOUR),
    ]
    assert notice_times(0, 0) == [(0, 10 * MINUTE)]


async def look(desk: Desk, duty: FailingChannels) -> int:
    """How many things were due. The database's clock, which outcomes bear, may be a little ahead of ours."""
    items = await desk.database.read(duty.due, None, desk.writer.clock() + SECOND)
    for item in items:
        await duty.act(item)
    return len(items)


async def ago(desk: Desk, time: int) -> None:
    """The trouble began so much earlier."""

    def shift(connection: Connection) -> None:
        moved = {
            "failing_since": lanes.c.failing_since - time,
            "notice_at": lanes.c.notice_at - time,
        }
        connection.execute(update(lanes).where(lanes.c.channel_id > 0).values(moved))

    await desk.writer.run(shift)


async def test_trouble_is_told_step_by_step_and_ends_in_a_pause(
    database_url: str, data_dir: Path
) -> None:
    async with (
        Desk(open_database(database_url, data_dir)) as desk,
        Receiver(status(503, b"out of order")) as receiver,
        Receiver() as office,
    ):
        duty = FailingChannels(desk.database, desk.writer, PAUSE_AFTER)
        secret = new_secret()
        set_up = partial(notices.set_up, url=office.url, secret=secret, now=1)
        office.then(status(500), status(503))
        await desk.writer.run(set_up)
        channel_id = await desk.channel(receiver.url)
        case_id = await desk.case(channel_id)
        async with desk.sending():
            await desk.say(case_id, "One")
            await receiver.wait_for(2)
            assert await look(desk, duty) == 0
            for passed, due in ((11 * MINUTE, 1), (2 * DAY, 0), (DAY, 1), (1.6 * DAY, 1)):
                await ago(desk, int(passed))
                assert await look(desk, duty) == due
                assert await look(desk, duty) == 0
            await ago(desk, DAY)
            assert await look(desk, duty) == 1
            row = (await desk.database.read(of_channels, [channel_id]))[channel_id]
            assert (row.state, row.waiting) == ("paused", 1)
            assert row.reason == (
                "Nothing went through for 5 days. "
                "The receiver answered HTTP 503, which is not a success."
            )
            receiver.default = status(200)
            await desk.do(resume_delivery, channel_id=channel_id)

            # Trouble that passes is told as well, once it was told of.
            async def delivered(count: int = 1) -> bool:
                states = [row["state"] for row in await desk.deliveries() if row["case_id"]]
                return states == ["delivered"] * count

            await desk.until(delivered)
            assert await look(desk, duty) == 0
            receiver.default = status(503, b"out of order")
            await desk.say(case_id, "Two")
            seen = len(receiver.received)
            await receiver.wait_for(seen + 2)
            await ago(desk, 11 * MINUTE)
            assert await look(desk, duty) == 1
            receiver.default = status(200)
            await desk.until(partial(delivered, 2))
            assert await look(desk, duty) == 1
            assert await look(desk, duty) == 0
            receiver.default = status(400, headers={"webhook-delivery": "abort-message"})
            await desk.say(case_id, "Three")

            async def all_told() -> bool:
                rows = [row for row in await desk.deliveries() if row["kind"] == "notice"]
                return [row["state"] for row in rows] == ["delivered"] * 8

            await desk.until(all_told)

        bodies = [json.loads(request.body) for request in office.received[2:]]
        told = [body["object"] for body in bodies]
        assert [each["kind"] for each in told] == [
            *("failing", "failing", "failing", "paused"),
            *("resumed", "failing", "recovered", "dead_lettered"),
        ]
        assert ["50 %" in told[1]["sentence"], "90 %" in told[2]["sentence"]] == [True, True]
        assert told[0]["excerpt"] == "out of order"
        assert (told[0]["class"], told[0]["http_status"]) == ("http_status", 503)
        assert {(each["channel_id"], each["case_id"]) for each in told[:4]} == {(1, case_id)}
        # Its own failures were tried again under the same id, and made no notice.
        first, *others = (request.headers["webhook-id"] for request in office.received)
        assert others[:2] == [first, first]
        assert len({*others}) == 8
        for request in office.received:
            assert Webhook(secret).verify(request.body, request.headers)
        events = list(desk.database.events_after(0))
        (paused,) = [each for each in events if isinstance(each.event, ChannelDeliveryPaused)]
        assert paused.envelope.who == "system"
        (dead,) = [each for each in events if isinstance(each.event, DeliveryDeadLettered)]
        assert dead.event.failure.http_status == 400


async def test_a_pause_needs_failures_to_the_end_and_a_refused_address_is_told_at_once(
    database_url: str, data_dir: Path
) -> None:
    async with Desk(open_database(database_url, data_dir)) as desk:
        duty = FailingChannels(desk.database, desk.writer, PAUSE_AFTER)
        channel_id = await desk.channel("http://10.1.2.3/hook")
        await desk.say(await desk.case(channel_id), "One")

        async def lane() -> dict[str, Any]:
            return (await desk.lanes())[0]

        async with desk.sending():

            async def refused() -> bool:
                return (await lane())["paused_until"] == NEVER

            await desk.until(refused)
        assert await look(desk, duty) == 1
        assert (await lane())["warned"] == 1

        def silent(connection: Connection) -> None:
            now = desk.writer.clock()
            long_ago = {"failing_since": now - 30 * DAY, "charged_at": now - 29 * DAY}
            connection.execute(update(lanes).values(notice_at=now, paused_until=now, **long_ago))

        await desk.writer.run(silent)
        # Nothing was tried for weeks, so nobody knows.
        assert await look(desk, duty) == 1
        assert ((await lane())["state"], (await lane())["notice_at"]) == ("active", None)

        def well_meanwhile(connection: Connection) -> None:
            now = desk.writer.clock()
            values = {"failing_since": now - 6 * DAY, "charged_at": now, "notice_at": now}
            connection.execute(update(lanes).values(values))

        await desk.writer.run(well_meanwhile)
        (item,) = await desk.database.read(duty.due, None, desk.writer.clock())
        await desk.do(
            channels.change_channel, channel_id=channel_id, webhook_url="https://example.com/"
        )
        await duty.act(item)
        assert (await lane())["state"] == "active"
