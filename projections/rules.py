"""Rules as `GET /api/rules.json` lists them."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Index, MetaData, Table, func, select

from kanal.domain.actions import Action
from kanal.domain.firings import LoopReason, RuleFired, RuleLoopCut
from kanal.domain.rules import (
    OF_RULES,
    RuleChanged,
    RuleCreated,
    RuleDeleted,
    RuleDisabled,
    RuleEnabled,
    RuleKind,
    RulesOrdered,
    Since,
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
    since: Since | Literal[""]
    minutes: int
    loop: LoopReason | Literal[""]
    """Why this version was kept from running last, "" while it never was."""
    created_at: int
    updated_at: int
    enabled_at: int
    """When it was made or enabled last."""


class FiringRow(NamedTuple):
    position: int
    rule_id: int
    version: int
    title: str
    """Of the rule, when it ran."""
    case_id: int
    cause: int
    """Position of the event for which it ran."""
    stopped: bool
    """No further rules ran for that event."""
    at: int


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
        text("since"),
        number("minutes"),
        text("loop"),
        number("created_at"),
        number("updated_at"),
        number("enabled_at"),
    )
    firings = name("rule_firings")
    yield Table(
        firings,
        metadata,
        number("position", key=True),
        number("rule_id"),
        number("version"),
        text("title"),
        number("case_id"),
        number("cause"),
        flag("stopped"),
        number("at"),
        Index(f"{firings}_case", "case_id", "rule_id", "at"),
        Index(f"{firings}_rule", "rule_id", "position"),
    )


ALIKE = ("rule_id", "version", "title", "case_id", "cause", "stopped")


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
                "loop": "",
                "created_at": at,
                "updated_at": at,
                "enabled_at": at,
            }
            changes.insert(rules, row)
        case RuleChanged():
            changed = {**_whole(event), "version": event.version, "loop": "", "updated_at": at}
            changes.update(rules, (event.rule_id,), changed)
        case RuleEnabled():
            changes.update(
                rules, (event.rule_id,), {"active": True, "updated_at": at, "enabled_at": at}
            )
        case RuleDisabled():
            changes.update(rules, (event.rule_id,), {"active": False, "updated_at": at})
        case RuleDeleted():
            changes.delete(rules, (event.rule_id,))
        case RulesOrdered():
            for position, rule_id in enumerate(event.rule_ids, start=1):
                changes.update(rules, (rule_id,), {"position": position})
        case RuleFired():
            row = {name: getattr(event, name) for name in ALIKE}
            row |= {"position": recorded.position, "at": at}
            changes.insert(tables["rule_firings"], row)
        case RuleLoopCut():
            changes.update(rules, (event.rule_id,), {"loop": event.reason})


PROJECTION = ReadModel(
    name="rules",
    version=4,
    handles=dict.fromkeys((*OF_RULES, RuleFired, RuleLoopCut), fold),
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


def timed(connection: Connection, views: Views) -> list[RuleRow]:
    """The active rules of that kind, in their order."""
    rules = views.rules["rules"]
    query = columns_of(rules, RuleRow).where(rules.c.kind == "timed", rules.c.active.is_(True))
    return [_row(row) for row in connection.execute(query.order_by(rules.c.position))]


def fired(connection: Connection, views: Views, case_id: int) -> list[FiringRow]:
    """What has run for this case, the oldest first."""
    firings = views.rules["rule_firings"]
    query = columns_of(firings, FiringRow).where(firings.c.case_id == case_id)
    return [FiringRow._make(row) for row in connection.execute(query.order_by(firings.c.position))]


def fired_by(connection: Connection, views: Views, rule_id: int, limit: int) -> list[FiringRow]:
    """The newest first."""
    firings = views.rules["rule_firings"]
    query = columns_of(firings, FiringRow).where(firings.c.rule_id == rule_id)
    newest = query.order_by(firings.c.position.desc()).limit(limit)
    return [FiringRow._make(row) for row in connection.execute(newest)]


def fired_for(
    connection: Connection, views: Views, rule_id: int, case_id: int, cause: int
) -> FiringRow | None:
    """Of that rule for the event of that case at that position."""
    firings = views.rules["rule_firings"]
    query = columns_of(firings, FiringRow).where(
        firings.c.case_id == case_id, firings.c.rule_id == rule_id, firings.c.cause == cause
    )
    return one(connection, query.order_by(firings.c.position).limit(1), FiringRow._make)


def fired_behind(connection: Connection, views: Views, position: int) -> list[FiringRow]:
    firings = views.rules["rule_firings"]
    query = columns_of(firings, FiringRow).where(firings.c.position > position)
    return [FiringRow._make(row) for row in connection.execute(query)]


def times_fired(
    connection: Connection, views: Views, rule_id: int, case_id: int, since: int
) -> int:
    """How often this rule has run for this case since then (microseconds)."""
    firings = views.rules["rule_firings"].c
    query = select(func.count()).where(
        firings.case_id == case_id, firings.rule_id == rule_id, firings.at >= since
    )
    return connection.scalar(query) or 0


def _whole(event: RuleCreated | RuleChanged) -> Row:
    return {
        "title": event.title,
        "channels": _json.encode(event.channels).decode(),
        "once_per_case": event.once_per_case,
        "conditions": _json.encode(event.conditions).decode(),
        "actions": _json.encode(event.actions).decode(),
        "since": event.since,
        "minutes": event.minutes,
    }


def _row(columns: Iterable[Any]) -> RuleRow:
    row = RuleRow._make(columns)
    return row._replace(
        channels=msgspec.json.decode(row.channels),
        conditions=msgspec.json.decode(row.conditions),
        actions=msgspec.json.decode(row.actions, type=list[Action]),
    )
