"""/api/deliveries: what goes out to the Webhook URLs, where each delivery stands, and what came of its attempts."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web
from msgspec import Struct, field, structs
from sqlalchemy import ColumnElement, Connection, select

from kanal.delivery import overview
from kanal.delivery.decisions import look_to_decide, unchanged
from kanal.delivery.overview import AttemptRow, DeliveryRow, Filter, State
from kanal.delivery.tables import Kind
from kanal.delivery.tables import deliveries as delivery_rows
from kanal.domain import deliveries
from kanal.domain.deliveries import DeliveryNow
from kanal.domain.errors import DecidedMeanwhile, DeliveryNotFound
from kanal.domain.lanes import lane_of, webhook_of
from kanal.http.answers import Date, answer, listing
from kanal.http.api.users import ChannelId
from kanal.http.context import Call, Caller
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Id, Line, Paging, Text
from kanal.http.ids import case_id_in
from kanal.projections.access import about_cases_seen
from kanal.projections.read_model import Views

ATTEMPTS_SHOWN = 100
"""More than a message has within the longest horizon."""


class DeliveriesQuery(Paging):
    channel: ChannelId | None = None
    webhook: Id | None = None
    """Of a rule."""
    case_id: Text | None = None
    message_id: Id | None = None
    state: State | None = None
    kind: Kind | None = None


class Decision(Fields):
    reason: Line | None = None


DECISION = Takes("delivery", Decision, bare=True)


class OutcomeAnswer(Struct):
    kind: str | None = field(name="class")
    http_status: int | None
    sentence: str | None
    at: Date | None


class DeliveryAnswer(Struct):
    delivery_id: str
    kind: Kind
    channel_id: int
    """0 for a rule's webhook."""
    webhook_id: int
    """Of a rule; 0 for a channel's."""
    case_id: int
    message_id: int
    """0 where the kind tells of no message."""
    state: State
    sequence: int
    attempts: int
    created_at: Date
    next_attempt_at: Date | None
    delivered_at: Date | None
    last_outcome: OutcomeAnswer | None
    reason: str | None
    replay_id: int | None
    """The last replay that sent it again, or will."""


class AttemptAnswer(Struct):
    number: int
    started_at: Date
    ended_at: Date | None
    """null while it is under way."""
    milliseconds: int | None
    kind: str | None = field(name="class")
    http_status: int | None
    sentence: str | None
    excerpt: str | None
    """The first part of what the receiver answered."""
    address: str | None
    """The numeric address that was called."""


class WholeDeliveryAnswer(DeliveryAnswer, kw_only=True):
    previous_id: str
    content_type: str
    body: str
    """Byte for byte what every attempt sends."""
    attempt_log: list[AttemptAnswer]
    """The last hundred, the latest first."""


@contract("Show a delivery with its attempts", One("delivery", WholeDeliveryAnswer))
async def show(call: Call) -> web.Response:
    delivery_id, dates = call.path("delivery"), call.context.dates

    def query(connection: Connection, views: Views) -> WholeDeliveryAnswer:
        check_seen(connection, views, delivery_id)
        return whole(connection, delivery_id, dates)

    return answer({"delivery": await call.read(query)})


@contract("List the deliveries", Listed("delivery", DeliveryAnswer), query=DeliveriesQuery)
async def list_deliveries(call: Call) -> web.Response:
    """The newest first."""
    asked, dates = call.asked(DeliveriesQuery), call.context.dates

    def query(connection: Connection, views: Views) -> dict[str, Any]:
        return listed(connection, asked, dates, within=seen(views))

    return answer(await call.read(query))


@contract("Hold a delivery and its queue", One("delivery", DeliveryAnswer), body=DECISION)
async def hold(call: Call) -> web.Response:
    return await _decide(call, deliveries.hold)


@contract("Release a held delivery", One("delivery", DeliveryAnswer), body=DECISION)
async def release(call: Call) -> web.Response:
    return await _decide(call, deliveries.release)


@contract("Dead-letter a delivery", One("delivery", DeliveryAnswer), body=DECISION)
async def skip(call: Call) -> web.Response:
    return await _decide(call, deliveries.skip)


@contract("Send a delivery now", One("delivery", DeliveryAnswer), body=DECISION)
async def retry(call: Call) -> web.Response:
    return await _decide(call, deliveries.retry)


async def _decide(call: Call, command: Callable[..., None]) -> web.Response:
    delivery_id, given = call.path("delivery"), await call.given(Decision)
    row = await decide(call, delivery_id, command, given.reason or "")
    return answer({"delivery": shown(row, call.context.dates)})


async def decide(
    call: Caller, delivery_id: str, command: Callable[..., None], reason: str = ""
) -> DeliveryRow:
    """Decided on what the delivery is at that moment; as it is afterwards. Raises DeliveryNotFound and what the command does."""

    def now(connection: Connection, views: Views) -> DeliveryNow | None:
        check_seen(connection, views, delivery_id)
        context = call.context
        return look_to_decide(
            connection,
            delivery_id,
            context.writer.clock(),
            database=context.database,
            stream_ids=context.stream_ids,
        )

    def after(connection: Connection, _: Views) -> DeliveryRow | None:
        found = overview.find(connection, delivery_id)
        return found[0] if found else None

    while True:
        seen = await call.read(now)
        if seen is None:
            raise DeliveryNotFound(delivery_id)
        try:
            await call.submit(
                partial(command, delivery=seen, reason=reason), beside=unchanged(seen)
            )
        except DecidedMeanwhile:
            continue
        row = await call.read(after)
        assert row is not None
        return row


def seen(views: Views) -> tuple[ColumnElement[bool], ...]:
    """Conditions on deliveries."""
    columns = delivery_rows.c
    return tuple(about_cases_seen(views, columns.channel_id, columns.case_id))


def check_seen(connection: Connection, views: Views, delivery_id: str) -> None:
    """Raises DeliveryNotFound."""
    if not delivery_id.isprintable():  # no database takes all that a path may hold
        raise DeliveryNotFound(delivery_id)
    conditions = seen(views)
    query = select(delivery_rows.c.delivery_id).where(delivery_rows.c.delivery_id == delivery_id)
    if conditions and connection.scalar(query.where(*conditions)) is None:
        raise DeliveryNotFound(delivery_id)


def listed(
    connection: Connection,
    asked: DeliveriesQuery,
    dates: Dates,
    within: tuple[ColumnElement[bool], ...] = (),
) -> dict[str, Any]:
    """The answer's listing. Raises CaseNotFound."""
    wanted = Filter(
        channel_id=asked.channel if asked.webhook is None else lane_of(asked.webhook),
        case_id=case_id_in(asked.case_id) if asked.case_id is not None else None,
        message_id=asked.message_id,
        state=asked.state,
        kind=asked.kind,
        within=within,
    )
    rows, total = overview.listed(connection, wanted, asked.rows, asked.offset)
    return listing("delivery", [shown(row, dates) for row in rows], total)


def whole(connection: Connection, delivery_id: str, dates: Dates) -> WholeDeliveryAnswer:
    """Raises DeliveryNotFound."""
    found = overview.find(connection, delivery_id)
    if found is None:
        raise DeliveryNotFound(delivery_id)
    row, sent = found
    attempts = overview.attempts_of(connection, delivery_id, ATTEMPTS_SHOWN)
    return WholeDeliveryAnswer(
        **structs.asdict(shown(row, dates)),
        previous_id=sent.previous_id,
        content_type=sent.content_type,
        body=bytes(sent.body).decode(),
        attempt_log=[_attempt(attempt, dates) for attempt in attempts],
    )


def shown(row: DeliveryRow, dates: Dates) -> DeliveryAnswer:
    return DeliveryAnswer(
        delivery_id=row.delivery_id,
        kind=row.kind,
        channel_id=max(0, row.channel_id),
        webhook_id=webhook_of(row.channel_id),
        case_id=row.case_id,
        message_id=row.message_id,
        state=row.state,
        sequence=row.sequence,
        attempts=row.attempts,
        created_at=dates.render(row.created_at),
        next_attempt_at=dates.moment(row.next_attempt_at),
        delivered_at=dates.moment(row.delivered_at),
        last_outcome=_outcome(row, dates),
        reason=row.reason,
        replay_id=row.replay_id,
    )


def _attempt(row: AttemptRow, dates: Dates) -> AttemptAnswer:
    return AttemptAnswer(
        number=row.number,
        started_at=dates.render(row.started_at),
        ended_at=dates.moment(row.ended_at),
        milliseconds=None if row.ended_at is None else (row.ended_at - row.started_at) // 1000,
        kind=row.outcome_class,
        http_status=row.http_status,
        sentence=row.sentence,
        excerpt=row.excerpt,
        address=row.address,
    )


def _outcome(row: DeliveryRow, dates: Dates) -> OutcomeAnswer | None:
    if row.outcome_class is None:
        return None
    return OutcomeAnswer(
        kind=row.outcome_class,
        http_status=row.http_status,
        sentence=row.sentence,
        at=dates.moment(row.outcome_at),
    )
