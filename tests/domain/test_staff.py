"""Staff and their keys: an administrator with a key always remains."""

import pytest
from folding import email
from story import ANNA, BORIS, Story, desk

from kanal.domain.errors import (
    EmailTaken,
    KeyNotFound,
    KeyRevoked,
    LastAdministrator,
    SelfReplacement,
    StaffNotActive,
    StaffNotFound,
)
from kanal.domain.staff import (
    AdministratorAppointed,
    AdministratorStoodDown,
    StaffChanged,
    StaffCreated,
    StaffEmailClaimed,
    StaffEmailReleased,
    StaffKeyIssued,
    StaffKeyRevoked,
    StaffWasDeleted,
    StaffWasDisabled,
    StaffWasEnabled,
    active_staff,
    change_staff,
    check_key,
    create_staff,
    delete_staff,
    disable_staff,
    enable_staff,
    issue_key,
    revoke_key,
)

ANNAS_KEY, BORIS_KEY = 1, 2


def opens(story: Story, key_id: int = BORIS_KEY, address: str = "boris@example.com") -> None:
    check_key(story, staff_id=BORIS, key_id=key_id, email=address)


def second_administrator(story: Story) -> Story:
    """Clara: staff 3 with key 3."""
    return story.given(
        create_staff,
        email=email("clara@example.com"),
        full_name="Clara",
        role="administrator",
        key_fingerprint="f",
    )


def test_a_staff_member_begins_with_a_key_and_a_claimed_e_mail() -> None:
    story = Story().when(
        create_staff, email=email(" A@example.com "), full_name="Anna", key_fingerprint="f"
    )
    assert (story.result.staff_id, story.result.key_id) == (1, 1)
    story.then(
        StaffEmailClaimed(1),
        StaffCreated(
            staff_id=1,
            email="A@example.com",
            full_name="Anna",
            role="staff",
            signature="",
            signature_chat="",
            thumbnail="",
            normalised="a@example.com",
        ),
        StaffKeyIssued(staff_id=1, key_id=1, name="first key", fingerprint="f"),
    )


def test_an_administrator_is_appointed() -> None:
    story = second_administrator(desk())
    assert AdministratorAppointed(3) in [recorded.event for recorded in story.events]


def test_an_e_mail_belongs_to_one_staff_member_whatever_its_spelling() -> None:
    desk().when(
        create_staff, email=email(" ANNA@example.com"), full_name="A", key_fingerprint="f"
    ).refused(EmailTaken)


def test_staff_are_disabled_and_enabled_once() -> None:
    story = desk()
    story.when(disable_staff, staff_id=BORIS).then(StaffWasDisabled(BORIS))
    story.when(disable_staff, staff_id=BORIS).then()
    story.when(enable_staff, staff_id=BORIS).then(StaffWasEnabled(BORIS))
    story.when(enable_staff, staff_id=BORIS).then()


def test_a_changed_profile_is_one_event_with_the_whole_of_it() -> None:
    story = desk()
    story.when(change_staff, staff_id=BORIS, full_name="Boris B.", signature="--").then(
        StaffChanged(
            staff_id=BORIS,
            email="boris@example.com",
            normalised="boris@example.com",
            full_name="Boris B.",
            signature="--",
            signature_chat="",
            thumbnail="",
        )
    )
    story.when(change_staff, staff_id=BORIS, full_name="Boris B.").then()
    story.when(change_staff, staff_id=BORIS, email=email("boris@example.com")).then()


def test_a_new_e_mail_is_claimed_and_the_old_one_is_free() -> None:
    story = desk()
    story.when(change_staff, staff_id=BORIS, email=email("Anna@example.com")).refused(EmailTaken)
    story.when(change_staff, staff_id=BORIS, email=email("B@example.com")).then_named(
        "staff_email.claimed.1", "staff_email.released.1", "staff.changed.1"
    )
    assert story.new[:2] == [StaffEmailClaimed(BORIS), StaffEmailReleased(BORIS)]
    story.when(change_staff, staff_id=ANNA, email=email("boris@example.com")).then_named(
        "staff_email.claimed.1", "staff_email.released.1", "staff.changed.1"
    )


def test_the_same_e_mail_in_another_spelling_is_a_change_of_the_profile_alone() -> None:
    story = desk().when(change_staff, staff_id=BORIS, email=email(" BORIS@example.com"))
    story.then_named("staff.changed.1")
    assert story.new[0].email == "BORIS@example.com"  # type: ignore[attr-defined]


def test_a_deleted_colleague_is_gone_with_their_keys_and_the_e_mail_is_free() -> None:
    story = desk().when(delete_staff, staff_id=BORIS, replace_staff_id=ANNA)
    story.then(
        StaffEmailReleased(BORIS),
        StaffWasDeleted(staff_id=BORIS, replace_staff_id=ANNA, hand_over_id=1),
    )
    with pytest.raises(KeyRevoked):
        opens(story)
    for command in (delete_staff, disable_staff, enable_staff, change_staff):
        story.when(command, staff_id=BORIS).refused(StaffNotFound)
    story.when(
        create_staff, email=email("boris@example.com"), full_name="B", key_fingerprint="f"
    ).then_named("staff_email.claimed.1", "staff.created.1", "staff.key_issued.1")


def test_the_last_administrator_cannot_be_deleted() -> None:
    story = desk()
    story.when(delete_staff, staff_id=ANNA, replace_staff_id=BORIS).refused(LastAdministrator)
    second_administrator(story).when(delete_staff, staff_id=ANNA).then_named(
        "administrators.stood_down.1", "staff_email.released.1", "staff.deleted.1"
    )
    story.when(delete_staff, staff_id=3).refused(LastAdministrator)


@pytest.mark.parametrize("command", [disable_staff, delete_staff])
def test_a_replacement_is_somebody_else_who_is_active(command: object) -> None:
    story = desk()
    story.when(command, staff_id=BORIS, replace_staff_id=BORIS).refused(SelfReplacement)
    story.when(command, staff_id=BORIS, replace_staff_id=77).refused(StaffNotFound)
    second_administrator(story).given(disable_staff, staff_id=3)
    story.when(command, staff_id=BORIS, replace_staff_id=3).refused(StaffNotActive)


def test_a_replacement_can_be_named_after_one_was_disabled() -> None:
    story = second_administrator(desk()).given(disable_staff, staff_id=BORIS)
    for hand_over_id, replacement in enumerate((ANNA, 3), start=1):
        arguments = {"staff_id": BORIS, "replace_staff_id": replacement}
        disabled = StaffWasDisabled(**arguments, hand_over_id=hand_over_id)
        story.when(disable_staff, **arguments).then(disabled)
        story.when(disable_staff, **arguments).then()
    story.when(disable_staff, staff_id=BORIS).then()


def test_an_administrator_who_is_disabled_stands_down_until_enabled() -> None:
    story = second_administrator(desk())
    story.when(disable_staff, staff_id=ANNA).then(
        AdministratorStoodDown(ANNA), StaffWasDisabled(ANNA)
    )
    story.when(disable_staff, staff_id=3).refused(LastAdministrator)
    story.when(enable_staff, staff_id=ANNA).then(
        StaffWasEnabled(ANNA), AdministratorAppointed(ANNA)
    )
    story.when(disable_staff, staff_id=3).then_named(
        "administrators.stood_down.1", "staff.disabled.1"
    )


def test_the_last_administrator_cannot_be_disabled_nor_lose_the_last_key() -> None:
    story = desk()
    story.when(disable_staff, staff_id=ANNA).refused(LastAdministrator)
    story.when(revoke_key, staff_id=ANNA, key_id=ANNAS_KEY).refused(LastAdministrator)
    story.given(issue_key, staff_id=ANNA, name="second", fingerprint="g")
    story.when(revoke_key, staff_id=ANNA, key_id=ANNAS_KEY).then_named("staff.key_revoked.1")
    story.when(revoke_key, staff_id=ANNA, key_id=3).refused(LastAdministrator)


def test_an_administrator_without_a_key_does_not_count() -> None:
    story = second_administrator(desk()).given(revoke_key, staff_id=3, key_id=3)
    story.when(disable_staff, staff_id=ANNA).refused(LastAdministrator)
    story.when(revoke_key, staff_id=ANNA, key_id=ANNAS_KEY).refused(LastAdministrator)
    story.when(disable_staff, staff_id=3).then_named(
        "administrators.stood_down.1", "staff.disabled.1"
    )


def test_who_is_no_administrator_may_lose_the_last_key() -> None:
    story = Story().given(
        create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f"
    )
    story.when(revoke_key, staff_id=1, key_id=1).then(StaffKeyRevoked(staff_id=1, key_id=1))


def test_a_key_is_revoked_once() -> None:
    story = desk()
    story.when(revoke_key, staff_id=BORIS, key_id=BORIS_KEY).then(
        StaffKeyRevoked(staff_id=BORIS, key_id=BORIS_KEY)
    )
    story.when(revoke_key, staff_id=BORIS, key_id=BORIS_KEY).refused(KeyNotFound)
    story.when(revoke_key, staff_id=BORIS, key_id=ANNAS_KEY).refused(KeyNotFound)


def test_a_key_opens_only_for_its_holder_while_both_are_live() -> None:
    story = desk().given(issue_key, staff_id=BORIS, name="second", fingerprint="g")
    opens(story)
    with pytest.raises(KeyRevoked):
        opens(story, ANNAS_KEY)
    story.given(revoke_key, staff_id=BORIS, key_id=BORIS_KEY)
    with pytest.raises(KeyRevoked):
        opens(story)
    opens(story, 3)
    story.given(disable_staff, staff_id=BORIS)
    with pytest.raises(KeyRevoked):
        opens(story, 3)


def test_a_key_goes_with_the_holders_e_mail_alone() -> None:
    story = desk().given(change_staff, staff_id=BORIS, email=email("B@example.com"))
    opens(story, address="b@example.com")
    with pytest.raises(KeyRevoked):
        opens(story)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (disable_staff, {}),
        (enable_staff, {}),
        (change_staff, {"full_name": "n"}),
        (delete_staff, {}),
        (issue_key, {"name": "n", "fingerprint": "f"}),
        (revoke_key, {"key_id": 1}),
    ],
)
def test_unknown_staff_are_not_found(command: object, arguments: dict[str, object]) -> None:
    desk().when(command, staff_id=77, **arguments).refused(StaffNotFound)


def test_only_active_staff_act() -> None:
    story = desk().given(disable_staff, staff_id=BORIS)
    assert active_staff(story, ANNA).staff_id == ANNA
    with pytest.raises(StaffNotActive):
        active_staff(story, BORIS)
