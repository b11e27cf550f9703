"""Receivers, names and neighbours at their worst, against the sender in this process; the rules hold, and nobody else waits."""

import asyncio
import random
import socket
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from delivering import Desk, open_database
from invariants import EARLY_SECONDS, all_delivered, breaches, case_of
from sender_evidence import evidence_of
from sqlalchemy import Connection
from webhook_receiver import (
    Line,
    Received,
    Receiver,
    broken_chunked,
    close,
    delayed,
    drip,
    endless,
    gzip_bomb,
    hang,
    raw,
    redirect,
    reset,
    status,
)

from kanal.delivery.lanes import FIRST_WIDTH, PROBES
from kanal.delivery.resolver import Resolver
from kanal.delivery.schedule import next_attempt_at
from kanal.domain.stream import Recorded
from kanal.eventlog.database import BatchStart
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.projection import Changes

SEED = 20261122
OK = status(200)
SOON = 0.02
"""The wait of `delivering.soon`, in seconds."""
UNKINDNESSES = (
    reset(),
    reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    close(),
    hang(),
    hang(b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    drip(),
    endless(),
    gzip_bomb(1),
    broken_chunked(),
    raw(b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 1000 + b"\r\n", close=True),
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", close=True),
    raw(b"I do not speak HTTP\r\n\r\n", close=True),
    redirect("/hook", 307),
    redirect("http://169.254.169.254/"),
    status(408),
    status(422),
    status(500),
    status(503, headers={"Retry-After": "as soon as you like"}),
)


@pytest.fixture
async def desk(data_dir: Path) -> AsyncIterator[Desk]:
    async with Desk(open_database("", data_dir)) as desk:
        yield desk


async def check(desk: Desk, receiver: Receiver, **circumstances: Any) -> None:
    found = breaches(await evidence_of(desk, receiver, **circumstances))
    assert not found, "\n".join(found[:20])


async def test_whatever_receivers_do_the_rules_hold(
    database_url: str, data_dir: Path, receiver: Receiver
) -> None:
    dice = random.Random(SEED)
    unkind = [*UNKINDNESSES, *UNKINDNESSES]
    dice.shuffle(unkind)

    async def react(request: Received, line: Line) -> None:
        reaction = unkind.pop() if unkind and dice.random() < 0.6 else OK
        await reaction(request, line)

    receiver.default = react
    async with Desk(open_database(database_url, data_dir)) as desk:
        channels = [await desk.channel(receiver.url) for _ in range(6)]
        cases = [await desk.case(channel) for channel in channels for _ in range(2)]
        async with desk.sending(timeout=0.3, lease_seconds=2.0):
            await asyncio.gather(*(desk.say(case, "Hello") for case in cases * 5))
            await desk.until_delivered()
        assert not unkind
        await check(desk, receiver, first_delay=SOON)


async def test_a_wish_to_be_left_alone_is_heeded_before_anything_else_is_sent(
    desk: Desk, receiver: Receiver
) -> None:
    """Not even what is taken meanwhile, but was under way before, ends the wait."""
    receiver.then(delayed(0.2, OK), status(429, headers={"Retry-After": "3"}))
    channel = await desk.channel(receiver.url)
    cases = [await desk.case(channel) for _ in range(3)]
    async with desk.sending(schedule=next_attempt_at):
        for case in cases * 2:
            await desk.say(case, "Hello")
        await desk.until_delivered()
    await check(desk, receiver)
    first, second, *others = sorted(receiver.received, key=lambda request: request.started)
    assert [first.answered, second.answered] == [200, 429]
    assert min(request.started for request in others) > (second.ended or 0) + 3 - EARLY_SECONDS


async def test_names_that_fail_hang_or_lead_inside_cost_only_their_own_channels(
    desk: Desk, receiver: Receiver
) -> None:
    ends = threading.Event()
    mended = threading.Event()

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        name = host.partition(".")[0]
        if name == "silent":
            ends.wait(20)
        if name in ("absent", "silent") and not mended.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name == "failing" and not mended.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if name == "inner":
            return [_found("10.1.2.3", port)]
        if name == "translated":
            return [_found("64:ff9b::a01:203", port)]
        inner = [_found(f"10.0.0.{number}", port) for number in range(1, 50)]
        return [*(inner if name == "many" else []), _found("127.0.0.1", port)]

    names = ("absent", "silent", "failing", "inner", "translated", "many", "good")
    cases = {
        name: await desk.case(await desk.channel(receiver.url.replace("127.0.0.1", f"{name}.test")))
        for name in names
    }
    resolver = Resolver(seconds=0.3, getaddrinfo=look_up)
    allow = (ip_network("127.0.0.1/32"),)

    async def kept() -> dict[str, dict[str, Any]]:
        rows = {row["case_id"]: row for row in await desk.deliveries()}
        return {name: rows[case] for name, case in cases.items()}

    async def all_tried() -> bool:
        return all(row["outcome_class"] for row in (await kept()).values())

    async def only_inner_ones_wait() -> bool:
        waiting = {name for name, row in (await kept()).items() if row["state"] == "pending"}
        return waiting == {"inner", "translated"}

    async with desk.sending(allow=allow, resolver=resolver):
        for case in cases.values():
            await desk.say(case, "Hello")
        await desk.until(all_tried)
        classes = {name: row["outcome_class"] for name, row in (await kept()).items()}
        mended.set()
        ends.set()
        await desk.until(only_inner_ones_wait)
    assert classes == {
        **dict.fromkeys(("absent", "silent", "failing"), "dns"),
        **dict.fromkeys(("inner", "translated"), "blocked_by_policy"),
        **dict.fromkeys(("many", "good"), "ok"),
    }
    await check(desk, receiver, first_delay=SOON)


def _found(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


async def test_while_others_hang_nobody_waits_as_long_as_they_do(
    desk: Desk, receiver: Receiver
) -> None:
    """Not even while more of them hang than there are places."""
    receiver.by_path["/hang"] = hang()
    hanging_url = receiver.url.replace("/hook", "/hang")
    healthy = [await desk.case(await desk.channel(receiver.url)) for _ in range(10)]
    hanging = [
        await desk.case(channel)
        for channel in [await desk.channel(hanging_url) for _ in range(10)]
        for _ in range(2)
    ]
    deadline = 10.0
    async with desk.sending(in_flight=16, timeout=deadline, seconds=0.1):
        for case in hanging:
            await desk.say(case, "stuck")
        took = []
        for case in healthy * 4:
            said_at = time.monotonic()
            before = len(_at(receiver, "/hook"))
            await desk.say(case, "quick")
            await receiver.wait_until(lambda before=before: len(_at(receiver, "/hook")) > before)
            took.append(_at(receiver, "/hook")[-1].started - said_at)
    assert max(took) < deadline / 2


def _at(receiver: Receiver, path: str) -> list[Received]:
    return [request for request in receiver.received if request.path == path]


async def test_what_waits_behind_a_dead_endpoint_costs_probes_and_then_drains_in_order(
    database_url: str, data_dir: Path, receiver: Receiver
) -> None:
    receiver.default = status(503)
    async with Desk(open_database(database_url, data_dir)) as desk:
        channel = await desk.channel(receiver.url)
        cases = [await desk.case(channel) for _ in range(20)]
        await asyncio.gather(*(desk.say(case, "Hello") for case in cases * 10))
        async with desk.sending():

            async def tried_again_and_again() -> bool:
                return (await desk.lanes())[0]["failures"] >= 5

            await desk.until(tried_again_and_again)
            receiver.default = OK
            await desk.until_delivered()
        failed = [each for each in receiver.received if each.answered == 503]
        assert len(failed) <= FIRST_WIDTH + PROBES * (len(failed) // PROBES)
        assert len(failed) < 40
        taken = sorted(
            (each for each in receiver.received if each.answered == 200),
            key=lambda each: each.started,
        )
        # The ramp: no more at once than have succeeded before, and the two probes.
        under_way = sum(each.started < (taken[0].ended or 0) for each in taken[:10])
        assert under_way <= PROBES
        evidence = await evidence_of(desk, receiver, first_delay=SOON)
        assert not breaches(evidence)
        assert not all_delivered(evidence)


async def test_events_that_come_again_or_in_another_order_enqueue_nothing(
    database_url: str, data_dir: Path, receiver: Receiver
) -> None:
    dice = random.Random(SEED)
    async with Desk(open_database(database_url, data_dir)) as desk:
        cases = [await desk.case(await desk.channel(receiver.url)) for _ in range(2)]
        async with desk.sending():
            for case in cases * 3:
                await desk.say(case, "Hello")
            await desk.until_delivered()
        before = await desk.deliveries()
        messages = [
            each
            for each in desk.database.events_after(0)
            if "message_id" in each.event.__struct_fields__
        ]
        for _ in range(3):
            dice.shuffle(messages)
            await desk.writer.run(partial(_enqueue_again, desk, messages))
        async with desk.sending():
            if isinstance(desk.database, PostgresDatabase):
                await _notify(desk, ["1,1,2", "", "99", "no number"])
            await desk.say(cases[0], "The next one")
            await desk.until_delivered()
        rows = await desk.deliveries()
        assert rows[:-1] == before
        assert [row["sequence"] for row in rows if row["case_id"] == cases[0]] == [1, 2, 3, 4]
        await check(desk, receiver)
        assert len(receiver.received) == 7
        assert receiver.overlapping(case_of) == 0


def _enqueue_again(desk: Desk, messages: list[Recorded], connection: Connection) -> None:
    changes = Changes()
    desk.outbox.apply(connection, messages, BatchStart(messages[-1].position), changes)
    changes.flush(connection)


async def _notify(desk: Desk, payloads: list[str]) -> None:
    """What other processes might say."""

    def notify(connection: Any) -> None:
        for payload in payloads:
            connection.exec_driver_sql("SELECT pg_notify('kanal_lanes', %s)", (payload,))

    await desk.writer.run(notify)
