"""Where in the log the events of one case, user or channel stand, so that its history can be paged."""

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import Connection, MetaData, Table, select

from kanal.domain.cases import (
    CaseAssigned,
    CaseDeleted,
    CaseGroupChanged,
    CaseMarkedAsSpam,
    CaseOpened,
    CasePriorityChanged,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    MessageAdded,
)
from kanal.domain.channels import (
    ChannelChanged,
    ChannelCreated,
    ChannelWasDeleted,
    ChannelWasDisabled,
    ChannelWasEnabled,
)
from kanal.domain.deliveries import DeliveryDeadLettered
from kanal.domain.identities import IdentityClaimed
from kanal.domain.links import ContactLinked
from kanal.domain.stream import Recorded
from kanal.domain.users import UserChanged, UserLinked, UserLinkRefused, UserRegistered
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, number, text

Kind = Literal["case", "user", "channel"]


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("history"),
        metadata,
        text("kind", key=True),
        number("id", key=True),
        number("position", key=True),
        sqlite_with_rowid=False,
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    history = tables["history"]
    event: Any = recorded.event
    position = recorded.position
    case_id = getattr(event, "case_id", 0)
    if case_id:
        changes.insert(history, {"kind": "case", "id": case_id, "position": position})
    channel_id = getattr(event, "channel_id", 0)
    if channel_id:
        changes.insert(history, {"kind": "channel", "id": channel_id, "position": position})
    for user_id in recorded.envelope.about:
        changes.insert(history, {"kind": "user", "id": user_id, "position": position})


PROJECTION = ReadModel(
    name="history",
    version=1,
    handles=dict.fromkeys(
        (
            CaseOpened,
            MessageAdded,
            CaseStatusChanged,
            CasePriorityChanged,
            CaseSubjectChanged,
            CaseAssigned,
            CaseGroupChanged,
            CaseTrashed,
            CaseMarkedAsSpam,
            CaseRestored,
            CaseDeleted,
            UserRegistered,
            UserChanged,
            UserLinked,
            UserLinkRefused,
            IdentityClaimed,
            ContactLinked,
            ChannelCreated,
            ChannelChanged,
            ChannelWasDisabled,
            ChannelWasEnabled,
            ChannelWasDeleted,
            DeliveryDeadLettered,
        ),
        fold,
    ),
    define=define,
)


def positions(
    connection: Connection, views: Views, kind: Kind, id: int, after: int, limit: int
) -> list[int]:
    """Positions behind `after`, the oldest first."""
    history = views.history["history"].c
    query = (
        select(history.position)
        .where(history.kind == kind, history.id == id, history.position > after)
        .order_by(history.position)
        .limit(limit)
    )
    return list(connection.scalars(query))
