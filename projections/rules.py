"""Rules as `GET /api/rules.json` lists them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, MetaData, Table

from kanal.domain.actions import Action
from kanal.domain.rules import (
    RuleChanged,
    RuleCreated,
    RuleDeleted,
    RuleDisabled,
    RuleEnabled,
    RuleEvent,
    RuleKind,
    RulesOrdered,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Row, Tables
from kanal.projections.read_model import (
    Names,
    ReadModel,
    Views,
    columns_of,
    flag,
    number,
    one,
    text,
)

_json = msgspec.json.Encoder()


class RuleRow(NamedTuple):
    rule_id: int
    version: int
    kind: RuleKind
    position: int
    """From 1."""
    active: bool
    title: str
    channels: Any
    """A list; stored as JSON, like the next two."""
    once_per_case: bool
    conditions: Any
    actions: Any
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("rules"),
        metadata,
        number("rule_id", key=True),
        number("version"),
        text("kind"),
        number("position"),
        flag("active"),
        text("title"),
        text("channels"),
        flag("once_per_case"),
        text("conditions"),
        text("actions"),
        number("created_at"),
        number("updated_at"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    rules, event, at = tables["rules"], recorded.event, recorded.envelope.at
    match event:
        case RuleCreated():
            row = {
                **_whole(event),
                "rule_id": event.rule_id,
                "version": 1,
                "kind": event.kind,
                "position": 0,
                "active": event.active,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(rules, row)
        case RuleChanged():
            changed = {**_whole(event), "version": event.version, "updated_at": at}
            changes.update(rules, (event.rule_id,), changed)
        case RuleEnabled():
            changes.update(rules, (event.rule_id,), {"active": True, "updated_at": at})
        case RuleDisabled():
            changes.update(rules, (event.rule_id,), {"active": False, "updated_at": at})
        case RuleDeleted():
            changes.delete(rules, (event.rule_id,))
        case RulesOrdered():
            for position, rule_id in enumerate(event.rule_ids, start=1):
                changes.update(rules, (rule_id,), {"position": position})


PROJECTION = ReadModel(
    name="rules",
    version=1,
    handles=dict.fromkeys(
        (RuleCreated, RuleChanged, RuleEnabled, RuleDisabled, RuleDeleted, RulesOrdered), fold
    ),
    define=define,
)


def listed(connection: Connection, views: Views) -> list[RuleRow]:
    """All there are, in the order in which they run."""
    rules = views.rules["rules"]
    query = columns_of(rules, RuleRow).order_by(rules.c.position)
    return [_row(row) for row in connection.execute(query)]


def find(connection: Connection, views: Views, rule_id: int) -> RuleRow | None:
    rules = views.rules["rules"]
    return one(connection, columns_of(rules, RuleRow).where(rules.c.rule_id == rule_id), _row)


def _whole(event: RuleEvent) -> Row:
    return {
        "title": event.title,
        "channels": _json.encode(event.channels).decode(),
        "once_per_case": event.once_per_case,
        "conditions": _json.encode(event.conditions).decode(),
        "actions": _json.encode(event.actions).decode(),
    }


def _row(columns: Iterable[Any]) -> RuleRow:
    row = RuleRow._make(columns)
    return row._replace(
        channels=msgspec.json.decode(row.channels),
        conditions=msgspec.json.decode(row.conditions),
        actions=msgspec.json.decode(row.actions, type=list[Action]),
    )
