"""Links by hand, and links undone: that edge goes and nothing else, and it does not come back by itself."""

import pytest
from folding import email, phone
from story import APP, FORUM, Story, desk, person

from kanal.domain.conversation import open_case
from kanal.domain.errors import UserNotFound, WrongIdentificationCode
from kanal.domain.identities import (
    Identification,
    MessengerId,
    delete_user,
    find_or_register,
    link_known_contact,
)
from kanal.domain.links import link_users, person_of, unlink_users
from kanal.domain.users import UserLinkToUserRefused

MAIL, OTHER_MAIL = "a@example.com", "b@example.com"
TEL = "+79161234567"


def persons(*who: Identification) -> Story:
    """Users 1, 2, ... in this order."""
    story = desk()
    for one in who:
        story.given(find_or_register, who=one)
    return story


def together(story: Story, *user_ids: int) -> bool:
    return all(person_of(story, each) == set(user_ids) for each in user_ids)


def test_two_profiles_linked_by_hand_are_one_person() -> None:
    story = persons(person("ann", APP), person("x", FORUM))
    story.when(link_users, user_id=1, other_id=2)
    story.then_named("user.linked_to_user.1", "user.linked_to_user.1")
    assert story.new[0].about() == (1, 2)
    assert together(story, 1, 2)
    story.when(link_users, user_id=2, other_id=1).then()
    story.when(link_users, user_id=1, other_id=1).then()
    story.when(link_users, user_id=1, other_id=9).refused(UserNotFound)
    story.when(link_users, user_id=9, other_id=1).refused(UserNotFound)


def test_by_hand_two_ids_of_one_channel_may_be_linked() -> None:
    story = persons(person("ann"), person("bob"), person("ann", FORUM, mail=MAIL))
    story.when(link_users, user_id=1, other_id=2)
    assert together(story, 1, 2)
    # What is one person by hand takes further links of its own: these join nobody on a channel anew.
    story.when(find_or_register, who=person("ann", mail=MAIL))
    assert story.result.conflicts == ()
    assert together(story, 1, 2, 3)


def test_a_contact_that_is_linked_by_hand_gets_a_profile_if_it_has_none() -> None:
    story = persons(person("ann"))
    who = Identification(email=email(MAIL))
    story.when(link_known_contact, user_id=1, who=who)
    assert together(story, 1, 2)
    story.when(link_known_contact, user_id=1, who=who).then()
    story.when(link_known_contact, user_id=7, who=who).refused(UserNotFound)


def test_by_hand_a_contact_is_linked_though_another_id_of_the_channel_has_it() -> None:
    story = persons(person("ann", tel=TEL), person("bob"))
    story.when(link_known_contact, user_id=2, who=Identification(phone=phone(TEL)))
    assert together(story, 1, 2, 3)


def test_undoing_a_link_by_hand_leaves_all_others() -> None:
    story = persons(person("ann"), person("x", FORUM), person("y", FORUM))
    story.given(link_users, user_id=1, other_id=2).given(link_users, user_id=1, other_id=3)
    story.when(unlink_users, user_id=1, other_id=2)
    story.then_named("user.unlinked_from_user.1", "user.unlinked_from_user.1")
    assert together(story, 1, 3)
    assert together(story, 2)
    story.when(unlink_users, user_id=1, other_id=2).then()
    story.when(unlink_users, user_id=1, other_id=1).then()
    story.when(unlink_users, user_id=1, other_id=9).refused(UserNotFound)


def test_over_a_common_contact_the_link_of_the_profile_that_is_named_goes() -> None:
    story = persons(person("ann", mail=MAIL), person("x", FORUM, mail=MAIL), person(mail=MAIL))
    story.when(unlink_users, user_id=1, other_id=2)
    story.then_named("user.unlinked.1", "contact.unlinked.1")
    assert story.new[0].user_id == 2
    assert together(story, 1, 3)
    assert together(story, 2)


def test_the_profile_of_an_e_mail_keeps_it_so_the_other_ones_link_goes() -> None:
    story = persons(person("ann", mail=MAIL), person(mail=MAIL))
    story.when(unlink_users, user_id=1, other_id=2)
    assert story.new[0].user_id == 1
    assert together(story, 1)
    assert together(story, 2)


def test_between_two_profiles_that_keep_their_own_the_one_in_between_leaves() -> None:
    story = persons(person(tel=TEL), person(mail=MAIL), person("ann", mail=MAIL, tel=TEL))
    story.when(unlink_users, user_id=1, other_id=2)
    assert story.new[0].kind == "email"
    assert together(story, 1, 3)
    assert together(story, 2)


def test_all_ways_between_the_two_are_cut() -> None:
    story = persons(
        person("ann", mail=MAIL, tel=TEL), person("x", FORUM, mail=MAIL, tel=TEL), person("z")
    )
    story.given(link_users, user_id=1, other_id=2)
    story.when(unlink_users, user_id=1, other_id=2)
    assert together(story, 1)
    assert together(story, 2)


def test_what_was_undone_is_linked_again_by_hand_only() -> None:
    story = persons(person("ann", mail=MAIL), person(mail=MAIL))
    story.given(unlink_users, user_id=1, other_id=2)
    story.when(open_case, who=person("ann", mail=MAIL), content="x")
    assert story.result.conflicts == ()
    assert together(story, 1)
    story.when(link_known_contact, user_id=1, who=Identification(email=email(MAIL)))
    assert together(story, 1, 2)
    story.when(open_case, who=person("ann", mail=OTHER_MAIL), content="x")
    assert len(person_of(story, 1)) == 2


def test_a_code_links_under_the_seed_s_rule() -> None:
    story = persons(person("ann", mail=MAIL), person("x", FORUM))
    story.when(find_or_register, who=_proving(person("x", FORUM), 1))
    assert story.result.conflicts == ()
    assert together(story, 1, 2)
    story.when(find_or_register, who=_proving(person("bob", APP), 1))
    assert story.result.conflicts == ("user",)
    assert story.recorded(UserLinkToUserRefused) == [
        UserLinkToUserRefused(user_id=3, other_id=1, channel_id=APP, taken_by=1)
    ]
    story.when(find_or_register, who=_proving(person("ann", mail=MAIL), 1)).then()
    story.given(unlink_users, user_id=1, other_id=2)
    story.when(find_or_register, who=_proving(person("x", FORUM), 1)).then()
    assert together(story, 2)


@pytest.mark.parametrize("command", [open_case, find_or_register])
def test_a_code_of_a_deleted_user_is_no_code(command: object) -> None:
    story = persons(person("ann")).given(delete_user, user_id=1)
    who = _proving(person("x", FORUM), 1)
    story.when(command, who=who).refused(WrongIdentificationCode)


def test_several_messenger_ids_of_one_call_are_linked_profiles() -> None:
    def messenger(type_: str, value: str) -> MessengerId:
        return MessengerId(type_, value, value.lower())  # type: ignore[arg-type]

    both = (messenger("telegram", "Ann"), messenger("viber", "v1"))
    story = desk().when(find_or_register, who=Identification(messengers=both))
    assert story.result.user_id == 1
    assert together(story, 1, 2)
    taken = Identification(channel_id=APP, external_id="ann", messengers=both[:1])
    story.when(find_or_register, who=taken)
    assert together(story, 1, 2, 3)
    second = Identification(channel_id=APP, external_id="bob", messengers=both[1:])
    story.when(find_or_register, who=second)
    assert story.result.conflicts == ("user",)
    assert story.recorded(UserLinkToUserRefused)[0].taken_by == 3


def _proving(who: Identification, user_id: int) -> Identification:
    return Identification(
        channel_id=who.channel_id, external_id=who.external_id, email=who.email, proven=user_id
    )
