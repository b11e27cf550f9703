"""Users: one profile for each identity, and their details."""

import pytest
from story import APP, FORUM, Story, desk, person

from kanal.domain.conversation import open_case
from kanal.domain.errors import (
    ChannelNotFound,
    ChannelWithoutId,
    EmailTaken,
    ExternalIdTaken,
    IdWithoutChannel,
    NoIdentity,
    PhoneTaken,
    UserNotFound,
)
from kanal.domain.identities import Identification, IdentityClaimed, register_user
from kanal.domain.users import UserChanged, UserRegistered, change_user


def profile_of(story: Story, who: Identification) -> int:
    return story.when(open_case, who=who, content="x").result.user_id


def test_the_first_case_of_an_external_id_makes_its_profile() -> None:
    story = desk().when(
        open_case, who=person("000123 ", details={"full_name": "Ann", "language_id": 2})
    )
    assert story.recorded(IdentityClaimed) == [
        IdentityClaimed(user_id=1, type="custom", channel_id=APP)
    ]
    assert story.recorded(UserRegistered) == [
        UserRegistered(
            user_id=1,
            type="custom",
            channel_id=APP,
            identity="000123 ",
            full_name="Ann",
            company_name="",
            company_position="",
            note="",
            language_id=2,
        )
    ]


def test_the_same_external_id_on_the_same_channel_is_the_same_user() -> None:
    story = desk()
    assert [profile_of(story, person("ann")) for _ in range(3)] == [1, 1, 1]


def test_the_same_external_id_on_another_channel_is_another_profile() -> None:
    story = desk()
    assert profile_of(story, person("ann", APP)) == 1
    assert profile_of(story, person("ann", FORUM)) == 2


@pytest.mark.parametrize("other", ["Ann", " ann", "ann ", "ann\n", "аnn"])
def test_external_ids_are_compared_byte_for_byte(other: str) -> None:
    story = desk()
    assert profile_of(story, person("ann")) != profile_of(story, person(other))


def test_an_external_id_is_never_taken_for_a_contact_or_another_channel_s_id() -> None:
    story = desk()
    who = [
        person("email/a@example.com"),
        person(mail="a@example.com"),
        person("1/x", FORUM),
        person("x", APP),
    ]
    assert len({profile_of(story, one) for one in who}) == len(who)


def test_an_e_mail_is_an_identity_without_regard_to_case_and_outer_spaces() -> None:
    story = desk()
    assert profile_of(story, person(mail="A@example.com")) == 1
    assert profile_of(story, person(mail=" a@EXAMPLE.com ")) == 1


def test_a_phone_is_an_identity_in_its_normal_form() -> None:
    story = desk()
    assert profile_of(story, person(tel="+7 (916) 123-45-67")) == 1
    assert profile_of(story, person(tel="+79161234567")) == 1


def test_the_external_id_is_the_identity_before_e_mail_and_phone() -> None:
    story = desk()
    who = person("ann", mail="a@example.com", tel="+79161234567")
    assert profile_of(story, who) == 1
    assert profile_of(story, person("ann")) == 1
    assert profile_of(story, person(mail="a@example.com")) == 2


def test_a_user_without_any_identity_is_refused() -> None:
    desk().when(open_case, who=Identification(), content="x").refused(NoIdentity)
    desk().when(register_user, who=Identification()).refused(NoIdentity)


@pytest.mark.parametrize("command", [open_case, register_user])
def test_an_external_id_and_its_channel_come_together(command: object) -> None:
    without_channel = Identification(external_id="ann")
    without_id = Identification(channel_id=APP, email=person(mail="a@example.com").email)
    desk().when(command, who=without_channel).refused(IdWithoutChannel)
    desk().when(command, who=without_id).refused(ChannelWithoutId)


@pytest.mark.parametrize("command", [open_case, register_user])
def test_a_user_of_an_unknown_channel_is_refused(command: object) -> None:
    desk().when(command, who=person("ann", 77)).refused(ChannelNotFound)


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (person("ann"), ExternalIdTaken),
        (person(mail="A@example.com"), EmailTaken),
        (person(tel="+79161234567"), PhoneTaken),
    ],
)
def test_registering_an_identity_twice_is_refused(who: Identification, error: type) -> None:
    desk().given(register_user, who=who).when(register_user, who=who).refused(error)


def test_details_given_with_a_later_case_are_recorded() -> None:
    story = desk().given(open_case, who=person("ann", details={"full_name": "Ann", "note": "vip"}))
    story.when(open_case, who=person("ann", details={"company_name": "Acme"}))
    assert story.recorded(UserChanged) == [
        UserChanged(
            user_id=1,
            full_name="Ann",
            company_name="Acme",
            company_position="",
            note="vip",
            language_id=0,
        )
    ]


def test_details_that_stay_the_same_are_no_event() -> None:
    story = desk().given(open_case, who=person("ann", details={"full_name": "Ann"}))
    story.when(open_case, who=person("ann", details={"full_name": "Ann"}))
    assert story.recorded(UserChanged) == []
    story.when(change_user, user_id=1, full_name="Ann").then()
    story.when(change_user, user_id=1).then()


def test_details_can_be_emptied() -> None:
    story = desk().given(open_case, who=person("ann", details={"full_name": "Ann"}))
    assert story.when(change_user, user_id=1, full_name="").recorded(UserChanged)


def test_an_unknown_user_cannot_be_changed() -> None:
    desk().when(change_user, user_id=1, full_name="Ann").refused(UserNotFound)
