"""What one caller may reach: made of a role, and of the limits of an API key, in one place.

`scope_of` is the only function that turns roles into a scope. Read models ask it of their tables
(`projections/access.py`), commands of the states at their place in the log (`guarded`), `as_of` of an earlier moment.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.case_events import CaseOpened
from kanal.domain.cases import Case
from kanal.domain.channels import RESTRICTED_CHANNELS, Channel
from kanal.domain.deliveries import DeliveryDecision, DeliveryReplayAsked, DeliveryReplayCancelled
from kanal.domain.errors import (
    BeyondOwnRights,
    CaseNotFound,
    ChannelNotFound,
    KeyIsLimited,
    NoRight,
    NoRightOnChannel,
    UserNotFound,
)
from kanal.domain.event import Event
from kanal.domain.roles import (
    ADMINISTERING,
    BUILT_IN,
    BY_CHANNEL,
    OF_THE_ACCOUNT,
    OWNER,
    RANK,
    RANK_OF_CASES,
    ROLES,
    STAFF_ROLE,
    Cases,
    Grants,
    Level,
    Right,
    existing_role,
)
from kanal.domain.staff import NO_LIMITS, STAFF, KeyLimits, Staff, existing_staff
from kanal.domain.stream import Aggregate
from kanal.domain.users import USERS
from kanal.domain.work import Work

S = TypeVar("S")

MADE = 256
"""Scopes kept: a role and the limits of a key each."""
STANDARD = 0
"""In place of a custom channel's id: all that are not custom."""


ON_ALL = f"{Right.MANAGE_DELIVERIES.value} of all channels: name one"


class Placed(Protocol):
    """A case, whichever way it was read."""

    @property
    def channel_id(self) -> int: ...
    @property
    def group_id(self) -> int: ...
    @property
    def staff_id(self) -> int: ...


class Scope(Struct, frozen=True):
    """The fields' own values are what the system itself reaches: everything."""

    staff_id: int = 0
    owner: bool = True
    rights: frozenset[Right] = frozenset(Right)
    """Also those that are had on some channel only."""
    custom: Level = "manage"
    """On custom channels that are not in `channels`."""
    standard: Level = "manage"
    channels: dict[int, Level] = {}
    groups: frozenset[int] | None = None
    """None: the cases of all."""
    cases: Cases = "all"
    key: KeyLimits = NO_LIMITS
    """Of the API key that is used; channels are within the fields above already."""

    @property
    def sees_all_channels(self) -> bool:
        return "none" not in (self.custom, self.standard, *self.channels.values())

    @property
    def sees_whole_channels(self) -> bool:
        """All cases of the channels that are seen."""
        return self.groups is None and self.cases == "all"

    @property
    def sees_all(self) -> bool:
        return self.sees_whole_channels and self.sees_all_channels

    @property
    def answers_all(self) -> bool:
        levels = (self.custom, self.standard, *self.channels.values())
        return self.sees_whole_channels and all(RANK[each] >= RANK["answer"] for each in levels)

    @property
    def manages_all_channels(self) -> bool:
        return {self.custom, self.standard, *self.channels.values()} == {"manage"}

    def covers(self, other: "Scope") -> bool:
        """Whether it reaches all that the other one does; whose cases are one's own does not count."""
        of_all = other.groups is None
        return (
            (self.owner or not other.owner)
            and self.rights >= other.rights
            and (self.groups is None or not (of_all or (other.groups or frozenset()) - self.groups))
            and RANK_OF_CASES[self.cases] >= RANK_OF_CASES[other.cases]
            and RANK[self.custom] >= RANK[other.custom]
            and RANK[self.standard] >= RANK[other.standard]
            and all(
                self.reaches(each, other.level(each)) for each in {*self.channels, *other.channels}
            )
        )

    def level(self, channel_id: int) -> Level:
        """`channel_id`: 0 for the standard channels; below it, for a rule's webhook, which tells of cases of any channel."""
        if channel_id == STANDARD:
            return self.standard
        if channel_id < STANDARD:
            return "see" if self.sees_all_channels else "none"
        return self.channels.get(channel_id, self.custom)

    def reaches(self, channel_id: int, level: Level) -> bool:
        return RANK[self.level(channel_id)] >= RANK[level]

    def sees(self, case: Placed) -> bool:
        return (
            (self.groups is None or case.group_id in self.groups)
            and (self.cases == "all" or case.staff_id in self.whose)
            and self.reaches(case.channel_id, "see")
        )

    def answers(self, case: Placed) -> bool:
        return self.sees(case) and self.reaches(case.channel_id, "answer")

    @property
    def whose(self) -> tuple[int, ...]:
        """Whose cases are seen, where not everybody's are; 0 for nobody's."""
        return (self.staff_id, 0) if self.cases == "own_and_unassigned" else (self.staff_id,)

    def check(self, right: Right, channel_id: int) -> None:
        """Of a channel's settings, users and deliveries. Raises ChannelNotFound, NoRightOnChannel."""
        if not self.reaches(channel_id, "see"):
            if channel_id == STANDARD:
                raise NoRightOnChannel(channel_id, right.value)
            raise ChannelNotFound(f"cch{channel_id}")
        if not self.reaches(channel_id, BY_CHANNEL.get(right, "see")):
            raise NoRightOnChannel(channel_id, right.value)

    def check_deliveries(self, channel_id: int) -> None:
        """To decide about what goes out: on a channel, on all (0), of a rule's webhook (below 0).

        Raises ChannelNotFound, NoRightOnChannel, NoRight.
        """
        if channel_id < STANDARD and Right.MANAGE_RULES not in self.rights:
            raise NoRight(Right.MANAGE_RULES.value)
        if channel_id == STANDARD and not self.manages_all_channels:
            raise NoRight(ON_ALL)
        if channel_id > STANDARD:
            self.check(Right.MANAGE_DELIVERIES, channel_id)


EVERYTHING = Scope()


def scope_of(
    staff_id: int,
    role_id: int,
    gives: Grants,
    restricted: Iterable[int],
    key: KeyLimits = NO_LIMITS,
) -> Scope:
    """`restricted`: custom channels that only those have whose role names them, and who administer."""
    return replace(_scope(role_id, gives, tuple(sorted(restricted)), key), staff_id=staff_id)


@lru_cache(MADE)
def _scope(role_id: int, gives: Grants, restricted: tuple[int, ...], key: KeyLimits) -> Scope:
    """Of nobody yet. Every command asks for one, and nearly all ask for the same few."""
    channels: dict[int, Level] = {}
    if role_id not in ADMINISTERING:
        channels.update(dict.fromkeys(restricted, "none"))
    channels.update((each.channel_id, each.level) for each in gives.channels)
    custom, standard, account = gives.custom_channels, gives.standard_channels, gives.rights
    if key.channels:
        channels = {each: channels.get(each, custom) for each in key.channels}
        custom = standard = "none"
        account = ()
    highest = max(RANK[level] for level in (custom, standard, *channels.values()))
    rights = {right for right, level in BY_CHANNEL.items() if highest >= RANK[level]}
    return Scope(
        owner=role_id == OWNER,
        rights=frozenset({Right.SEE, *rights, *(OF_THE_ACCOUNT[name] for name in account)}),
        custom=custom,
        standard=standard,
        channels=channels,
        groups=None if gives.all_groups else frozenset(gives.groups),
        cases=gives.cases,
        key=key,
    )


PLAIN_STAFF = scope_of(0, STAFF_ROLE, BUILT_IN[STAFF_ROLE].gives, ())
"""Of the built-in role that whoever is no administrator has unless it is said."""


def scope_in(work: Work, staff: Staff, key: KeyLimits = NO_LIMITS) -> Scope:
    """At this place of the log."""
    role = BUILT_IN.get(staff.role_id) or work.load(ROLES, staff.role_id)
    restricted = work.load(RESTRICTED_CHANNELS, "all")
    return scope_of(staff.staff_id, staff.role_id, role.gives, restricted, key)


class Guarded:
    """A Work in which its caller finds no case and no channel that they may not see, and changes none that they may only see.

    Asked when a case is first loaded, so a command may move it out of its caller's sight, but not touch it there.
    """

    def __init__(self, work: Work, scope: Scope, right: Right) -> None:
        self.scope = scope
        self._work = work
        self._right = right
        self._level: Level = "answer" if right is Right.DELETE else BY_CHANNEL.get(right, "see")
        self._admitted: set[int] = set()
        """Cases."""

    @property
    def now(self) -> int:
        return self._work.now

    def load(self, aggregate: Aggregate[S], key: object) -> S:
        """Raises CaseNotFound, ChannelNotFound, NoRightOnChannel."""
        state = self._work.load(aggregate, key)
        if isinstance(state, Case):
            self._admit(state)
        elif isinstance(state, Channel) and not self.scope.reaches(state.channel_id, "see"):
            raise ChannelNotFound(f"cch{state.channel_id}")
        return state

    def record(self, aggregate: Aggregate[S], key: object, *events: Event) -> None:
        """Raises ChannelNotFound, NoRightOnChannel, NoRight."""
        for event in events:
            match event:
                case CaseOpened():
                    self.scope.check(Right.ANSWER, event.channel_id)
                    self._admitted.add(event.case_id)
                case DeliveryDecision() | DeliveryReplayAsked() | DeliveryReplayCancelled():
                    self.scope.check_deliveries(event.channel_id)
        self._work.record(aggregate, key, *events)

    def take(self, counter: str) -> int:
        return self._work.take(counter)

    def _admit(self, case: Case) -> None:
        if not case.case_id or case.deleted or case.case_id in self._admitted:
            return
        if not self.scope.sees(case):
            raise CaseNotFound(case.case_id)
        if not self.scope.reaches(case.channel_id, self._level):
            raise NoRightOnChannel(case.channel_id, self._right.value)
        self._admitted.add(case.case_id)


def guarded(work: Work, staff: Staff, right: Right, key: KeyLimits = NO_LIMITS) -> Guarded:
    """For a command that this staff member gives and that needs this right. Raises NoRight."""
    scope = scope_in(work, staff, key)
    if right not in scope.rights:
        raise NoRight(right.value)
    return Guarded(work, scope, right)


def check_right(work: Work, staff_id: int, right: Right) -> None:
    """For rights that depend on what a call is about. Raises NoRight."""
    scope = work.scope if isinstance(work, Guarded) else scope_in(work, work.load(STAFF, staff_id))
    if right not in scope.rights:
        raise NoRight(right.value)


def check_own_or_managed(work: Work, staff_id: int) -> None:
    """Of somebody's keys. Raises NoRight, StaffNotFound, BeyondOwnRights, KeyIsLimited."""
    if not isinstance(work, Guarded):
        return
    if work.scope.key != NO_LIMITS:
        raise KeyIsLimited
    if staff_id != work.scope.staff_id:
        check_right(work, work.scope.staff_id, Right.MANAGE_STAFF)
        check_colleague(work, staff_id)


def if_all_is_answered(work: Work, command: Callable[[Work], S]) -> S:
    """For what goes on to act upon cases of all channels, groups and staff by itself. Raises NoRight."""
    if isinstance(work, Guarded) and not work.scope.answers_all:
        raise NoRight("answer all cases")
    return command(work)


def check_channel(work: Work, channel_id: int, right: Right) -> None:
    """Raises ChannelNotFound, NoRightOnChannel."""
    if isinstance(work, Guarded):
        work.scope.check(right, channel_id)


def check_user(work: Work, user_id: int) -> None:
    """Of what a caller does to a profile: a custom channel's own, or one of the standard channels.

    Raises UserNotFound, NoRightOnChannel.
    """
    user = work.load(USERS, user_id)
    if not isinstance(work, Guarded) or not user.user_id or user.deleted:
        return
    if not work.scope.reaches(user.channel_id, "see"):
        raise UserNotFound(user_id)
    if not work.scope.reaches(user.channel_id, "answer"):
        raise NoRightOnChannel(user.channel_id, Right.ANSWER.value)


def check_colleague(work: Work, staff_id: int) -> None:
    """Whoever manages staff cannot act upon those who may more. Raises StaffNotFound, BeyondOwnRights."""
    _check_covered(work, existing_staff(work, staff_id))


def check_role(work: Work, role_id: int) -> None:
    """Nobody gives what they have not, nor beyond the limits of their key. Raises RoleNotFound, BeyondOwnRights, KeyIsLimited."""
    if isinstance(work, Guarded) and work.scope.key != NO_LIMITS:
        raise KeyIsLimited
    existing_role(work, role_id)
    _check_covered(work, Staff(role_id=role_id))


def _check_covered(work: Work, staff: Staff) -> None:
    if isinstance(work, Guarded) and not work.scope.covers(scope_in(work, staff)):
        raise BeyondOwnRights
