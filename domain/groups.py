"""Groups of staff, to which cases can be given."""

from msgspec import Struct

from kanal.domain.errors import GroupNotFound
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class GroupCreated(Event, frozen=True):
    NAME = "group.created.1"
    group_id: int
    title: str
    from_name: str
    signature: str


class Group(Struct, frozen=True):
    group_id: int = 0
    title: str = ""


def evolve(group: Group, event: Event) -> Group:
    if isinstance(event, GroupCreated):
        return Group(group_id=event.group_id, title=event.title)
    return group


GROUPS = Aggregate("group", Group(), evolve)


def create_group(work: Work, *, title: str, from_name: str = "", signature: str = "") -> int:
    """The new group's id."""
    group_id = work.take("group")
    created = GroupCreated(group_id=group_id, title=title, from_name=from_name, signature=signature)
    work.record(GROUPS, group_id, created)
    return group_id


def existing_group(work: Work, group_id: int) -> Group:
    """Raises GroupNotFound."""
    group = work.load(GROUPS, group_id)
    if not group.group_id:
        raise GroupNotFound(group_id)
    return group
