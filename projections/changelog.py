"""Changes of one case as its changelog shows them, read from the case's own stream, and the rules that ran for it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select

from kanal.domain.case_events import (
    CaseAssigned,
    CaseFieldsChanged,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseLanguageChanged,
    CasePriorityChanged,
    CaseRated,
    CaseStatusChanged,
    CaseSubjectChanged,
)
from kanal.domain.chat_events import (
    ACTIVATION,
    COMPLETION,
    STAFFING,
    ChatAccepted,
    ChatCompleted,
    ChatReopened,
    ChatReturned,
    ChatStarted,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.projections import rules
from kanal.projections.read_model import Views

KINDS: dict[type[Any], str] = {
    CaseAssigned: "staff",
    CaseStatusChanged: "status",
    CaseGroupChanged: "group",
    CasePriorityChanged: "priority",
    CaseSubjectChanged: "subject",
    CaseLabelsChanged: "labels",
    CaseFieldsChanged: "custom_fields",
    CaseLanguageChanged: "language",
    CaseRated: "rating",
    **dict.fromkeys(ACTIVATION, "chat_activation"),
    **dict.fromkeys(STAFFING, "chat_staff"),
    **dict.fromkeys(COMPLETION, "chat_completion"),
}


RULES = "rules"
"""A rule has run; Omnidesk's word, and so is the form of the old value."""


class Change(NamedTuple):
    kind: str
    at: int
    who: str
    """`staff:1`, `user:5`, `rule:3` or `system`."""
    old: str
    new: str
    """Lists of labels are joined by commas; a custom field is `cf_1: value`."""
    position: int


def of_case(
    connection: Connection, views: Views, database: Database, case_id: int, stream_id: UUID
) -> list[Change]:
    """The oldest first, runs of rules among them. Messages are not read."""
    fired = [
        Change(
            RULES,
            row.at,
            f"rule:{row.rule_id}",
            f"{row.title} (ID - {row.rule_id})",
            "",
            row.position,
        )
        for row in rules.fired(connection, views, case_id)
    ]
    changes = changed(connection, database, stream_id)
    return sorted([*changes, *fired], key=lambda change: change.position)


def changed(
    connection: Connection,
    database: Database,
    stream_id: UUID,
    *,
    first: int = 0,
    behind: int | None = None,
) -> Iterator[Change]:
    """Without runs of rules; `first`, `behind`: only what happened from that position on, and before that one."""
    events = database.events
    query = (
        select(events)
        .where(events.c.stream_id == stream_id, events.c.name.in_([k.NAME for k in KINDS]))
        .order_by(events.c.version)
    )
    if first:
        query = query.where(events.c.position >= first)
    if behind is not None:
        query = query.where(events.c.position < behind)
    for recorded in database.decoded(connection, query):
        who = _who(recorded)
        for old, new in _values(recorded.event):
            kind = KINDS[type(recorded.event)]
            yield Change(kind, recorded.envelope.at, who, old, new, recorded.position)


def _who(recorded: Recorded) -> str:
    """Whoever wrote the message that changed the case, though somebody else's program handed it in."""
    by = recorded.event.by if isinstance(recorded.event, CaseStatusChanged) else ""
    return by or recorded.envelope.who


def _values(event: Any) -> Iterator[tuple[str, str]]:
    match event:
        case CaseLabelsChanged():
            now = {*event.labels, *event.locked_labels}
            yield _joined((now - {*event.added}) | {*event.removed}), _joined(now)
        case CaseFieldsChanged():
            for key, old in event.old.items():
                yield _field(key, old), _field(key, event.values.get(key))
        case CaseRated():
            yield "", event.rating
        case ChatReturned():
            yield str(event.staff_id), "0"
        case ChatStarted() | ChatReopened() | ChatAccepted() | ChatCompleted():
            yield "0", str(event.staff_id)
        case _:
            yield str(event.old), str(event.new)


def _joined(labels: Iterable[int]) -> str:
    return ",".join(map(str, sorted(labels)))


def _field(key: str, value: object) -> str:
    return "" if value is None else f"{key}: {value}"
