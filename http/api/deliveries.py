"""/api/deliveries: what goes out to the Webhook URLs, where each delivery stands, and what came of its last attempt."""

from aiohttp import web
from msgspec import Struct, field
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow, Filter, State
from kanal.http.answers import Date, answer, listing
from kanal.http.api.users import ChannelId
from kanal.http.context import Call
from kanal.http.contract import Listed, contract
from kanal.http.dates import Dates
from kanal.http.fields import Id, Paging, Text
from kanal.http.ids import case_id_in
from kanal.projections.read_model import Views


class DeliveriesQuery(Paging):
    channel: ChannelId | None = None
    case_id: Text | None = None
    message_id: Id | None = None
    state: State | None = None


class OutcomeAnswer(Struct):
    kind: str | None = field(name="class")
    http_status: int | None
    sentence: str | None
    at: Date | None


class DeliveryAnswer(Struct):
    delivery_id: str
    channel_id: int
    case_id: int
    message_id: int
    state: State
    sequence: int
    attempts: int
    created_at: Date
    next_attempt_at: Date | None
    delivered_at: Date | None
    last_outcome: OutcomeAnswer | None
    reason: str | None


@contract("List the deliveries", Listed("delivery", DeliveryAnswer), query=DeliveriesQuery)
async def list_deliveries(call: Call) -> web.Response:
    """The newest first."""
    asked = call.asked(DeliveriesQuery)
    wanted = Filter(
        channel_id=asked.channel,
        case_id=case_id_in(asked.case_id) if asked.case_id is not None else None,
        message_id=asked.message_id,
        state=asked.state,
    )

    def query(connection: Connection, _: Views) -> tuple[list[DeliveryRow], int]:
        return overview.listed(connection, wanted, asked.rows, asked.offset)

    rows, total = await call.read(query)
    dates = call.context.dates
    return answer(listing("delivery", [shown(row, dates) for row in rows], total))


def shown(row: DeliveryRow, dates: Dates) -> DeliveryAnswer:
    return DeliveryAnswer(
        delivery_id=row.delivery_id,
        channel_id=row.channel_id,
        case_id=row.case_id,
        message_id=row.message_id,
        state=row.state,
        sequence=row.sequence,
        attempts=row.attempts,
        created_at=dates.render(row.created_at),
        next_attempt_at=_moment(row.next_attempt_at, dates),
        delivered_at=_moment(row.delivered_at, dates),
        last_outcome=_outcome(row, dates),
        reason=row.reason,
    )


def _outcome(row: DeliveryRow, dates: Dates) -> OutcomeAnswer | None:
    if row.outcome_class is None:
        return None
    return OutcomeAnswer(
        kind=row.outcome_class,
        http_status=row.http_status,
        sentence=row.sentence,
        at=_moment(row.outcome_at, dates),
    )


def _moment(at: int | None, dates: Dates) -> str | None:
    return None if at is None else dates.render(at)
