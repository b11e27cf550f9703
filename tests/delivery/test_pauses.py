"""A paused channel: what is written waits in sight, and drains in order when it is resumed."""

from delivering import Desk, never_in_time
from webhook_receiver import Receiver, delayed, hang, status

from kanal.delivery.lanes import FIRST_WIDTH
from kanal.delivery.overview import CHANNEL_DISABLED, ChannelRow, Filter, listed, of_channels
from kanal.domain import channels
from kanal.domain.channel_delivery import ChannelDeliveryPaused, pause_delivery, resume_delivery
from kanal.domain.deliveries import DeliveryDeadLettered

OK = status(200)


async def held(desk: Desk) -> list[tuple[str, str | None]]:
    rows, _ = await desk.database.read(listed, Filter(), 100, 0)
    return [(row.state, row.reason) for row in reversed(rows)]


async def shown(desk: Desk, channel_id: int) -> ChannelRow:
    return (await desk.database.read(of_channels, [channel_id]))[channel_id]


async def test_a_paused_channel_holds_and_drains_in_order_under_the_ramp(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id = await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(10)]
    async with desk.sending() as sender:
        for case_id in case_ids:
            await desk.say(case_id, "before")
        await desk.until_delivered()
        sender.lanes[channel_id].width = 16
        await desk.do(pause_delivery, channel_id=channel_id, reason="Moving house")
        for number in range(30):
            await desk.say(case_ids[number % 10], f"number {number}")
        reason = "Staff paused the channel's delivery: Moving house"
        assert (await held(desk))[10:] == [("held", reason)] * 30
        row = await shown(desk, channel_id)
        assert (row.state, row.reason, row.waiting) == ("paused", reason, 30)
        oldest = (await desk.deliveries())[10]["created_at"]
        assert row.oldest_at == oldest
        assert len(receiver.received) == 10
        # Enabling ends what disabling began, and nothing else.
        await desk.do(channels.disable_channel, channel_id=channel_id)
        assert (await held(desk))[10] == ("held", CHANNEL_DISABLED)
        await desk.do(channels.enable_channel, channel_id=channel_id)
        assert (await shown(desk, channel_id)).state == "paused"

        receiver.default = delayed(0.05, OK)
        await desk.do(resume_delivery, channel_id=channel_id)
        await receiver.wait_for(10 + FIRST_WIDTH)
        in_flight = sum(request.ended is None for request in receiver.received)
        assert in_flight <= FIRST_WIDTH
        receiver.default = OK
        await desk.until_delivered()
        assert (await shown(desk, channel_id)).state == "ok"
    by_case: dict[str, list[str]] = {}
    for request in receiver.received[10:]:
        form = request.form
        by_case.setdefault(form["object[case_id]"], []).append(form["object[content]"])
    assert sorted(by_case.values()) == sorted(
        [f"number {number}" for number in range(first, 30, 10)] for first in range(10)
    )


async def test_what_waits_in_a_paused_channel_does_not_run_into_the_horizon(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.then(hang())
    channel_id = await desk.channel(receiver.url)
    async with desk.sending(schedule=never_in_time, timeout=0.3):
        await desk.say(await desk.case(channel_id), "One")
        await receiver.wait_for(1)
        await desk.do(pause_delivery, channel_id=channel_id)

        async def failed() -> bool:
            return (await desk.deliveries())[0]["outcome_class"] == "response_timeout"

        await desk.until(failed)
        assert await desk.states() == ["pending"]
        await desk.do(resume_delivery, channel_id=channel_id)
        await desk.until_delivered()


async def test_a_pause_of_a_disabled_channel_counts_once_it_is_enabled(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id = await desk.channel(receiver.url)
    await desk.do(channels.disable_channel, channel_id=channel_id)
    await desk.do(pause_delivery, channel_id=channel_id)
    assert (await shown(desk, channel_id)).state == "disabled"
    await desk.do(channels.enable_channel, channel_id=channel_id)
    assert (await shown(desk, channel_id)).state == "paused"
    await desk.do(channels.disable_channel, channel_id=channel_id)
    await desk.do(resume_delivery, channel_id=channel_id)
    assert (await shown(desk, channel_id)).state == "disabled"
    await desk.do(channels.enable_channel, channel_id=channel_id)
    assert (await shown(desk, channel_id)).state == "ok"


async def test_trouble_is_counted_from_the_first_failure_until_a_message_is_taken(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.then(status(500), status(503), status(404))
    channel_id = await desk.channel(receiver.url)
    async with desk.sending():
        await desk.say(await desk.case(channel_id), "One")
        await receiver.wait_for(2)

        async def failing() -> bool:
            return (await shown(desk, channel_id)).state == "failing"

        await desk.until(failing)
        await desk.until_delivered()
    row = (await desk.lanes())[0]
    assert (row["failing_since"], row["failed_id"], row["notice_at"]) == (None, None, None)
    assert row["state_since"] == (await desk.deliveries())[0]["outcome_at"]


async def test_a_receiver_may_stop_its_channel_or_one_message_whatever_its_status(
    desk: Desk, receiver: Receiver
) -> None:
    disable = {"webhook-delivery": "disable"}
    receiver.then(status(200, headers=disable))
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    async with desk.sending():
        for number in range(3):
            await desk.say(case_id, f"number {number}")
        reason = "The receiver asked for it: its answer (HTTP 200) said webhook-delivery: disable."

        async def paused() -> bool:
            return (await shown(desk, channel_id)).reason == reason

        await desk.until(paused)
        assert await held(desk) == [("delivered", None), ("held", reason), ("held", reason)]
        receiver.then(
            status(503, headers={"webhook-delivery": "Abort-Message, other"}),
            status(200, headers={"webhook-delivery": "abort-message, disable"}),
        )
        await desk.do(resume_delivery, channel_id=channel_id)
        await desk.until(paused)
        asked = (
            "The receiver asked for it: its answer (HTTP {}) said webhook-delivery: abort-message."
        )
        assert (await held(desk))[1:] == [
            ("dead", asked.format(503)),
            ("dead", asked.format(200)),
        ]
    assert len(receiver.received) == 3
    events = list(desk.database.events_after(0))
    pauses = [each for each in events if isinstance(each.event, ChannelDeliveryPaused)]
    assert [each.event.by for each in pauses] == ["receiver", "receiver"]
    assert {each.envelope.who for each in pauses} == {"system"}
    assert len([each for each in events if isinstance(each.event, DeliveryDeadLettered)]) == 2


async def test_a_former_url_has_no_say(desk: Desk, receiver: Receiver) -> None:
    receiver.by_path["/old"] = delayed(0.2, status(500, headers={"webhook-delivery": "disable"}))
    channel_id = await desk.channel(receiver.url.replace("/hook", "/old"))
    async with desk.sending():
        await desk.say(await desk.case(channel_id), "One")
        await receiver.wait_for(1)
        await desk.do(channels.change_channel, channel_id=channel_id, webhook_url=receiver.url)
        await desk.until_delivered()
    assert (await shown(desk, channel_id)).state == "ok"
