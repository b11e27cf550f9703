"""By when cases are to be answered or closed: the running deadlines that the statistics keep, for rules and for the inbox."""

from collections.abc import Collection
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_

from kanal.domain.response_targets import Measure
from kanal.projections.access import cases_seen
from kanal.projections.keyset import After, Listed, ids_at
from kanal.projections.read_model import Views, columns_of, counted


class DeadlineRow(NamedTuple):
    case_id: int
    measure: Measure
    deadline: int
    position: int
    """Of the event with which the wait began; next to it that event's version in the case's stream."""
    version: int
    set_position: int
    """Of the event with which the deadline was set; next to it when that was."""
    set_at: int


class Mark(NamedTuple):
    """Up to where deadlines were asked: those until then, of those that had been set by then."""

    deadline: int
    set_at: int
    set_position: int


def newest(connection: Connection, views: Views, measure: Measure) -> tuple[int, int]:
    """When the deadline was set that was set last, and the position of that event."""
    table = views.statistics["stat_deadlines"].c
    query = select(table.set_at, table.set_position).where(table.measure == measure)
    last = query.order_by(table.set_at.desc(), table.set_position.desc()).limit(1)
    row = connection.execute(last).first()
    return (row.set_at, row.set_position) if row else (0, 0)


def due(
    connection: Connection,
    views: Views,
    measure: Measure,
    since: Mark,
    until: Mark,
    *,
    after: tuple[int, int],
    limit: int,
) -> list[DeadlineRow]:
    """What has come due between these marks, the first deadline first: what came near, and what was set meanwhile and is near already.

    `after`: deadline and case behind which to begin.
    """
    table = views.statistics["stat_deadlines"]
    rows: dict[int, DeadlineRow] = {}
    for between in (
        (table.c.deadline > since.deadline,),
        (table.c.set_at >= since.set_at, table.c.set_position > since.set_position),
    ):
        query = columns_of(table, DeadlineRow).where(
            table.c.measure == measure,
            table.c.deadline <= until.deadline,
            table.c.set_position <= until.set_position,
            tuple_(table.c.deadline, table.c.case_id) > tuple_(*after),
            *between,
        )
        ordered = query.order_by(table.c.deadline, table.c.case_id).limit(limit)
        rows |= {row.case_id: DeadlineRow._make(row) for row in connection.execute(ordered)}
    return sorted(rows.values(), key=lambda row: (row.deadline, row.case_id))[:limit]


def of_cases(
    connection: Connection, views: Views, case_ids: Collection[int]
) -> dict[int, DeadlineRow]:
    """The first deadline of each."""
    table = views.statistics["stat_deadlines"]
    query = columns_of(table, DeadlineRow).where(table.c.case_id.in_(list(case_ids)))
    # Of two at the same time the first reply is the more telling.
    rows = connection.execute(query.order_by(table.c.deadline.desc(), table.c.measure.desc()))
    return {row.case_id: DeadlineRow._make(row) for row in rows}


def next_after(connection: Connection, views: Views, now: int) -> int:
    """When the next deadline comes due, of those that the views' scope sees; 0 if none is running."""
    table = views.statistics["stat_deadlines"].c
    query = _of_seen(views, select(table.deadline).where(table.deadline > now))
    return connection.scalar(query.order_by(table.deadline).limit(1)) or 0


def violated(
    connection: Connection, views: Views, now: int, limit: int, after: After | None = None
) -> Listed[int]:
    """Ids of cases of which a deadline is over, the longest first, of those that the views' scope sees."""
    query = _violated(views, now)
    first = func.min(views.statistics["stat_deadlines"].c.deadline)
    case_id = views.statistics["stat_deadlines"].c.case_id
    ordered = query.add_columns(first).order_by(first, case_id).limit(limit + 1)
    if after:
        ordered = ordered.having(tuple_(first, case_id) > tuple_(*after))
    places = [After(deadline, key) for key, deadline in connection.execute(ordered)]
    return ids_at(places, limit, after, partial(counted_violated, connection, views, now))


def counted_violated(connection: Connection, views: Views, now: int) -> int:
    return counted(connection, select(_violated(views, now).subquery()))


def _violated(views: Views, now: int) -> Select[int]:
    table = views.statistics["stat_deadlines"].c
    query = select(table.case_id).where(table.deadline < now).group_by(table.case_id)
    return _of_seen(views, query)


def _of_seen(views: Views, query: Select[int]) -> Select[int]:
    deadlines, cases = views.statistics["stat_deadlines"], views.cases["cases"]
    seen: list[ColumnElement[bool]] = cases_seen(cases.c, views.scope)
    if not seen:
        return query
    return query.join_from(deadlines, cases, cases.c.case_id == deadlines.c.case_id).where(*seen)
