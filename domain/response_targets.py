"""Response targets: by when a user is to have a first and a next answer, and a case is to be closed.

A target holds for channels, groups and priorities; of those that hold for a case the most particular counts.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from kanal.domain.business_hours import Calendar, moment_after
from kanal.domain.case_events import Priority
from kanal.domain.channels import existing_channel
from kanal.domain.errors import (
    ResponseTargetNotFound,
    TargetWithoutTime,
    TooManyResponseTargets,
)
from kanal.domain.event import Event
from kanal.domain.groups import existing_group
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

Measure = Literal["first_response", "next_response", "resolution"]
"""From a user's opening of a case to the first reply; from the first message that waits to the reply; from opening to closing."""
Hours = Literal["clock", "business"]

CUSTOM: Final = "cch"
"""What the key of a custom channel begins with."""
MINUTE: Final = 60_000_000
MAX_MINUTES: Final = 366 * 24 * 60
MAX_TARGETS: Final = 100
"""Each is looked at when a wait begins."""


class Target(Struct, frozen=True):
    """Of what is empty, all. A time of 0 minutes is no target."""

    title: str
    channels: tuple[str, ...] = ()
    """`cch1` or names of standard ones."""
    groups: tuple[int, ...] = ()
    priorities: tuple[Priority, ...] = ()
    first_response: int = 0
    next_response: int = 0
    resolution: int = 0
    hours: Hours = "business"

    def holds_for(self, channel: str, group_id: int, priority: Priority) -> bool:
        return (
            (not self.channels or channel in self.channels)
            and (not self.groups or group_id in self.groups)
            and (not self.priorities or priority in self.priorities)
        )

    @property
    def particular(self) -> int:
        """By how much of channel, group and priority it is limited."""
        return bool(self.channels) + bool(self.groups) + bool(self.priorities)

    def deadline(self, measure: Measure, since: int, calendar: Calendar | None) -> int:
        """Of what began then; 0 if there is none. `calendar`: of the case's group. All in microseconds."""
        minutes: int = getattr(self, measure)
        if not minutes:
            return 0
        return (
            moment_after(calendar if self.hours == "business" else None, since, minutes * MINUTE)
            or 0
        )


class Deadline(Struct, frozen=True):
    """By when a wait that goes on is to end."""

    position: int
    """Of the event with which the wait began; next to it that event's version in the case's stream."""
    version: int
    at: int


Deadlines = Mapping[Measure, Deadline]
"""Of one case; what has no target is not there."""


class ResponseTargetSet(Event, frozen=True):
    """Made or changed. Holds all of it, so that a reader needs no earlier event."""

    NAME = "response_target.set.1"
    response_target_id: int
    target: Target


class ResponseTargetDeleted(Event, frozen=True):
    NAME = "response_target.deleted.1"
    response_target_id: int


class ResponseTarget(Struct, frozen=True):
    response_target_id: int
    target: Target


class AccountTargets(Struct, frozen=True):
    """All that are known, the oldest first."""

    known: tuple[ResponseTarget, ...] = ()

    def of_case(self, channel: str, group_id: int, priority: Priority) -> Target | None:
        """The most particular one that holds for such a case, of several the oldest."""
        found: Target | None = None
        for each in self.known:
            if each.target.holds_for(channel, group_id, priority) and (
                found is None or each.target.particular > found.particular
            ):
                found = each.target
        return found


def evolve(targets: AccountTargets, event: Event) -> AccountTargets:
    match event:
        case ResponseTargetSet():
            new = ResponseTarget(event.response_target_id, event.target)
            others = _without(targets, event.response_target_id)
            return AccountTargets(
                tuple(sorted([*others, new], key=lambda one: one.response_target_id))
            )
        case ResponseTargetDeleted():
            return AccountTargets(tuple(_without(targets, event.response_target_id)))
    return targets


def _without(targets: AccountTargets, response_target_id: int) -> list[ResponseTarget]:
    return [one for one in targets.known if one.response_target_id != response_target_id]


RESPONSE_TARGETS = Aggregate("response_targets", AccountTargets(), evolve)
"""One stream, key "all": there are few."""


def add_response_target(work: Work, *, target: Target) -> int:
    """The new id. Raises TargetWithoutTime, ChannelNotFound, ChannelDeleted, GroupNotFound, TooManyResponseTargets."""
    if len(work.load(RESPONSE_TARGETS, "all").known) >= MAX_TARGETS:
        raise TooManyResponseTargets(MAX_TARGETS)
    _check(work, target)
    response_target_id = work.take("response_target")
    work.record(RESPONSE_TARGETS, "all", ResponseTargetSet(response_target_id, target))
    return response_target_id


def change_response_target(work: Work, *, response_target_id: int, **changes: object) -> int:
    """`changes`: fields of Target. What stays the same is no event, and is not checked anew.

    Raises ResponseTargetNotFound, TargetWithoutTime, ChannelNotFound, ChannelDeleted, GroupNotFound.
    """
    target = _existing(work, response_target_id)
    changed = replace(target, **changes)
    if changed != target:
        _check(work, changed, before=target)
        work.record(RESPONSE_TARGETS, "all", ResponseTargetSet(response_target_id, changed))
    return response_target_id


def delete_response_target(work: Work, *, response_target_id: int) -> int:
    """Raises ResponseTargetNotFound."""
    _existing(work, response_target_id)
    work.record(RESPONSE_TARGETS, "all", ResponseTargetDeleted(response_target_id))
    return response_target_id


def _existing(work: Work, response_target_id: int) -> Target:
    for each in work.load(RESPONSE_TARGETS, "all").known:
        if each.response_target_id == response_target_id:
            return each.target
    raise ResponseTargetNotFound(response_target_id)


def _check(work: Work, target: Target, before: Target | None = None) -> None:
    """What was there before may have been deleted since."""
    times = ("first_response", "next_response", "resolution")
    if not any(asdict(target)[name] for name in times):
        raise TargetWithoutTime([f"{name}_minutes" for name in times])
    for channel in set(target.channels) - set(before.channels if before else ()):
        if channel.startswith(CUSTOM):
            existing_channel(work, int(channel.removeprefix(CUSTOM)))
    for group_id in set(target.groups) - set(before.groups if before else ()):
        existing_group(work, group_id)
