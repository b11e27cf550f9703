"""/live: the stream of events that tells an open page what changed (server-sent events), and who else looks at its case.

A page says up to which position of the log it is; so does the browser by itself when it connects again.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import web
from sqlalchemy import Connection, select

from kanal.delivery.tables import deliveries
from kanal.delivery.typists import Typist
from kanal.domain.errors import DomainError
from kanal.eventlog.writer import LogUnavailable
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Flag, Id
from kanal.http.pages.visit import Visit, now
from kanal.http.pages.workspace import WORKSPACE
from kanal.projections import cases, deadlines, users
from kanal.projections.read_model import Views

BEAT_SECONDS: Final = 1.0
"""How often those who look and type are asked for; nobody tells of their going."""
SILENCE_BEATS: Final = 15
"""After so many a line goes out anyway, so that a connection that is gone is noticed."""
AGAIN_MILLISECONDS: Final = 2000
"""After which a browser connects again."""
MAX_STREAMS: Final = 2000
"""In one process; each holds a connection."""
MAX_OF_STAFF: Final = 30
"""For one staff member, so that nobody takes all of them; pages that are not looked at have none."""
LAST_SHOWN: Final = 100
SECOND: Final = 1_000_000

HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class LiveQuery(Fields):
    after: Id = 0
    case: Id = 0
    watch: Flag = False
    """Whoever asks looks elsewhere and is told from now on what customers write to them."""


class Message(msgspec.Struct):
    """What an open page is told."""

    cases: list[int]
    everything: bool


class Arrival(msgspec.Struct):
    """A customer wrote in a case of one's own, or in one that nobody has."""

    case_id: int
    name: str
    subject: str


class Arrivals(msgspec.Struct):
    cases: list[Arrival]


class Company(msgspec.Struct):
    """Who else is at the case."""

    viewing: list[str]
    typing: list[str]


async def follow(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(LiveQuery)
    request = visit.request
    feed, staff_id = request.app[WORKSPACE].feed, (await visit.enter()).staff_id
    full = feed.watched >= MAX_STREAMS or feed.watched_by(staff_id) >= MAX_OF_STAFF
    if feed.closing or full:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
    last = request.headers.get("Last-Event-ID", "")
    position = int(last) if last.isascii() and last.isdecimal() and len(last) < 19 else asked.after
    if asked.watch and not position:
        position = await visit.read(lambda connection, _: visit.context.database.head(connection))
    with feed.looking(staff_id) as news_came:
        seen = bool(asked.case) and await visit.read(cases.find, asked.case) is not None
        answer = web.StreamResponse(headers=HEADERS)
        await answer.prepare(request)
        with suppress(ConnectionError, DomainError, ApiError, LogUnavailable):
            await answer.write(f"retry: {AGAIN_MILLISECONDS}\n\n".encode())
            case_id = asked.case if seen else 0
            await _tell(visit, answer, news_came, position, case_id, asked.watch)
    return answer


async def _tell(
    visit: Visit,
    answer: web.StreamResponse,
    news_came: asyncio.Event,
    position: int,
    case_id: int,
    watch: bool,
) -> None:
    """Until they are gone, or may not see it any more. `case_id`: one that they see, or 0. `watch`: see LiveQuery.

    Raises ConnectionError, and what Visit.read raises.
    """
    feed = visit.request.app[WORKSPACE].feed
    around = Around(visit, case_id) if case_id else None
    silent = 0
    due_at = await visit.read(deadlines.next_after, now())
    while not feed.closing and visit.request.transport is not None:
        wait = BEAT_SECONDS if around else BEAT_SECONDS * SILENCE_BEATS
        if due_at:
            # Not sooner than a beat: of many deadlines at once it is told once.
            wait = min(wait, max(BEAT_SECONDS, (due_at - now()) / SECOND))
        try:
            async with asyncio.timeout(wait):
                await news_came.wait()
        except TimeoutError:
            silent += 1
        news_came.clear()
        lines = []
        if news := feed.since(position):
            position = news.position
            told = Message(sorted(news.cases & {case_id}), news.everything)
            lines.append(_event("change", told, position))
            if watch and (arrived := await visit.read(_arrived, visit, news.written_in)):
                lines.append(_event("arrived", Arrivals(arrived)))
        if around:
            lines += await around.news()
        if due_at and due_at < now():
            lines.append(_event("change", Message([], False)))
        if not lines and (silent >= SILENCE_BEATS or not around):
            lines.append(": still here\n\n")
        if lines:
            silent = 0
            seen, due_at = await visit.read(_still, case_id)
            if not seen:
                return
            await answer.write("".join(lines).encode())


class Around:
    """What goes on around one open case and is in no event: who looks, who types, how its deliveries fare."""

    def __init__(self, visit: Visit, case_id: int) -> None:
        self._visit = visit
        self._case_id = case_id
        workspace = visit.request.app[WORKSPACE]
        self._viewers, self._typists = workspace.viewers, visit.context.typists
        self._company: Company | None = None
        self._deliveries: list[tuple[str, int]] | None = None
        self._names: dict[int, str] = {}

    async def news(self) -> list[str]:
        own = Typist(0, self._visit.who.staff_id)
        await self._viewers.note(self._case_id, own)
        lines = []
        company = Company(
            await self._named([each.staff_id for each in self._viewers.of(self._case_id)]),
            await self._named([each.staff_id for each in self._typists.of(self._case_id)]),
        )
        if company != self._company:
            if self._company or company.viewing or company.typing:
                lines.append(_event("company", company))
            self._company = company
        states = await self._visit.context.database.read(_states, self._case_id)
        if self._deliveries is not None and states != self._deliveries:
            lines.append(_event("change", Message([self._case_id], False)))
        self._deliveries = states
        return lines

    async def _named(self, staff_ids: list[int]) -> list[str]:
        """Names of the others."""
        others = [each for each in staff_ids if each and each != self._visit.who.staff_id]
        if missing := set(others) - self._names.keys():
            self._names |= await self._visit.read(_names_of, missing)
        return sorted(self._names.get(each, "") for each in others)


def _arrived(
    connection: Connection, views: Views, visit: Visit, case_ids: frozenset[int]
) -> list[Arrival]:
    """Of these cases those that are for them to answer."""
    if not case_ids:
        return []
    rows = cases.of_ids(connection, views, sorted(case_ids))
    own = [
        row
        for row in rows
        if row.staff_id in (visit.who.staff_id, 0) and not (row.spam or row.deleted)
    ]
    names = users.known(connection, views, [row.user_id for row in own])
    return [
        Arrival(row.case_id, names[row.user_id].name if row.user_id in names else "", row.subject)
        for row in own
    ]


def _names_of(connection: Connection, views: Views, staff_ids: set[int]) -> dict[int, str]:
    table = views.staff["staff"].c
    query = select(table.staff_id, table.full_name).where(table.staff_id.in_(staff_ids))
    return {row.staff_id: row.full_name for row in connection.execute(query)}


def _states(connection: Connection, case_id: int) -> list[tuple[str, int]]:
    """Of the last deliveries; attempts are counted, so that a failure is news."""
    d = deliveries.c
    query = select(d.delivery_id, d.state, d.attempts).where(d.case_id == case_id)
    rows = connection.execute(
        query.order_by(d.channel_id.desc(), d.sequence.desc()).limit(LAST_SHOWN)
    )
    return [(f"{row.delivery_id} {row.state}", row.attempts) for row in rows]


def _still(connection: Connection, views: Views, case_id: int) -> tuple[bool, int]:
    """Whether they see the case yet, if there is one; and when a deadline comes due, which no event tells of."""
    seen = not case_id or cases.find(connection, views, case_id) is not None
    return seen, deadlines.next_after(connection, views, now())


def _event(name: str, data: Any, position: int | None = None) -> str:
    cursor = "" if position is None else f"id: {position}\n"
    return f"{cursor}event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n"
