"""Another order while messages wait, are under way, or have ended: none is sent twice at once, none stays behind."""

import asyncio

import pytest
from delivering import Desk, never_in_time
from webhook_receiver import Line, Received, Receiver, status

from kanal.delivery import ledger
from kanal.domain.channels import change_channel
from kanal.domain.deliveries import retry, skip

OK = status(200)


class Gates:
    """Answers wait until the gate of their content is open."""

    def __init__(self, *contents: str) -> None:
        self.gates = {content: asyncio.Event() for content in contents}

    async def __call__(self, request: Received, line: Line) -> None:
        gate = self.gates.get(request.form["object[content]"])
        if gate:
            await gate.wait()
        await OK(request, line)


async def test_what_is_under_way_when_the_order_changes_is_not_begun_again(desk: Desk) -> None:
    gates = Gates("quick", "slow")
    async with Receiver() as receiver:
        receiver.default = gates
        channel_id = await desk.channel(receiver.url)
        one, other = await desk.case(channel_id), await desk.case(channel_id)
        async with desk.sending():
            await desk.say(one, "quick")
            await desk.say(other, "slow")
            await receiver.wait_for(2)
            await desk.do(change_channel, channel_id=channel_id, webhook={"order": "channel"})
            await desk.say(one, "after")
            gates.gates["quick"].set()

            async def quick_ended() -> bool:
                return (await desk.states())[0] == "delivered"

            await desk.until(quick_ended)
            assert [row["number"] for row in await desk.attempts()] == [1, 1]
            gates.gates["slow"].set()
            await desk.until_delivered()
        *first, last = [request.form["object[content]"] for request in receiver.received]
    assert (sorted(first), last) == (["quick", "slow"], "after")


async def test_what_had_ended_and_is_retried_stands_in_the_queue_of_the_present_order(
    desk: Desk,
) -> None:
    async with Receiver() as receiver:
        channel_id = await desk.channel(receiver.url)
        one, other = await desk.case(channel_id), await desk.case(channel_id)
        await desk.say(one, "first")
        [row] = await desk.deliveries()
        await desk.decide(skip, row["delivery_id"])
        await desk.do(change_channel, channel_id=channel_id, webhook={"order": "channel"})
        await desk.say(other, "second")
        await desk.decide(retry, row["delivery_id"])
        assert {row["queue"] for row in await desk.deliveries()} == {-channel_id}
        assert len([row for row in await desk.deliveries() if row["due_at"]]) == 1
        async with desk.sending():
            await desk.until_delivered()


async def test_what_is_prepared_and_not_sent_steps_back_when_the_order_changes(desk: Desk) -> None:
    gates = Gates(*(f"m{number}" for number in range(8)))
    async with Receiver() as receiver:
        receiver.default = gates
        channel_id = await desk.channel(receiver.url)
        for number in range(8):
            await desk.say(await desk.case(channel_id), f"m{number}")
        async with desk.sending() as sender:
            await receiver.wait_for(2)
            await desk.do(change_channel, channel_id=channel_id, webhook={"order": "channel"})

            async def stepped_back() -> bool:
                return len(sender.lanes[channel_id].prepared) <= 1  # the new head

            await desk.until(stepped_back)
            for gate in gates.gates.values():
                gate.set()
            await desk.until_delivered()
        contents = [request.form["object[content]"] for request in receiver.received]
    assert sorted(contents) == sorted(gates.gates)
    later = contents[2:]
    assert later == sorted(later)


async def test_the_lane_of_a_channel_that_is_polled_from_now_on_comes_to_rest(desk: Desk) -> None:
    async with Receiver() as receiver:
        receiver.default = status(400)
        channel_id = await desk.channel(receiver.url)
        case_id = await desk.case(channel_id)

        def in_a_moment(**given: int) -> int:
            return given["failed_at"] + 100_000

        async with desk.sending(schedule=in_a_moment) as sender:
            await desk.say(case_id, "one")
            await receiver.wait_for(1)
            await desk.do(change_channel, channel_id=channel_id, webhook={"polling": True})

            async def rests() -> bool:
                lane = sender.lanes.get(channel_id)
                return lane is None or lane.timer is None or lane.row.paused_until > 0

            await desk.until(rests)


async def test_a_decision_that_cannot_be_written_does_not_stop_the_channel(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    conclude, failed = ledger.conclude, asyncio.Event()

    def fail_once(*arguments: object) -> object:
        if not failed.is_set():
            failed.set()
            raise ValueError("one bad row")
        return conclude(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "conclude", fail_once)
    async with Receiver() as receiver:
        receiver.default = status(500)
        channel_id = await desk.channel(receiver.url)
        one, other = await desk.case(channel_id), await desk.case(channel_id)
        async with desk.sending(schedule=never_in_time):
            await desk.say(one, "refused")
            await receiver.wait_for(1)
            await failed.wait()
            receiver.default = OK
            await desk.say(other, "taken")

            async def taken() -> bool:
                return (await desk.states())[1] == "delivered"

            await desk.until(taken)
