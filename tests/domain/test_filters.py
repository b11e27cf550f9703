"""Filters: one's own and everybody's."""

import pytest
from story import ANNA, BORIS, Story, desk

from kanal.domain.errors import FilterNotFound, NoRight
from kanal.domain.filters import (
    FilterChanged,
    FilterCreated,
    FilterDeleted,
    FilterSelected,
    change_filter,
    create_filter,
    delete_filter,
    select_filter,
)

OPEN = {"status": ["open"]}
BORIS_OWN, SHARED = 101, 102


def with_filters() -> Story:
    story = desk().given(create_filter, by=BORIS, title="Mine", conditions=OPEN)
    return story.given(create_filter, by=ANNA, title="Ours", conditions={}, shared=True)


def test_defined_filters_are_counted_past_the_built_in_ones() -> None:
    story = desk().when(create_filter, by=BORIS, title="Mine", conditions=OPEN)
    assert story.result == BORIS_OWN
    created = FilterCreated(filter_id=BORIS_OWN, staff_id=BORIS, title="Mine", conditions=OPEN)
    story.then(created)
    story.when(create_filter, by=ANNA, title="Ours", conditions={}, shared=True).then(
        FilterCreated(filter_id=SHARED, staff_id=0, title="Ours", conditions={})
    )


def test_a_changed_filter_is_one_event_with_the_whole_of_it() -> None:
    story = with_filters()
    changed = FilterChanged(filter_id=BORIS_OWN, title="New", conditions=OPEN)
    story.when(change_filter, by=BORIS, filter_id=BORIS_OWN, title="New").then(changed)
    story.when(change_filter, by=BORIS, filter_id=BORIS_OWN, title="New", conditions=OPEN).then()
    changed = FilterChanged(filter_id=BORIS_OWN, title="New", conditions={})
    story.when(change_filter, by=BORIS, filter_id=BORIS_OWN, conditions={}).then(changed)


@pytest.mark.parametrize("command", [change_filter, delete_filter, select_filter])
def test_nobody_elses_filter_is_touched_not_even_by_an_administrator(command: object) -> None:
    story = with_filters().when(command, by=ANNA, filter_id=BORIS_OWN).refused(FilterNotFound)
    story.when(command, by=ANNA, filter_id=999).refused(FilterNotFound)
    story.given(delete_filter, by=BORIS, filter_id=BORIS_OWN)
    story.when(command, by=BORIS, filter_id=BORIS_OWN).refused(FilterNotFound)


def test_what_is_everybodys_is_for_administrators_to_change() -> None:
    story = with_filters()
    story.when(create_filter, by=BORIS, title="x", conditions={}, shared=True).refused(NoRight)
    story.when(change_filter, by=BORIS, filter_id=SHARED, title="x").refused(NoRight)
    story.when(delete_filter, by=BORIS, filter_id=SHARED).refused(NoRight)
    story.when(delete_filter, by=ANNA, filter_id=SHARED).then(FilterDeleted(SHARED))


def test_each_selects_for_themselves() -> None:
    story = with_filters()
    for by, filter_id in ((BORIS, SHARED), (ANNA, SHARED), (BORIS, BORIS_OWN), (BORIS, 1)):
        selected = FilterSelected(staff_id=by, filter_id=filter_id)
        story.when(select_filter, by=by, filter_id=filter_id).then(selected)
        story.when(select_filter, by=by, filter_id=filter_id).then()
