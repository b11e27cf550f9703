"""Staff statuses: which can be chosen, by whom, and who takes chats with them."""

from story import ANNA, BORIS, desk

from kanal.domain.errors import (
    StaffNotActive,
    StaffNotFound,
    StaffStatusFixed,
    StaffStatusNotFound,
)
from kanal.domain.staff import (
    NO_CHATS,
    OFFLINE,
    ONLINE,
    STAFF,
    StaffStatusChanged,
    disable_staff,
    enable_staff,
)
from kanal.domain.staff_statuses import (
    OwnStatusChanged,
    OwnStatusCreated,
    change_status,
    create_status,
    set_staff_status,
    takes_chats,
)


def test_everybody_is_offline_until_they_say_otherwise() -> None:
    story = desk().when(set_staff_status, staff_id=BORIS, status_id=OFFLINE).then()
    story.when(set_staff_status, staff_id=BORIS, status_id=ONLINE)
    story.then(StaffStatusChanged(staff_id=BORIS, old=OFFLINE, new=ONLINE))
    story.when(set_staff_status, staff_id=BORIS, status_id=ONLINE).then()
    assert takes_chats(story, BORIS)
    assert not takes_chats(story, ANNA)
    story.given(set_staff_status, staff_id=BORIS, status_id=NO_CHATS)
    assert not takes_chats(story, BORIS)


def test_who_is_disabled_is_offline_and_stays_so_when_enabled() -> None:
    story = desk().given(set_staff_status, staff_id=BORIS, status_id=ONLINE)
    story.given(disable_staff, staff_id=BORIS)
    assert not takes_chats(story, BORIS)
    story.when(set_staff_status, staff_id=BORIS, status_id=ONLINE).refused(StaffNotActive)
    story.when(set_staff_status, staff_id=BORIS, status_id=OFFLINE).then()
    story.given(enable_staff, staff_id=BORIS)
    assert story.load(STAFF, BORIS).status_id == OFFLINE


def test_a_company_has_statuses_of_its_own() -> None:
    story = desk().when(create_status, title="Lunch")
    story.then(OwnStatusCreated(101, "Lunch", False))
    story.given(create_status, title="Second line", takes_chats=True)
    for status_id, takes in [(101, False), (102, True)]:
        story.given(set_staff_status, staff_id=BORIS, status_id=status_id)
        assert takes_chats(story, BORIS) == takes
    story.when(change_status, status_id=102, takes_chats=False)
    story.then(OwnStatusChanged(102, "Second line", False, True))
    assert not takes_chats(story, BORIS)
    story.when(change_status, status_id=102, title="Second line").then()


def test_a_status_that_was_taken_away_is_kept_by_who_has_it_and_chosen_by_nobody() -> None:
    story = desk().given(create_status, title="Second line", takes_chats=True)
    story.given(set_staff_status, staff_id=BORIS, status_id=101)
    story.given(change_status, status_id=101, active=False)
    assert takes_chats(story, BORIS)
    story.when(set_staff_status, staff_id=BORIS, status_id=101).then()
    story.when(set_staff_status, staff_id=ANNA, status_id=101).refused(StaffStatusNotFound)


def test_only_what_is_there_can_be_chosen_and_only_the_company_s_own_changed() -> None:
    story = desk()
    for unknown in (0, 4, 100, 101):
        story.when(set_staff_status, staff_id=BORIS, status_id=unknown).refused(StaffStatusNotFound)
        story.when(change_status, status_id=unknown, title="x").refused(StaffStatusNotFound)
    story.when(set_staff_status, staff_id=9, status_id=ONLINE).refused(StaffNotFound)
    story.when(change_status, status_id=ONLINE, title="x").refused(StaffStatusFixed)
