"""Roles: what staff may see, answer and manage on each channel, which cases they see, and what they may do of the account.

Three are built in and the same everywhere; a company defines its own. `domain/access.py` makes of a role what one
caller may reach.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.channels import existing_channel
from kanal.domain.errors import RoleFixed, RoleInUse, RoleNotFound
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

Level = Literal["none", "see", "answer", "manage"]
"""In rising order; each holds the ones before it."""
RANK: dict[Level, int] = {level: rank for rank, level in enumerate(get_args(Level))}
Cases = Literal["all", "own_and_unassigned", "own"]
"""Which cases of the channels and groups: whoever's, one's own and nobody's, one's own."""
RANK_OF_CASES: dict[Cases, int] = {"own": 0, "own_and_unassigned": 1, "all": 2}

ADMINISTRATOR, STAFF_ROLE, OWNER = 1, 2, 3
"""The built-in roles; the first two are the numbers that Kanal has always shown."""
LAST_BUILT_IN = 100
"""Own roles are counted from the next."""


class Right(Enum):
    """What a call may need; the table of routes says which one."""

    SEE = "see cases, messages, users, channels and colleagues"
    SEE_DELIVERIES = "see deliveries and their outcomes"
    ANSWER = "open, answer and change cases"
    MANAGE_CHANNEL = "change, pause and disable the channel and see to its secrets"
    MANAGE_DELIVERIES = "hold, skip, retry and replay deliveries"
    DELETE = "delete cases, users and companies for good"
    MANAGE_CHANNELS = "make and delete channels, and say which ones are restricted"
    MANAGE_STAFF = "make and disable staff, groups, roles and API keys"
    SHARE = "make, change and delete filters and macros that are everybody's"
    MANAGE_FIELDS = "delete labels and define custom fields, languages and e-mail addresses"
    MANAGE_RULES = "make, change and delete rules, and see what they would do"
    SEE_STATISTICS = "see statistics"
    AUDIT = "read the event log"


BY_CHANNEL: dict[Right, Level] = {
    Right.SEE: "see",
    Right.SEE_DELIVERIES: "see",
    Right.ANSWER: "answer",
    Right.MANAGE_CHANNEL: "manage",
    Right.MANAGE_DELIVERIES: "manage",
}
"""Rights that one has where one has that level. All others are of the account."""
OF_THE_ACCOUNT: dict[str, Right] = {
    right.name.lower(): right for right in Right if right not in BY_CHANNEL
}
"""By their names in events and answers."""


class ChannelLevel(Struct, frozen=True):
    channel_id: int
    level: Level


class Grants(Struct, frozen=True):
    """What a role gives."""

    custom_channels: Level = "none"
    """On the custom channels that are not named, unless they are restricted."""
    standard_channels: Level = "none"
    """On e-mail, telephone, messengers: all that are not custom."""
    channels: tuple[ChannelLevel, ...] = ()
    """By channel_id; may name channels that have been deleted since, whose cases are still there."""
    all_groups: bool = True
    groups: tuple[int, ...] = ()
    """Whose cases are seen, unless those of all are; 0 for cases of no group."""
    cases: Cases = "all"
    rights: tuple[str, ...] = ()
    """Of the account, sorted."""


class RoleCreated(Event, frozen=True):
    NAME = "role.created.1"
    role_id: int
    title: str
    gives: Grants


class RoleChanged(Event, frozen=True):
    """Holds the whole new role."""

    NAME = "role.changed.1"
    role_id: int
    title: str
    gives: Grants


class RoleDeleted(Event, frozen=True):
    NAME = "role.deleted.1"
    role_id: int


class RoleGiven(Event, frozen=True):
    """In the stream of the role's holders; of the owner's role and of own ones."""

    NAME = "role_holders.given.1"
    role_id: int
    staff_id: int


class RoleTaken(Event, frozen=True):
    NAME = "role_holders.taken.1"
    role_id: int
    staff_id: int


class Role(Struct, frozen=True):
    role_id: int = 0
    title: str = ""
    gives: Grants = Grants()
    deleted: bool = False


def evolve(role: Role, event: Event) -> Role:
    match event:
        case RoleCreated() | RoleChanged():
            return Role(role_id=event.role_id, title=event.title, gives=event.gives)
        case RoleDeleted():
            return replace(role, deleted=True)
    return role


ROLES = Aggregate("role", Role(), evolve)


def evolve_holders(staff_ids: tuple[int, ...], event: Event) -> tuple[int, ...]:
    match event:
        case RoleGiven():
            return (*staff_ids, event.staff_id)
        case RoleTaken():
            return tuple(each for each in staff_ids if each != event.staff_id)
    return staff_ids


ROLE_HOLDERS: Aggregate[tuple[int, ...]] = Aggregate("role_holders", (), evolve_holders)
"""Role id -> who has it and is not deleted; not kept of administrators and plain staff."""

EVERYTHING = Grants(
    custom_channels="manage", standard_channels="manage", rights=tuple(sorted(OF_THE_ACCOUNT))
)
BUILT_IN: dict[int, Role] = {
    ADMINISTRATOR: Role(ADMINISTRATOR, "administrator", EVERYTHING),
    STAFF_ROLE: Role(
        STAFF_ROLE,
        "staff",
        Grants(custom_channels="answer", standard_channels="answer", rights=("see_statistics",)),
    ),
    OWNER: Role(OWNER, "owner", EVERYTHING),
}
"""Only staff with full access delete for good (Omnidesk's rule for users, kept for cases)."""
ADMINISTERING = (ADMINISTRATOR, OWNER)
"""They have restricted channels too."""


def create_role(work: Work, *, title: str, gives: Grants) -> int:
    """The new role's id. Raises ChannelNotFound, GroupNotFound."""
    role_id = LAST_BUILT_IN + work.take("role")
    created = RoleCreated(role_id, title, _checked(work, gives, Grants()))
    work.record(ROLES, role_id, created)
    return role_id


def change_role(work: Work, *, role_id: int, title: str | None = None, **gives: Any) -> int:
    """`gives`: any fields of Grants. What stays the same is no event.

    Raises RoleNotFound, RoleFixed, ChannelNotFound, GroupNotFound.
    """
    role = own_role(work, role_id)
    kept = _checked(work, replace(role.gives, **gives), role.gives)
    changed = replace(role, title=role.title if title is None else title, gives=kept)
    if changed != role:
        work.record(ROLES, role_id, RoleChanged(role_id, changed.title, changed.gives))
    return role_id


def delete_role(work: Work, *, role_id: int) -> int:
    """Raises RoleNotFound, RoleFixed, RoleInUse."""
    own_role(work, role_id)
    holders = work.load(ROLE_HOLDERS, role_id)
    if holders:
        raise RoleInUse(role_id, holders)
    work.record(ROLES, role_id, RoleDeleted(role_id))
    return role_id


def existing_role(work: Work, role_id: int) -> Role:
    """Built in or own. Raises RoleNotFound."""
    role = BUILT_IN.get(role_id) or work.load(ROLES, role_id)
    if not role.role_id or role.deleted:
        raise RoleNotFound(role_id)
    return role


def own_role(work: Work, role_id: int) -> Role:
    """Raises RoleNotFound, RoleFixed."""
    if role_id in BUILT_IN:
        raise RoleFixed(role_id)
    return existing_role(work, role_id)


def give_role(work: Work, role_id: int, staff_id: int) -> None:
    """Note in the role's stream who has it."""
    if role_id not in (ADMINISTRATOR, STAFF_ROLE):
        work.record(ROLE_HOLDERS, role_id, RoleGiven(role_id, staff_id))


def take_role(work: Work, role_id: int, staff_id: int) -> None:
    if staff_id in work.load(ROLE_HOLDERS, role_id):
        work.record(ROLE_HOLDERS, role_id, RoleTaken(role_id, staff_id))


def _checked(work: Work, gives: Grants, before: Grants) -> Grants:
    """In one order, each channel once. What it names anew exists; what it named before may have been deleted since."""
    known = {each.channel_id for each in before.channels}
    levels = {each.channel_id: each for each in gives.channels}
    for channel_id in levels.keys() - known:
        existing_channel(work, channel_id)
    for group_id in set(gives.groups) - {0, *before.groups}:
        existing_group(work, group_id)
    return replace(
        gives,
        channels=tuple(levels[channel_id] for channel_id in sorted(levels)),
        groups=() if gives.all_groups else _sorted(gives.groups),
        rights=_sorted(gives.rights),
    )


def _sorted(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))
