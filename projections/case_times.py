"""Since when something has been so of each case: what timed rules count from."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Index, MetaData, Table, select, tuple_

from kanal.domain.case_events import CaseDeleted, CaseOpened, CaseStatusChanged, MessageAdded
from kanal.domain.rules import BEGINNINGS, Since
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Row, Tables
from kanal.projections.read_model import Names, ReadModel, Views, number


class CaseTime(NamedTuple):
    """With what it began."""

    at: int
    case_id: int
    position: int
    version: int
    """In the case's stream."""


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    times = name("case_times")
    columns = [
        number(f"{since}_{part}") for since in BEGINNINGS for part in ("at", "position", "version")
    ]
    indexes = [Index(f"{times}_{since}", f"{since}_at", "case_id") for since in BEGINNINGS]
    yield Table(times, metadata, number("case_id", key=True), *columns, *indexes)


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    times, event = tables["case_times"], recorded.event
    match event:
        case CaseOpened():
            row = _times(recorded, "opened", "status")
            row |= dict.fromkeys(_columns("user_message", "staff_reply", "unanswered"), 0)
            changes.insert(times, row | {"case_id": event.case_id})
        case CaseStatusChanged():
            changes.update(times, (event.case_id,), _times(recorded, "status"))
        case MessageAdded(kind="user_message"):
            row = _times(recorded, "user_message", "unanswered")
            changes.update(times, (event.case_id,), row)
        case MessageAdded(kind="staff_reply"):
            row = _times(recorded, "staff_reply") | dict.fromkeys(_columns("unanswered"), 0)
            changes.update(times, (event.case_id,), row)
        case CaseDeleted():
            changes.delete(times, (event.case_id,))


PROJECTION = ReadModel(
    name="case_times",
    version=1,
    handles=dict.fromkeys((CaseOpened, CaseStatusChanged, MessageAdded, CaseDeleted), fold),
    define=define,
)


def until(
    connection: Connection,
    views: Views,
    since: Since,
    until: int,
    *,
    after: tuple[int, int],
    limit: int,
) -> list[CaseTime]:
    """Cases of which that has been so since `until` (microseconds) or longer, the longest first.

    `after`: time and case behind which to begin.
    """
    times = views.case_times["case_times"].c
    at, case_id = times[f"{since}_at"], times.case_id
    query = select(at, case_id, times[f"{since}_position"], times[f"{since}_version"])
    query = query.where(at > 0, at <= until, tuple_(at, case_id) > tuple_(*after))
    ordered = query.order_by(at, case_id).limit(limit)
    return [CaseTime._make(row) for row in connection.execute(ordered)]


def _columns(*names: Since) -> list[str]:
    return [f"{since}_{part}" for since in names for part in ("at", "position", "version")]


def _times(recorded: Recorded, *names: Since) -> Row:
    values = (recorded.envelope.at, recorded.position, recorded.version)
    return dict(zip(_columns(*names), values * len(names), strict=True))
