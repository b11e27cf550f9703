"""Fills a new installation with the demo's five weeks: the plan is carried out over the API, by a Kanal whose clock is in the past.

    python demo/fill.py FOLDER    # see demo.py, which calls it

Rules run, timed ones come due and webhooks go out, fail and are tried again as they would have on those days.
"""

import argparse
import asyncio
import heapq
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

import aiohttp
import argon2
import company
import uvloop
from company import STAFF
from plan import BLOCKED_ID, WEEKS, Person, Step, planned
from programs import Programs, answering, today
from sqlalchemy import Connection, func, select

from kanal import __version__
from kanal.automation.agenda import Hand
from kanal.automation.chats import SilentChats
from kanal.automation.rules import RuleRunner
from kanal.automation.timed_rules import TimedRules
from kanal.bootstrap import PASSWORD_HASHER, Store, appoint_first_administrator, opened, running
from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.overview import NEXT_ATTEMPT_AT, WITH_LANES
from kanal.delivery.post import WebhookClient
from kanal.delivery.sender import Sender
from kanal.delivery.tables import OPEN
from kanal.eventlog.follower import Follower
from kanal.http import logs
from kanal.projections import runner
from kanal.projections.registry import CORE
from kanal.settings import Settings

CASES: Final = 250
SEED: Final = 20
PREPARED: Final = timedelta(hours=20)
"""So long before the first case the desk was set up."""
FAR: Final = datetime.max.replace(tzinfo=UTC)
LOOPBACK: Final = ip_network("127.0.0.0/8")
SETTLE_SECONDS: Final = 20.0
"""For what goes out at one moment; a busy machine takes its time."""
LOOK_SECONDS: Final = 0.01
MICROSECONDS: Final = 1_000_000


class Addresses(NamedTuple):
    """Where the company's programs take webhooks."""

    chat: str
    others: str

    def of(self, program: str) -> str:
        return f"{self.chat}/webhook" if program == "chat" else f"{self.others}/{program}"


class Filled(NamedTuple):
    """What is shown this once."""

    api_key: str
    chat_secret: str
    passwords: dict[str, str]
    """By e-mail."""


class PastClock:
    """Stands where it was put, and goes on from there like any other."""

    def __init__(self, at: datetime) -> None:
        self._at, self._put = _microseconds(at), time.monotonic_ns()

    def __call__(self) -> int:
        return self._at + (time.monotonic_ns() - self._put) // 1000

    def put(self, at: int) -> None:
        """Never back."""
        self._at, self._put = max(at, self()), time.monotonic_ns()

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self() / MICROSECONDS, UTC)


def demo_settings(folder: Path, **others: Any) -> Settings:
    """Of the Kanal that the demo is filled by; what is not named is as `kanal serve` has it."""
    given = {
        "data_dir": folder,
        "database_url": "",
        "port": 0,
        "timezone": ZoneInfo(company.ZONE),
        "webhook_allow": (LOOPBACK,),
        "admin_email": STAFF[0].email,
        "log_level": "warning",
    }
    return Settings.load(**given | others)


async def fill(
    settings: Settings,
    addresses: Addresses,
    *,
    cases: int = CASES,
    seed: int = SEED,
    hasher: argon2.PasswordHasher = PASSWORD_HASHER,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Filled:
    """A new installation in the settings' folder, up to this moment."""
    now = today()
    clock = PastClock(now - timedelta(weeks=WEEKS) - PREPARED)
    programs = Programs(now, clock.moment, [BLOCKED_ID])
    with opened(settings, clock=clock) as store:
        first = appoint_first_administrator(store, hasher)
        assert first, "the folder has an installation already"
        async with (
            answering(programs, addresses.chat, addresses.others),
            running(store, "api", hasher) as kanal,
            Desk(store, clock, kanal.address, first.api_key) as desk,
        ):
            secret = await desk.set_up(addresses)
            steps = planned(now, cases, seed)
            following = _following(steps)
            for done, step in enumerate(steps):
                await desk.carry_out(step, following[done])
                progress(done + 1, len(steps))
            await desk.hold_one()
        passwords = {first.email: first.password}
        for colleague in STAFF[1:]:
            if colleague.mailbox in company.SHOWN:
                passwords[colleague.email] = await asyncio.to_thread(
                    _password, store, colleague.email
                )
    return Filled(first.api_key, secret, passwords)


def _following(steps: Sequence[Step]) -> list[datetime]:
    """When the next step of the same case comes, far ahead for the last one."""
    found, next_at = [], {}
    for step in reversed(steps):
        found.append(next_at.get(step.case, FAR))
        next_at[step.case] = step.at
    return found[::-1]


def _password(store: Store, email: str) -> str:
    (step,) = store.reset_password(email, False)
    password: str = step["password"]
    return password


class Desk:
    """The company's staff and programs at work, in a Kanal whose clock they turn."""

    def __init__(self, store: Store, clock: PastClock, address: str, key: str) -> None:
        self._store = store
        self._clock = clock
        self._address = address
        self._keys = {1: f"{STAFF[0].email}:{key}"}
        self._cases: dict[int, tuple[int, int]] = {}
        """Of the plan's numbers: case_id and user_id."""
        self._macros: dict[str, int] = {}
        self._ticks: list[int] = []
        """When a timed rule or a silent chat may come due."""
        self._next_at = 0
        self._due: int | None = None
        """When the next webhook goes out."""
        self._addresses = Addresses("", "")
        self._rules = RuleRunner(store.database, store.stream_ids, store.writer, CORE, clock=clock)
        self._follower = Follower(
            store.database, store.writer, partial(runner.following, models=store.followed)
        )
        self._duties = (
            TimedRules(store.database, store.stream_ids, store.writer, CORE),
            SilentChats(Hand(store.writer, SilentChats.name)),
        )

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession())
        await self._stack.enter_async_context(_sending(self._store, self._clock))
        await self._rules.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rules.rest()
        await self._stack.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        staff: int = 1,
        **query: str,
    ) -> Any:
        headers = {"Authorization": aiohttp.encode_basic_auth(*self._keys[staff].split(":", 1))}
        async with self._session.request(
            method, f"{self._address}/api/{path}.json", json=body, params=query, headers=headers
        ) as answer:
            if not answer.ok:
                raise RuntimeError(f"{method} {path}: {await answer.text()}")
            return await answer.json(content_type=None)

    # -- setting up ------------------------------------------------------------------------------

    async def set_up(self, addresses: Addresses) -> str:
        """The secret of the website's chat."""
        self._addresses = addresses
        secrets = {}
        for channel in company.CHANNELS:
            fields = {**channel.fields, "webhook_url": addresses.of(channel.program)}
            made = await self.call("POST", "custom_channels", {"custom_channel": fields})
            secrets[channel.program] = made["custom_channel"]["secret"]
        for title in company.GROUPS:
            await self.call("POST", "groups", {"group": {"group_title": title}})
        for title in company.LABELS:
            await self.call("POST", "labels", {"label": {"label_title": title}})
        for field in company.FIELDS:
            await self.call("POST", "custom_fields", {"custom_field": field})
        roles = {"owner": 3, "administrator": 1, "staff": 2}
        for role in company.ROLES:
            made = await self.call("POST", "roles", {"role": role})
            roles[role["title"]] = made["role"]["role_id"]
        await self.call("PUT", "staff/1", {"staff": {"staff_full_name": STAFF[0].name}})
        for number, colleague in enumerate(STAFF[1:], start=2):
            fields = {
                "staff_email": colleague.email,
                "staff_full_name": colleague.name,
                "role_id": roles[colleague.role],
            }
            made = await self.call("POST", "staff", {"staff": fields})
            self._keys[number] = f"{colleague.email}:{made['staff']['api_key']}"
        for name, domain in company.COMPANIES:
            fields = {"company_name": name, "company_domains": domain, "company_default_group": 3}
            await self.call("POST", "companies", {"company": fields})
        await self.call("POST", "business_hours", {"business_hours": company.HOURS})
        for target in company.TARGETS:
            await self.call("POST", "response_targets", {"response_target": target})
        for macro in company.MACROS:
            made = await self.call("POST", "macros", {"macro": macro})
            self._macros[macro["title"]] = made["macro"]["macro_id"]
        for rule in company.RULES:
            await self.call("POST", "rules", {"rule": rule})
        for number in range(1, len(STAFF)):
            await self.call("PUT", f"staff/{number}/status", {"staff": {"status_id": 1}}, number)
        return str(secrets["chat"])

    async def hold_one(self) -> None:
        """Of what waits for the portal."""
        waiting = await self.call("GET", "deliveries", channel="cch5", state="pending")
        if waiting["total_count"]:
            delivery = waiting["0"]["delivery"]["delivery_id"]
            reason = {"delivery": {"reason": "The price in it is wrong, a new quote follows."}}
            await self.call("PUT", f"deliveries/{delivery}/hold", reason, staff=2)

    # -- the weeks -------------------------------------------------------------------------------

    async def carry_out(self, step: Step, next_at: datetime) -> None:
        """`next_at`: when its case goes on."""
        await self._go_on_until(_microseconds(step.at))
        self._next_at = _microseconds(next_at)
        values, staff = step.values, step.values.get("staff", 1)
        if step.action == "open":
            await self._open(step.case, **values)
        elif step.action == "shadow":
            url = f"{self._addresses.others}/app-next"
            fields = {"custom_channel": {"webhook_shadow_url": url}}
            await self.call("PUT", "custom_channels/cch2", fields)
        else:
            case_id, user_id = self._cases[step.case]
            await self._change(step, f"cases/{case_id}", user_id, staff)
        await self._settle()

    async def _open(
        self,
        number: int,
        person: Person,
        channel: int,
        subject: str,
        content: str,
        fields: dict[str, str],
    ) -> None:
        club = {company.CLUB_FIELD: person.club} if person.club else {}
        given = {
            "user_custom_id": person.ids[channel],
            "channel": f"cch{channel}",
            "user_full_name": person.name,
            "user_email": person.email,
            "company_name": person.company,
            "subject": subject,
            "content": content,
            "language_id": 1 if person.language == "ru" else 2,
            "custom_fields": fields | club,
        }
        case = (await self.call("POST", "cases", {"case": given}))["case"]
        self._cases[number] = case["case_id"], case["user_id"]
        self._tick(company.UNANSWERED_MINUTES)

    async def _change(self, step: Step, case: str, user_id: int, staff: int) -> None:
        values = step.values
        match step.action:
            case "user":
                message = {"user_id": user_id, "content": values["content"]}
                await self.call("POST", f"{case}/messages", {"message": message})
                self._tick(company.UNANSWERED_MINUTES)
                self._tick(company.SILENT_MINUTES)
            case "staff":
                message = {"content": values["content"]}
                await self.call("POST", f"{case}/messages", {"message": message}, staff)
                self._tick(company.REMIND_MINUTES)
                self._tick(company.SILENT_MINUTES)
            case "note":
                note = {"note": {"content": values["content"]}}
                await self.call("POST", f"{case}/note", note, staff)
            case "macro":
                macro = self._macros[values["title"]]
                await self.call("POST", f"{case}/macros/{macro}/apply", staff=staff)
                self._tick(company.REMIND_MINUTES)
            case "label":
                labels = {"add_labels": [values["label"]]}
                await self.call("PUT", case, {"case": labels}, staff)
            case "assign":
                taken = {"staff_id": staff, "group_id": values["group"]}
                await self.call("PUT", case, {"case": taken}, staff)
            case "accept":
                await self.call("PUT", f"{case}/chat/accept", staff=staff)
            case "complete":
                await self.call("PUT", f"{case}/chat/complete", staff=staff)
            case "close":
                await self.call("PUT", case, {"case": {"status": "closed"}}, staff)
            case "rate":
                rating = {name: values[name] for name in ("rating", "rating_comment")}
                rating["rated_staff_id"] = staff
                await self.call("PUT", f"{case}/rate", {"rate": rating})
            case "spam":
                await self.call("PUT", f"{case}/spam", staff=staff)

    def _tick(self, minutes: int) -> None:
        """Something may come due then, unless the case goes on before."""
        at = self._clock() + (minutes * 60 + 1) * MICROSECONDS
        if at < self._next_at:
            heapq.heappush(self._ticks, at)

    async def _go_on_until(self, at: int) -> None:
        """What comes due by itself meanwhile, each at its time."""
        while True:
            tick = self._ticks[0] if self._ticks else at
            next_at = min(tick, at if self._due is None else self._due)
            if next_at >= at:
                break
            self._clock.put(next_at)
            if next_at == tick:
                heapq.heappop(self._ticks)
                await self._see_to_duties()
            else:
                # A timer of the sender's counts the seconds that pass, not those that the clock is put on.
                self._store.outbox.changed(range(1, len(company.CHANNELS) + 1))
            await self._settle()
        self._clock.put(at)

    async def _see_to_duties(self) -> None:
        database, models = self._store.database, CORE + self._store.followed
        await self._follower.catch_up()
        for duty in self._duties:

            def due(connection: Connection, duty: Any = duty) -> Any:
                views = runner.views(connection, models)
                return duty.due(connection, views, self._clock())

            for item in await database.read(due):
                await duty.act(item)

    async def _settle(self) -> None:
        """Until rules have run for what happened, and what is due has been sent."""
        await self._rules.follow()
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                self._due = await self._store.database.read(_next_attempt)
                if self._due is None or self._due > self._clock():
                    return
                await asyncio.sleep(LOOK_SECONDS)


def _next_attempt(connection: Connection) -> int | None:
    """When the next webhook goes out; past, while one is under way."""
    query = select(func.min(NEXT_ATTEMPT_AT)).select_from(WITH_LANES).where(OPEN)
    found: int | None = connection.scalar(query)
    return found


@asynccontextmanager
async def _sending(store: Store, clock: PastClock) -> AsyncIterator[None]:
    guard = AddressGuard(store.settings.webhook_allow)
    async with WebhookClient(guard, version=__version__, clock=clock) as client:
        sender = Sender(store.database, store.writer, store.outbox, client, clock=clock)
        await sender.start()
        try:
            yield
        finally:
            await sender.close(store.settings.shutdown_seconds)


def _microseconds(at: datetime) -> int:
    return int(at.timestamp() * MICROSECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chat", required=True, help="where the example chat listens")
    parser.add_argument("--others", required=True, help="where the other programs do")
    parser.add_argument("--cases", type=int, default=CASES)
    given = parser.parse_args()
    logs.configure(level="WARNING")

    def progress(done: int, of: int) -> None:
        if done == of or done % 25 == 0:
            print(f"{done} {of}", flush=True)

    filled = uvloop.run(
        fill(
            demo_settings(given.folder),
            Addresses(given.chat, given.others),
            cases=given.cases,
            progress=progress,
        )
    )
    print(json.dumps(filled._asdict()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
