"""What a channel bounds of its deliveries: how long one may take, how fast they follow, which networks they reach."""

import time
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from delivering import LOOPBACK, ZONE, Desk, in_half_an_hour
from hypothesis import given
from hypothesis import strategies as st
from webhook_receiver import Receiver, hang

from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.ledger import read_lanes
from kanal.delivery.networks import network, outside
from kanal.delivery.pace import BURST_SHARE, Pace
from kanal.delivery.ping import Pinger
from kanal.delivery.post import WebhookClient
from kanal.delivery.schedule import attempt_seconds
from kanal.domain import channels

MINUTE = 60_000_000
WINDOW = MINUTE // 6


# -- time ----------------------------------------------------------------------------------------


def test_a_channels_wish_counts_within_what_the_installation_allows() -> None:
    assert attempt_seconds("sync", 0, 15.0) == 5.0
    assert attempt_seconds("sync", 9, 15.0) == 9
    assert attempt_seconds("async", 9, 2.5) == 2.5
    assert attempt_seconds("async", 60, 60.0) == 15.0


async def test_an_attempt_ends_when_its_channel_says(desk: Desk) -> None:
    async with Receiver(hang()) as receiver:
        channel_id = await desk.channel(receiver.url, timeout=1)
        await desk.say(await desk.case(channel_id), "Hello")

        async def tried() -> bool:
            return all(row["outcome_class"] for row in await desk.deliveries())

        async with desk.sending(schedule=in_half_an_hour):
            await desk.until(tried)
    [attempt] = await desk.attempts()
    assert attempt["outcome_class"] == "response_timeout"
    assert attempt["sentence"].endswith(": 1 s.")
    assert 0.9e6 < attempt["ended_at"] - attempt["started_at"] < 4e6


# -- pace ----------------------------------------------------------------------------------------


@given(
    per_minute=st.integers(1, 60_000),
    waits=st.lists(st.integers(0, MINUTE), min_size=1, max_size=60),
)
def test_no_stretch_of_time_has_more_than_its_share_and_a_burst(
    per_minute: int, waits: list[int]
) -> None:
    pace, now, taken = Pace(per_minute, 0), 0, []
    burst = max(1, per_minute // BURST_SHARE)
    for wait in waits:
        now += wait
        if pace.take(now):
            taken.append(now)
        else:
            # Whoever waits as long as it says is let through, and not a moment earlier.
            assert not pace.take(now + pace.wait(now) - 1)
            now += pace.wait(now)
            assert pace.take(now)
            taken.append(now)
    interval = MINUTE // per_minute
    for index, start in enumerate(taken):
        within = sum(start <= each < start + WINDOW for each in taken[index:])
        assert within <= burst + WINDOW // interval + 1


def test_a_new_owner_begins_with_one_and_a_full_bucket_is_a_burst() -> None:
    pace = Pace(60, 0)
    assert [pace.take(0) for _ in range(3)] == [True, False, False]
    assert (pace.wait(0), pace.is_full(0)) == (1_000_000, False)
    later = 10 * MINUTE
    assert pace.is_full(later)
    assert sum(pace.take(later) for _ in range(10)) == 6


async def test_what_comes_too_fast_is_late_and_never_an_attempt_and_others_do_not_wait(
    desk: Desk,
) -> None:
    async with Receiver() as receiver:
        other = receiver.url.replace("/hook", "/other")
        paced = await desk.channel(receiver.url, rate_limit=300)
        free = await desk.channel(other)
        for _ in range(6):
            await desk.say(await desk.case(paced), "paced")
            await desk.say(await desk.case(free), "free")
        async with desk.sending():
            received = await receiver.wait_for(12)
            await desk.until_delivered()
    slow = [each.started for each in received if each.path == "/hook"]
    quick = [each.started for each in received if each.path == "/other"]
    # The first at once, then one each fifth of a second; under load the first may come late.
    assert slow[-1] - slow[0] > 0.6
    assert sum(each < slow[-1] for each in quick) == 6
    assert {row["attempts"] for row in await desk.deliveries()} == {1}
    assert len(await desk.attempts()) == 12


# -- networks ------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_a_network_is_taken_as_it_is_written_and_holds_what_it_says(
    number: int, length: int, other: int
) -> None:
    spelled = str(IPv4Network((number >> (32 - length) << (32 - length), length)))
    found = network(f" {spelled} ")
    assert str(found) == spelled
    address = ip_address(other)
    assert outside([found], str(address)) == (address not in ip_network(spelled))
    for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
        # As the address that is really reached.
        assert outside([found], form) == outside([found], str(address))


@given(st.text(st.sampled_from("0123456789abf.:/%-x, "), max_size=18))
def test_what_is_no_network_is_refused_and_what_is_taken_has_one_spelling(spelled: str) -> None:
    try:
        found = network(spelled)
    except ValueError:
        return
    assert network(str(found)) == found
    assert isinstance(found, IPv4Network | IPv6Network)


@pytest.mark.parametrize(
    "spelled",
    [
        "10.0.0.1/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/33",
        "10.0.0/8",
        "010.0.0.0/8",
        "0x0a.0.0.0/8",
        "fe80::1%eth0",
        "fe80::/10%1",
        "::ffff:10.0.0.0/104",
        "2001:db8::1/32",
        "",
        "/8",
        "app/8",
    ],
)
def test_other_spellings_are_refused(spelled: str) -> None:
    with pytest.raises(ValueError, match="network"):
        network(spelled)


def test_networks_that_the_installation_does_not_allow_are_told_from_those_it_does() -> None:
    strict, loose = AddressGuard(), AddressGuard((ip_network("10.1.0.0/16"),))
    for spelled, by_strict, by_loose in [
        ("10.0.0.0/8", "a private address", None),
        ("10.1.2.0/24", "a private address", None),
        ("10.2.0.0/16", "a private address", "a private address"),
        ("127.0.0.1/32", "a loopback address", "a loopback address"),
        ("203.0.114.0/24", None, None),
        ("0.0.0.0/0", None, None),
        ("::/0", None, None),
        ("fc00::/8", "a private address", "a private address"),
        ("2a00:1450::/32", None, None),
        ("64:ff9b::/96", None, None),
        ("4000::/3", "a reserved address", "a reserved address"),
    ]:
        found = network(spelled)
        verdicts = (strict.check_network(found), loose.check_network(found))
        assert verdicts == (by_strict, by_loose), spelled


async def test_only_the_channels_networks_are_reached_also_over_kept_connections(
    desk: Desk,
) -> None:
    async with Receiver() as receiver:
        anywhere = await desk.channel(receiver.url)
        confined = await desk.channel(receiver.url, networks=("10.0.0.0/8",))
        case_id, confined_case = await desk.case(anywhere), await desk.case(confined)

        async def blocked() -> bool:
            rows = await desk.deliveries()
            return any(row["outcome_class"] == "blocked_by_policy" for row in rows)

        async with desk.sending():
            await desk.say(case_id, "keeps a connection")
            await receiver.wait_for(1)
            await desk.say(confined_case, "must not use it")
            await desk.until(blocked)
            [claimed] = await desk.database.read(read_lanes, [confined])
            async with WebhookClient(AddressGuard(LOOPBACK), version="1") as client:
                ping = await Pinger(client, ZONE, 5.0).ping(claimed)
            assert ping.outcome.outcome_class == "blocked_by_policy"
            assert "127.0.0.1 is outside the networks" in ping.outcome.sentence
            assert len(receiver.received) == 1
            # What waits goes out as soon as the channel's options let it.
            wider = {"networks": ("10.0.0.0/8", "127.0.0.0/8")}
            started = time.monotonic()
            await desk.do(channels.change_channel, channel_id=confined, webhook=wider)
            await desk.say(confined_case, "on the same connection")
            await receiver.wait_for(3)
            await desk.until_delivered()
            assert time.monotonic() - started < 9
    assert [each.connection for each in receiver.received] == [1, 2, 2]


async def test_networks_never_widen_what_the_installation_allows(desk: Desk) -> None:
    async with Receiver() as receiver:
        channel_id = await desk.channel(receiver.url, networks=("127.0.0.0/8",))
        await desk.say(await desk.case(channel_id), "Hello")

        async def tried() -> bool:
            return all(row["outcome_class"] for row in await desk.deliveries())

        async with desk.sending(allow=()):
            await desk.until(tried)
    [row] = await desk.deliveries()
    assert row["outcome_class"] == "blocked_by_policy"
    assert receiver.received == []
