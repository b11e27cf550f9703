"""Custom fields, and the values that cases and users are found by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    CompoundSelect,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    select,
    union_all,
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
    one,
    text,
)
from kanal.projections.search import anchors, searched
from kanal.projections.trigrams import SHORTEST, containing, searchable

HEAD = 100
"""Characters of a value that are indexed: PostgreSQL takes at most 2,700 octets into an index, a value may have more."""
FIELDS = 2**20
"""More than an account has. A text's row is numbered by the id of its case or user, times this, plus that of its field."""
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
    retired: dict[str, str]
    """Options that were taken away."""
    active: bool
    created_at: int
    updated_at: int


class Search(NamedTuple):
    """One filter by a custom field: the ids of the cases or of the users that it finds."""

    level: FieldLevel
    ids: Select[Any] | CompoundSelect[Any]


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("custom_fields"),
        metadata,
        number("field_id", key=True),
        text("title"),
        text("field_type"),
        text("field_level"),
        text("options"),
        text("retired"),
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
        yield searchable(name(f"{level}_texts"), metadata)


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    fields = tables["custom_fields"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case CustomFieldCreated():
            row = {
                "field_id": event.field_id,
                "title": event.title,
                "field_type": event.field_type,
                "field_level": event.field_level,
                "options": stored(event.options),
                "retired": NO_VALUES,
                "active": True,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(fields, row)
        case CustomFieldChanged():
            changed = {
                "title": event.title,
                "options": stored(event.options),
                "retired": stored(event.retired),
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
            _fold_values(changes, tables, "case", event.case_id, event.old, event.values)
        case UserFieldsChanged():
            _fold_values(changes, tables, "user", event.user_id, event.old, event.values)
        case CaseDeleted():
            _fold_values(changes, tables, "case", event.case_id, event.fields, {})
        case UserWasDeleted():
            _fold_values(changes, tables, "user", event.user_id, event.fields, {})


def _fold_values(
    changes: Changes,
    tables: Tables,
    level: FieldLevel,
    whose: int,
    changed: Iterable[str],
    values: Values,
) -> None:
    table, texts = tables[f"{level}_values"], tables[f"{level}_texts"]
    for key in changed:
        field_id = id_of(key)
        rowid = whose * FIELDS + field_id
        changes.delete(table, (field_id, whose))
        changes.delete(texts, (rowid,))
        if key not in values:
            continue
        folded = str(values[key]).casefold()
        row = {"field_id": field_id, f"{level}_id": whose}
        changes.insert(table, {**row, "head": folded[:HEAD], "folded": folded})
        if isinstance(values[key], str) and len(folded) >= SHORTEST:
            changes.insert(texts, {"rowid": rowid, "content": folded})


PROJECTION = ReadModel(
    name="custom_fields",
    version=3,
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
    return one(connection, query, _row)


def listed(connection: Connection, views: Views, page: Page) -> Found[CustomFieldRow]:
    """The oldest first."""
    fields = views.custom_fields["custom_fields"]
    query = columns_of(fields, CustomFieldRow).order_by(fields.c.field_id)
    return found(connection, query, page, _row)


def _row(columns: Iterable[Any]) -> CustomFieldRow:
    row = CustomFieldRow._make(columns)
    options, retired = (_OPTIONS.decode(str(each)) for each in (row.options, row.retired))
    return row._replace(options=options, retired=retired)


def stored(values: Mapping[str, Value]) -> str:
    """As a row of a case, a user, or a field keeps them."""
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
        if not texts:
            continue
        ids = [_found(connection, views, field, each.casefold()) for each in texts]
        found_by.append(Search(field.field_level, union_all(*ids) if len(ids) > 1 else ids[0]))
    return found_by


def _found(connection: Connection, views: Views, field: CustomFieldRow, wanted: str) -> Select[Any]:
    """Ids of the cases or users whose value of this field is as wanted."""
    values = views.custom_fields[f"{field.field_level}_values"].c
    ids = select(values[f"{field.field_level}_id"]).where(values.field_id == field.field_id)
    from_start, words, to_end = anchors(wanted)
    is_text = field.field_type in ("text", "textarea")
    if not is_text or (from_start and to_end):
        exact = words if is_text else wanted
        if field.field_type == "checkbox":
            exact = FLAGS.get(wanted, wanted)
        ids = ids.where(values.head == exact[:HEAD])
        # A value that is shorter than its head may be is all there: the index alone answers.
        return ids if len(exact) < HEAD else ids.where(values.folded == exact)
    if len(words) < SHORTEST:
        return ids.where(searched(values.folded, wanted))
    texts = containing(connection, views.custom_fields[f"{field.field_level}_texts"], wanted)
    of_field = texts.rowid % FIELDS == field.field_id
    return select(texts.rowid // FIELDS).where(texts.found, of_field)
