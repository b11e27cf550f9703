"""/api/replays: what went out goes out again; asked for under /api/deliveries."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from aiohttp import web
from msgspec import Struct
from pydantic import Field
from sqlalchemy import Connection

from kanal.delivery import replays
from kanal.delivery.decisions import look, unchanged
from kanal.delivery.replays import ReplayRow, Wanted
from kanal.delivery.tables import replays as replay_rows
from kanal.domain.access import EVERYTHING, Scope
from kanal.domain.deliveries import DeliveryNow, EndedAs, ask_replay, cancel_replay
from kanal.domain.errors import (
    DecidedMeanwhile,
    DeliveryHasNotEnded,
    DeliveryNotFound,
    ReplayNotFound,
)
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.http.answers import Date, answer, listing
from kanal.http.api.deliveries import check_seen
from kanal.http.api.users import ChannelId
from kanal.http.context import Call, Caller
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import SECOND, Dates
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Flag, Id, Line, Moment, Paging, Text
from kanal.http.ids import case_id_in, id_in
from kanal.projections.access import channel_seen
from kanal.projections.read_model import Views

PER_MINUTE = 600
"""Ten a second: a receiver that is busy with what is new hardly notices."""
MAX_PER_MINUTE = 60_000


class ReplayOptions(Fields):
    ended_as: EndedAs = "any"
    per_minute: Annotated[Id, Field(ge=1, le=MAX_PER_MINUTE)] = PER_MINUTE
    dry_run: Flag = False
    reason: Line | None = None


class ReplayOfMany(ReplayOptions):
    channel: ChannelId | None = None
    case_id: Text | None = None
    message_id: Id | None = None
    since: Moment | None = None
    until: Moment | None = None


class CancelledReplay(Fields):
    reason: Line | None = None


class ReplayAnswer(Struct):
    replay_id: int | None
    """null in the answer to a dry run, which makes none."""
    state: Literal["dry_run", "running", "done", "cancelled"]
    channel_id: int | None
    case_id: int | None
    message_id: int | None
    delivery_id: str | None
    since: Date | None
    until: Date | None
    ended_as: EndedAs
    per_minute: int
    total: int
    """How many it was when it was asked for."""
    queued: int
    """How many have been put into the queues again."""
    waiting: int
    """Of these, how many have not ended yet."""
    asked_at: Date | None
    asked_by: str | None
    ended_at: Date | None
    reason: str | None


class Chosen(NamedTuple):
    """What would be replayed."""

    wanted: Wanted
    total: int
    since: int | None = None
    until: int | None = None
    delivery: DeliveryNow | None = None


@contract(
    "Send what went out again",
    One("replay", ReplayAnswer, 201),
    body=Takes("replay", ReplayOfMany, bare=True),
)
async def ask(call: Call) -> web.Response:
    given = await call.given(ReplayOfMany)
    return await _ask(call, given, partial(chosen_of_many, given=given))


@contract(
    "Send a delivery again",
    One("replay", ReplayAnswer, 201),
    body=Takes("replay", ReplayOptions, bare=True),
)
async def ask_for_one(call: Call) -> web.Response:
    given = await call.given(ReplayOptions)
    delivery_id, now = call.path("delivery"), call.context.writer.clock()
    find = partial(chosen_of_one, given=given, delivery_id=delivery_id, now=now)
    return await _ask(call, given, find, delivery_id)


async def _ask(
    call: Call,
    given: ReplayOptions,
    find: "Find",
    delivery_id: str = "",
) -> web.Response:
    if given.dry_run:
        chosen = await choose(call, find, delivery_id)
        return answer({"replay": dry(chosen, given, call.context.dates)}, 201)
    return await _answer(call, await begin(call, given, find, delivery_id), 201)


Find = Callable[[Database, Connection], Chosen]


async def choose(call: Caller, find: Find, delivery_id: str = "") -> Chosen:
    """What would be sent again. Raises what `find` raises, DeliveryNotFound, NoRight, NoRightOnChannel."""

    def query(connection: Connection, views: Views) -> Chosen:
        if delivery_id:
            check_seen(connection, views, delivery_id)
        chosen = find(call.context.database, connection)
        views.scope.check_deliveries((chosen.delivery or chosen.wanted).channel_id or 0)
        return chosen

    return await call.read(query)


async def begin(call: Caller, given: ReplayOptions, find: Find, delivery_id: str = "") -> int:
    """The new replay's id. Raises what `choose` raises."""
    while True:
        chosen = await choose(call, find, delivery_id)
        beside = unchanged(chosen.delivery) if chosen.delivery else None
        try:
            replay_id: int = (await call.submit(asking(chosen, given), beside=beside)).result
        except DecidedMeanwhile:
            continue
        return replay_id


@contract("List the replays", Listed("replay", ReplayAnswer), query=Paging)
async def list_replays(call: Call) -> web.Response:
    """The newest first."""
    asked, dates = call.asked(Paging), call.context.dates

    def query(connection: Connection, views: Views) -> dict[str, Any]:
        return listed(connection, asked, dates, views.scope)

    return answer(await call.read(query))


@contract("Show a replay", One("replay", ReplayAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, id_in(call.path("replay"), ReplayNotFound))


@contract(
    "Cancel a replay",
    One("replay", ReplayAnswer),
    body=Takes("replay", CancelledReplay, bare=True),
)
async def cancel(call: Call) -> web.Response:
    replay_id = id_in(call.path("replay"), ReplayNotFound)
    given = await call.given(CancelledReplay)
    await end(call, replay_id, given.reason or "")
    return await _answer(call, replay_id)


async def end(call: Caller, replay_id: int, reason: str) -> None:
    """Raises ReplayNotFound."""
    running = (await find_replay(call, replay_id)).state == "running"
    command = partial(cancel_replay, replay_id=replay_id, running=running, reason=reason)
    await call.submit(command)


def chosen_of_many(database: Database, connection: Connection, given: ReplayOfMany) -> Chosen:
    """Raises ApiError, CaseNotFound."""
    case_id = case_id_in(given.case_id) if given.case_id is not None else None
    if not (given.channel or case_id or given.message_id):
        sentence = "or case_id or message_id is required: what is to be sent again"
        raise ApiError(400, INVALID, f"channel {sentence}.", fields={"channel": sentence})
    until = None if given.until is None else _whole_second(given.until)
    after = 0 if given.since is None else database.position_at(connection, given.since - 1)
    upto = database.head(connection) if until is None else database.position_at(connection, until)
    wanted = Wanted(
        channel_id=given.channel,
        case_id=case_id,
        message_id=given.message_id,
        after=after,
        upto=upto,
        ended_as=given.ended_as,
    )
    return Chosen(wanted, replays.count(connection, wanted), given.since, until)


def chosen_of_one(
    database: Database, connection: Connection, given: ReplayOptions, delivery_id: str, now: int
) -> Chosen:
    """Raises DeliveryNotFound, DeliveryHasNotEnded."""
    delivery = look(connection, delivery_id, now)
    if delivery is None:
        raise DeliveryNotFound(delivery_id)
    if delivery.state in ("pending", "held"):
        raise DeliveryHasNotEnded(delivery_id)
    upto = database.head(connection)
    wanted = Wanted(delivery_id=delivery_id, upto=upto, ended_as=given.ended_as)
    return Chosen(wanted, replays.count(connection, wanted), delivery=delivery)


def asking(chosen: Chosen, given: ReplayOptions) -> Callable[[Work], int]:
    """The command; with `unchanged` beside it, if it is about one delivery."""
    wanted = chosen.wanted
    return partial(
        ask_replay,
        channel_id=wanted.channel_id or 0,
        case_id=wanted.case_id or 0,
        message_id=wanted.message_id or 0,
        delivery=chosen.delivery,
        since=chosen.since or 0,
        until=chosen.until or 0,
        after=wanted.after,
        upto=wanted.upto,
        ended_as=given.ended_as,
        per_minute=given.per_minute,
        count=chosen.total,
        reason=given.reason or "",
    )


def dry(chosen: Chosen, given: ReplayOptions, dates: Dates) -> ReplayAnswer:
    """As if it had been asked for."""
    wanted = chosen.wanted
    return ReplayAnswer(
        replay_id=None,
        state="dry_run",
        channel_id=_channel(wanted.channel_id),
        case_id=wanted.case_id,
        message_id=wanted.message_id,
        delivery_id=wanted.delivery_id,
        since=dates.moment(chosen.since),
        until=dates.moment(chosen.until),
        ended_as=given.ended_as,
        per_minute=given.per_minute,
        total=chosen.total,
        queued=0,
        waiting=0,
        asked_at=None,
        asked_by=None,
        ended_at=None,
        reason=given.reason,
    )


def listed(
    connection: Connection, asked: Paging, dates: Dates, scope: Scope = EVERYTHING
) -> dict[str, Any]:
    """The answer's listing. What names no channel is shown to whoever sees all of them."""
    seen = channel_seen(replay_rows.c.channel_id, scope)
    rows, total = replays.listed(connection, asked.rows, asked.offset, seen)
    return listing("replay", [shown(row, dates) for row in rows], total)


def found(connection: Connection, replay_id: int) -> ReplayRow:
    """Raises ReplayNotFound."""
    row = replays.find(connection, replay_id)
    if row is None:
        raise ReplayNotFound(replay_id)
    return row


def shown(row: ReplayRow, dates: Dates) -> ReplayAnswer:
    return ReplayAnswer(
        replay_id=row.replay_id,
        state=row.state,  # type: ignore[arg-type]
        channel_id=_channel(row.channel_id),
        case_id=row.case_id,
        message_id=row.message_id,
        delivery_id=row.delivery_id,
        since=dates.moment(row.since),
        until=dates.moment(row.until),
        ended_as=row.ended_as,
        per_minute=row.per_minute,
        total=row.total,
        queued=row.queued,
        waiting=row.waiting,
        asked_at=dates.render(row.asked_at),
        asked_by=row.asked_by,
        ended_at=dates.moment(row.ended_at),
        reason=row.reason or None,
    )


def _whole_second(at: int) -> int:
    """Answers show whole seconds, so a time without a fraction means all of its second."""
    return at if at % SECOND else at + SECOND - 1


async def find_replay(call: Caller, replay_id: int) -> ReplayRow:
    """Raises ReplayNotFound."""

    def query(connection: Connection, views: Views) -> ReplayRow:
        row = found(connection, replay_id)
        scope = views.scope
        if not scope.sees_all_channels and not scope.reaches(row.channel_id or 0, "see"):
            raise ReplayNotFound(replay_id)
        return row

    return await call.read(query)


async def _answer(call: Call, replay_id: int, status: int = 200) -> web.Response:
    row = await find_replay(call, replay_id)
    return answer({"replay": shown(row, call.context.dates)}, status)


def _channel(channel_id: int | None) -> int | None:
    """None of what a rule's webhook was sent."""
    return channel_id if channel_id and channel_id > 0 else None
