"""/api/events: the log itself, page by page, whole or of one case, user or channel.

The way through it is by position: `after` is the last position that the caller has, and the header `Link` (RFC 8288)
holds the address of what follows. The body keeps the form of every list.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow, Filter
from kanal.domain.case_events import MessageAdded
from kanal.domain.errors import CaseNotFound, EventNotFound, NoRight
from kanal.domain.rule_webhooks import RuleWebhookCalled
from kanal.domain.stream import Recorded
from kanal.http.answers import Date, answer, listing
from kanal.http.api import deliveries
from kanal.http.api.deliveries import DeliveryAnswer
from kanal.http.api.users import ChannelId
from kanal.http.context import Call
from kanal.http.contract import Listed, Whole, contract
from kanal.http.dates import Dates
from kanal.http.fields import Id, Paging, Text
from kanal.http.ids import case_id_in, id_in
from kanal.http.paging import page_of
from kanal.projections import cases, history
from kanal.projections.causes import Link, chain
from kanal.projections.read_model import Found, Views

WHOLE_LOG = "see all cases: without it the log is read case by case, with case_id"
DELIVERIES_SHOWN = 10
"""A message is one, and one more for each time that it was edited or deleted."""


class EventsQuery(Paging):
    after: Id | None = None
    case: Text | None = None
    case_id: Text | None = None
    user_id: Id | None = None
    channel: ChannelId | None = None
    order: Literal["asc", "desc"] = "asc"


class EventAnswer(msgspec.Struct):
    position: int
    type: str
    at: Date
    at_microseconds: int
    who: str
    origin: str
    request: str
    cause: int | None
    about: Sequence[int]
    data: dict[str, Any]


@contract("Read the log", Listed("event", EventAnswer), query=EventsQuery)
async def list_events(call: Call) -> web.Response:
    asked = call.asked(EventsQuery)
    filters = _filters(asked)
    if filters:
        # That read model follows the log; this call shall see every write that was answered.
        await call.context.follower.catch_up()
    database, dates = call.context.database, call.context.dates
    page = page_of(asked)

    def query(connection: Connection, views: Views) -> Found[Recorded]:
        check_seen(connection, views, filters)
        return history.events(connection, views, database, filters, asked.after, page, asked.order)

    found = await call.read(query)
    headers = {}
    if found.rows and len(found.rows) == page.limit:
        following = call.request.rel_url.update_query(after=str(found.rows[-1].position))
        headers["Link"] = f'<{following.without_query_params("page")}>; rel="next"'
    items = [shown(recorded, dates) for recorded in found.rows]
    return answer(listing("event", items, found.total), headers=headers)


class RanRuleAnswer(msgspec.Struct):
    rule_id: int
    version: int
    title: str
    """When it ran."""


class CauseAnswer(msgspec.Struct):
    event: EventAnswer
    rule: RanRuleAnswer | None
    """That did it; null if no rule did."""
    deliveries: list[DeliveryAnswer]
    """What went out of the message that the event added, or of the webhook that it called."""


class CausesAnswer(msgspec.Struct):
    causes: list[CauseAnswer]


@contract("Show why something happened", Whole(CausesAnswer))
async def causes(call: Call) -> web.Response:
    """The event first, then what caused it, and so on."""
    position = id_in(call.path("event"), EventNotFound)
    database, dates = call.context.database, call.context.dates

    def query(connection: Connection, views: Views) -> list[CauseAnswer]:
        links = chain(connection, views, database, position)
        return [_cause(connection, link, dates) for link in links]

    found = await call.read(query)
    if not found:
        raise EventNotFound(position)
    return answer(CausesAnswer(found))


def check_seen(connection: Connection, views: Views, filters: history.Filters) -> None:
    """Whoever does not see all cases reads the log case by case. Raises CaseNotFound, NoRight."""
    if views.scope.sees_all:
        return
    named = [case_id for kind, case_id in filters if kind == "case"]
    for case_id in named:
        if cases.find(connection, views, case_id) is None:
            raise CaseNotFound(case_id)
    if not named:
        raise NoRight(WHOLE_LOG)


def _cause(connection: Connection, link: Link, dates: Dates) -> CauseAnswer:
    event, firing = link.recorded.event, link.firing
    rows: list[DeliveryRow] = []
    if isinstance(event, MessageAdded) and event.outgoing:
        wanted = Filter(message_id=event.message_id)
        rows, _ = overview.listed(connection, wanted, DELIVERIES_SHOWN, 0)
    elif isinstance(event, RuleWebhookCalled):
        wanted = Filter(position=link.recorded.position)
        rows, _ = overview.listed(connection, wanted, DELIVERIES_SHOWN, 0)
    return CauseAnswer(
        event=shown(link.recorded, dates),
        rule=firing and RanRuleAnswer(firing.rule_id, firing.version, firing.title),
        deliveries=[deliveries.shown(row, dates) for row in rows],
    )


def shown(recorded: Recorded, dates: Dates) -> EventAnswer:
    envelope = recorded.envelope
    return EventAnswer(
        position=recorded.position,
        type=recorded.event.NAME,
        at=dates.render(envelope.at),
        at_microseconds=envelope.at,
        who=envelope.who,
        origin=envelope.origin,
        request=envelope.request,
        cause=envelope.cause,
        about=envelope.about,
        data=msgspec.to_builtins(recorded.event),
    )


def _filters(asked: EventsQuery) -> history.Filters:
    """Raises CaseNotFound for what cannot be a case at all."""
    filters: history.Filters = [
        ("case", case_id_in(given)) for given in (asked.case, asked.case_id) if given is not None
    ]
    if asked.user_id is not None:
        filters.append(("user", asked.user_id))
    if asked.channel is not None:
        filters.append(("channel", asked.channel))
    return filters
