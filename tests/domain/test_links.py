"""Links: who is one person, and the seed's rule that no automatic link puts two ids of one channel into one person."""

from typing import Any

import pytest
from story import APP, FORUM, Story, desk, person

from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification, register_user
from kanal.domain.links import ContactLinked, person_of
from kanal.domain.stream import Aggregate
from kanal.domain.users import UserLinked, UserLinkRefused

MAIL, OTHER_MAIL = "a@example.com", "b@example.com"
TEL, OTHER_TEL = "+79161234567", "+79161234568"


def persons(*who: Identification) -> Story:
    """Users 1, 2, ... in this order."""
    story = desk()
    for one in who:
        story.given(open_case, who=one, content="x")
    return story


def linked(story: Story) -> tuple[list[str], list[str]]:
    """Kinds of the contacts that were linked and refused by the last command."""
    made = [event.kind for event in story.recorded(UserLinked)]
    return made, [event.kind for event in story.recorded(UserLinkRefused)]


def test_a_contact_given_with_an_id_is_linked_at_once_in_both_streams() -> None:
    story = desk().when(open_case, who=person("ann", mail=" A@Example.com"), content="x")
    assert story.recorded(UserLinked) == [
        UserLinked(
            user_id=1,
            kind="email",
            value="a@example.com",
            given=" A@Example.com",
            normaliser="test.1",
        )
    ]
    assert story.recorded(ContactLinked) == [ContactLinked(user_id=1, kind="email")]
    assert story.result.conflicts == ()


def test_a_contact_given_again_is_no_event() -> None:
    story = persons(person("ann", mail=MAIL, tel=TEL))
    story.when(open_case, who=person("ann", mail=MAIL.upper(), tel=TEL))
    assert linked(story) == ([], [])
    assert story.result.conflicts == ()


def test_a_profile_may_have_several_e_mails_and_phones() -> None:
    story = persons(person("ann", mail=MAIL, tel=TEL))
    story.when(open_case, who=person("ann", mail=OTHER_MAIL, tel=OTHER_TEL))
    assert linked(story) == (["email", "phone"], [])


def test_ids_of_different_channels_with_one_contact_are_one_person() -> None:
    story = persons(person("ann", APP, mail=MAIL), person("anna", FORUM, mail=MAIL))
    assert person_of(story, 1) == person_of(story, 2) == {1, 2}


def test_a_profile_of_an_e_mail_is_one_person_with_the_id_that_has_this_e_mail() -> None:
    story = persons(person("ann", mail=MAIL), person(mail=MAIL))
    assert person_of(story, 1) == {1, 2}


def test_a_contact_that_another_id_of_the_channel_has_is_not_linked() -> None:
    story = persons(person("ann", mail=MAIL)).when(
        open_case, who=person("bob", mail="A@EXAMPLE.com"), content="x"
    )
    assert story.recorded(UserLinked) == []
    assert story.recorded(ContactLinked) == []
    assert story.recorded(UserLinkRefused) == [
        UserLinkRefused(
            user_id=2,
            kind="email",
            value="a@example.com",
            given="A@EXAMPLE.com",
            normaliser="test.1",
            channel_id=APP,
            taken_by=1,
        )
    ]
    assert story.result.conflicts == ("email",)
    assert story.result.case_id == 2
    assert person_of(story, 2) == {2}


def test_a_refused_link_is_recorded_each_time_it_is_asked_for() -> None:
    story = persons(person("ann", mail=MAIL), person("bob", mail=MAIL))
    story.when(open_case, who=person("bob", mail=MAIL))
    assert linked(story) == ([], ["email"])


@pytest.mark.parametrize(
    ("bob", "expected"),
    [
        (person("bob", mail=MAIL, tel=OTHER_TEL), (["phone"], ["email"])),
        (person("bob", mail=OTHER_MAIL, tel=TEL), (["email"], ["phone"])),
        (person("bob", mail=MAIL, tel=TEL), ([], ["email", "phone"])),
        (person("bob", mail=OTHER_MAIL, tel=OTHER_TEL), (["email", "phone"], [])),
    ],
)
def test_e_mail_and_phone_are_judged_separately(bob: Identification, expected: object) -> None:
    story = persons(person("ann", mail=MAIL, tel=TEL)).when(open_case, who=bob)
    assert linked(story) == expected
    assert story.result.conflicts == tuple(expected[1])


def test_two_ids_of_a_channel_do_not_meet_through_a_third_profile() -> None:
    # The forum's profile already is one person with ann; bob shares only the phone with it.
    story = persons(person("ann", APP, mail=MAIL), person("x", FORUM, mail=MAIL, tel=TEL)).when(
        open_case, who=person("bob", APP, tel=TEL)
    )
    assert story.recorded(UserLinkRefused)[0].taken_by == 1
    assert person_of(story, 1) == {1, 2}


def test_a_profile_without_channel_does_not_bridge_two_ids_of_a_channel() -> None:
    story = persons(person("ann", mail=MAIL), person("bob", tel=TEL), person(mail=MAIL)).when(
        open_case, who=person(mail=MAIL, tel=TEL)
    )
    [refused] = story.recorded(UserLinkRefused)
    assert (refused.user_id, refused.kind, refused.channel_id) == (3, "phone", APP)
    assert person_of(story, 2) == {2}


def test_two_persons_become_one_if_no_channel_knows_both() -> None:
    story = persons(person("ann", APP, mail=MAIL), person("x", FORUM, tel=TEL))
    story.when(open_case, who=person("ann", APP, tel=TEL))
    assert linked(story) == (["phone"], [])
    assert person_of(story, 2) == {1, 2}


def test_a_link_that_would_join_two_ids_of_another_channel_is_refused_too() -> None:
    story = persons(
        person("ann", APP, mail=MAIL),
        person("x", FORUM, mail=MAIL),
        person("y", FORUM, tel=TEL),
    ).when(open_case, who=person("ann", APP, tel=TEL))
    [refused] = story.recorded(UserLinkRefused)
    assert (refused.user_id, refused.channel_id, refused.taken_by) == (1, FORUM, 3)
    assert person_of(story, 3) == {3}


def test_the_profile_that_is_in_the_way_on_the_user_s_own_channel_is_named_first() -> None:
    story = persons(
        person("x", FORUM, mail=MAIL),
        person("ann", APP, mail=MAIL),
        person("y", FORUM, tel=TEL),
        person("bob", APP, tel=TEL),
    ).when(open_case, who=person("bob", APP, mail=MAIL))
    [refused] = story.recorded(UserLinkRefused)
    assert (refused.channel_id, refused.taken_by) == (APP, 2)


class Counting(Story):
    def __init__(self) -> None:
        super().__init__()
        self.loaded = 0

    def load(self, aggregate: Aggregate[Any], key: object) -> Any:
        self.loaded += 1
        return super().load(aggregate, key)


def test_a_phone_that_many_gave_costs_the_next_profile_of_an_e_mail_nothing() -> None:
    story = Counting()
    costs = []
    for number in range(100):
        before = story.loaded
        story.given(register_user, who=person(mail=f"{number}@example.com", tel=TEL))
        costs.append(story.loaded - before)
    assert costs[-1] == costs[0]
    assert len(person_of(story, 1)) == 100


def test_a_refusal_is_about_both_profiles() -> None:
    story = persons(person("ann", mail=MAIL)).when(open_case, who=person("bob", mail=MAIL))
    assert story.recorded(UserLinkRefused)[0].about() == (2, 1)
