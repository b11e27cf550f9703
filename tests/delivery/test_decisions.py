"""What somebody decides about deliveries, carried out by the sender, on both databases."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from delivering import Desk, Row, in_half_an_hour, never_in_time
from webhook_receiver import Line, Reaction, Received, Receiver, hang, status

from kanal.domain.deliveries import DeliveryHeld, hold, release, retry, skip
from kanal.domain.errors import DeliveryHasEnded, DeliveryWaits

OK = status(200)


def contents(receiver: Receiver) -> list[str]:
    return [request.form["object[content]"] for request in receiver.received]


def when(may_answer: asyncio.Event, then: Reaction) -> Reaction:
    async def react(request: Received, line: Line) -> None:
        await may_answer.wait()
        await then(request, line)

    return react


async def messages(desk: Desk, url: str, *texts: str, **webhook: Any) -> list[str]:
    """One case; the ids of its deliveries."""
    case_id = await desk.case(await desk.channel(url, **webhook))
    for text in texts:
        await desk.say(case_id, text)
    return [row["delivery_id"] for row in await desk.deliveries()]


async def row_of(desk: Desk, delivery_id: str) -> Row:
    return next(row for row in await desk.deliveries() if row["delivery_id"] == delivery_id)


async def until_states(desk: Desk, *states: str) -> None:
    async def so() -> bool:
        return await desk.states() == list(states)

    await desk.until(so)


async def test_what_is_held_keeps_its_queue_waiting_and_what_is_skipped_does_not(
    desk: Desk, receiver: Receiver
) -> None:
    _, two, three, four = await messages(desk, receiver.url, "1", "2", "3", "4")
    assert await desk.decide(hold, two, "Wait for the release") == 1
    assert await desk.decide(hold, two) == 0
    async with desk.sending():
        await until_states(desk, "delivered", "held", "pending", "pending")
        row = await row_of(desk, two)
        assert row["reason"] == "Held by staff member 1. Wait for the release"
        assert await desk.decide(skip, three) == 1
        with pytest.raises(DeliveryHasEnded, match="retry"):
            await desk.decide(hold, three)
        other = await desk.case(row["channel_id"])
        await desk.say(other, "another case")
        await receiver.wait_for(2)
        assert contents(receiver) == ["1", "another case"]
        assert await desk.decide(release, two) == 1
        assert await desk.decide(release, two) == 0
        await until_states(desk, "delivered", "delivered", "dead", "delivered", "delivered")
        assert (await row_of(desk, three))["reason"] == "Skipped by staff member 1."
        for decision in (hold, release, skip, retry):
            with pytest.raises(DeliveryHasEnded, match="replay"):
                await desk.decide(decision, four)
        assert await desk.decide(retry, three) == 1
        await until_states(desk, *["delivered"] * 5)
    assert contents(receiver) == ["1", "another case", "2", "4", "3"]
    assert (await row_of(desk, two))["reason"] is None


async def test_two_equal_decisions_at_once_are_one(desk: Desk, receiver: Receiver) -> None:
    (one,) = await messages(desk, receiver.url, "1")
    for decision in (hold, release, skip, retry):
        made = await asyncio.gather(*[desk.decide(decision, one) for _ in range(3)])
        assert sorted(made) == [0, 0, 1]


@pytest.mark.parametrize(
    ("decision", "answer", "states", "sent"),
    [
        (hold, OK, ["delivered", "delivered"], ["1", "2"]),
        (hold, status(500), ["held", "pending"], ["1"]),
        (skip, OK, ["delivered", "delivered"], ["1", "2"]),
        (skip, status(400), ["dead", "delivered"], ["1", "2"]),
        (retry, OK, ["delivered", "delivered"], ["1", "2"]),
        (retry, status(400), ["delivered", "delivered"], ["1", "1", "2"]),
    ],
)
async def test_an_attempt_under_way_ends_before_the_queue_goes_on_and_a_success_counts(
    desk: Desk,
    receiver: Receiver,
    decision: Callable[..., Any],
    answer: Reaction,
    states: list[str],
    sent: list[str],
) -> None:
    may_answer = asyncio.Event()
    receiver.then(when(may_answer, answer))
    async with desk.sending():
        first, _ = await messages(desk, receiver.url, "1", "2")
        await receiver.wait_for(1)
        assert await desk.decide(decision, first) == (decision is not retry)
        # It is committed and heard of, and still nothing goes out beside the attempt.
        await desk.say(await desk.case((await row_of(desk, first))["channel_id"]), "other")
        await receiver.wait_for(2)
        may_answer.set()
        await until_states(desk, *states, "delivered")
    assert [each for each in contents(receiver) if each != "other"] == sent
    assert receiver.overlapping(lambda request: request.form["object[case_id]"]) == 0


async def test_an_attempt_cut_off_after_a_decision_leaves_the_queue_to_the_next_sender(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.then(hang(), hang())
    ids = await messages(desk, receiver.url, "1", "2")
    ids = await messages(desk, receiver.url, "3", "4")
    async with desk.sending(seconds=0):
        await receiver.wait_for(2)
        await desk.decide(skip, ids[0])
        await desk.decide(hold, ids[2])
    assert await desk.states() == ["dead", "pending", "held", "pending"]
    async with desk.sending():
        await until_states(desk, "dead", "delivered", "held", "pending")
        await desk.decide(release, ids[2])
        await until_states(desk, "dead", "delivered", "delivered", "delivered")
    assert contents(receiver)[2:] == ["2", "3", "4"]


async def test_a_retry_is_the_probe_of_a_paused_channel_and_makes_its_pause_no_longer(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = status(503)
    one, two = await messages(desk, receiver.url, "1", "2")
    channel_id = (await desk.deliveries())[0]["channel_id"]
    await desk.say(await desk.case(channel_id), "later")
    third = (await desk.deliveries())[2]["delivery_id"]

    async def paused(failures: int = 1) -> bool:
        (lane,) = await desk.lanes()
        return bool(lane["paused_until"] > desk.writer.clock() and lane["failures"] >= failures)

    async with desk.sending(schedule=in_half_an_hour):
        await desk.until(paused)
        with pytest.raises(DeliveryWaits, match=one):
            await desk.decide(retry, two)
        for _ in range(3):
            tried = len(receiver.received)
            assert await desk.decide(retry, third) == 1
            await receiver.wait_until(
                lambda tried=tried: "later" in contents(receiver)[tried:]  # type: ignore[misc]
            )
            await desk.until(paused)
        (lane,) = await desk.lanes()
        assert lane["failures"] <= 2
        receiver.default = OK
        await desk.decide(retry, one)
        await until_states(desk, "delivered", "delivered", "delivered")


async def test_what_is_exhausted_is_held_where_the_channel_says_so(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.then(status(400))
    one, two = await messages(desk, receiver.url, "1", "2", on_exhausted="hold")
    async with desk.sending(schedule=never_in_time):
        await until_states(desk, "held", "pending")
        row = await row_of(desk, one)
        assert row["reason"].startswith("Tried for 14 days without success.")
        events = [each.event for each in desk.database.events_after(0)]
        (held,) = [each for each in events if isinstance(each, DeliveryHeld)]
        assert (held.delivery_id, held.reason) == (one, row["reason"])
        await desk.decide(retry, one)
        await until_states(desk, "delivered", "delivered")
    assert contents(receiver) == ["1", "1", "2"]
    assert (await row_of(desk, two))["attempts"] == 1
