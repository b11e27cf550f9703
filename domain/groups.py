"""Groups of staff, to which cases can be given."""

from msgspec import Struct
from msgspec.structs import asdict, replace

from kanal.domain.errors import GroupNotActive, GroupNotFound, SelfReplacement
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class GroupCreated(Event, frozen=True):
    NAME = "group.created.1"
    group_id: int
    title: str
    from_name: str
    signature: str


class GroupChanged(Event, frozen=True):
    """Holds the whole new settings."""

    NAME = "group.changed.1"
    group_id: int
    title: str
    from_name: str
    signature: str


class GroupWasDisabled(Event, frozen=True):
    NAME = "group.disabled.1"
    group_id: int
    replace_group_id: int
    """Which group gets the cases that are not closed; 0: they stay with the one that is disabled."""
    hand_over_id: int
    """0 if nothing is handed over."""


class GroupWasEnabled(Event, frozen=True):
    """Cases that were not handed over yet stay."""

    NAME = "group.enabled.1"
    group_id: int


class GroupWasDeleted(Event, frozen=True):
    NAME = "group.deleted.1"
    group_id: int
    replace_group_id: int
    """Which group gets the cases that are not closed, 0 for none."""
    hand_over_id: int


class GroupCasesHandedOver(Event, frozen=True):
    """No case that is not closed is the group's any more."""

    NAME = "group.cases_handed_over.1"
    group_id: int
    hand_over_id: int


class Settings(Struct, frozen=True):
    title: str = ""
    from_name: str = ""
    signature: str = ""


class Group(Struct, frozen=True):
    group_id: int = 0
    settings: Settings = Settings()
    active: bool = False
    deleted: bool = False
    successor: int | None = None
    """Which group gets its cases, 0 for none; None while it keeps them."""
    hand_over_id: int = 0
    """Of the hand-over that may still have cases to go, 0 for none."""


def evolve(group: Group, event: Event) -> Group:
    match event:
        case GroupCreated():
            return Group(group_id=event.group_id, settings=_settings_of(event), active=True)
        case GroupChanged():
            return replace(group, settings=_settings_of(event))
        case GroupWasDisabled():
            return replace(
                group,
                active=False,
                successor=event.replace_group_id or None,
                hand_over_id=event.hand_over_id,
            )
        case GroupWasEnabled():
            return replace(group, active=True, successor=None, hand_over_id=0)
        case GroupWasDeleted():
            return replace(
                group,
                active=False,
                deleted=True,
                successor=event.replace_group_id,
                hand_over_id=event.hand_over_id,
            )
        case GroupCasesHandedOver():
            return replace(group, hand_over_id=0)
    return group


def _settings_of(event: GroupCreated | GroupChanged) -> Settings:
    return Settings(title=event.title, from_name=event.from_name, signature=event.signature)


GROUPS = Aggregate("group", Group(), evolve, version=2)


def create_group(work: Work, *, title: str, from_name: str = "", signature: str = "") -> int:
    """The new group's id."""
    group_id = work.take("group")
    created = GroupCreated(group_id=group_id, title=title, from_name=from_name, signature=signature)
    work.record(GROUPS, group_id, created)
    return group_id


def change_group(work: Work, *, group_id: int, **changes: str) -> int:
    """`changes`: any of title, from_name, signature. What stays the same is no event. Raises GroupNotFound."""
    settings = existing_group(work, group_id).settings
    changed = replace(settings, **changes)
    if changed != settings:
        work.record(GROUPS, group_id, GroupChanged(group_id=group_id, **asdict(changed)))
    return group_id


def disable_group(work: Work, *, group_id: int, replace_group_id: int = 0) -> int:
    """`replace_group_id`: which group gets the cases that are not closed. They are handed over in steps
    (hand_overs.py).

    Raises GroupNotFound, GroupNotActive or SelfReplacement.
    """
    group = existing_group(work, group_id)
    _check_successor(work, group_id, replace_group_id)
    if group.active or replace_group_id not in (0, group.successor):
        disabled = GroupWasDisabled(
            group_id=group_id,
            replace_group_id=replace_group_id,
            hand_over_id=work.take("hand_over") if replace_group_id else 0,
        )
        work.record(GROUPS, group_id, disabled)
    return group_id


def enable_group(work: Work, *, group_id: int) -> int:
    """Raises GroupNotFound."""
    if not existing_group(work, group_id).active:
        work.record(GROUPS, group_id, GroupWasEnabled(group_id))
    return group_id


def delete_group(work: Work, *, group_id: int, replace_group_id: int = 0) -> int:
    """For good; closed cases still name the id. Without a replacement no group gets the cases.

    Raises GroupNotFound, GroupNotActive or SelfReplacement.
    """
    existing_group(work, group_id)
    _check_successor(work, group_id, replace_group_id)
    deleted = GroupWasDeleted(
        group_id=group_id, replace_group_id=replace_group_id, hand_over_id=work.take("hand_over")
    )
    work.record(GROUPS, group_id, deleted)
    return group_id


def group_after(work: Work, group_id: int) -> int:
    """Which group a case of that group belongs to by now, as `staff_after` says it of staff."""
    group = work.load(GROUPS, group_id)
    while group.successor:
        group = work.load(GROUPS, group.successor)
    if group.successor == 0 or (group.group_id != group_id and not group.active):
        return 0
    return group.group_id


def finish_hand_over(work: Work, *, group_id: int, hand_over_id: int) -> None:
    """Unless it was called off, or another one has begun meanwhile."""
    if work.load(GROUPS, group_id).hand_over_id == hand_over_id:
        work.record(GROUPS, group_id, GroupCasesHandedOver(group_id, hand_over_id))


def existing_group(work: Work, group_id: int) -> Group:
    """A group that is not deleted; maybe disabled. Raises GroupNotFound."""
    group = work.load(GROUPS, group_id)
    if not group.group_id or group.deleted:
        raise GroupNotFound(group_id)
    return group


def active_group(work: Work, group_id: int) -> Group:
    """Raises GroupNotFound or GroupNotActive."""
    group = existing_group(work, group_id)
    if not group.active:
        raise GroupNotActive(group_id)
    return group


def _check_successor(work: Work, group_id: int, successor: int) -> None:
    if successor == group_id:
        raise SelfReplacement
    if successor:
        active_group(work, successor)
