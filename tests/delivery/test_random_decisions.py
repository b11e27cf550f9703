"""Random decisions beside random outcomes: whatever is decided when, nothing overlaps, is lost, changed or overtaken."""

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from delivering import Desk, Row, open_database
from webhook_receiver import Line, Received, Receiver, status

from kanal.domain.deliveries import (
    DeliveryReplayAsked,
    DeliveryRetried,
    cancel_replay,
    hold,
    release,
    retry,
    skip,
)
from kanal.domain.errors import DomainError

MESSAGES = 24
DECISIONS = 60
LONGEST_SECONDS = 0.1
"""Of an answer: long enough to decide something meanwhile."""
OPTIONS = (
    {"order": "case"},
    {"order": "case", "on_exhausted": "hold"},
    {"order": "channel"},
    {"order": "none"},
)


def twice_in_vain(**given: Any) -> int | None:
    """A schedule: given up at the third failure, and again soon until then."""
    if given["failures"] > 2 and given["horizon"] < 2**60:
        return None
    at: int = given["failed_at"] + 3_000
    return at


class Fickle:
    """Takes half of what comes, sooner or later; all of it once it is well."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.well = False
        self.taken: list[Received] = []
        self.under_way: list[str] = []

    async def __call__(self, request: Received, line: Line) -> None:
        code = 200 if self.well else self.choose.choice((200, 200, 200, 400, 422, 503))
        self.under_way.append(request.headers["webhook-id"])
        await asyncio.sleep(self.choose.random() * LONGEST_SECONDS)
        if code == 200:
            self.taken.append(request)
        self.under_way.remove(request.headers["webhook-id"])
        await status(code)(request, line)


@pytest.mark.parametrize("seed", [3, 5])
async def test_decisions_lose_nothing_and_let_nothing_overlap_or_overtake(
    database_url: str, data_dir: Path, seed: int
) -> None:
    choose = random.Random(seed)
    fickle = Fickle(choose)
    async with Desk(open_database(database_url, data_dir)) as desk, Receiver(fickle) as receiver:
        channels = [await desk.channel(receiver.url, **each) for each in OPTIONS]
        cases = [await desk.case(channel_id) for channel_id in (*channels, channels[2])]
        await one_after_another(desk, fickle, cases, channels, (MESSAGES // 2, DECISIONS // 2))
        await one_after_another(desk, fickle, cases, channels, (MESSAGES // 2, DECISIONS // 2))
        fickle.well = True
        async with desk.sending(schedule=twice_in_vain):
            await desk.until(lambda: all_ended(desk))
        rows = await desk.deliveries()
        events = [each.event for each in desk.database.events_after(0)]

    orders = {id_: each["order"] for id_, each in zip(channels, OPTIONS, strict=True)}
    by_id = {row["delivery_id"]: row for row in rows}
    check_what_came(receiver, fickle, by_id)
    for order, key in (("case", "case_id"), ("channel", "channel_id")):
        queued = [
            each for each in receiver.received if orders[row_of(each, by_id)["channel_id"]] == order
        ]
        assert overlapping(queued, lambda each, key=key: row_of(each, by_id)[key]) == 0
    again = {each.delivery_id for each in events if isinstance(each, DeliveryRetried)}
    again |= {row["delivery_id"] for row in rows if row["replay_id"]}
    assert any(isinstance(each, DeliveryReplayAsked) for each in events)
    firsts = defaultdict(list)
    for request in fickle.taken:
        row = row_of(request, by_id)
        if orders[row["channel_id"]] != "none" and row["delivery_id"] not in again:
            again.add(row["delivery_id"])
            firsts[row["case_id"]].append(row["sequence"])
    assert firsts
    for sequences in firsts.values():
        assert sequences == sorted(sequences)


async def one_after_another(
    desk: Desk,
    fickle: Fickle,
    cases: list[int],
    channels: list[int],
    amounts: tuple[int, int],
) -> None:
    """Messages and decisions while a sender runs; it ends in the midst of them."""
    choose = fickle.choose
    steps = ["say"] * amounts[0] + ["decide"] * amounts[1]
    choose.shuffle(steps)
    async with desk.sending(schedule=twice_in_vain):
        for step in ["say", *steps]:
            if step == "say":
                await desk.say(choose.choice(cases), f"number {choose.random()}")
                continue
            with suppress(DomainError):
                await decide(desk, fickle, cases, channels)


async def decide(desk: Desk, fickle: Fickle, cases: list[int], channels: list[int]) -> None:
    choose = fickle.choose
    delivery_ids = [row["delivery_id"] for row in await desk.deliveries()]
    if fickle.under_way and choose.random() < 0.7:
        delivery_ids = fickle.under_way
    delivery_id = choose.choice(delivery_ids)
    match choose.randrange(10):
        case 0:
            await desk.replay(case_id=choose.choice(cases))
        case 1:
            await desk.replay(channel_id=choose.choice(channels), per_minute=6_000)
        case 2:
            await desk.replay(delivery_id=delivery_id)
        case 3:
            replay_id = choose.randint(1, 5)
            await desk.do(cancel_replay, replay_id=replay_id, running=True)
        case _:
            await desk.decide(choose.choice((hold, release, release, skip, retry)), delivery_id)


async def all_ended(desk: Desk) -> bool:
    for row in await desk.deliveries():
        if row["state"] == "held":
            await desk.decide(release, row["delivery_id"])
    rows = await desk.deliveries()
    running = await desk.database.read(lambda each: each.exec_driver_sql(RUNNING).scalar())
    return not running and all(row["turn"] is None for row in rows)


RUNNING = "SELECT count(*) FROM replays WHERE state = 'running'"


def row_of(request: Received, by_id: dict[str, Row]) -> Row:
    return by_id[request.headers["webhook-id"]]


def check_what_came(receiver: Receiver, fickle: Fickle, by_id: dict[str, Row]) -> None:
    taken = {each.headers["webhook-id"] for each in fickle.taken}
    for delivery_id, row in by_id.items():
        assert row["due_at"] is None
        assert row["state"] in ("delivered", "dead")
        assert row["delivered_at"] or row["reason"]
        assert (row["delivered_at"] is not None) == (delivery_id in taken)
    for request in receiver.received:
        assert request.body == bytes(row_of(request, by_id)["body"])


def overlapping(requests: list[Received], key: Any) -> int:
    ordered = sorted(requests, key=lambda request: request.started)
    last: dict[Any, float] = {}
    overlaps = 0
    for request in ordered:
        overlaps += request.started < last.get(key(request), 0.0)
        last[key(request)] = request.ended or float("inf")
    return overlaps
