"""Why something happened: an event, the event that caused it, and so on to what nothing in the log caused."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.projections import cases, rules
from kanal.projections.read_model import Views
from kanal.projections.rules import FiringRow

MOST = 100
"""Events in one chain; rules cut theirs far earlier."""
BY_RULE = "rule:"


class Link(NamedTuple):
    recorded: Recorded
    firing: FiringRow | None
    """Of the rule that did it."""


def chain(
    connection: Connection, views: Views, database: Database, position: int
) -> Iterator[Link]:
    """The event at that position first, as far as it is about cases that `views` see; nothing if there is none."""
    recorded = _at(connection, database, position)
    for _ in range(MOST):
        if recorded is None or not _is_seen(connection, views, recorded):
            return
        envelope = recorded.envelope
        before = _at(connection, database, envelope.cause)
        firing = None
        if before and envelope.who.startswith(BY_RULE):
            rule_id = int(envelope.who.removeprefix(BY_RULE))
            case_id: int = getattr(before.event, "case_id", 0)
            firing = rules.fired_for(connection, views, rule_id, case_id, before.position)
        yield Link(recorded, firing)
        recorded = before


def _is_seen(connection: Connection, views: Views, recorded: Recorded) -> bool:
    """For whoever does not see all cases: what is about one that they see."""
    case_id: int = getattr(recorded.event, "case_id", 0)
    return views.scope.sees_all or cases.find(connection, views, case_id) is not None


def _at(connection: Connection, database: Database, position: int | None) -> Recorded | None:
    if position is None:
        return None
    events = database.events
    found = database.decoded(connection, select(events).where(events.c.position == position))
    return found[0] if found else None
