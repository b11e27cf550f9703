"""Users: one profile for each identity, their details, and what becomes of them."""

import pytest
from folding import email, phone
from story import ANNA, APP, FORUM, Story, desk, person

from kanal.domain.case_events import CaseMarkedAsSpam, CaseOpened
from kanal.domain.conversation import add_user_message, open_case
from kanal.domain.errors import (
    ChannelNotFound,
    ChannelWithoutId,
    EmailTaken,
    ExternalIdTaken,
    IdentityTaken,
    IdWithoutChannel,
    NoIdentity,
    PhoneTaken,
    UserNotFound,
)
from kanal.domain.identities import (
    Identification,
    IdentityClaimed,
    IdentityReleased,
    MessengerId,
    change_profile,
    delete_user,
    register_user,
)
from kanal.domain.links import Contact, person_of
from kanal.domain.users import (
    USERS,
    UserChanged,
    UserIdentityChanged,
    UserRegistered,
    block_user,
    change_user,
    disable_user,
    restore_user,
)

TELEGRAM = Identification(messengers=(MessengerId("telegram", "@Ann", "ann"),))


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
            normalised="",
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
        (TELEGRAM, IdentityTaken),
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


def test_an_id_in_a_messenger_is_an_identity_of_its_own_type() -> None:
    story = desk()
    others = [MessengerId("skype", "Ann", "ann"), MessengerId("telegram", "Anna", "anna")]
    who = [TELEGRAM, *(Identification(messengers=(each,)) for each in others)]
    assert [profile_of(story, one) for one in who] == [1, 2, 3]
    again = Identification(messengers=(MessengerId("telegram", "ANN", "ann"),))
    assert profile_of(story, again) == 1
    assert story.load(USERS, 1).identity == "@Ann"


@pytest.mark.parametrize(
    ("type_", "channel"),
    [("telegram", "telegram"), ("whatsapp", "wa_chat"), ("vkontakte", "vk_chat")],
)
def test_a_messenger_s_case_is_of_its_standard_channel(type_: str, channel: str) -> None:
    who = Identification(messengers=(MessengerId(type_, "x", "x"),), email=email("a@example.com"))  # type: ignore[arg-type]
    story = desk().when(open_case, who=who, content="x")
    assert story.recorded(CaseOpened)[0].channel == channel
    story.when(open_case, who=who, channel="web", content="x")
    assert story.recorded(CaseOpened)[0].channel == "web"


def test_a_whatsapp_number_links_with_whoever_has_the_phone() -> None:
    tel = phone("+79161234567")
    whatsapp = MessengerId("whatsapp", tel.normalised, tel.normalised, tel)
    story = desk().given(open_case, who=person("ann", tel="+79161234567"), content="x")
    story.when(open_case, who=Identification(messengers=(whatsapp,)), content="x")
    assert person_of(story, 1) == {1, 2}


def test_what_a_blocked_user_opens_is_spam_and_what_staff_open_is_not() -> None:
    story = desk().given(open_case, who=person("ann", mail="a@example.com"), content="x")
    story.given(open_case, who=person(mail="a@example.com"), content="x")
    story.when(block_user, user_id=1).then_named("user.blocked.1")
    story.when(block_user, user_id=1).then()
    story.when(open_case, who=person("ann"), content="x")
    assert [event.case_id for event in story.recorded(CaseMarkedAsSpam)] == [3]
    story.when(open_case, who=person("ann"), content="x", staff_id=ANNA)
    assert story.recorded(CaseMarkedAsSpam) == []
    # The other profile of the person is not blocked.
    story.when(open_case, who=person(mail="a@example.com"), content="x")
    assert story.recorded(CaseMarkedAsSpam) == []
    story.when(add_user_message, case_id=1, user_id=1, content="x")
    story.then_named("case.message_added.1")


def test_a_blocked_or_disabled_user_is_restored() -> None:
    story = desk().given(open_case, who=person("ann"), content="x")
    story.when(restore_user, user_id=1).then()
    story.given(block_user, user_id=1)
    story.when(disable_user, user_id=1).then_named("user.disabled.1")
    story.when(disable_user, user_id=1).then()
    story.when(restore_user, user_id=1).then_named("user.restored.1")
    story.when(open_case, who=person("ann"), content="x")
    assert story.recorded(CaseMarkedAsSpam) == []


def test_a_disabled_user_s_case_is_a_case_like_any_other() -> None:
    story = desk().given(open_case, who=person("ann"), content="x").given(disable_user, user_id=1)
    assert profile_of(story, person("ann")) == 1


def test_a_deleted_user_is_gone_and_its_identity_and_links_are_free() -> None:
    story = desk().given(open_case, who=person("ann", mail="a@example.com"), content="x")
    story.given(open_case, who=person(mail="a@example.com"), content="x")
    story.when(delete_user, user_id=1)
    assert story.recorded(IdentityReleased) == [
        IdentityReleased(user_id=1, type="custom", channel_id=APP)
    ]
    assert person_of(story, 2) == {2}
    for command in (delete_user, block_user, disable_user, restore_user, change_user):
        story.when(command, user_id=1).refused(UserNotFound)
    assert profile_of(story, person("ann", mail="a@example.com")) == 3
    assert person_of(story, 2) == {2, 3}


def test_a_user_who_was_deleted_writes_no_more_though_their_cases_are_still_there() -> None:
    story = (
        desk().given(open_case, who=person("ann"), content="Hello").given(delete_user, user_id=1)
    )
    story.when(add_user_message, case_id=1, user_id=1, content="late")
    assert isinstance(story.refusal, UserNotFound)


@pytest.mark.parametrize(
    ("who", "given", "identity", "other"),
    [
        (person(mail="a@b.co"), {"email": email(" New@b.co")}, "New@b.co", person(mail="new@b.co")),
        (person(tel="+7916"), {"phone": phone("+7 917")}, "+7917", person(tel="+7917")),
    ],
)
def test_the_profile_of_an_e_mail_or_phone_gets_another_one(
    who: Identification, given: dict[str, Contact], identity: str, other: Identification
) -> None:
    story = desk().given(open_case, who=who, content="x")
    both = {"email": email("x@b.co"), "phone": phone("+7000"), **given}
    story.when(change_profile, user_id=1, details={"full_name": "Ann"}, **both)
    assert [event.new for event in story.recorded(UserIdentityChanged)] == [identity]
    story.when(change_profile, user_id=1, details={"full_name": "Ann"}, **both).then()
    assert profile_of(story, other) == 1
    assert profile_of(story, who) == 2
    assert person_of(story, 1) == {1}
    taken = {"email": who.email, "phone": who.phone}
    expected = EmailTaken if who.email else PhoneTaken
    story.when(change_profile, user_id=1, details={}, **taken).refused(expected)


def test_the_e_mail_of_another_kind_of_profile_is_not_changed() -> None:
    story = desk().given(open_case, who=person("ann"), content="x")
    story.when(change_profile, user_id=1, email=email("a@b.co"), phone=phone("+7916"), details={})
    story.then()
