"""/api/events: the log itself, page by page, whole or of one case, user or channel.

The way through it is by position: `after` is the last position that the caller has, and the header `Link` (RFC 8288)
holds the address of what follows. The body keeps the form of every list.
"""

from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web
from sqlalchemy import Connection, FromClause, func, select

from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.http.answers import answer, listing
from kanal.http.api.users import ChannelId
from kanal.http.context import Call
from kanal.http.dates import Dates
from kanal.http.fields import Id, Paging, Text
from kanal.http.ids import case_id_in
from kanal.http.paging import page_of
from kanal.projections.history import Kind
from kanal.projections.read_model import Found, Page, Views

Filters = list[tuple[Kind, int]]

_counted: WeakKeyDictionary[Database, tuple[int, int]] = WeakKeyDictionary()
"""A position of the log and how many events there are up to it. Both are final, and counting a long log anew for each
page would make reading it through quadratic."""


class EventsQuery(Paging):
    after: Id | None = None
    case: Text | None = None
    case_id: Text | None = None
    user_id: Id | None = None
    channel: ChannelId | None = None
    order: Literal["asc", "desc"] = "asc"


async def list_events(call: Call) -> web.Response:
    asked = EventsQuery.read(call.query())
    filters = _filters(asked)
    if filters:
        # That read model follows the log; this call shall see every write that was answered.
        await call.context.follower.catch_up()
    database, dates = call.context.database, call.context.dates
    page = page_of(asked)
    found = await call.read(_listed, database, filters, asked.after, page, asked.order)
    headers = {}
    if found.rows and len(found.rows) == page.limit:
        following = call.request.rel_url.update_query(after=str(found.rows[-1].position))
        headers["Link"] = f'<{following.without_query_params("page")}>; rel="next"'
    items = [shown(recorded, dates) for recorded in found.rows]
    return answer(listing("event", items, found.total), headers=headers)


def shown(recorded: Recorded, dates: Dates) -> dict[str, Any]:
    envelope = recorded.envelope
    return {
        "position": recorded.position,
        "type": recorded.event.NAME,
        "at": dates.render(envelope.at),
        "at_microseconds": envelope.at,
        "who": envelope.who,
        "origin": envelope.origin,
        "request": envelope.request,
        "cause": envelope.cause,
        "about": envelope.about,
        "data": msgspec.to_builtins(recorded.event),
    }


def _filters(asked: EventsQuery) -> Filters:
    """Raises CaseNotFound for what cannot be a case at all."""
    filters: Filters = [
        ("case", case_id_in(given)) for given in (asked.case, asked.case_id) if given is not None
    ]
    if asked.user_id is not None:
        filters.append(("user", asked.user_id))
    if asked.channel is not None:
        filters.append(("channel", asked.channel))
    return filters


def _listed(
    connection: Connection,
    views: Views,
    database: Database,
    filters: Filters,
    after: int | None,
    page: Page,
    order: Literal["asc", "desc"],
) -> Found[Recorded]:
    """`after` is the position before the first one of the page, in that order."""
    events = database.events
    position = events.c.position
    query = select(events)
    if filters:
        source, position = _history(views, filters)
        query = query.select_from(source.join(events, events.c.position == position))
        total = connection.scalar(select(func.count()).select_from(source)) or 0
    else:
        total = _count(connection, database)
    if after is not None:
        query = query.where(position > after if order == "asc" else position < after)
    ordered = query.order_by(position.asc() if order == "asc" else position.desc())
    rows = database.decoded(connection, ordered.limit(page.limit).offset(page.offset))
    return Found(rows, total)


def _history(views: Views, filters: Filters) -> tuple[FromClause, Any]:
    """Where all filters hold, and its column of positions."""
    history = views.history["history"]
    source: FromClause | None = None
    first: Any = None
    for number, (kind, key) in enumerate(filters):
        part = (
            select(history.c.position)
            .where(history.c.kind == kind, history.c.id == key)
            .subquery(f"filter_{number}")
        )
        if source is None:
            source, first = part, part.c.position
        else:
            source = source.join(part, part.c.position == first)
    assert source is not None
    return source, first


def _count(connection: Connection, database: Database) -> int:
    position, count = _counted.get(database, (0, 0))
    events = database.events
    query = select(func.count(), func.max(events.c.position)).where(events.c.position > position)
    more, last = connection.execute(query).one()
    if more:
        position, count = last, count + more
        _counted[database] = (position, count)
    return count
