"""/deliveries: the log of what goes out, decisions about one delivery, and replays with their count first."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator, Field
from sqlalchemy import Connection

from kanal.delivery import overview, replays
from kanal.delivery.outcome import OutcomeClass
from kanal.delivery.overview import AttemptRow, DeliveryRow, Filter, Sent, State, Waiting
from kanal.delivery.replays import ReplayRow
from kanal.delivery.tables import Kind
from kanal.delivery.tables import replays as replay_rows
from kanal.domain import deliveries as domain
from kanal.domain.errors import CaseNotFound, DeliveryNotFound, ReplayNotFound
from kanal.domain.roles import Right
from kanal.http.api.custom_channels import Reason
from kanal.http.api.deliveries import ATTEMPTS_SHOWN, check_seen, decide, seen
from kanal.http.api.replays import (
    ReplayOfMany,
    ReplayOptions,
    begin,
    choose,
    chosen_of_many,
    chosen_of_one,
    end,
    find_replay,
)
from kanal.http.dates import LATEST
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Id, Line, Text
from kanal.http.ids import case_id_in, channel_id_in, id_in
from kanal.http.pages import sidebar
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.rendering import zone_of
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections.access import channel_seen
from kanal.projections.read_model import Views

LISTED: Final = 50
REPLAYS_SHOWN: Final = 10
MICROSECONDS: Final = 1_000_000
TIMES: Final = frozenset({"since", "until"})
"""Fields with a day and an hour."""
DECISIONS: Final[dict[str, Callable[..., None]]] = {
    "hold": domain.hold,
    "release": domain.release,
    "skip": domain.skip,
    "retry": domain.retry,
}


def _known(*words: str) -> BeforeValidator:
    """What a form may send; all else is as if nothing were chosen."""
    return BeforeValidator(lambda value: value if value in words else None)


STATES: Final = ("pending", "held", "dead", "delivered")
KINDS: Final = (
    "message_new",
    "message_edited",
    "message_deleted",
    "case_status",
    "rule_webhook",
)
OUTCOMES: Final = tuple(each.value for each in OutcomeClass if each is not OutcomeClass.OK)


class LogQuery(Fields):
    channel: Text = ""
    state: Annotated[State | None, _known(*STATES)] = None
    kind: Annotated[Kind | None, _known(*KINDS)] = None
    case: Text = ""
    since: Text = ""
    until: Text = ""
    outcome: Annotated[str | None, _known(*OUTCOMES)] = None
    before: Id | None = None
    """Position behind which the page goes on."""


class ReplayForm(Fields):
    step: Annotated[Literal["count", "begin"], _known("count", "begin")] = "count"
    channel: Text = ""
    case: Text = ""
    since: Text = ""
    until: Text = ""
    ended_as: Annotated[Literal["any", "delivered", "dead"], _known("any", "delivered", "dead")] = (
        "any"
    )
    per_minute: Annotated[Id, Field(ge=1, le=60_000)] = 600
    reason: Line = ""


class Logged(NamedTuple):
    rows: list[tuple[int, DeliveryRow]]
    waiting: Waiting
    sidebar: Sidebar
    position: int


class Single(NamedTuple):
    row: DeliveryRow
    sent: Sent
    attempts: list[AttemptRow]
    sidebar: Sidebar


# -- the log -------------------------------------------------------------------------------------


async def show_all(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(LogQuery)
    with Faults() as faults:
        named = _named(visit, asked)
    if faults:
        named = {}
    database = visit.context.database

    def query(connection: Connection, views: Views) -> Logged:
        wanted = Filter(within=seen(views), **{n: v for n, v in named.items() if n not in TIMES})
        if (since := named.get("since")) is not None:
            wanted = wanted._replace(after=database.position_at(connection, since - 1))
        if (until := named.get("until")) is not None:
            wanted = wanted._replace(upto=database.position_at(connection, until))
        waiting = overview.waiting(
            connection, Filter(channel_id=wanted.channel_id, within=wanted.within)
        )
        wanted = wanted._replace(state=asked.state, kind=asked.kind, outcome_class=asked.outcome)
        if asked.before is not None:
            upto = asked.before - 1 if wanted.upto is None else min(asked.before - 1, wanted.upto)
            wanted = wanted._replace(upto=upto)
        return Logged(
            [] if faults else overview.newest(connection, wanted, LISTED + 1),
            waiting,
            sidebar.read(connection, views, visit.who.staff_id),
            database.head(connection),
        )

    found = await visit.read(query)
    rows = found.rows[:LISTED]
    return visit.page(
        "deliveries.html",
        status=400 if faults else 200,
        rows=[row for _, row in rows],
        waiting=found.waiting,
        asked=asked,
        kept={name: value for name, value in asked.given().items() if value and name != "before"},
        older=rows[-1][0] if len(found.rows) > LISTED else None,
        outcomes=OUTCOMES,
        kinds=KINDS,
        faults=faults,
        sidebar=found.sidebar,
        # Behind the first page nothing new comes.
        position=None if asked.before else found.position,
    )


def _named(visit: Visit, asked: LogQuery) -> dict[str, Any]:
    """Channel, case and times as the read models know them. Raises ApiError, CaseNotFound, ChannelNotFound."""
    zone = zone_of(visit.request, visit.context.dates.zone)
    named: dict[str, Any] = {}
    if asked.channel:
        named["channel_id"] = channel_id_in(asked.channel)
    if asked.case:
        try:
            named["case_id"] = case_id_in(asked.case.strip())
        except CaseNotFound as error:
            raise _wrong("case", str(error)) from None
    for name in TIMES:
        if text := getattr(asked, name):
            named[name] = moment_in(text, zone, name)
    return named


def moment_in(text: str, zone: tzinfo, name: str) -> int:
    """What a field for a day and an hour has, in the reader's zone. Raises ApiError."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        at = int(moment.timestamp() * MICROSECONDS)
    except (ValueError, OverflowError):
        raise _wrong(name, "must be a date and a time") from None
    return min(max(0, at), LATEST)


def _wrong(name: str, sentence: str) -> ApiError:
    return ApiError(400, INVALID, f"{name} {sentence}.", fields={name: sentence})


# -- one delivery --------------------------------------------------------------------------------


async def show(visit: Visit) -> web.StreamResponse:
    return await _single(visit)


async def decide_about(visit: Visit, decision: str) -> web.StreamResponse:
    with Faults() as faults:
        given = await visit.given(Reason)
        row = await decide(visit, visit.path("delivery"), DECISIONS[decision], given.reason)
    if faults:
        return await _single(visit, faults)
    done = "retried" if decision == "retry" else "saved"
    return visit.back(f"/deliveries/{row.delivery_id}", done=done)


hold = partial(decide_about, decision="hold")
release = partial(decide_about, decision="release")
skip = partial(decide_about, decision="skip")
retry = partial(decide_about, decision="retry")


async def replay_one(visit: Visit) -> web.StreamResponse:
    """What has ended goes out once more, at once."""
    delivery_id, options = visit.path("delivery"), ReplayOptions()
    with Faults() as faults:
        now = visit.context.writer.clock()
        find = partial(chosen_of_one, given=options, delivery_id=delivery_id, now=now)
        replay_id = await begin(visit, options, find, delivery_id)
    if faults:
        return await _single(visit, faults)
    return visit.see(f"/replays/{replay_id}")


async def _single(visit: Visit, faults: Faults = NO_FAULTS) -> web.StreamResponse:
    delivery_id = visit.path("delivery")

    def query(connection: Connection, views: Views) -> Single:
        check_seen(connection, views, delivery_id)
        found = overview.find(connection, delivery_id)
        if found is None:
            raise DeliveryNotFound(delivery_id)
        return Single(
            *found,
            overview.attempts_of(connection, delivery_id, ATTEMPTS_SHOWN),
            sidebar.read(connection, views, visit.who.staff_id),
        )

    found = await visit.read(query)
    return visit.page(
        "delivery.html",
        status=400 if faults else 200,
        delivery=found.row,
        sent=found.sent,
        text=bytes(found.sent.body).decode(),
        attempts=found.attempts,
        faults=faults,
        sidebar=found.sidebar,
        position=None,
    )


# -- replays -------------------------------------------------------------------------------------


async def replay_form(visit: Visit) -> web.StreamResponse:
    return await _replay_page(visit, visit.asked(ReplayForm))


async def replay(visit: Visit) -> web.StreamResponse:
    """Counted first; sent again when whoever saw the number says so."""
    given = ReplayForm()
    with Faults() as faults:
        given = await visit.given(ReplayForm)
        wanted = _replay_of(visit, given)
        find = partial(chosen_of_many, given=wanted)
        if given.step == "begin":
            replay_id = await begin(visit, wanted, find)
            return visit.see(f"/replays/{replay_id}")
        total = (await choose(visit, find)).total
    if faults:
        return await _replay_page(visit, given, faults=faults)
    return await _replay_page(visit, given, total=total)


async def show_replay(visit: Visit) -> web.StreamResponse:
    row = await find_replay(visit, _replay_id(visit))
    beside = await visit.read_own(sidebar.read)
    return visit.page("replay.html", replay=row, sidebar=beside, position=None)


async def cancel_replay(visit: Visit) -> web.StreamResponse:
    replay_id = _replay_id(visit)
    row = await find_replay(visit, replay_id)
    visit.who.scope.check_deliveries(row.channel_id or 0)
    await end(visit, replay_id, (await visit.given(Reason)).reason)
    return visit.see(f"/replays/{replay_id}", done="saved")


def _replay_of(visit: Visit, given: ReplayForm) -> ReplayOfMany:
    """As the API takes it. Raises ApiError."""
    zone = zone_of(visit.request, visit.context.dates.zone)
    asked = ReplayOfMany.read(
        {
            "channel": given.channel,
            "case_id": given.case.strip(),
            "ended_as": given.ended_as,
            "per_minute": given.per_minute,
            "reason": given.reason,
        },
        visit.context,
    )
    times = {
        name: moment_in(getattr(given, name), zone, name) for name in TIMES if getattr(given, name)
    }
    return asked.model_copy(update=times)


async def _replay_page(
    visit: Visit,
    given: ReplayForm,
    *,
    total: int | None = None,
    faults: Faults = NO_FAULTS,
) -> web.StreamResponse:
    typed = (await visit.body()).fields if faults else {}

    def query(connection: Connection, views: Views) -> tuple[Sidebar, list[ReplayRow]]:
        own = channel_seen(replay_rows.c.channel_id, views.scope)
        return (
            sidebar.read(connection, views, visit.who.staff_id),
            replays.listed(connection, REPLAYS_SHOWN, 0, own)[0],
        )

    beside, rows = await visit.read(query)
    return visit.page(
        "replays.html",
        status=400 if faults else 200,
        given=given,
        typed=typed,
        total=total,
        rows=rows,
        may_manage={
            key
            for key, row in beside.channels.items()
            if visit.may_on(Right.MANAGE_DELIVERIES, row.channel_id)
        },
        faults=faults,
        sidebar=beside,
        position=None,
    )


def _replay_id(visit: Visit) -> int:
    return id_in(visit.path("replay"), ReplayNotFound)
