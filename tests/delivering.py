"""A log with an outbox, and senders on it, for the tests of what goes out.

async with Desk(database) as desk:
    channel = await desk.channel(receiver.url)
    case = await desk.case(channel)
    await desk.say(case, "Hello")
    async with desk.sending():
        await receiver.wait_for(1)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import select

from kanal.delivery import decisions, kept_secrets, replays
from kanal.delivery.address_guard import AddressGuard, IPNetwork
from kanal.delivery.outbox import Outbox
from kanal.delivery.post import WebhookClient
from kanal.delivery.replays import Wanted
from kanal.delivery.resolver import Resolver
from kanal.delivery.sender import Sender
from kanal.delivery.signing import new_secret
from kanal.delivery.tables import attempts, deliveries, lanes
from kanal.domain import channels, conversation
from kanal.domain.channels import ChannelType
from kanal.domain.deliveries import DeliveryNow, ask_replay
from kanal.domain.errors import DecidedMeanwhile
from kanal.domain.identities import Identification
from kanal.eventlog import backup
from kanal.eventlog.database import Database
from kanal.eventlog.files import FileLinks
from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.writer import Writer
from kanal.projections.clean_html import clean_html

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ZONE = ZoneInfo("Europe/Moscow")
WAIT_SECONDS = 30.0
"""For what takes milliseconds, on a machine that may be busy."""
LOOK_SECONDS = 0.005

Row = dict[str, Any]


def soon(**given: Any) -> int | None:
    """A schedule for tests: again after 20 ms, the horizon as it is in earnest."""
    at: int = given["failed_at"] + 20_000
    return at if at <= given["due_since"] + given["horizon"] else None


def never_in_time(**given: Any) -> int | None:
    """A schedule for tests: whatever fails has come to the horizon."""
    return None if given["horizon"] < 2**60 else given["failed_at"] + 20_000


def in_half_an_hour(**given: Any) -> int:
    """A schedule for tests: not again while the test lasts, and within what a refused message has."""
    failed_at: int = given["failed_at"]
    return failed_at + 1_800_000_000


def open_database(url: str, folder: Path) -> Database:
    return PostgresDatabase(url) if url else SqliteDatabase(folder / "kanal.db")


class Desk:
    """One process: a writer with its outbox on a database of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._numbers = iter(range(1, 1_000_000))

    async def __aenter__(self) -> Self:
        stream_ids = migrate(self.database)
        links, restores = FileLinks("https://desk.example"), backup.restores(self.database)
        self.outbox = Outbox(ZONE, stream_ids, links, clean_html, restores=restores)
        self.writer = Writer(self.database, stream_ids, [self.outbox])
        self.writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.writer.close)
        self.database.close()

    @asynccontextmanager
    async def sending(
        self,
        *,
        allow: tuple[IPNetwork, ...] = LOOPBACK,
        resolver: Resolver | None = None,
        seconds: float = 5.0,
        **options: Any,
    ) -> AsyncIterator[Sender]:
        """`seconds`: what POSTs under way get at the end."""
        client = WebhookClient(AddressGuard(allow), version="1.2.3", resolver=resolver)
        options.setdefault("schedule", soon)
        async with client:
            sender = Sender(self.database, self.writer, self.outbox, client, **options)
            await sender.start()
            try:
                yield sender
            finally:
                await sender.close(seconds)

    # -- commands --------------------------------------------------------------------------------

    async def do(self, command: Callable[..., Any], **arguments: Any) -> Any:
        done = await self.writer.submit(
            partial(command, **arguments), who="staff:1", origin="api", request="test"
        )
        return done.result

    async def channel(self, url: str, channel_type: ChannelType = "sync", **webhook: Any) -> int:
        """`webhook`: options of delivery."""
        secret = new_secret()

        def keep(connection: Any, channel_id: int) -> None:
            kept_secrets.keep(connection, channel_id, secret, at=1)

        done = await self.writer.submit(
            partial(
                channels.create_channel,
                title="App",
                webhook_url=url,
                channel_type=channel_type,
                webhook=webhook,
                secret_fingerprint="",
            ),
            who="staff:1",
            origin="api",
            request="test",
            beside=keep,
        )
        channel_id: int = done.result
        return channel_id

    async def case(self, channel_id: int) -> int:
        who = Identification(channel_id=channel_id, external_id=f"ext-{next(self._numbers)}")
        opened = await self.do(conversation.open_case, who=who, channel="", content="Help!")
        case_id: int = opened.case_id
        return case_id

    async def say(self, case_id: int, content: str) -> int:
        """A message that goes out."""
        added = await self.do(
            conversation.add_rule_message, case_id=case_id, rule_id=7, content=content
        )
        message_id: int = added.message_id
        return message_id

    @property
    def log(self) -> dict[str, Any]:
        return {"database": self.database, "stream_ids": self.writer.stream_ids}

    async def look(self, delivery_id: str, now: int) -> DeliveryNow | None:
        return await self.database.read(decisions.look_to_decide, delivery_id, now, **self.log)

    async def decide(self, command: Callable[..., Any], delivery_id: str, reason: str = "") -> int:
        """As the API and the command line do it; how many events it made."""
        while True:
            now = self.writer.clock()
            seen = await self.look(delivery_id, now)
            assert seen is not None
            try:
                done = await self.writer.submit(
                    partial(command, delivery=seen, reason=reason),
                    who="staff:1",
                    origin="api",
                    request="test",
                    beside=decisions.unchanged(seen),
                )
            except DecidedMeanwhile:
                continue
            return len(done.events)

    async def replay(self, per_minute: int = 60_000, **named: Any) -> int:
        """`named`: as `Wanted`, or `delivery_id`. The replay's id."""
        delivery_id = named.pop("delivery_id", None)

        def look(connection: Any) -> tuple[Wanted, int, Any]:
            upto = self.database.head(connection)
            wanted = Wanted(**named, delivery_id=delivery_id, upto=upto)
            one = (
                decisions.look(connection, delivery_id, self.writer.clock())
                if delivery_id
                else None
            )
            return wanted, replays.count(connection, wanted), one

        wanted, count, one = await self.database.read(look)
        asked = {name: value for name, value in named.items() if name != "after"}
        replay_id: int = await self.do(
            ask_replay,
            **asked,
            delivery=one,
            after=wanted.after,
            upto=wanted.upto,
            per_minute=per_minute,
            count=count,
        )
        return replay_id

    async def replayed(self, replay_id: int) -> replays.ReplayRow:
        row = await self.database.read(replays.find, replay_id)
        assert row is not None
        return row

    # -- what is stored --------------------------------------------------------------------------

    async def deliveries(self) -> list[Row]:
        """The oldest message first."""
        return await self._rows(deliveries, deliveries.c.message_id)

    async def attempts(self) -> list[Row]:
        return await self._rows(attempts, attempts.c.attempt_id)

    async def lanes(self) -> list[Row]:
        return await self._rows(lanes, lanes.c.channel_id)

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.deliveries()]

    async def until(self, holds: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
        """Until `await holds()` is true; TimeoutError otherwise."""
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 rows have no event to wait for
                await asyncio.sleep(LOOK_SECONDS)

    async def until_delivered(self) -> None:
        async def all_delivered() -> bool:
            return set(await self.states()) == {"delivered"}

        await self.until(all_delivered)

    async def _rows(self, table: Any, order: Any) -> list[Row]:
        def read(connection: Any) -> list[Row]:
            rows = connection.execute(select(table).order_by(order))
            return [dict(row._mapping) for row in rows]

        return await self.database.read(read)
