"""Messages that wait for their time."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table, not_, or_

from kanal.domain.message_events import (
    MessageDeleted,
    MessageDiscarded,
    MessageFilesFetched,
    MessageScheduled,
    MessageSent,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number

FILES_MISSING = 2**62
"""A time that does not come: its files have to be fetched before its own time counts."""


class ScheduledRow(NamedTuple):
    message_id: int
    case_id: int
    send_at: int
    position: int
    """Of the event that scheduled it."""


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    scheduled = name("scheduled")
    yield Table(
        scheduled,
        metadata,
        number("message_id", key=True),
        number("case_id"),
        number("send_at"),
        number("position"),
        Index(f"{scheduled}_due", "send_at", "message_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    scheduled = tables["scheduled"]
    event = recorded.event
    match event:
        case MessageScheduled():
            row = {
                "message_id": event.message_id,
                "case_id": event.case_id,
                "send_at": FILES_MISSING if event.awaits_files else event.send_at,
                "position": recorded.position,
            }
            changes.insert(scheduled, row)
        case MessageFilesFetched(awaited=()):
            # Of a message that was sent long ago: then there is no such row.
            changes.update(scheduled, (event.message_id,), {"send_at": event.send_at})
        case MessageSent() | MessageDiscarded() | MessageDeleted():
            # Most messages that are deleted never waited: then there is no such row.
            changes.delete(scheduled, (event.message_id,))


PROJECTION = ReadModel(
    name="scheduled",
    version=2,
    handles=dict.fromkeys(
        (MessageScheduled, MessageFilesFetched, MessageSent, MessageDiscarded, MessageDeleted),
        fold,
    ),
    define=define,
)


def due(connection: Connection, views: Views, now: int, limit: int) -> list[ScheduledRow]:
    """What has waited long enough, the longest first.

    Not what waits while its case, or the one into which that was merged, lies in the trash; but what waits in a case
    that was deleted for good.
    """
    scheduled = views.scheduled["scheduled"]
    cases = views.cases["cases"]
    parents = cases.alias("parents")
    trashed = [each.c.deleted.is_(True) for each in (cases, parents)]
    query = (
        columns_of(scheduled, ScheduledRow)
        .outerjoin(cases, cases.c.case_id == scheduled.c.case_id)
        .outerjoin(parents, parents.c.case_id == cases.c.parent_case_id)
        .where(scheduled.c.send_at <= now, not_(or_(*trashed)))
        .order_by(scheduled.c.send_at, scheduled.c.message_id)
        .limit(limit)
    )
    return [ScheduledRow._make(row) for row in connection.execute(query)]
