"""Who could see a case at some moment of the log: the states of staff and roles as they were, and the scope of each."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from kanal.domain.access import Scope, scope_of
from kanal.domain.case_events import CaseAssigned, CaseDeleted, CaseGroupChanged, CaseOpened
from kanal.domain.cases import CASES
from kanal.domain.channels import (
    RESTRICTED_CHANNELS,
    ChannelOpenedToRoles,
    ChannelRestricted,
)
from kanal.domain.event import Event
from kanal.domain.roles import (
    BUILT_IN,
    ROLES,
    Level,
    Role,
    RoleChanged,
    RoleCreated,
)
from kanal.domain.staff import (
    STAFF,
    StaffChanged,
    StaffCreated,
    StaffRoleChanged,
    StaffWasDeleted,
    StaffWasDisabled,
    StaffWasEnabled,
)
from kanal.domain.stream import Aggregate
from kanal.eventlog.database import Database
from kanal.eventlog.stream_ids import StreamIds
from kanal.projections.read_model import Views

DECISIVE: tuple[type[Event], ...] = (
    CaseOpened,
    CaseAssigned,
    CaseGroupChanged,
    CaseDeleted,
    StaffCreated,
    StaffChanged,
    StaffRoleChanged,
    StaffWasDisabled,
    StaffWasEnabled,
    StaffWasDeleted,
    RoleCreated,
    RoleChanged,
    ChannelRestricted,
    ChannelOpenedToRoles,
)
"""What it depends on; a busy case and staff who often change their status have far more events than these."""
NAMES = [event.NAME for event in DECISIVE]


class Viewer(NamedTuple):
    """As they were then."""

    staff_id: int
    full_name: str
    role_id: int
    role_title: str
    level: Level
    """On the case's channel."""


class Reach(NamedTuple):
    """A staff member as they were then, and what they could reach."""

    staff_id: int
    full_name: str
    email: str
    role_id: int
    role_title: str
    scope: Scope


class Log(NamedTuple):
    """The log up to a position."""

    connection: Connection
    database: Database
    stream_ids: StreamIds
    upto: int

    def states(self, wanted: Iterable[tuple[Aggregate[Any], object]]) -> dict[tuple[str, Any], Any]:
        """By kind and key."""
        places = {
            self.stream_ids.of(aggregate, str(key)).hex: (aggregate, key)
            for aggregate, key in wanted
        }
        states = {(aggregate.kind, key): aggregate.initial for aggregate, key in places.values()}
        events = self.database.events
        query = select(events).where(
            events.c.stream_id.in_([self.stream_ids.of(a, str(key)) for a, key in places.values()]),
            events.c.name.in_(NAMES),
            events.c.position <= self.upto,
        )
        for recorded in self.database.decoded(self.connection, query.order_by(events.c.position)):
            aggregate, key = places[recorded.stream_id]
            place = (aggregate.kind, key)
            states[place] = aggregate.evolve(states[place], recorded.event)
        return states


def everybody(views: Views, log: Log) -> list[Reach]:
    """Whoever was active then, by staff_id."""
    staff_rows = select(views.staff["staff"].c.staff_id).order_by(views.staff["staff"].c.staff_id)
    staff_ids = list(log.connection.scalars(staff_rows))
    states = log.states([(RESTRICTED_CHANNELS, "all"), *((STAFF, i) for i in staff_ids)])
    active = [staff for staff in (states[STAFF.kind, i] for i in staff_ids) if staff.active]
    own = {staff.role_id for staff in active} - BUILT_IN.keys()
    found = log.states((ROLES, role_id) for role_id in own)
    roles: dict[int, Role] = {
        **BUILT_IN,
        **{role_id: found[ROLES.kind, role_id] for role_id in own},
    }
    restricted = states[RESTRICTED_CHANNELS.kind, "all"]
    return [
        Reach(
            staff.staff_id,
            staff.profile.full_name,
            staff.profile.email,
            staff.role_id,
            roles[staff.role_id].title,
            scope_of(staff.staff_id, staff.role_id, roles[staff.role_id].gives, restricted),
        )
        for staff in active
    ]


def viewers(views: Views, log: Log, case_id: int) -> list[Viewer] | None:
    """Whoever was active then and whose role let them see it, by staff_id; None if it was not there."""
    case = log.states([(CASES, case_id)])[CASES.kind, case_id]
    if not case.case_id or case.deleted:
        return None
    return [
        Viewer(
            each.staff_id,
            each.full_name,
            each.role_id,
            each.role_title,
            each.scope.level(case.channel_id),
        )
        for each in everybody(views, log)
        if each.scope.sees(case)
    ]
