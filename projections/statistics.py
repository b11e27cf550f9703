"""Figures of what happens to cases, kept by quarters of an hour for each case and summed up by days.

The one read model that has to know what was before: its rows of cases say so (`measured_cases.py`), and go on from there in
the transaction that stores the figures. Days are those of the account's zone, so each zone has tables of its own.
"""

import json
import operator
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache, lru_cache, partial
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Index, MetaData, Table

from kanal.domain.response_targets import Measure
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import ADVANCE, Changes, Row, Tables
from kanal.projections.measured_cases import (
    OF_ACCOUNT,
    OF_CASES,
    SLOT,
    SUMS,
    TEXTS,
    Account,
    Figures,
    Measured,
    Place,
    Reading,
    Wait,
)
from kanal.projections.read_model import Names, ReadModel, flag, number, text

VERSION: Final = 2
ZONES: Final = 1 << 16
"""A version is told apart by its zone too."""
ACCOUNT: Final = 0
"""In place of a case: what deadlines and business hours are reckoned by."""
CACHED_SLOTS: Final = 50_000
"""Over a year."""

NOTHING: Final[Row] = dict.fromkeys(SUMS, 0) | dict.fromkeys(TEXTS, "")
COLUMNS: Final = tuple(NOTHING)
NO_FIGURES: Final[Figures] = Counter()

_encoder = msgspec.json.Encoder()
_case = msgspec.json.Decoder(Measured)
_account = msgspec.json.Decoder(Account)


class SumKey(NamedTuple):
    """What is summed up together."""

    unit: int
    """A day: the proleptic ordinal, as `date.toordinal` says it. A month: as many months since the year 0."""
    channel: str
    group_id: int
    staff_id: int


def define(metadata: MetaData, name: Names, zone: str) -> Iterable[Table]:
    cases, slots, ratings = name("stat_cases"), name("stat_slots"), name("stat_ratings")
    deadlines = name("stat_deadlines")
    tables = {
        "stat_cases": Table(cases, metadata, number("case_id", key=True), text("state")),
        "stat_slots": Table(
            slots,
            metadata,
            number("slot", key=True),
            number("case_id", key=True),
            number("group_id", key=True),
            number("staff_id", key=True),
            text("channel"),
            flag("hidden"),
            *[number(each) for each in SUMS],
            *[text(each) for each in TEXTS],
            Index(f"{slots}_case", "case_id", "slot"),
            sqlite_with_rowid=False,
        ),
        "stat_days": _sums(metadata, name("stat_days")),
        "stat_months": _sums(metadata, name("stat_months")),
        "stat_backlog": Table(
            name("stat_backlog"),
            metadata,
            number("case_id", key=True),
            text("channel"),
            number("group_id"),
            number("staff_id"),
            number("opened_at"),
            number("waiting_since"),
            number("first_deadline"),
            number("next_deadline"),
            number("resolution_deadline"),
        ),
        "stat_deadlines": Table(
            deadlines,
            metadata,
            number("case_id", key=True),
            text("measure", key=True),
            number("deadline"),
            number("position"),
            number("version"),
            number("set_position"),
            number("set_at"),
            Index(f"{deadlines}_due", "measure", "deadline", "case_id"),
            Index(f"{deadlines}_set", "measure", "set_at", "set_position"),
            Index(f"{deadlines}_first", "deadline", "case_id"),
            sqlite_with_rowid=False,
        ),
        "stat_ratings": Table(
            ratings,
            metadata,
            number("rating_id", key=True),
            number("case_id"),
            number("message_id"),
            number("user_id"),
            text("channel"),
            text("rating"),
            text("comment"),
            number("rated_staff_id"),
            number("staff_id"),
            number("group_id"),
            number("created_at"),
            number("updated_at"),
            Index(f"{ratings}_created", "created_at", "rating_id"),
        ),
    }
    tables["stat_cases"].info[ADVANCE] = partial(advance, tables, zone)
    return tables.values()


def _sums(metadata: MetaData, name: str) -> Table:
    return Table(
        name,
        metadata,
        number("unit", key=True),
        text("channel", key=True),
        number("group_id", key=True),
        number("staff_id", key=True),
        *[number(each) for each in SUMS],
        *[text(each) for each in TEXTS],
        sqlite_with_rowid=False,
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    changes.advance(tables["stat_cases"], recorded)


@cache
def projection(zone: str) -> ReadModel:
    """With the days of that zone."""
    return ReadModel(
        name="statistics",
        version=VERSION * ZONES + zlib.crc32(zone.encode()) % ZONES,
        handles=dict.fromkeys((*OF_CASES, *OF_ACCOUNT), fold),
        define=partial(define, zone=zone),
    )


PROJECTION = projection("UTC")


@lru_cache(CACHED_SLOTS)
def day_of(slot: int, zone: str) -> int:
    """In which the slot begins."""
    return datetime.fromtimestamp(slot * SLOT // 1_000_000, _zone(zone)).date().toordinal()


@lru_cache(CACHED_SLOTS)
def slot_of_day(day: int, zone: str) -> int:
    """The first one of the day."""
    moment = datetime.combine(date.fromordinal(day), datetime.min.time(), _zone(zone))
    slot = int(moment.timestamp()) * 1_000_000 // SLOT
    # At midnight some clocks are put forward, and some are put back to it.
    while day_of(slot, zone) < day:
        slot += 1
    while day_of(slot - 1, zone) >= day:
        slot -= 1
    return slot


def month_of(day: int) -> int:
    first = date.fromordinal(day)
    return first.year * 12 + first.month - 1


def day_of_month(month: int) -> int:
    """The first one of the month."""
    return date(month // 12, month % 12 + 1, 1).toordinal()


_zone = cache(ZoneInfo)


def advance(
    tables: Tables,
    zone: str,
    changes: Changes,
    connection: Connection,
    events: Sequence[Recorded],
) -> None:
    case_ids = {getattr(recorded.event, "case_id", ACCOUNT) for recorded in events}
    stored = _rows(connection, tables["stat_cases"], {"case_id": [ACCOUNT, *case_ids]})
    states = {row["case_id"]: row["state"] for row in stored}
    known = states.pop(ACCOUNT, None)
    account = _account.decode(known) if known else Account()
    cases = {case_id: _case.decode(state) for case_id, state in states.items()}
    shown_before = {case_id for case_id, case in cases.items() if case.visible}
    waited_before = {case_id for case_id, case in cases.items() if case.in_backlog}
    due_before = {case_id: _due(case) for case_id, case in cases.items()}
    reading = Reading(account, cases)
    for recorded in events:
        reading.read(recorded)
    if any(isinstance(recorded.event, OF_ACCOUNT) for recorded in events):
        _store(changes, tables["stat_cases"], (ACCOUNT,), known is not None, _state(account))
    for case_id, case in cases.items():
        key = (case_id,)
        row = None if case.deleted else _state(case)
        _store(changes, tables["stat_cases"], key, case_id in states, row)
        waiting = _waiting(case) if case.in_backlog else None
        _store(changes, tables["stat_backlog"], key, case_id in waited_before, waiting)
        _store_deadlines(changes, tables["stat_deadlines"], case, due_before.get(case_id, {}))
    _store_ratings(changes, tables["stat_ratings"], reading)
    more = _store_slots(connection, changes, tables["stat_slots"], reading, shown_before, zone)
    _store_sums(connection, changes, tables["stat_days"], more)
    months: defaultdict[SumKey, Figures] = defaultdict(Counter)
    for of_day, figures in more.items():
        months[of_day._replace(unit=month_of(of_day.unit))].update(figures)
    _store_sums(connection, changes, tables["stat_months"], months)


def _state(state: Account | Measured) -> Row:
    case_id = state.case_id if isinstance(state, Measured) else ACCOUNT
    return {"case_id": case_id, "state": _encoder.encode(state).decode()}


def _waiting(case: Measured) -> Row:
    return {
        "case_id": case.case_id,
        "channel": case.channel,
        "group_id": case.group_id,
        "staff_id": case.staff_id,
        "opened_at": case.opened_at,
        "waiting_since": case.waiting.since if case.waiting else 0,
        "first_deadline": case.first.deadline if case.first else 0,
        "next_deadline": case.waiting.deadline if case.waiting else 0,
        "resolution_deadline": case.resolution.deadline if case.resolution else 0,
    }


def _due(case: Measured) -> dict[Measure, Wait]:
    return case.waits if case.in_backlog else {}


def _store_deadlines(
    changes: Changes, table: Table, case: Measured, before: Mapping[Measure, Wait]
) -> None:
    after = _due(case)
    for measure in {*before, *after}:
        wait, key = after.get(measure), (case.case_id, measure)
        if wait != before.get(measure):
            row = _deadline(case, measure, wait) if wait else None
            _store(changes, table, key, measure in before, row)


def _deadline(case: Measured, measure: Measure, wait: Wait) -> Row:
    return {
        "case_id": case.case_id,
        "measure": measure,
        "deadline": wait.deadline,
        "position": wait.position,
        "version": wait.version,
        "set_position": wait.set_position,
        "set_at": wait.set_at,
    }


def _store(
    changes: Changes, table: Table, key: tuple[Any, ...], there: bool, row: Row | None
) -> None:
    """None: no row shall be there."""
    if row is None:
        if there:
            changes.delete(table, key)
    elif there:
        keys = {column.name for column in table.primary_key.columns}
        changes.update(table, key, {name: row[name] for name in row if name not in keys})
    else:
        changes.insert(table, row)


def _store_ratings(changes: Changes, table: Table, reading: Reading) -> None:
    gone = {
        rated.rating_id
        for case in reading.cases.values()
        if case.deleted
        for rated in case.rated.values()
    }
    for rating_id, row in reading.ratings.items():
        new = "created_at" in row
        if rating_id not in gone:
            _store(changes, table, (rating_id,), not new, row | {"rating_id": rating_id})
        elif new:
            gone.discard(rating_id)
    for rating_id in gone:
        changes.delete(table, (rating_id,))


def _store_slots(
    connection: Connection,
    changes: Changes,
    table: Table,
    reading: Reading,
    shown_before: set[int],
    zone: str,
) -> dict[SumKey, Figures]:
    """How the sums of days change by it."""
    cases = reading.cases
    turned = {
        case_id
        for case_id, case in cases.items()
        if case.visible != (case_id in shown_before) or case.deleted
    }
    touched = {place.slot for places in reading.figures.values() for place in places}
    stored = _rows(connection, table, {"case_id": turned})
    others = [case_id for case_id in reading.figures if case_id not in turned]
    stored += _rows(connection, table, {"case_id": others, "slot": touched})
    places: defaultdict[int, dict[Place, Row]] = defaultdict(dict)
    for row in stored:
        place = Place(row["slot"], row["group_id"], row["staff_id"])
        places[row["case_id"]][place] = row
    days: defaultdict[SumKey, Figures] = defaultdict(Counter)
    for case_id in {*turned, *reading.figures}:
        case, before = cases[case_id], places[case_id]
        added: Mapping[Place, Figures] = reading.figures.get(case_id, {})
        for place in {*before, *added} if case_id in turned else added:
            key = (place.slot, case_id, place.group_id, place.staff_id)
            more = added.get(place, NO_FIGURES)
            row = _sum_of(before.get(place, NOTHING), more)
            kept = not case.deleted and _has_figures(row)
            row |= {"channel": case.channel, "hidden": not case.visible}
            row |= dict(zip(("slot", "case_id", "group_id", "staff_id"), key, strict=True))
            _store(changes, table, key, place in before, row if kept else None)
            day = days[
                SumKey(day_of(place.slot, zone), case.channel, place.group_id, place.staff_id)
            ]
            if case.visible:
                counted = case_id in shown_before or place not in before
                day.update(more if counted else _figures_of(row))
            elif case_id in shown_before:
                day.subtract(_figures_of(before.get(place, NOTHING)))
    return {key: figures for key, figures in days.items() if any(figures.values())}


def _store_sums(
    connection: Connection, changes: Changes, table: Table, more: Mapping[SumKey, Figures]
) -> None:
    wanted = {name: {getattr(key, name) for key in more} for name in SumKey._fields}
    stored = {
        SumKey(*(row[name] for name in SumKey._fields)): row
        for row in _rows(connection, table, wanted)
    }
    for key, figures in more.items():
        row = _sum_of(stored.get(key, NOTHING), figures)
        row |= key._asdict()
        _store(changes, table, key, key in stored, row if _has_figures(row) else None)


def _sum_of(row: Row, more: Figures) -> Row:
    """The row's figures and those. Of the same figures always the same: texts are sorted."""
    new = row.copy()
    listed: dict[str, Figures] = {}
    for key, amount in more.items():
        if isinstance(key, tuple):
            listed.setdefault(key[0], Counter())[key[1]] = amount
        else:
            new[key] += amount
    for name, characters in listed.items():
        if min(characters.values()) < 0:
            characters.update(Counter(new[name]))
            new[name] = ""
        # Sorted already but for what is added, which costs a fraction of counting all of it.
        text = new[name] + "".join(map(operator.mul, characters.keys(), characters.values()))
        new[name] = "".join(sorted(text))
    return new


def _has_figures(row: Row) -> bool:
    return any(map(row.__getitem__, COLUMNS))


def _figures_of(row: Row) -> Figures:
    figures: Figures = Counter({name: row[name] for name in SUMS if row[name]})
    for name in TEXTS:
        text: str = row[name]
        for character, amount in Counter(text).items():
            figures[name, character] = amount
    return figures


def _rows(
    connection: Connection, table: Table, among: Mapping[str, Iterable[Any]]
) -> list[dict[str, Any]]:
    """Whose columns are each one of those values."""
    lists = [list(values) for values in among.values()]
    if not all(lists):
        return []
    names = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    given: tuple[Any, ...]
    if connection.dialect.name == "postgresql":
        where, given = [f'"{name}" = ANY(%s)' for name in among], tuple(lists)
    else:
        where = [f'"{name}" IN (SELECT value FROM json_each(?))' for name in among]
        given = tuple(map(json.dumps, lists))
    sql = f'SELECT {quoted} FROM "{table.name}" WHERE {" AND ".join(where)}'
    rows = connection.exec_driver_sql(sql, given)
    return [dict(zip(names, row, strict=True)) for row in rows]
