"""What went out goes out again: same ids, same bytes, in order, at its own rate; on both databases."""

import asyncio
from functools import partial

import pytest
from delivering import Desk
from sqlalchemy import Connection, update
from webhook_receiver import Line, Reaction, Received, Receiver, status

from kanal.delivery import replays, sender, tables
from kanal.domain.channels import change_channel, delete_channel
from kanal.domain.deliveries import cancel_replay, hold, release, retry, skip
from kanal.domain.errors import ChannelDeleted, ChannelPolled, DeliveryHasNotEnded

OK = status(200)


def contents(requests: list[Received]) -> list[str]:
    return [request.form["object[content]"] for request in requests]


def of_case(receiver: Receiver, case_id: int) -> list[Received]:
    return [each for each in receiver.received if each.form["object[case_id]"] == str(case_id)]


async def ended(desk: Desk) -> bool:
    return all(row["turn"] is None for row in await desk.deliveries())


async def until_done(desk: Desk, replay_id: int) -> replays.ReplayRow:
    async def done() -> bool:
        return (await desk.replayed(replay_id)).state == "done"

    await desk.until(done)
    return await desk.replayed(replay_id)


async def test_a_channel_goes_out_again_with_the_same_ids_and_bytes_and_flagged(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id, other = await desk.channel(receiver.url), await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(3)]
    for number in range(4):
        for case_id in case_ids:
            await desk.say(case_id, f"number {number}")
    await desk.say(await desk.case(other), "not replayed")
    rows = await desk.deliveries()
    await desk.decide(skip, rows[5]["delivery_id"])
    async with desk.sending():
        await desk.until(partial(ended, desk))
        first = {each.headers["webhook-id"]: each for each in receiver.received}
        seen = len(receiver.received)
        replay_id = await desk.replay(channel_id=channel_id)
        row = await until_done(desk, replay_id)
    assert (row.total, row.queued, row.waiting) == (12, 12, 0)
    again = receiver.received[seen:]
    assert {each.headers["kanal-replay"] for each in again} == {str(replay_id)}
    assert not any("kanal-replay" in each.headers for each in first.values())
    assert len(again) == 12
    for each in again:
        before = first.get(each.headers["webhook-id"])
        assert before is None or before.body == each.body
        if before:
            assert each.headers["kanal-sequence"] == before.headers["kanal-sequence"]
    for case_id in case_ids:
        own = [each for each in again if each.form["object[case_id]"] == str(case_id)]
        assert contents(own) == [f"number {number}" for number in range(4)]
    assert set(await desk.states()) == {"delivered"}


async def test_what_waited_goes_first_and_what_is_new_comes_after_what_is_replayed(
    desk: Desk, receiver: Receiver
) -> None:
    may_answer = asyncio.Event()

    async def slowly(request: Received, line: Line) -> None:
        await may_answer.wait()
        await OK(request, line)

    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending():
        for text in ("old 1", "old 2"):
            await desk.say(case_id, text)
        await desk.until_delivered()
        receiver.default = slowly
        await desk.say(case_id, "head")
        await desk.say(case_id, "waiting")
        await receiver.wait_for(3)
        replay_id = await desk.replay(case_id=case_id)
        with pytest.raises(DeliveryHasNotEnded):
            await desk.replay(delivery_id=(await desk.deliveries())[3]["delivery_id"])

        async def queued() -> bool:
            return (await desk.replayed(replay_id)).queued == 2

        await desk.until(queued)
        await desk.say(case_id, "new")
        may_answer.set()
        await until_done(desk, replay_id)
        await receiver.wait_for(7)
    assert contents(receiver.received)[2:] == ["head", "waiting", "old 1", "old 2", "new"]
    assert receiver.overlapping(lambda _: "one case") == 0


async def test_a_replay_goes_on_where_it_was_and_keeps_its_rate(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id = await desk.channel(receiver.url, order="none")
    case_id = await desk.case(channel_id)
    for number in range(6):
        await desk.say(case_id, f"number {number}")
    async with desk.sending():
        await desk.until_delivered()
    replay_id = await desk.replay(channel_id=channel_id, per_minute=1)
    async with desk.sending():
        await receiver.wait_for(7)
    row = await desk.replayed(replay_id)
    assert (row.state, row.queued) == ("running", 1)
    early = partial(replays.step, replay_id=replay_id, now=desk.writer.clock() + 50_000_000)
    assert await desk.writer.run(early) == set()

    def a_minute_later(connection: Connection) -> None:
        connection.execute(update(tables.replays).values(next_at=0))

    for count in (2, 3):
        await desk.writer.run(a_minute_later)
        async with desk.sending():
            await receiver.wait_for(6 + count)
        assert (await desk.replayed(replay_id)).queued == count
    assert contents(receiver.received)[6:] == ["number 0", "number 1", "number 2"]


async def test_what_a_cancelled_replay_left_in_the_queues_is_what_it_was(
    desk: Desk, receiver: Receiver
) -> None:
    failing = asyncio.Event()
    case_id = await desk.case(await desk.channel(receiver.url))
    for text in ("1", "2", "3", "4"):
        await desk.say(case_id, text)
    ids = [row["delivery_id"] for row in await desk.deliveries()]
    await desk.decide(skip, ids[1], "Not this one")
    async with desk.sending():
        await receiver.wait_for(3)

        async def failing_late(request: Received, line: Line) -> None:
            await failing.wait()
            await status(500)(request, line)

        receiver.then(failing_late)
        replay_id = await desk.replay(case_id=case_id)
        await receiver.wait_for(4)
        await desk.decide(hold, ids[3])
        # Its reason is not forgotten over this.
        await desk.decide(hold, ids[1])
        await desk.decide(release, ids[1])
        await desk.do(cancel_replay, replay_id=replay_id, running=True)
        assert (await desk.replayed(replay_id)).state == "cancelled"
        assert await desk.states() == ["delivered", "dead", "delivered", "delivered"]
        # The first one's attempt is under way: nothing else goes out beside it.
        await desk.say(case_id, "new")
        failing.set()
        await receiver.wait_for(5)

        await desk.until(partial(ended, desk))
        rows = await desk.deliveries()
        await desk.decide(retry, ids[1])
        await receiver.wait_for(6)
    assert [row["state"] for row in rows] == ["delivered", "dead", *["delivered"] * 3]
    assert rows[1]["reason"] == "Skipped by staff member 1. Not this one"
    assert contents(receiver.received)[3:] == ["1", "new", "2"]
    assert receiver.overlapping(lambda _: "one case") == 0
    assert await desk.do(cancel_replay, replay_id=replay_id, running=True) == replay_id


async def test_a_dead_receiver_does_not_find_all_of_a_replay_in_its_queues(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "OPEN_LIMIT", 2)
    monkeypatch.setattr(replays, "SCANNED", 3)
    monkeypatch.setattr(sender, "REPLAY_SECONDS", 0.01)
    channel_id = await desk.channel(receiver.url)
    for number in range(7):
        await desk.say(await desk.case(channel_id), f"number {number}")
    taking: Reaction = receiver.default
    async with desk.sending():
        await desk.until_delivered()
        receiver.default = status(503)
        replay_id = await desk.replay(channel_id=channel_id)
        await receiver.wait_for(10)
        assert (await desk.replayed(replay_id)).waiting == 2
        # Nothing is written of a replay that waits.
        assert await desk.database.read(replays.due, desk.writer.clock()) == []
        receiver.default = taking
        row = await until_done(desk, replay_id)
        assert (row.total, row.queued) == (7, 7)
        await desk.do(delete_channel, channel_id=channel_id)
        with pytest.raises(ChannelDeleted):
            await desk.replay(channel_id=channel_id)
    assert set(await desk.states()) == {"delivered"}


async def test_a_replay_that_cannot_go_on_keeps_no_other_from_it(
    desk: Desk, receiver: Receiver
) -> None:
    first, second = await desk.channel(receiver.url), await desk.channel(receiver.url)
    for channel_id in (first, second):
        await desk.say(await desk.case(channel_id), f"channel {channel_id}")
    async with desk.sending():
        await desk.until_delivered()
    broken = await desk.replay(channel_id=first)
    whole = await desk.replay(channel_id=second)

    def spoil(connection: Connection) -> None:
        own = update(tables.replays).where(tables.replays.c.replay_id == broken)
        connection.execute(own.values(ended_as="never"))

    await desk.writer.run(spoil)
    async with desk.sending():
        await until_done(desk, whole)
    assert (await desk.replayed(broken)).state == "running"


async def test_where_the_receiver_asks_nothing_is_replayed(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    message_id = await desk.say(case_id, "once")
    async with desk.sending():
        await desk.until_delivered()
    running = await desk.replay(channel_id=channel_id)
    await desk.do(change_channel, channel_id=channel_id, webhook={"polling": True})
    delivery_id = (await desk.deliveries())[0]["delivery_id"]
    for named in (
        {"channel_id": channel_id},
        {"case_id": case_id},
        {"message_id": message_id},
        {"delivery_id": delivery_id},
    ):
        with pytest.raises(ChannelPolled):
            await desk.replay(**named)
    # What was asked for before ends without it.
    async with desk.sending():
        row = await until_done(desk, running)
    assert row.queued == 0
    assert await desk.states() == ["delivered"]
