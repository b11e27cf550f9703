"""Macros as `GET /api/macros.json` lists them."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Index, MetaData, Table

from kanal.domain.macros import MacroAction, MacroChanged, MacroCreated, MacroDeleted
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, text

_json = msgspec.json.Encoder()


class MacroRow(NamedTuple):
    macro_id: int
    staff_id: int
    """Whose it is, 0 for everybody's."""
    title: str
    group_name: str
    position: int
    actions: str
    """JSON."""

    def parsed(self) -> list[MacroAction]:
        return msgspec.json.decode(self.actions, type=list[MacroAction])


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    macros = name("macros")
    yield Table(
        macros,
        metadata,
        number("macro_id", key=True),
        number("staff_id"),
        text("title"),
        text("group_name"),
        number("position"),
        text("actions"),
        Index(f"{macros}_staff", "staff_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    macros, event = tables["macros"], recorded.event
    match event:
        case MacroCreated():
            row = {
                "macro_id": event.macro_id,
                "staff_id": event.staff_id,
                "title": event.title,
                "group_name": event.group_name,
                "position": event.position,
                "actions": _json.encode(event.actions).decode(),
            }
            changes.insert(macros, row)
        case MacroChanged():
            changed = {
                "title": event.title,
                "group_name": event.group_name,
                "position": event.position,
                "actions": _json.encode(event.actions).decode(),
            }
            changes.update(macros, (event.macro_id,), changed)
        case MacroDeleted():
            changes.delete(macros, (event.macro_id,))


PROJECTION = ReadModel(
    name="macros",
    version=1,
    handles=dict.fromkeys((MacroCreated, MacroChanged, MacroDeleted), fold),
    define=define,
)


def visible(connection: Connection, views: Views, staff_id: int) -> list[MacroRow]:
    """Everybody's and that staff member's, by position, the oldest first."""
    macros = views.macros["macros"]
    query = columns_of(macros, MacroRow).where(macros.c.staff_id.in_((0, staff_id)))
    query = query.order_by(macros.c.position, macros.c.macro_id)
    return [MacroRow._make(row) for row in connection.execute(query)]
