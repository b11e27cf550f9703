"""What becomes of the cases of staff members and groups that leave."""

import pytest
from folding import email
from story import ANNA, BORIS, Story, desk, person

from kanal.domain.case_events import CaseAssigned, CaseGroupChanged, CaseStatusChanged
from kanal.domain.cases import change_case, delete_case, trash_case
from kanal.domain.conversation import add_user_message, open_case
from kanal.domain.errors import GroupNotActive
from kanal.domain.groups import (
    GroupCasesHandedOver,
    create_group,
    delete_group,
    disable_group,
    enable_group,
)
from kanal.domain.hand_overs import hand_over_cases
from kanal.domain.staff import (
    StaffCasesHandedOver,
    create_staff,
    delete_staff,
    disable_staff,
    enable_staff,
)

CLARA = 3
SALES, SUPPORT = 1, 2
ABOUT = {"case_id": 1, "user_id": 1, "channel_id": 1}


def boris_case(**changes: object) -> Story:
    """Case 1 is Boris' and Sales'; there are Clara and Support too."""
    story = desk().given(create_group, title="Support")
    story.given(
        create_staff, email=email("clara@example.com"), full_name="Clara", key_fingerprint="f"
    )
    story.given(open_case, who=person("u1"), content="Hello")
    return story.given(change_case, case_id=1, staff_id=BORIS, group_id=SALES, **changes)


@pytest.mark.parametrize("leave", [disable_staff, delete_staff])
def test_a_case_goes_to_the_replacement_once(leave: object) -> None:
    story = boris_case().given(leave, staff_id=BORIS, replace_staff_id=CLARA)
    story.when(hand_over_cases, case_ids=[1]).then(CaseAssigned(**ABOUT, old=BORIS, new=CLARA))
    story.when(hand_over_cases, case_ids=[1]).then()


@pytest.mark.parametrize("leave", [disable_group, delete_group])
def test_a_case_goes_to_the_group_that_replaces_its_own(leave: object) -> None:
    story = boris_case().given(leave, group_id=SALES, replace_group_id=SUPPORT)
    moved = CaseGroupChanged(**ABOUT, old=SALES, new=SUPPORT)
    story.when(hand_over_cases, case_ids=[1]).then(moved)
    story.when(hand_over_cases, case_ids=[1]).then()


def test_cases_of_who_is_deleted_without_a_replacement_are_nobodys() -> None:
    story = boris_case().given(delete_staff, staff_id=BORIS).given(delete_group, group_id=SALES)
    story.when(hand_over_cases, case_ids=[1]).then(
        CaseAssigned(**ABOUT, old=BORIS, new=0), CaseGroupChanged(**ABOUT, old=SALES, new=0)
    )


def test_cases_of_who_is_only_disabled_stay() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS).given(disable_group, group_id=SALES)
    story.when(hand_over_cases, case_ids=[1]).then()


def test_a_case_that_went_elsewhere_meanwhile_stays_there() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(change_case, case_id=1, staff_id=ANNA)
    story.when(hand_over_cases, case_ids=[1]).then()


def test_who_is_enabled_keeps_what_was_not_handed_over_yet() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(disable_group, group_id=SALES, replace_group_id=SUPPORT)
    story.given(enable_staff, staff_id=BORIS).given(enable_group, group_id=SALES)
    story.when(hand_over_cases, case_ids=[1]).then()


def test_a_replacement_who_left_as_well_hands_on() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(disable_staff, staff_id=CLARA, replace_staff_id=ANNA)
    story.when(hand_over_cases, case_ids=[1]).then(CaseAssigned(**ABOUT, old=BORIS, new=ANNA))


def test_a_replacement_who_left_without_one_leaves_the_case_to_nobody() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(disable_staff, staff_id=CLARA)
    story.when(hand_over_cases, case_ids=[1]).then(CaseAssigned(**ABOUT, old=BORIS, new=0))


def test_what_lies_in_the_trash_is_handed_over_and_what_is_deleted_is_not() -> None:
    story = boris_case().given(delete_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(trash_case, case_id=1)
    story.when(hand_over_cases, case_ids=[1]).then_named("case.assigned.1")
    story = boris_case().given(delete_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(delete_case, case_id=1).when(hand_over_cases, case_ids=[1]).then()


def closed() -> Story:
    story = boris_case(status="closed")
    story.given(delete_staff, staff_id=BORIS, replace_staff_id=CLARA)
    return story.given(delete_group, group_id=SALES, replace_group_id=SUPPORT)


def test_a_closed_case_shows_for_ever_whose_it_was() -> None:
    closed().when(hand_over_cases, case_ids=[1]).then()


def test_a_closed_case_that_is_opened_again_goes_to_the_replacement_at_once() -> None:
    reopened = [
        CaseAssigned(**ABOUT, old=BORIS, new=CLARA),
        CaseGroupChanged(**ABOUT, old=SALES, new=SUPPORT),
    ]
    status = CaseStatusChanged(**ABOUT, old="closed", new="open")
    closed().when(change_case, case_id=1, status="open").then(status, *reopened)
    story = closed().when(add_user_message, case_id=1, user_id=1, content="Still")
    assert story.new[-2:] == reopened
    story = closed().when(change_case, case_id=1, status="open", staff_id=ANNA)
    assert story.recorded(CaseAssigned) == [
        reopened[0],
        CaseAssigned(**ABOUT, old=CLARA, new=ANNA),
    ]


def test_a_disabled_group_gets_no_cases() -> None:
    story = boris_case().given(disable_group, group_id=SUPPORT)
    story.when(change_case, case_id=1, group_id=SUPPORT).refused(GroupNotActive)
    story.when(open_case, who=person("u2"), group_id=SUPPORT).refused(GroupNotActive)


def test_the_last_batch_finishes_a_hand_over_once() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    story.given(delete_group, group_id=SALES)
    last = {"case_ids": [], "hand_over_id": 1, "staff_id": BORIS}
    story.when(hand_over_cases, **last).then(StaffCasesHandedOver(BORIS, 1))
    story.when(hand_over_cases, **last).then()
    last = {"case_ids": [1], "hand_over_id": 2, "group_id": SALES}
    story.when(hand_over_cases, **last).then_named(
        "case.assigned.1", "case.group_changed.1", "group.cases_handed_over.1"
    )
    assert story.new[-1] == GroupCasesHandedOver(SALES, 2)
    story.when(hand_over_cases, **last).then()


def test_a_hand_over_that_was_called_off_is_not_finished_and_not_taken_for_the_next() -> None:
    story = boris_case().given(disable_staff, staff_id=BORIS, replace_staff_id=CLARA)
    last = {"case_ids": [], "hand_over_id": 1, "staff_id": BORIS}
    story.given(enable_staff, staff_id=BORIS).when(hand_over_cases, **last).then()
    story.given(disable_staff, staff_id=BORIS, replace_staff_id=ANNA)
    story.when(hand_over_cases, **last).then()
