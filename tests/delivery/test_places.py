"""Places under way: what slow and failing channels may take of them, and who comes next."""

import asyncio

import pytest

from kanal.delivery import places as module
from kanal.delivery.lanes import Lane
from kanal.delivery.ledger import Claimed
from kanal.delivery.places import Place, Places
from kanal.delivery.verdict import LaneRow
from kanal.domain.webhook_options import WebhookOptions


def lane(channel_id: int, *, failures: int = 0) -> Lane:
    row = LaneRow(
        channel_id=channel_id,
        webhook_url="https://example.org/",
        channel_type="async",
        options=WebhookOptions(),
        state="active",
        open_since=0,
        failures=failures,
        charged_at=0,
        paused_until=0,
        owner="",
        token=1,
    )
    made = Lane(Claimed(row, ()), 16, float("inf"))
    made.width = 16
    return made


async def test_a_channel_alone_leaves_a_quarter_to_those_that_have_nothing() -> None:
    places = Places(8, lambda _: None)
    greedy = lane(1)
    assert sum(places.take(greedy) is not None for _ in range(10)) == 6
    assert places.take(lane(2))
    assert places.take(lane(3))
    assert places.take(lane(4)) is None
    assert (places.free, places.under_way) == (0, 8)


async def test_channels_tried_again_have_a_quarter_together() -> None:
    places = Places(8, lambda _: None)
    probes = [places.take(lane(number, failures=1)) for number in range(5)]
    assert sum(probe is not None for probe in probes) == 2
    assert all(places.take(lane(number)) for number in range(10, 16))


async def test_who_has_nothing_comes_first_and_a_probe_last() -> None:
    called: list[int] = []
    places = Places(4, lambda waiting: called.append(waiting.channel_id))
    held = [places.take(lane(number)) for number in range(4)]
    busy = lane(10)
    busy.posting = 1
    for waiting in (lane(11, failures=1), busy, lane(12), lane(13)):
        assert places.take(waiting) is None
    for place in held[:2]:
        assert place
        place.leave()
    places.feed()
    assert called == [12, 13, 10, 11]


async def test_a_slow_webhook_gives_its_place_back_and_so_many_may_be_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.01)
    taken: list[Place] = []
    called = asyncio.Event()

    def pump(waiting: Lane) -> None:
        place = places.take(waiting)
        assert place
        taken.append(place)
        called.set()

    places = Places(1, pump)
    for number in range(4):
        if place := places.take(lane(number)):
            taken.append(place)
    async with asyncio.timeout(30):
        while len(taken) < 3:
            await called.wait()
            called.clear()
    # Two are slow; the third keeps its place until one of them ends.
    assert (places.taken, places.slow, places.under_way) == (1, 2, 3)
    taken[0].leave()
    places.feed()
    async with asyncio.timeout(30):
        while len(taken) < 4:
            await called.wait()
            called.clear()
    for place in taken[1:]:
        place.leave()
    assert (places.taken, places.slow, places.probing) == (0, 0, 0)
