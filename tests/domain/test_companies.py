"""Companies: found by name, joined by e-mail domain or by hand, and what becomes of their users' cases."""

from typing import Any

import pytest
from story import ANNA, APP, Story, desk, person

from kanal.domain.case_events import CaseMarkedAsSpam, CaseOpened
from kanal.domain.companies import (
    COMPANIES,
    CompanyChanged,
    block_company,
    change_company,
    create_company,
    delete_company,
    disable_company,
    put_into_company,
    restore_company,
)
from kanal.domain.conversation import open_case
from kanal.domain.errors import (
    CompanyDomainTaken,
    CompanyNameTaken,
    CompanyNotFound,
    GroupNotFound,
    UserNotFound,
)
from kanal.domain.groups import create_group
from kanal.domain.identities import change_profile, find_or_register
from kanal.domain.users import USERS, UserJoinedCompany


def company_of(story: Story, user_id: int) -> int:
    return story.load(USERS, user_id).company_id


def named(external_id: str, company: str) -> Any:
    return person(external_id, details={"company_name": company})


def test_a_company_that_is_named_is_found_in_any_letter_case_or_made() -> None:
    story = desk().when(open_case, who=named("ann", " Acme "), content="x")
    assert story.load(COMPANIES, 1).details.name == "Acme"
    story.when(open_case, who=named("bob", "ACME"), content="x")
    assert [company_of(story, each) for each in (1, 2)] == [1, 1]
    assert story.recorded(UserJoinedCompany) == [
        UserJoinedCompany(user_id=2, company_id=1, left=0, reason="name")
    ]
    story.when(open_case, who=named("bob", "Other"), content="x")
    assert story.recorded(UserJoinedCompany) == [
        UserJoinedCompany(user_id=2, company_id=2, left=1, reason="name")
    ]
    story.when(change_profile, user_id=2, details={"company_name": "acme"})
    assert company_of(story, 2) == 1
    story.when(find_or_register, who=named("bob", " "))
    assert company_of(story, 2) == 1


def test_a_name_that_is_given_again_does_not_take_back_whom_staff_moved() -> None:
    story = desk().given(open_case, who=named("ann", "Acme"), content="x")
    story.given(create_company, name="Other", users=[1])
    story.when(open_case, who=named("ann", "Acme"), content="x")
    assert company_of(story, 1) == 2
    story.given(change_company, company_id=2, remove_users=[1])
    story.when(open_case, who=named("ann", "Acme"), content="x")
    assert company_of(story, 1) == 0


def test_a_new_user_joins_the_company_of_the_e_mail_s_domain_unless_another_is_named() -> None:
    story = desk().given(create_company, name="Acme", domains=["acme.com"])
    story.given(find_or_register, who=person(mail="Ann@ACME.com"))
    story.given(find_or_register, who=person("bob", mail="bob@acme.com"))
    both = person(mail="eve@acme.com", details={"company_name": "Other"})
    story.given(find_or_register, who=both)
    story.given(find_or_register, who=person(mail="x@sub.acme.com"))
    story.given(find_or_register, who=person("bob", mail="bob@other.com"))
    assert [company_of(story, each) for each in (1, 2, 3, 4)] == [1, 1, 2, 0]


def test_users_join_and_leave_by_hand() -> None:
    story = desk().given(find_or_register, who=person("a")).given(find_or_register, who=person("b"))
    story.given(create_company, name="Acme", users=[1])
    story.given(create_company, name="Other")
    story.when(change_company, company_id=2, add_users=[1, 2], remove_users=[])
    assert [company_of(story, each) for each in (1, 2)] == [2, 2]
    story.when(change_company, company_id=2, add_users=[1]).then()
    story.when(change_company, company_id=1, remove_users=[1]).then()
    story.when(change_company, company_id=2, remove_users=[1]).then_named("user.left_company.1")
    story.when(change_company, company_id=2, add_users=[9]).refused(UserNotFound)


def test_names_and_domains_have_one_company() -> None:
    story = desk().given(create_company, name="Acme", domains=["acme.com", "acme.com"])
    story.given(create_company, name="Other")
    assert story.load(COMPANIES, 1).domains == ("acme.com",)
    story.when(create_company, name=" ACME").refused(CompanyNameTaken)
    story.when(create_company, name="New", domains=["acme.com"]).refused(CompanyDomainTaken)
    story.when(change_company, company_id=2, name="acme").refused(CompanyNameTaken)
    story.when(change_company, company_id=2, add_domains=["acme.com"]).refused(CompanyDomainTaken)
    story.when(change_company, company_id=1, name="ACME", add_domains=["acme.com"])
    assert story.new == [
        CompanyChanged(company_id=1, name="ACME", default_group=0, address="", note="")
    ]
    story.when(change_company, company_id=1, name="ACME").then()
    story.given(change_company, company_id=1, name="New", remove_domains=["acme.com", "x.com"])
    story.given(change_company, company_id=2, name="Acme", add_domains=["acme.com"])
    assert story.load(COMPANIES, 2).domains == ("acme.com",)


def test_a_company_that_is_deleted_is_gone_and_its_name_and_domains_are_free() -> None:
    story = desk().given(create_company, name="Acme", domains=["acme.com"], default_group=1)
    story.given(find_or_register, who=person(mail="ann@acme.com"))
    story.given(block_company, company_id=1).given(delete_company, company_id=1)
    for command in (
        *(block_company, disable_company, restore_company),
        *(delete_company, change_company),
    ):
        story.when(command, company_id=1).refused(CompanyNotFound)
    story.when(open_case, who=person(mail="ann@acme.com"), content="x")
    [opened] = story.recorded(CaseOpened)
    assert (opened.group_id, story.recorded(CaseMarkedAsSpam)) == (0, [])
    story.given(create_company, name="Acme", domains=["acme.com"], users=[1])
    assert company_of(story, 1) == 2


def test_a_case_gets_the_company_s_group_unless_one_is_given() -> None:
    story = desk().given(create_group, title="VIP")
    story.given(create_company, name="Acme", default_group=1)
    story.when(open_case, who=named("ann", "Acme"), content="x")
    assert story.recorded(CaseOpened)[0].group_id == 1
    story.when(open_case, who=person("ann"), group_id=2, content="x")
    assert story.recorded(CaseOpened)[0].group_id == 2
    story.given(change_company, company_id=1, default_group=0)
    story.when(open_case, who=person("ann"), content="x")
    assert story.recorded(CaseOpened)[0].group_id == 0
    story.when(change_company, company_id=1, default_group=9).refused(GroupNotFound)
    story.when(create_company, name="x", default_group=9).refused(GroupNotFound)


def test_what_users_of_a_blocked_company_open_is_spam() -> None:
    story = desk().given(open_case, who=named("ann", "Acme"), content="x")
    story.when(block_company, company_id=1).then_named("company.blocked.1")
    story.when(block_company, company_id=1).then()
    story.when(open_case, who=person("ann"), content="x")
    assert len(story.recorded(CaseMarkedAsSpam)) == 1
    story.when(open_case, who=person("ann"), content="x", staff_id=ANNA)
    assert story.recorded(CaseMarkedAsSpam) == []
    story.given(disable_company, company_id=1)
    story.when(restore_company, company_id=1).then_named("company.restored.1")
    story.when(restore_company, company_id=1).then()
    story.when(open_case, who=person("ann", APP), content="x")
    assert story.recorded(CaseMarkedAsSpam) == []


@pytest.mark.parametrize("command", [block_company, disable_company, change_company])
def test_an_unknown_company_is_refused(command: Any) -> None:
    desk().when(command, company_id=7).refused(CompanyNotFound)


def test_by_hand_a_user_is_put_into_a_company_by_its_name_and_taken_out() -> None:
    story = desk().given(find_or_register, who=named("u", "Acme"))
    story.given(create_company, name="Beta")
    story.given(put_into_company, user_id=1, name=" bETA ")
    assert company_of(story, 1) == 2
    # Named again by a program, as it did before, it stays where staff put it.
    story.when(find_or_register, who=named("u", "Acme")).then()
    story.when(put_into_company, user_id=1, name="Beta").then()
    story.given(put_into_company, user_id=1, name="Gamma")
    assert company_of(story, 1) == 3
    story.given(put_into_company, user_id=1, name="")
    assert company_of(story, 1) == 0
    story.when(put_into_company, user_id=1, name=" ").then()
