"""`as_of`: a case and its messages as a reader would have seen them at an earlier place of the log."""

from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from kanal.domain.case_events import CaseFieldsChanged, CaseLabelsChanged
from kanal.domain.cases import CASES
from kanal.domain.custom_fields import CUSTOM_FIELDS, id_of
from kanal.domain.errors import CaseNotFound
from kanal.domain.labels import LABELS
from kanal.domain.message_events import MESSAGES
from kanal.domain.stream import Recorded
from kanal.http.context import Call, Context
from kanal.http.dates import SECOND
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Text
from kanal.projections import as_of, cases, custom_fields, files, labels, messages
from kanal.projections.read_model import Views

R = TypeVar("R")

POSITIONS = 10**9
"""A whole number below it is a position, one from it on a Unix timestamp (10^9 is September 2001, long before any
log of Kanal's began; a log of 10^9 events would take a year at 30 a second)."""


class AsOf(Fields):
    as_of: Text | None = None


async def read_case(
    call: Call, case_id: int, asked: AsOf, query: Callable[[Connection, Views], R]
) -> R:
    """`query` on the read models of now, or of the moment that the call names.

    It finds only this case and its messages there. A case that was deleted for good has no earlier moments either.
    Raises ApiError, CaseNotFound.
    """
    given = asked.as_of
    if given is None:
        return await call.read(query)
    position, at = _moment(call.context, given)

    def then(connection: Connection, views: Views) -> R:
        upto = position if at is None else call.context.database.position_at(connection, at)
        return earlier(connection, views, call.context, case_id, upto, query)

    return await call.read(then)


def earlier(
    connection: Connection,
    views: Views,
    context: Context,
    case_id: int,
    position: int,
    query: Callable[[Connection, Views], R],
) -> R:
    """`query` on the read models as they were at that position of the log. Raises CaseNotFound."""
    if cases.find(connection, views, case_id) is None:
        raise CaseNotFound(case_id)
    database, of = context.database, context.stream_ids.of
    stream_id = of(CASES, str(case_id))
    events = database.streams(connection, [stream_id], upto=position)
    related = _related(context, events)
    for message_id in messages.revised(connection, views, case_id):
        related.add(of(MESSAGES, str(message_id)))
    if related:
        events = database.streams(connection, [stream_id, *related], upto=position)
    models = (
        cases.PROJECTION,
        messages.PROJECTION,
        files.PROJECTION,
        labels.PROJECTION,
        custom_fields.PROJECTION,
    )
    with as_of.folded(models, events) as (memory, then):
        return query(memory, then)


def _related(context: Context, events: Iterable[Recorded]) -> set[UUID]:
    """The other streams on which it depends what the case showed: those of its labels and custom fields."""
    of = context.stream_ids.of
    related: set[UUID] = set()
    for event in (recorded.event for recorded in events):
        match event:
            case CaseLabelsChanged():
                related.update(of(LABELS, str(label_id)) for label_id in event.added)
            case CaseFieldsChanged():
                related.update(of(CUSTOM_FIELDS, str(id_of(key))) for key in event.old)
    return related


def position_of(connection: Connection, context: Context, given: str | None) -> int:
    """Of the moment that a call names, or of the last event. Raises ApiError."""
    if given is None:
        return context.database.head(connection)
    position, at = _moment(context, given)
    return position if at is None else context.database.position_at(connection, at)


def _moment(context: Context, given: str) -> tuple[int, int | None]:
    """A position, or 0 and a time."""
    if given.isascii() and given.isdecimal() and len(given) < len(str(POSITIONS)):
        return int(given), None
    try:
        at = context.dates.parse(given)
    except ValueError as error:
        sentence = f"{error}, or a position of the log"
        raise ApiError(
            400, "wrong_date", f"as_of {sentence}.", fields={"as_of": sentence}
        ) from None
    # Answers show whole seconds, so a time without a fraction means all of its second.
    return 0, at if at % SECOND else at + SECOND - 1
