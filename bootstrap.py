"""The only wiring: from settings to a running Kanal."""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import argon2
from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert

from kanal import __version__
from kanal.automation.agenda import Agenda, Duty, Hand
from kanal.automation.chats import ChatOffers, SilentChats
from kanal.automation.delayed_sending import DelayedSending
from kanal.automation.deleted_users import DeletedUsers
from kanal.automation.fetch_files import FetchFiles
from kanal.automation.hand_overs import HandOvers
from kanal.automation.orphans import OrphanedFiles
from kanal.automation.reading_process import ReadingProcesses
from kanal.automation.rules import CONCERNING, RuleRunner
from kanal.automation.timed_rules import TimedRules
from kanal.delivery import notices
from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.arrivals import Arrivals
from kanal.delivery.fetch import FileFetcher
from kanal.delivery.meter import Meter
from kanal.delivery.outbox import Outbox
from kanal.delivery.ping import Pinger
from kanal.delivery.post import WebhookClient
from kanal.delivery.recovery import LossWatch, Recovery
from kanal.delivery.resolver import Resolver
from kanal.delivery.retention import OldAttempts
from kanal.delivery.schedule import DAY
from kanal.delivery.sender import Sender
from kanal.delivery.typing_webhook import TypingWebhook
from kanal.delivery.typists import Typists
from kanal.delivery.watch import FailingChannels
from kanal.domain.roles import OWNER
from kanal.domain.staff import ADMINISTRATORS, NewKey, appoint_first_owner, create_staff
from kanal.domain.work import Work
from kanal.eventlog import backup
from kanal.eventlog.bell import Bell
from kanal.eventlog.database import Database
from kanal.eventlog.files import FileLinks
from kanal.eventlog.follower import Follower
from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.projection import Projection
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import passwords
from kanal.eventlog.writer import Writer
from kanal.http import contacts, control, keys, logs
from kanal.http.app import make_app
from kanal.http.body import clear_uploads
from kanal.http.context import Context
from kanal.http.dates import Dates
from kanal.http.delivery_metrics import DeliveryMetrics
from kanal.http.dispatch import Dispatch
from kanal.http.lost_keys import LostKeys
from kanal.http.middleware import ApiRunner
from kanal.http.pages.feed import Feed
from kanal.http.pages.passwords import Passwords
from kanal.http.pages.rebuilds import Rebuilds
from kanal.http.pages.resetting import resetting
from kanal.http.pages.throttle import Throttle
from kanal.http.pages.workspace import Workspace
from kanal.http.rate_limit import RateLimit
from kanal.projections import runner
from kanal.projections.clean_html import clean_html
from kanal.projections.registry import CORE, followed
from kanal.settings import Settings, SettingsError

DATABASE_FILE = "kanal.db"
CONTROL_SOCKET = "kanal.sock"
ADMIN_EMAIL = "admin@kanal.local"
"""Of the first administrator, if the operator names none."""
PASSWORD_BYTES = 12
PASSWORD_HASHER = argon2.PasswordHasher()
VIEWING = "kanal_viewing"
"""PostgreSQL's channel on which processes tell each other who has which case open."""
CONTROL_GRACE_SECONDS = 1
"""A rebuild or backup that is cut off starts again; the end of the process must not wait for it."""

Role = Literal["all", "api", "worker"]
"""`api` answers requests, `worker` delivers webhooks and does what comes due; on SQLite one process does both."""


@dataclass(frozen=True)
class Store:
    """The log with its read models, ready for commands: what every `kanal` command works on."""

    settings: Settings
    database: Database
    stream_ids: StreamIds
    writer: Writer
    inline: runner.Inline
    outbox: Outbox
    bell: Bell
    links: FileLinks

    def rebuild(self, names: tuple[str, ...] = ()) -> "runner.Rebuild":
        """A rebuild of these read models, or of all; blocking when run."""
        models = [model for model in CORE + self.followed if not names or model.name in names]
        return runner.Rebuild(self.database, self.writer.run_and_wait, models, self.inline)

    @property
    def followed(self) -> tuple[Projection, ...]:
        return followed(self.settings.timezone)

    def recovery(self) -> Recovery:
        """Of what is lost of the outbox; blocking."""
        return Recovery(self.database, self.writer, self.outbox)

    def dispatch(self) -> Dispatch:
        """What `kanal deliveries` is carried out by; blocking."""
        settings = self.settings
        dates = Dates(settings.timezone)
        return Dispatch(self.database, self.writer, dates, settings.phone_region)

    def reset_password(self, email: str, second_factor_too: bool) -> Iterator[dict[str, Any]]:
        """What `kanal staff reset-password` does; blocking."""
        return resetting(
            self.database,
            self.writer,
            PASSWORD_HASHER,
            email,
            second_factor_too=second_factor_too,
        )

    def lost_keys(self) -> LostKeys:
        """What `kanal staff new-key` is carried out by; blocking."""
        return LostKeys(self.writer, self.stream_ids)


class FirstAdministrator(NamedTuple):
    """Shown once, when the installation is new."""

    email: str
    password: str
    api_key: str


def open_database(settings: Settings) -> Database:
    """Raises DataDirectoryInUse when another process owns the SQLite file."""
    if settings.database_url:
        return PostgresDatabase(settings.database_url)
    return SqliteDatabase(settings.data_dir / DATABASE_FILE)


def system_clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


@contextmanager
def opened(
    settings: Settings,
    progress: Callable[[runner.Progress], None] = lambda _: None,
    clock: Callable[[], int] = system_clock,
) -> Iterator[Store]:
    """Migrated, the writer running, read models built, the outbox whole; `progress` hears of what had to be made for it.

    `clock`: what all that is written goes by; on PostgreSQL what is sent goes by the database's.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        database = open_database(settings)
        stack.callback(database.close)
        stream_ids = migrate(database)
        inline = runner.Inline(CORE, database)
        links = FileLinks(settings.public_url or _own_address(settings, settings.port))
        restores = backup.restores(database)
        outbox = Outbox(settings.timezone, stream_ids, links, clean_html, clock, restores)
        bell = Bell(CONCERNING)
        writer = Writer(database, stream_ids, (inline, outbox, bell), clock)
        writer.start()
        stack.callback(writer.close)
        models = CORE + followed(settings.timezone)
        steps = runner.build_missing(database, writer.run_and_wait, models, inline)
        for step in steps:
            progress(step)
        store = Store(settings, database, stream_ids, writer, inline, outbox, bell, links)
        recovery = store.recovery()
        if not recovery.is_whole():
            for made in recovery.make_again():
                progress(runner.Progress(*made))
        recovery.keep_mark()
        yield store


def appoint_first_administrator(
    store: Store, hasher: argon2.PasswordHasher = PASSWORD_HASHER
) -> FirstAdministrator | None:
    """None if there is an administrator already, whichever process appointed it."""
    settings = store.settings
    try:
        email = contacts.email(settings.admin_email or ADMIN_EMAIL)
    except ValueError as error:
        raise SettingsError(f"KANAL_ADMIN_EMAIL {error}") from None
    password = settings.admin_password or secrets.token_urlsafe(PASSWORD_BYTES)
    key = keys.new_key(store.stream_ids, settings.admin_api_key)

    def appoint(work: Work) -> NewKey | None:
        if work.load(ADMINISTRATORS, "all"):
            appoint_first_owner(work)
            return None
        return create_staff(
            work,
            email=email,
            full_name="Administrator",
            role_id=OWNER,
            key_fingerprint=key.fingerprint,
        )

    def keep(connection: Connection, issued: NewKey | None) -> None:
        if issued:
            keys.keep(
                connection,
                staff_id=issued.staff_id,
                key_id=issued.key_id,
                email=email.normalised,
                hash=key.hash,
            )
            hashed = hasher.hash(password)
            row = {"staff_id": issued.staff_id, "hash": hashed}
            connection.execute(insert(passwords).values(row))

    appointed = store.writer.submit_and_wait(appoint, beside=keep).result
    return FirstAdministrator(email.given, password, key.key) if appointed else None


class Running(NamedTuple):
    """A Kanal that serves."""

    address: str
    """`http://HOST:PORT`."""
    store: Store


@asynccontextmanager
async def running(
    store: Store, role: Role = "all", hasher: argon2.PasswordHasher = PASSWORD_HASHER
) -> AsyncIterator[Running]:
    """Serve until the block ends; then finish the work in hand within `shutdown_seconds`."""
    settings, clock = store.settings, store.writer.clock
    guard = AddressGuard(settings.webhook_allow)
    uploads = _folder_for_uploads(settings)
    registry = CollectorRegistry()
    ending: list[Callable[[], Awaitable[object]]] = []
    """What may take its time to end, so all of it at once."""
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, uploads, ignore_errors=True)
        follower = Follower(
            store.database, store.writer, partial(runner.following, models=store.followed)
        )
        if role != "worker":
            follower.start()
            stack.push_async_callback(follower.close)
        loss_watch = LossWatch(store.recovery(), store.database)
        loss_watch.start()
        stack.push_async_callback(loss_watch.close)
        meter = Meter()
        client = await stack.enter_async_context(
            WebhookClient(guard, version=__version__, clock=clock, resolver=Resolver(meter=meter))
        )
        typists = Typists(store.database, clock=clock)
        arrivals = Arrivals(store.database)
        feed = Feed(store.database)
        viewers = Typists(store.database, clock=clock, notice=VIEWING)
        typing_webhook = TypingWebhook(client, settings.timezone, clock=clock)
        if role != "worker":
            typists.start()
            stack.push_async_callback(typists.close)
            stack.push_async_callback(typing_webhook.close)
            arrivals.start()
            store.outbox.tell(arrivals)
            viewers.start()
            stack.push_async_callback(viewers.close)
            feed.start()
            store.bell.attach(feed.ring)
            # Before the server waits for its calls to end.
            ending += [arrivals.close, feed.close]
        rebuilds = Rebuilds(store.rebuild)
        ending.append(rebuilds.close)
        delivery_metrics, agenda = None, None
        if role != "api":
            sender = _sender(store, client, meter)
            delivery_metrics = DeliveryMetrics(
                registry, meter, lambda: sender.posting, settings.webhook_concurrency
            )
            await _set_up_notices(store, guard)
            await sender.start()
            ending.append(partial(sender.close, settings.shutdown_seconds))
            fetcher = await stack.enter_async_context(FileFetcher(guard, version=__version__))
            agenda = await _agenda(store, fetcher, uploads)
            agenda.start()
            store.bell.attach(agenda.wake, lambda: agenda.leads)
            ending.append(partial(agenda.close, settings.shutdown_seconds))
        stack.push_async_callback(_end_together, ending)
        context = Context(
            database=store.database,
            writer=store.writer,
            stream_ids=store.stream_ids,
            models=CORE + store.followed,
            follower=follower,
            guard=guard,
            pinger=Pinger(client, settings.timezone, settings.webhook_timeout, clock=clock),
            typists=typists,
            typing_webhook=typing_webhook,
            arrivals=arrivals,
            loss_watch=loss_watch,
            reading_processes=ReadingProcesses(),
            dates=Dates(settings.timezone),
            phone_region=settings.phone_region,
            uploads=uploads,
            links=store.links,
            restrict_new_channels=settings.new_channels == "administrators",
            require_second_step=settings.second_step == "required",
        )
        rate_limit = RateLimit(settings.rate_limit_per_minute)
        app = make_app(
            context,
            registry,
            [str(network) for network in settings.trusted_proxies],
            api=role != "worker",
            access_log=_access_log(settings),
            rate_limit=rate_limit,
            deliveries=delivery_metrics,
            workspace=Workspace(
                feed,
                viewers,
                Throttle(store.stream_ids),
                Passwords(hasher),
                rebuilds,
                frozenset(model.name for model in CORE),
                agenda,
            )
            if role != "worker"
            else None,
        )
        server = ApiRunner(
            app, rate_limit, access_log=None, shutdown_timeout=settings.shutdown_seconds
        )
        await server.setup()
        ending.append(server.cleanup)
        site = web.TCPSite(server, settings.host, settings.port, reuse_address=True)
        await site.start()
        if not store.database.shared:
            await _serve_control(store, stack)
        address = _own_address(settings, server.addresses[0][1])
        if not settings.public_url:
            # Known only now if any free port was asked for.
            store.links.public_url = address
        yield Running(address, store)


def _sender(store: Store, client: WebhookClient, meter: Meter) -> Sender:
    settings = store.settings
    return Sender(
        store.database,
        store.writer,
        store.outbox,
        client,
        in_flight=settings.webhook_concurrency,
        per_channel=settings.webhook_per_channel,
        timeout=settings.webhook_timeout,
        horizon_days=settings.webhook_horizon_days,
        clock=store.writer.clock,
        meter=meter,
    )


async def _set_up_notices(store: Store, guard: AddressGuard) -> None:
    """Raises SettingsError."""
    url, secret = store.settings.notice_url, store.settings.notice_secret
    if url and (refused := guard.check_url(url)):
        raise SettingsError(f"KANAL_NOTICE_URL cannot be called: {refused.reason}")
    now = store.writer.clock()
    await store.writer.run(partial(notices.set_up, url=url, secret=secret, now=now))


async def _agenda(store: Store, fetcher: FileFetcher, uploads: Path) -> Agenda:
    database, writer, settings = store.database, store.writer, store.settings
    rules = RuleRunner(database, store.stream_ids, writer, CORE, clock=writer.clock)
    await rules.begin()
    hand = Hand(writer, FetchFiles.name)
    coming_due = [
        *duties(store),
        FetchFiles(fetcher.fetch, hand, database.files, uploads, writer.clock),
        FailingChannels(database, writer, settings.webhook_pause_days * DAY),
        OldAttempts(database, writer, settings.attempt_days * DAY),
    ]
    return Agenda(database, CORE + store.followed, coming_due, [rules], clock=writer.clock)


def _own_address(settings: Settings, port: int) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}"


def duties(store: Store) -> list[Duty[Any]]:
    """What comes due by itself and needs nothing but the log and its files."""
    database, writer = store.database, store.writer
    simple = (DelayedSending, HandOvers, DeletedUsers, ChatOffers, SilentChats)
    return [
        *(duty(Hand(writer, duty.name)) for duty in simple),
        OrphanedFiles(database, CORE, writer.clock),
        TimedRules(database, store.stream_ids, writer, CORE),
    ]


async def _end_together(ending: Iterable[Callable[[], Awaitable[object]]]) -> None:
    await asyncio.gather(*(end() for end in ending))


def _folder_for_uploads(settings: Settings) -> Path:
    """Of this process alone, since several may share the data folder; what dead ones left behind is removed."""
    folder = settings.data_dir / "uploads"
    for left in folder.glob("*"):
        try:
            os.kill(int(left.name), 0)
        except (ValueError, ProcessLookupError, PermissionError):
            # Another user's process has that number by now: whoever writes here is of our own.
            shutil.rmtree(left, ignore_errors=True)
    own = folder / str(os.getpid())
    clear_uploads(own)
    return own


def _access_log(settings: Settings) -> logs.AccessLog:
    """The quick one where it may write as it likes."""
    quick = settings.log_format == "json" and settings.log_level in ("debug", "info")
    return logs.access_to_stream() if quick else logs.access_to_structlog


async def _serve_control(store: Store, stack: AsyncExitStack) -> None:
    """On SQLite this process owns the file, so the other `kanal` commands ask it to do their work."""
    path = store.settings.data_dir / CONTROL_SOCKET
    path.unlink(missing_ok=True)
    app = control.make_app(
        store.database,
        store.rebuild,
        store.recovery,
        store.dispatch(),
        store.reset_password,
        store.lost_keys(),
    )
    server = web.AppRunner(app, access_log=None, shutdown_timeout=CONTROL_GRACE_SECONDS)
    await server.setup()
    stack.push_async_callback(server.cleanup)
    with control.short_address(path) as address:
        await web.UnixSite(server, address).start()
    stack.callback(partial(path.unlink, missing_ok=True))
