"""/audit: what happened and who did it, the newest first; and each event by itself, with what caused it."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.errors import DomainError, EventNotFound, UserNotFound
from kanal.domain.event import EVENTS
from kanal.domain.stream import Recorded
from kanal.http.api import events as calls
from kanal.http.dates import SECOND
from kanal.http.fields import Fields, Id, Text
from kanal.http.ids import case_id_in, channel_id_in, id_in
from kanal.http.pages import event_sentences, sidebar, wording
from kanal.http.pages.event_sentences import SUBJECTS, Names
from kanal.http.pages.rendering import zone_of
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections import history, roles, rules
from kanal.projections.causes import Link, chain
from kanal.projections.history import Filters, Section, Wanted
from kanal.projections.read_model import Views

ROWS: Final = 50
DAY: Final = timedelta(1)


class AuditQuery(Fields):
    """What cannot be read is marked beside its field and counts as not given."""

    subject: Text = ""
    who: Text = ""
    """`staff:1`, `rule:3`, `system`."""
    case: Text = ""
    channel: Text = ""
    user: Text = ""
    since: Text = ""
    """A day of the reader's zone, as `until`, which is the last one."""
    until: Text = ""
    before: Id = 0
    """A position: events up to it."""


class Line(NamedTuple):
    """An event as the list shows it."""

    recorded: Recorded
    author: str
    sentence: str
    """"" where no sentence says it: then name and fields do."""
    case_id: int

    @property
    def data(self) -> str:
        return msgspec.json.encode(self.recorded.event).decode()


class Understood(NamedTuple):
    filters: Filters
    wanted: Wanted
    since: int
    """Microseconds, 0: from the first event."""
    until: int
    """Up to before then, 0: to the last one."""
    wrong: frozenset[str]
    """Fields that cannot be read."""


class Shown(NamedTuple):
    sidebar: Sidebar
    rules: dict[int, str]
    lines: list[Line]
    before: int
    by_case: bool
    """Whoever asks reads the log case by case, and has named none."""


async def show(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(AuditQuery)
    understood = _understood(visit, asked)
    if understood.filters:
        # That read model follows the log.
        await visit.context.follower.catch_up()
    shown = await visit.read(_shown, visit, asked, understood)
    return visit.page(
        "audit.html",
        asked=asked,
        wrong=understood.wrong,
        shown=shown,
        sidebar=shown.sidebar,
        subjects=SUBJECTS,
        kept=asked.given() | {"before": ""},
        position=None,
    )


async def show_event(visit: Visit) -> web.StreamResponse:
    """Also what caused it, and what caused that, as far as it is seen."""
    position = id_in(visit.path("event"), EventNotFound)

    def query(connection: Connection, views: Views) -> tuple[Sidebar, list[tuple[Line, Link]]]:
        links = list(chain(connection, views, visit.context.database, position))
        names = names_in(connection, views, visit)
        return names.sidebar, [(_line(link.recorded, names), link) for link in links]

    beside, found = await visit.read(query)
    if not found:
        raise EventNotFound(position)
    recorded = found[0][0].recorded
    whole = {"position": position, "type": recorded.event.NAME} | msgspec.to_builtins(
        {"envelope": recorded.envelope, "data": recorded.event}
    )
    return visit.page(
        "event.html",
        found=found,
        line=found[0][0],
        json=msgspec.json.format(msgspec.json.encode(whole), indent=2).decode(),
        sidebar=beside,
        position=None,
    )


def names_in(connection: Connection, views: Views, visit: Visit) -> Names:
    """What ids are called at this moment, in the visitor's language."""
    return Names(
        sidebar=sidebar.read(connection, views, visit.who.staff_id),
        roles={row.role_id: row.title for row in roles.listed(connection, views)},
        rules={row.rule_id: row.title for row in rules.listed(connection, views)},
        translate=wording.translations(visit.language).gettext,
    )


def _shown(
    connection: Connection, views: Views, visit: Visit, asked: AuditQuery, understood: Understood
) -> Shown:
    """Raises CaseNotFound."""
    database = visit.context.database
    names = names_in(connection, views, visit)
    section = Section([], 0)
    named = any(kind == "case" for kind, _ in understood.filters)
    by_case = not (named or views.scope.sees_all)
    if not (understood.wrong or by_case):
        calls.check_seen(connection, views, understood.filters)
        since, until = understood.since, understood.until
        last = database.position_at(connection, until - 1) if until else database.head(connection)
        section = history.newest(
            connection,
            views,
            database,
            understood.filters,
            understood.wanted,
            since=database.position_at(connection, since - 1) if since else 0,
            until=min(last, asked.before) if asked.before else last,
            limit=ROWS,
        )
    lines = [_line(recorded, names) for recorded in section.rows]
    return Shown(names.sidebar, dict(names.rules), lines, section.before, by_case)


def _line(recorded: Recorded, names: Names) -> Line:
    event: Any = recorded.event
    return Line(
        recorded,
        names.of_author(recorded.envelope.who),
        event_sentences.sentence_of(event, names),
        getattr(event, "case_id", 0),
    )


def _understood(visit: Visit, asked: AuditQuery) -> Understood:
    wrong: set[str] = set()
    filters: Filters = []
    # The list shows its times in that zone too.
    zone = zone_of(visit.request, visit.context.dates.zone)

    def read(field: str, reading: Callable[[str], int]) -> int:
        given = str(getattr(asked, field)).strip()
        try:
            return reading(given) if given else 0
        except (ValueError, OverflowError, DomainError):
            wrong.add(field)
            return 0

    def day(given: str) -> int:
        at = date.fromisoformat(given)
        began = datetime(at.year, at.month, at.day, tzinfo=zone)
        return int(began.timestamp()) * SECOND

    if case_id := read("case", lambda given: case_id_in(given.removeprefix("#"))):
        filters.append(("case", case_id))
    if channel_id := read("channel", channel_id_in):
        filters.append(("channel", channel_id))
    if user_id := read("user", lambda given: id_in(given, UserNotFound)):
        filters.append(("user", user_id))
    names = [name for name in EVENTS if asked.subject and name.startswith(f"{asked.subject}.")]
    if asked.subject and not names:
        wrong.add("subject")
    since = read("since", day)
    until = read("until", lambda given: day((date.fromisoformat(given) + DAY).isoformat()))
    return Understood(filters, Wanted(names, asked.who), since, until, frozenset(wrong))
