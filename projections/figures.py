"""What is asked of the statistics: sums over a period, what waits now, ratings.

Whole days of a period come from the sums of days, the rest of it from its quarters of an hour, so that an answer costs what the
period holds, and nothing of what lies outside.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import accumulate
from math import ceil
from typing import Any, Final, Literal, NamedTuple

from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from kanal.domain.access import Scope
from kanal.domain.case_events import Rating
from kanal.projections.access import cases_seen
from kanal.projections.measured_cases import SLOT, SUMS, TEXTS, Time, as_seconds
from kanal.projections.read_model import Found, Page, Views, columns_of, counted
from kanal.projections.statistics import day_of, day_of_month, month_of, slot_of_day

By = Literal["channel", "group", "staff", "day", "hour"]
Part = Literal["clock", "business"]
Key = str | int
FEW: Final = 2000
"""Times that are sorted sooner than they are counted."""
EVERYTHING_SEEN: Final = Scope()
HOUR: Final = 4
"""Slots."""
SECOND: Final = 1_000_000


class Period(NamedTuple):
    """Slots; the last one is not part of it."""

    since: int
    until: int

    @classmethod
    def of(cls, since: int, until: int) -> "Period":
        """The whole slots in which these moments (microseconds) lie."""
        return cls(since // SLOT, -(-until // SLOT))


class Wanted(NamedTuple):
    """What is counted; nothing given: all of it."""

    channels: Sequence[str] = ()
    groups: Sequence[int] = ()
    staff: Sequence[int] = ()
    """Whose doing it is, or whose case."""
    cases: Select[Any] | None = None
    """Ids of cases. Then days are summed up from their quarters."""


EVERYTHING: Final = Wanted()


class Sums:
    """Amounts and times of one channel, one day, ..."""

    def __init__(self) -> None:
        self._amounts: Counter[str] = Counter()
        self._listed: defaultdict[str, str] = defaultdict(str)
        self._sorted: dict[str, list[str]] = {}
        self._counted: dict[str, Counted] = {}

    def add(self, row: RowMapping, listed: Sequence[str]) -> None:
        for name in SUMS:
            if amount := row[name]:
                self._amounts[name] += int(amount)
        for name in listed:
            if times := row[name]:
                self._listed[name] += times

    @classmethod
    def together(cls, parts: Iterable["Sums"]) -> "Sums":
        """Of a whole period what is known of its days, or of all channels what is known of each."""
        whole = cls()
        for part in parts:
            whole._amounts.update(part._amounts)
            for name, times in part._listed.items():
                whole._listed[name] += times
        return whole

    def __getitem__(self, name: str) -> int:
        return self._amounts[name]

    def mean(self, time: Time, part: Part = "clock") -> int | None:
        """Of such times, in seconds; None if none was measured."""
        count = self._amounts[f"{time}_count"]
        return round(self._amounts[f"{time}_{part}"] / count) if count else None

    def quantile(self, time: Time, share: float, part: Part = "clock") -> int | None:
        """The least time, to three digits, that so great a share of them does not exceed."""
        name = f"{time}_{part}_times"
        listed = self._listed[name]
        if not listed:
            return None
        rank = ceil(len(listed) * share)
        if len(listed) <= FEW:
            if name not in self._sorted:
                self._sorted[name] = sorted(listed)
            return as_seconds(self._sorted[name][rank - 1])
        if name not in self._counted:
            amounts = Counter(listed)
            characters = sorted(amounts)
            upto = list(accumulate(map(amounts.__getitem__, characters)))
            self._counted[name] = Counted(characters, upto)
        counted = self._counted[name]
        return as_seconds(counted.characters[bisect_left(counted.upto, rank)])


class Counted(NamedTuple):
    characters: list[str]
    """Each once, in rising order."""
    upto: list[int]
    """How many times are listed up to each."""


class Backlog(NamedTuple):
    """Cases that are not closed, at this moment."""

    cases: int
    oldest: int
    """When the oldest was opened, in seconds since the epoch."""
    mean: int
    waiting: int
    """Cases whose user waits for an answer, and since when the first of them does."""
    waiting_since: int
    first_response_overdue: int
    next_response_overdue: int
    resolution_overdue: int


class RatingRow(NamedTuple):
    rating_id: int
    case_id: int
    message_id: int
    """0 if the case itself is rated."""
    user_id: int
    channel: str
    rating: Rating
    comment: str
    rated_staff_id: int
    staff_id: int
    """Whose case it was."""
    group_id: int
    created_at: int
    updated_at: int


def summed(
    connection: Connection,
    views: Views,
    zone: tzinfo,
    period: Period,
    by: By | None,
    wanted: Wanted = EVERYTHING,
    *,
    quantiles: Part | None = None,
) -> dict[Key, Sums]:
    """By the channel, the id of a group or staff member, the day (its ordinal) or the hour (its first slot); None: by nothing, "" alone.

    Of what the views' scope sees: a figure stands with a channel and a group. Who sees only some staff members' cases has the
    figures of the cases that are theirs now. `quantiles`: of which times they will be asked for, since they cost the most.
    """
    listed = [name for name in TEXTS if quantiles and name.endswith(f"_{quantiles}_times")]
    slots, scope = views.statistics["stat_slots"], views.scope
    if scope.cases != "all" and wanted.cases is None:
        c = views.cases["cases"].c
        wanted = wanted._replace(cases=select(c.case_id).where(*cases_seen(c, scope)))
    scope = replace(scope, cases="all")  # staff_id is that of the figure from here on
    months, days, rest = Stretches([], [], [period])
    if wanted.cases is None and by != "hour":
        last = connection.scalar(select(func.max(slots.c.slot)))
        if last is not None and last < period.until:
            # Nothing has happened since, so the day of the last figure counts as a whole one.
            end = slot_of_day(day_of(last, str(zone)) + 1, str(zone))
            period = period._replace(until=max(period.until, end))
        months, days, rest = _split(period, str(zone), by_day=by == "day")
    found: dict[Key, Sums] = {}
    for name, stretches in (("stat_months", months), ("stat_days", days)):
        sums = views.statistics[name]
        for stretch in stretches:
            conditions = [sums.c.unit >= stretch.since, sums.c.unit < stretch.until]
            conditions += _where(sums.c, wanted, scope)
            _gather(connection, sums, by, conditions, listed, found, int)
    within: Callable[[int], int] = int
    if by == "day":
        within = lambda slot: day_of(slot, str(zone))
    elif by == "hour":
        within = lambda slot: hour_of(slot, zone)
    for stretch in rest:
        conditions = [slots.c.slot >= stretch.since, slots.c.slot < stretch.until]
        conditions.append(slots.c.hidden.is_(False))
        if wanted.cases is not None:
            conditions.append(slots.c.case_id.in_(wanted.cases))
        conditions += _where(slots.c, wanted, scope)
        _gather(connection, slots, by, conditions, listed, found, within)
    return found


class Stretches(NamedTuple):
    """What together is a period."""

    months: list[Period]
    """Whole ones."""
    days: list[Period]
    slots: list[Period]


def _split(period: Period, zone: str, *, by_day: bool) -> Stretches:
    """`by_day`: months would say nothing of them."""
    first, last = day_of(period.since, zone), day_of(period.until, zone)
    if slot_of_day(first, zone) < period.since:
        first += 1
    if first >= last:
        return Stretches([], [], [period])
    before = Period(period.since, slot_of_day(first, zone))
    after = Period(slot_of_day(last, zone), period.until)
    slots = _there(before, after)
    first_month, last_month = month_of(first), month_of(last)
    if day_of_month(first_month) < first:
        first_month += 1
    if by_day or first_month >= last_month:
        return Stretches([], [Period(first, last)], slots)
    whole = Period(first_month, last_month)
    days = Period(first, day_of_month(whole.since)), Period(day_of_month(whole.until), last)
    return Stretches([whole], _there(*days), slots)


def _there(*stretches: Period) -> list[Period]:
    return [each for each in stretches if each.since < each.until]


def hour_of(slot: int, zone: tzinfo) -> int:
    """The slot in which the hour of the clock begins."""
    return slot - datetime.fromtimestamp(slot * SLOT // SECOND, zone).minute // 15


def _where(columns: Any, wanted: Wanted, scope: Scope) -> list[ColumnElement[bool]]:
    asked = [
        columns[name].in_(sorted(values))
        for name, values in (
            ("channel", wanted.channels),
            ("group_id", wanted.groups),
            ("staff_id", wanted.staff),
        )
        if values
    ]
    return [*asked, *cases_seen(columns, scope)]


COLUMNS: Final[Mapping[str, str]] = {"channel": "channel", "group": "group_id", "staff": "staff_id"}


def _gather(
    connection: Connection,
    table: FromClause,
    by: By | None,
    conditions: Sequence[ColumnElement[bool]],
    listed: Sequence[str],
    found: dict[Key, Sums],
    within: Callable[[int], int],
) -> None:
    columns = table.c
    key: list[ColumnElement[Any]] = []
    if by and by in COLUMNS:
        key = [columns[COLUMNS[by]]]
    elif by:
        key = [columns["unit" if "unit" in columns else "slot"]]
    sums = [func.sum(columns[name]).label(name) for name in SUMS]
    texts = [func.aggregate_strings(columns[name], "").label(name) for name in listed]
    query = select(*[each.label("key") for each in key], *sums, *texts).where(*conditions)
    for row in connection.execute(query.group_by(*key)).mappings():
        value: Key = row["key"] if key else ""
        if by in ("day", "hour"):
            value = within(int(value))
        found.setdefault(value, Sums()).add(row, listed)


def backlog(
    connection: Connection,
    views: Views,
    now: int,
    by: By | None,
    wanted: Wanted = EVERYTHING,
) -> dict[Key, Backlog]:
    """By the channel or the id of a group or staff member. `now`: what is overdue by then (microseconds)."""
    table = views.statistics["stat_backlog"]
    c = table.c
    key = [c[COLUMNS[by]]] if by and by in COLUMNS else []
    conditions = _where(c, wanted, views.scope)
    if wanted.cases is not None:
        conditions.append(c.case_id.in_(wanted.cases))
    seconds = _whole(c.opened_at)

    def overdue(column: ColumnElement[int]) -> ColumnElement[int]:
        return func.sum(case((and_(column > 0, column < now), 1), else_=0))

    query = select(
        *key,
        func.count(),
        func.min(seconds),
        func.sum(seconds),
        func.sum(case((c.waiting_since > 0, 1), else_=0)),
        func.min(case((c.waiting_since > 0, _whole(c.waiting_since)))),
        overdue(c.first_deadline),
        overdue(c.next_deadline),
        overdue(c.resolution_deadline),
    )
    found: dict[Key, Backlog] = {}
    for row in connection.execute(query.where(*conditions).group_by(*key)):
        values = list(row)
        value: Key = values.pop(0) if key else ""
        if values[0]:
            count, oldest, opened, *rest = [int(each or 0) for each in values]
            found[value] = Backlog(count, oldest, opened // count, *rest)
    return found


def _whole(column: ColumnElement[int]) -> ColumnElement[int]:
    """Seconds of microseconds, of which the sum over all cases fits into 64 bits."""
    return column.op("/")(SECOND)


def ratings(
    connection: Connection,
    views: Views,
    since: int,
    until: int,
    page: Page,
    *,
    newest_first: bool = True,
    rating_id: Sequence[int] = (),
    rating: Sequence[str] = (),
    commented: bool | None = None,
    rated_staff: Sequence[int] | None = None,
    wanted: Wanted = EVERYTHING,
) -> Found[RatingRow]:
    """Given in that time (microseconds), of cases that the views' scope sees and that are neither trash nor spam. `wanted.staff`: whose case it was."""
    table, cases = views.statistics["stat_ratings"], views.cases["cases"]
    c = table.c
    conditions = [c.created_at >= since, c.created_at < until, *_where(c, wanted, EVERYTHING_SEEN)]
    conditions += cases_seen(cases.c, views.scope)
    conditions += [cases.c.deleted.is_(False), cases.c.spam.is_(False)]
    if rating_id:
        conditions.append(c.rating_id.in_(rating_id))
    if rating:
        conditions.append(c.rating.in_(rating))
    if commented is not None:
        conditions.append(c.comment != "" if commented else c.comment == "")
    if rated_staff is not None:
        conditions.append(c.rated_staff_id.in_(rated_staff))
    if wanted.cases is not None:
        conditions.append(c.case_id.in_(wanted.cases))
    query = columns_of(table, RatingRow).join(cases, cases.c.case_id == c.case_id)
    query = query.where(*conditions)
    order = [c.created_at, c.rating_id]
    ordered = query.order_by(*[each.desc() if newest_first else each for each in order])
    rows = connection.execute(ordered.limit(page.limit).offset(page.offset))
    return Found([RatingRow._make(row) for row in rows], counted(connection, query))


def participated(views: Views, period: Period, staff: Sequence[int] | Select[Any]) -> Select[Any]:
    """Ids of cases in which one of these has replied or written a note within the period."""
    c = views.statistics["stat_slots"].c
    wrote = or_(c.responses > 0, c.notes > 0)
    query = select(c.case_id).where(c.slot >= period.since, c.slot < period.until)
    return query.where(c.staff_id.in_(staff), wrote)
