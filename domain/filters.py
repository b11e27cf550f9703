"""Filters: conditions for lists of cases under a name, of one staff member or for everybody."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.access import check_right
from kanal.domain.errors import FilterNotFound
from kanal.domain.event import Event
from kanal.domain.roles import Right
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work

LAST_BUILT_IN = 100
"""Filters up to this id are Kanal's own and the same everywhere; defined ones are counted from the next."""

Conditions = dict[str, Any]
"""Parameters of the list of cases, as a caller gives them."""


class FilterCreated(Event, frozen=True):
    NAME = "filter.created.1"
    PERSONAL = ("conditions",)
    filter_id: int
    staff_id: int
    """Whose it is, 0 for everybody's."""
    title: str
    conditions: Any


class FilterChanged(Event, frozen=True):
    """Holds the whole new filter."""

    NAME = "filter.changed.1"
    PERSONAL = ("conditions",)
    filter_id: int
    title: str
    conditions: Any


class FilterDeleted(Event, frozen=True):
    NAME = "filter.deleted.1"
    filter_id: int


class FilterSelected(Event, frozen=True):
    """In a stream of the staff member's own."""

    NAME = "filter_choice.selected.1"
    staff_id: int
    filter_id: int


class Filter(Struct, frozen=True):
    filter_id: int = 0
    staff_id: int = 0
    title: str = ""
    conditions: Conditions = {}
    deleted: bool = False


def evolve(filter_: Filter, event: Event) -> Filter:
    match event:
        case FilterCreated():
            return Filter(
                filter_id=event.filter_id,
                staff_id=event.staff_id,
                title=event.title,
                conditions=event.conditions,
            )
        case FilterChanged():
            return replace(filter_, title=event.title, conditions=event.conditions)
        case FilterDeleted():
            return replace(filter_, deleted=True)
    return filter_


FILTERS = Aggregate("filter", Filter(), evolve)


def evolve_choice(filter_id: int, event: Event) -> int:
    return event.filter_id if isinstance(event, FilterSelected) else filter_id


FILTER_CHOICES: Aggregate[int] = Aggregate("filter_choice", 0, evolve_choice)
"""Staff id -> the filter that they selected last, 0 for none."""


def create_filter(
    work: Work, *, by: int, title: str, conditions: Conditions, shared: bool = False
) -> int:
    """The new filter's id. `by`: the staff member whose it is, unless it is shared. Raises NoRight."""
    if shared:
        check_right(work, by, Right.SHARE)
    filter_id = LAST_BUILT_IN + work.take("defined_filter")
    created = FilterCreated(
        filter_id=filter_id,
        staff_id=0 if shared else by,
        title=title,
        conditions=conditions,
    )
    work.record(FILTERS, filter_id, created)
    return filter_id


def change_filter(
    work: Work,
    *,
    by: int,
    filter_id: int,
    title: str | None = None,
    conditions: Conditions | None = None,
) -> int:
    """None means "as it is". What stays the same is no event. Raises FilterNotFound, NoRight."""
    filter_ = _own_filter(work, by, filter_id)
    changed = replace(
        filter_,
        title=filter_.title if title is None else title,
        conditions=filter_.conditions if conditions is None else conditions,
    )
    if changed != filter_:
        event = FilterChanged(
            filter_id=filter_id, title=changed.title, conditions=changed.conditions
        )
        work.record(FILTERS, filter_id, event)
    return filter_id


def delete_filter(work: Work, *, by: int, filter_id: int) -> int:
    """Raises FilterNotFound, NoRight."""
    _own_filter(work, by, filter_id)
    work.record(FILTERS, filter_id, FilterDeleted(filter_id))
    return filter_id


def select_filter(work: Work, *, by: int, filter_id: int) -> int:
    """Raises FilterNotFound."""
    if filter_id > LAST_BUILT_IN:
        _visible_filter(work, by, filter_id)
    if work.load(FILTER_CHOICES, by) != filter_id:
        selected = FilterSelected(staff_id=by, filter_id=filter_id)
        work.record(FILTER_CHOICES, by, selected)
    return filter_id


def _visible_filter(work: Work, by: int, filter_id: int) -> Filter:
    """One's own or everybody's. Raises FilterNotFound."""
    filter_ = work.load(FILTERS, filter_id)
    if not filter_.filter_id or filter_.deleted or filter_.staff_id not in (0, by):
        raise FilterNotFound(filter_id)
    return filter_


def _own_filter(work: Work, by: int, filter_id: int) -> Filter:
    """One that this staff member may change. Raises FilterNotFound, NoRight."""
    filter_ = _visible_filter(work, by, filter_id)
    if not filter_.staff_id:
        check_right(work, by, Right.SHARE)
    return filter_
