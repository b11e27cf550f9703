"""Custom fields, and the values that cases and users are found by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    and_,
    false,
    or_,
    select,
)

from kanal.domain.case_events import CaseDeleted, CaseFieldsChanged
from kanal.domain.custom_fields import (
    CustomFieldChanged,
    CustomFieldCreated,
    CustomFieldDeleted,
    CustomFieldDisabled,
    CustomFieldEnabled,
    FieldLevel,
    FieldType,
    Value,
    Values,
    id_of,
)
from kanal.domain.stream import Recorded
from kanal.domain.users import UserFieldsChanged, UserWasDeleted
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    found,
    number,
    text,
)
from kanal.projections.search import MARK, searched

HEAD = 100
"""Characters of a value that are indexed: PostgreSQL takes at most 2,700 octets into an index, a value may have more."""
FLAGS = {"1": "true", "true": "true", "0": "false", "false": "false"}
"""What clients write for a checkbox -> what is stored."""
NO_VALUES = "{}"
"""As most users and cases have no values, this is not read as JSON."""

_VALUES = msgspec.json.Decoder(Values)
_OPTIONS = msgspec.json.Decoder(dict[str, str])


class CustomFieldRow(NamedTuple):
    field_id: int
    title: str
    field_type: FieldType
    field_level: FieldLevel
    options: dict[str, str]
    """Of a select: key -> title."""
    active: bool
    created_at: int
    updated_at: int


class Search(NamedTuple):
    """One filter by a custom field: the ids of the cases or of the users that it finds."""

    level: FieldLevel
    ids: Select[Any]


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("custom_fields"),
        metadata,
        number("field_id", key=True),
        text("title"),
        text("field_type"),
        text("field_level"),
        text("options"),
        flag("active"),
        number("created_at"),
        number("updated_at"),
    )
    # For finding only: what one case or user has stands in its own row.
    for level in ("case", "user"):
        values = name(f"{level}_values")
        yield Table(
            values,
            metadata,
            number("field_id", key=True),
            number(f"{level}_id", key=True),
            text("head"),
            text("folded"),
            Index(f"{values}_head", "field_id", "head", f"{level}_id"),
            sqlite_with_rowid=False,
        )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    fields, cases, users = tables["custom_fields"], tables["case_values"], tables["user_values"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case CustomFieldCreated():
            row = {
                "field_id": event.field_id,
                "title": event.title,
                "field_type": event.field_type,
                "field_level": event.field_level,
                "options": msgspec.json.encode(event.options).decode(),
                "active": True,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(fields, row)
        case CustomFieldChanged():
            changed = {
                "title": event.title,
                "options": msgspec.json.encode(event.options).decode(),
                "updated_at": at,
            }
            changes.update(fields, (event.field_id,), changed)
        case CustomFieldDisabled():
            changes.update(fields, (event.field_id,), {"active": False, "updated_at": at})
        case CustomFieldEnabled():
            changes.update(fields, (event.field_id,), {"active": True, "updated_at": at})
        case CustomFieldDeleted():
            # Its values stay: there may be very many, and `searches` asks for fields that there are.
            changes.delete(fields, (event.field_id,))
        case CaseFieldsChanged():
            _fold_values(changes, cases, {"case_id": event.case_id}, event.old, event.values)
        case UserFieldsChanged():
            _fold_values(changes, users, {"user_id": event.user_id}, event.old, event.values)
        case CaseDeleted():
            for key in event.fields:
                changes.delete(cases, (id_of(key), event.case_id))
        case UserWasDeleted():
            for key in event.fields:
                changes.delete(users, (id_of(key), event.user_id))


def _fold_values(
    changes: Changes, table: Table, whose: dict[str, int], changed: Iterable[str], values: Values
) -> None:
    for key in changed:
        field_id = id_of(key)
        changes.delete(table, (field_id, *whose.values()))
        if key in values:
            folded = _folded(values[key])
            row = {"field_id": field_id, **whose, "head": folded[:HEAD], "folded": folded}
            changes.insert(table, row)


def _folded(value: Value) -> str:
    return str(value).casefold()


PROJECTION = ReadModel(
    name="custom_fields",
    version=1,
    handles=dict.fromkeys(
        (
            CustomFieldCreated,
            CustomFieldChanged,
            CustomFieldDisabled,
            CustomFieldEnabled,
            CustomFieldDeleted,
            CaseFieldsChanged,
            UserFieldsChanged,
            CaseDeleted,
            UserWasDeleted,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, field_id: int) -> CustomFieldRow | None:
    fields = views.custom_fields["custom_fields"]
    query = columns_of(fields, CustomFieldRow).where(fields.c.field_id == field_id)
    row = connection.execute(query).first()
    return _row(row) if row else None


def listed(connection: Connection, views: Views, page: Page) -> Found[CustomFieldRow]:
    """The oldest first."""
    fields = views.custom_fields["custom_fields"]
    query = columns_of(fields, CustomFieldRow).order_by(fields.c.field_id)
    return found(connection, query, page, _row)


def _row(columns: Iterable[Any]) -> CustomFieldRow:
    row = CustomFieldRow._make(columns)
    return row._replace(options=_OPTIONS.decode(str(row.options)))


def stored(values: Values) -> str:
    """As a row of a case or user keeps them."""
    return msgspec.json.encode(values).decode()


def read(values: Any) -> Values:
    """What `stored` made."""
    return {} if values == NO_VALUES else _VALUES.decode(values)


def living(connection: Connection, views: Views, all_values: Iterable[Values]) -> list[Values]:
    """All of them, without those of fields that have been deleted."""
    rows = list(all_values)
    keys = {key for values in rows for key in values}
    if not keys:
        return rows
    field_id = views.custom_fields["custom_fields"].c.field_id
    there = set(connection.scalars(select(field_id).where(field_id.in_(map(id_of, keys)))))
    gone = {key for key in keys if id_of(key) not in there}
    if not gone:
        return rows
    return [{key: each[key] for key in each if key not in gone} for each in rows]


def searches(
    connection: Connection, views: Views, wanted: Mapping[str, Sequence[str]]
) -> list[Search] | None:
    """`wanted`: key of a field -> one or several values. None if nothing can be found: there is no such field.

    A text is searched for with the search marks (search.py), without regard to case; a checkbox by a flag, a select by the
    key of the option, a date as `2021-12-01`.
    """
    fields = views.custom_fields["custom_fields"]
    query = columns_of(fields, CustomFieldRow).where(fields.c.field_id.in_(map(id_of, wanted)))
    known = {row.field_id: row for row in map(_row, connection.execute(query))}
    found_by = []
    for key, texts in wanted.items():
        field = known.get(id_of(key))
        if field is None:
            return None
        values = views.custom_fields[f"{field.field_level}_values"].c
        matches = or_(false(), *(_matches(values, field.field_type, each) for each in texts))
        ids = select(values[f"{field.field_level}_id"])
        found_by.append(
            Search(field.field_level, ids.where(values.field_id == field.field_id, matches))
        )
    return found_by


def _matches(values: Any, field_type: FieldType, wanted: str) -> ColumnElement[bool]:
    wanted = wanted.casefold()
    exact = None
    if field_type == "checkbox":
        exact = FLAGS.get(wanted, wanted)
    elif field_type in ("select", "date"):
        exact = wanted
    elif len(wanted) > 1 and wanted.startswith(MARK) and wanted.endswith(MARK):
        exact = wanted[1:-1]
    if exact is None:
        return searched(values.folded, wanted)
    # A value that is shorter than its head may be is all there: the index alone answers.
    head = values.head == exact[:HEAD]
    return head if len(exact) < HEAD else and_(head, values.folded == exact)
