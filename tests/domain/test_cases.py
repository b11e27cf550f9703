"""Cases: who may write, what goes out, which status follows, and what is no event."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import ANNA, APP, BORIS, FORUM, Story, desk, person

from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseEvent,
    CaseGroupChanged,
    CaseLanguageChanged,
    CaseMarkedAsSpam,
    CaseMerged,
    CaseOpened,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    CaseUnmerged,
    ChildCaseMerged,
    ChildCaseUnmerged,
    MessageAdded,
)
from kanal.domain.cases import (
    CASES,
    NUMBERS,
    case_id_of,
    case_number,
    change_case,
    delete_case,
    for_each_case,
    mark_case_as_spam,
    merge_case,
    rate_case,
    restore_case,
    trash_case,
    unmerge_case,
)
from kanal.domain.channels import disable_channel
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
    open_case_with,
)
from kanal.domain.errors import (
    CannotMerge,
    CaseNotFound,
    ChannelDisabled,
    GroupNotFound,
    StaffNotActive,
    StaffNotFound,
    UserHasNoAccess,
    UserNotFound,
)
from kanal.domain.identities import IDENTITIES, find_or_register
from kanal.domain.staff import disable_staff

ABOUT = {"case_id": 1, "user_id": 1, "channel_id": APP}


def one_case() -> Story:
    """Case 1 of user 1, ann of the App."""
    return desk().given(open_case, who=person("ann"), subject="Order", content="Hello")


def with_status(status: str) -> Story:
    return one_case().given(change_case, case_id=1, status=status)


# -- opening ---------------------------------------------------------------------------------------


def test_a_user_s_case_is_open_and_begins_with_their_message() -> None:
    story = desk().when(
        open_case,
        who=person("ann"),
        subject=" Order ",
        content="Hello\r\n",
        content_html="<p>Hello</p>",
        priority="high",
        language_id=2,
        group_id=1,
    )
    assert story.recorded(CaseOpened) == [
        CaseOpened(
            case_id=1,
            user_id=1,
            channel="cch1",
            channel_id=APP,
            staff_id=0,
            group_id=1,
            status="open",
            priority="high",
            subject=" Order ",
            recipient="App",
            language_id=2,
            opened_by="user",
        )
    ]
    assert story.recorded(MessageAdded) == [
        MessageAdded(
            message_id=1,
            case_id=1,
            kind="user_message",
            user_id=1,
            staff_id=0,
            rule_id=0,
            content="Hello\r\n",
            content_html="<p>Hello</p>",
            channel_id=APP,
            case_user_id=1,
            custom_user_id="",
            outgoing=0,
        )
    ]
    assert (story.result.case_id, story.result.message_id, story.result.user_id) == (1, 1, 1)


def test_a_case_that_staff_open_waits_for_the_user_and_its_message_goes_out() -> None:
    story = desk().when(open_case, who=person("000123"), staff_id=ANNA, content="Hello")
    [opened] = story.recorded(CaseOpened)
    assert (opened.opened_by, opened.status, opened.staff_id) == ("staff", "waiting", ANNA)
    [message] = story.recorded(MessageAdded)
    assert (message.kind, message.user_id, message.staff_id) == ("staff_reply", 0, ANNA)
    assert (message.custom_user_id, message.outgoing) == ("000123", 1)


@pytest.mark.parametrize("staff_id", [0, ANNA])
def test_a_case_is_opened_with_the_status_that_was_asked_for(staff_id: int) -> None:
    story = desk().when(open_case, who=person("ann"), staff_id=staff_id, status="closed")
    assert story.recorded(CaseOpened)[0].status == "closed"


@pytest.mark.parametrize(
    ("who", "channel", "expected"),
    [
        (person("ann", FORUM), "", "cch2"),
        (person("ann", FORUM), "email", "cch2"),
        (person(mail="a@example.com"), "", "email"),
        (person(tel="+79161234567"), "", "call"),
        (person(mail="a@example.com", tel="+79161234567"), "", "email"),
        (person(mail="a@example.com"), "web", "web"),
    ],
)
def test_the_custom_channel_decides_then_the_caller_then_the_identity(
    who: Any, channel: str, expected: str
) -> None:
    story = desk().when(open_case, who=who, channel=channel)
    assert story.recorded(CaseOpened)[0].channel == expected


def test_staff_begin_where_a_profile_is_known_and_change_nothing_of_it() -> None:
    story = desk()
    known = [
        (person(" u\u00e9 ", mail="Own@example.com"), "cch1"),
        (person(mail="Some.Body@Example.com"), "email"),
        (person(tel="+7 916 123-45-67"), "call"),
    ]
    for who, channel in known:
        user_id = story.given(find_or_register, who=who).load(IDENTITIES, who.claim().key)
        story.when(open_case_with, user_id=user_id, staff_id=ANNA, subject="Hi", content="x")
        story.then_named("case.opened.1", "case.message_added.1")
        [opened] = story.recorded(CaseOpened)
        assert (opened.user_id, opened.channel, opened.status) == (user_id, channel, "waiting")
    story.when(open_case_with, user_id=9, staff_id=ANNA, content="x").refused(UserNotFound)
    story.given(disable_channel, channel_id=APP)
    story.when(open_case_with, user_id=1, staff_id=ANNA, content="x").refused(ChannelDisabled)


def test_nothing_goes_out_for_a_case_that_is_not_on_a_custom_channel() -> None:
    story = desk().given(open_case, who=person(mail="a@example.com"), content="x")
    for command in (add_staff_reply, add_note):
        [message] = story.when(command, case_id=1, staff_id=ANNA, content="y").recorded(
            MessageAdded
        )
        assert (message.outgoing, message.custom_user_id) == (0, "")


def test_a_case_is_not_opened_by_or_for_who_is_not_there() -> None:
    story = desk().given(disable_staff, staff_id=BORIS)
    story.when(open_case, who=person("ann"), staff_id=77).refused(StaffNotFound)
    story.when(open_case, who=person("ann"), staff_id=BORIS).refused(StaffNotActive)
    story.when(open_case, who=person("ann"), group_id=77).refused(GroupNotFound)


# -- writing ---------------------------------------------------------------------------------------


def test_a_user_writes_on_to_their_case() -> None:
    one_case().when(add_user_message, case_id=1, user_id=1, content="0").then(
        MessageAdded(
            message_id=2,
            case_id=1,
            kind="user_message",
            user_id=1,
            staff_id=0,
            rule_id=0,
            content="0",
            content_html="",
            channel_id=APP,
            case_user_id=1,
            custom_user_id="",
            outgoing=0,
        )
    )


def test_a_user_may_write_to_the_case_of_a_linked_profile() -> None:
    story = desk()
    story.given(open_case, who=person("ann", APP, mail="a@example.com"), content="x")
    story.given(open_case, who=person("anna", FORUM, mail="a@example.com"), content="x")
    story.when(add_user_message, case_id=1, user_id=2, content="y")
    [message] = story.recorded(MessageAdded)
    assert (message.user_id, message.case_user_id) == (2, 1)
    assert message.about() == (2, 1)


def test_a_user_may_not_write_to_the_case_of_somebody_else() -> None:
    story = one_case().given(open_case, who=person("bob"), content="x")
    story.when(add_user_message, case_id=1, user_id=2, content="y").refused(UserHasNoAccess)


def test_an_unknown_user_cannot_write() -> None:
    one_case().when(add_user_message, case_id=1, user_id=77, content="y").refused(UserNotFound)


@pytest.mark.parametrize("command", [add_staff_reply, add_note])
def test_staff_who_are_unknown_or_disabled_cannot_write(command: Any) -> None:
    story = one_case().given(disable_staff, staff_id=BORIS)
    story.when(command, case_id=1, staff_id=77, content="y").refused(StaffNotFound)
    story.when(command, case_id=1, staff_id=BORIS, content="y").refused(StaffNotActive)


def test_what_goes_out_is_numbered_and_points_to_what_went_out_before() -> None:
    story = one_case()  # version 2 now
    seen = []
    for command, arguments in (
        (add_staff_reply, {"staff_id": ANNA}),  # 3, and the status 4
        (add_note, {"staff_id": ANNA}),  # 5
        (add_user_message, {"user_id": 1}),  # 6, and the status 7
        (add_rule_message, {"rule_id": 5}),  # 8
        (add_note, {"staff_id": BORIS}),  # 9
    ):
        [message] = story.when(command, case_id=1, content="y", **arguments).recorded(MessageAdded)
        seen.append((message.kind, message.outgoing, message.custom_user_id))
    assert seen == [
        ("staff_reply", 1, "ann"),
        ("note", 2, "ann"),
        ("user_message", 0, ""),
        ("rule_message", 3, "ann"),
        ("note", 4, "ann"),
    ]


def test_a_rule_s_message_says_which_rule_wrote_it() -> None:
    [message] = (
        one_case().when(add_rule_message, case_id=1, rule_id=5, content="y").recorded(MessageAdded)
    )
    assert (message.rule_id, message.staff_id, message.user_id) == (5, 0, 0)


# -- status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "command", "arguments", "after"),
    [
        ("open", add_user_message, {"user_id": 1}, "open"),
        ("waiting", add_user_message, {"user_id": 1}, "open"),
        ("closed", add_user_message, {"user_id": 1}, "open"),
        ("open", add_staff_reply, {"staff_id": ANNA}, "waiting"),
        ("waiting", add_staff_reply, {"staff_id": ANNA}, "waiting"),
        ("closed", add_staff_reply, {"staff_id": ANNA}, "waiting"),
        ("open", add_note, {"staff_id": ANNA}, "open"),
        ("closed", add_note, {"staff_id": ANNA}, "closed"),
        ("open", add_rule_message, {"rule_id": 5}, "open"),
        ("closed", add_rule_message, {"rule_id": 5}, "closed"),
    ],
)
def test_a_message_moves_the_status(
    before: str, command: Callable[..., Any], arguments: dict[str, int], after: str
) -> None:
    story = with_status(before).when(command, case_id=1, content="y", **arguments)
    changes = [(event.old, event.new) for event in story.recorded(CaseStatusChanged)]
    assert changes == ([(before, after)] if before != after else [])
    assert story.load(CASES, 1).status == after


# -- changing --------------------------------------------------------------------------------------


def test_each_changed_property_is_an_event_of_its_own_with_old_and_new() -> None:
    one_case().when(
        change_case,
        case_id=1,
        status="closed",
        priority="critical",
        subject="",
        staff_id=BORIS,
        group_id=1,
    ).then(
        CaseStatusChanged(**ABOUT, old="open", new="closed"),
        CasePriorityChanged(**ABOUT, old="normal", new="critical"),
        CaseSubjectChanged(**ABOUT, old="Order", new=""),
        CaseAssigned(**ABOUT, old=0, new=BORIS),
        CaseGroupChanged(**ABOUT, old=0, new=1),
    )


def test_what_is_set_already_is_no_event() -> None:
    one_case().when(change_case, case_id=1).then()
    one_case().when(
        change_case,
        case_id=1,
        status="open",
        priority="normal",
        subject="Order",
        staff_id=0,
        group_id=0,
    ).then()


def test_a_case_can_be_taken_from_everybody() -> None:
    story = one_case().given(change_case, case_id=1, staff_id=BORIS, group_id=1)
    story.when(change_case, case_id=1, staff_id=0, group_id=0).then(
        CaseAssigned(**ABOUT, old=BORIS, new=0), CaseGroupChanged(**ABOUT, old=1, new=0)
    )


def test_a_refused_part_refuses_the_whole_change() -> None:
    story = one_case().given(disable_staff, staff_id=BORIS)
    story.when(change_case, case_id=1, subject="New", staff_id=BORIS).refused(StaffNotActive)
    story.when(change_case, case_id=1, subject="New", staff_id=77).refused(StaffNotFound)
    story.when(change_case, case_id=1, subject="New", group_id=77).refused(GroupNotFound)
    assert story.load(CASES, 1).subject == "Order"


def test_every_later_event_of_a_case_is_about_its_user() -> None:
    story = one_case().when(change_case, case_id=1, status="closed", subject="New")
    assert [event.about() for event in story.new] == [(1,), (1,)]
    assert all(isinstance(event, CaseEvent) for event in story.new)


# -- trash, spam, deletion -------------------------------------------------------------------------


def test_a_case_goes_to_the_trash_and_to_spam_once_and_comes_back() -> None:
    story = one_case()
    story.when(trash_case, case_id=1).then(CaseTrashed(**ABOUT))
    story.when(trash_case, case_id=1).then()
    story.when(mark_case_as_spam, case_id=1).then(CaseMarkedAsSpam(**ABOUT))
    story.when(mark_case_as_spam, case_id=1).then()
    story.when(restore_case, case_id=1).then(CaseRestored(**ABOUT))
    story.when(restore_case, case_id=1).then()


WRITING = [
    (add_user_message, {"user_id": 1, "content": "y"}),
    (add_staff_reply, {"staff_id": ANNA, "content": "y"}),
    (add_note, {"staff_id": ANNA, "content": "y"}),
    (add_rule_message, {"rule_id": 5, "content": "y"}),
]


@pytest.mark.parametrize(("command", "arguments"), WRITING)
def test_nobody_writes_to_a_case_in_the_trash(command: Any, arguments: dict[str, Any]) -> None:
    story = one_case().given(trash_case, case_id=1)
    story.when(command, case_id=1, **arguments).refused(CaseNotFound)
    story.given(restore_case, case_id=1)
    assert story.when(command, case_id=1, **arguments).recorded(MessageAdded)


def test_spam_can_be_written_to() -> None:
    story = one_case().given(mark_case_as_spam, case_id=1)
    story.when(add_staff_reply, case_id=1, staff_id=ANNA, content="y").then_named(
        "case.message_added.1", "case.status_changed.1"
    )


ANYTHING = [
    *WRITING,
    (change_case, {"status": "closed"}),
    (trash_case, {}),
    (mark_case_as_spam, {}),
    (restore_case, {}),
    (delete_case, {}),
]


@pytest.mark.parametrize(("command", "arguments"), ANYTHING)
def test_a_case_that_is_deleted_or_unknown_is_not_found(
    command: Any, arguments: dict[str, Any]
) -> None:
    story = one_case().when(delete_case, case_id=1).then(CaseDeleted(**ABOUT))
    story.when(command, case_id=1, **arguments).refused(CaseNotFound)
    story.when(command, case_id=77, **arguments).refused(CaseNotFound)


# -- numbers ---------------------------------------------------------------------------------------


@given(st.integers(0, NUMBERS - 1))
def test_a_case_number_leads_back_to_its_case(case_id: int) -> None:
    number = case_number(case_id)
    assert len(number) == 10
    assert case_id_of(number) == case_id


def test_case_numbers_are_unique_and_do_not_count_up() -> None:
    numbers = [case_number(case_id) for case_id in range(20_000)]
    assert len(set(numbers)) == len(numbers)
    assert numbers[:3] == ["664-245651", "051-666140", "439-086629"]


@pytest.mark.parametrize(
    "number", ["", "1", "1234567890", "123-45678", "123-4567890", "x23-456789", " 123-456789"]
)
def test_what_is_not_a_case_number_leads_nowhere(number: str) -> None:
    assert case_id_of(number) is None


# -- rating, language, copies ----------------------------------------------------------------------


def test_a_rating_is_of_whoever_has_the_case_unless_it_is_said() -> None:
    story = one_case().given(change_case, case_id=1, staff_id=BORIS)
    story.when(rate_case, case_id=1, rating="high", rating_comment="Спасибо")
    rated = CaseRated(**ABOUT, rating="high", rating_comment="Спасибо", rated_staff_id=BORIS)
    assert story.new == [rated]
    story.when(rate_case, case_id=1, rating="high", rating_comment="Спасибо", rated_staff_id=0)
    assert [event.rated_staff_id for event in story.recorded(CaseRated)] == [0]


def test_the_same_rating_again_is_no_event_and_another_takes_its_comment_away() -> None:
    story = one_case().given(rate_case, case_id=1, rating="low", rating_comment="Slow")
    assert story.when(rate_case, case_id=1, rating="low", rating_comment="Slow").new == []
    [rated] = story.when(rate_case, case_id=1, rating="middle").recorded(CaseRated)
    assert (rated.rating, rated.rating_comment) == ("middle", "")


def test_a_disabled_colleague_s_work_can_be_rated_an_unknown_one_s_cannot() -> None:
    story = one_case().given(disable_staff, staff_id=BORIS)
    story.when(rate_case, case_id=1, rating="low", rated_staff_id=BORIS)
    assert story.refusal is None
    story.when(rate_case, case_id=1, rating="low", rated_staff_id=99)
    assert isinstance(story.refusal, StaffNotFound)
    story.when(rate_case, case_id=99, rating="low")
    assert isinstance(story.refusal, CaseNotFound)


def test_a_language_is_changed_once() -> None:
    story = desk().given(open_case, who=person("ann"), content="Hello", language_id=2)
    assert story.when(change_case, case_id=1, language_id=2).new == []
    story.when(change_case, case_id=1, language_id=0)
    assert story.new == [CaseLanguageChanged(**ABOUT, old=2, new=0)]


def test_the_recipient_is_the_channel_s_title_unless_it_is_said() -> None:
    story = desk().when(
        open_case,
        who=person("ann"),
        content="Hello",
        recipient="help@example.com",
        cc_emails="a@example.com,b@example.com",
        bcc_emails="c@example.com",
    )
    [opened] = story.recorded(CaseOpened)
    assert opened.recipient == "help@example.com"
    assert opened.cc_emails == "a@example.com,b@example.com"
    assert opened.bcc_emails == "c@example.com"


def test_a_change_of_status_says_whose_message_made_it() -> None:
    story = one_case().given(add_staff_reply, case_id=1, staff_id=BORIS, content="Hi")
    story.when(add_user_message, case_id=1, user_id=1, content="Hello?")
    [changed] = story.recorded(CaseStatusChanged)
    assert (changed.new, changed.by) == ("open", "user:1")
    [changed] = story.when(add_staff_reply, case_id=1, staff_id=BORIS, content="Hi").recorded(
        CaseStatusChanged
    )
    assert (changed.new, changed.by) == ("waiting", f"staff:{BORIS}")
    [changed] = story.when(change_case, case_id=1, status="closed").recorded(CaseStatusChanged)
    assert changed.by == ""


# -- several at once, merging ----------------------------------------------------------------------


def test_of_several_cases_those_that_are_not_there_are_left_out() -> None:
    story = one_case().given(open_case, who=person("ann"), content="Hello")
    story.when(for_each_case, change=trash_case, case_ids=[2, 9, 1, 2])
    assert story.result == [2, 1]
    assert [event.case_id for event in story.recorded(CaseTrashed)] == [2, 1]


def three_cases() -> Story:
    """Cases 1, 2 and 3, all of ann of the App."""
    story = one_case()
    for _ in range(2):
        story.given(open_case, who=person("ann"), content="Hello")
    return story


def test_a_merged_case_is_closed_and_both_streams_know() -> None:
    story = three_cases().when(merge_case, case_id=2, parent_case_id=1)
    second = {**ABOUT, "case_id": 2}
    assert story.new == [
        CaseStatusChanged(**second, old="open", new="closed"),
        CaseMerged(**second, parent_case_id=1),
        ChildCaseMerged(**ABOUT, child_case_id=2),
    ]
    assert story.when(merge_case, case_id=2, parent_case_id=1).new == []
    assert story.when(unmerge_case, case_id=2).new == [
        CaseUnmerged(**second, parent_case_id=1),
        ChildCaseUnmerged(**ABOUT, child_case_id=2),
    ]
    assert story.when(unmerge_case, case_id=2).new == []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (add_user_message, {"user_id": 1}),
        (add_staff_reply, {"staff_id": ANNA}),
        (add_note, {"staff_id": ANNA}),
        (add_rule_message, {"rule_id": 5}),
    ],
)
def test_the_parent_takes_what_is_written_to_a_merged_case(
    command: Callable[..., Any], arguments: dict[str, int]
) -> None:
    story = three_cases().given(merge_case, case_id=2, parent_case_id=1)
    [added] = story.when(command, case_id=2, content="y", **arguments).recorded(MessageAdded)
    assert (added.case_id, story.result.case_id) == (1, 1)
    assert story.events[-1].event.case_id == 1  # type: ignore[attr-defined]


def test_there_are_no_chains_and_no_circles_of_merged_cases() -> None:
    story = three_cases().given(merge_case, case_id=2, parent_case_id=1)
    for case_id, parent in ((1, 1), (1, 2), (1, 3), (3, 2), (2, 3)):
        story.when(merge_case, case_id=case_id, parent_case_id=parent)
        assert isinstance(story.refusal, CannotMerge), (case_id, parent)
    assert story.when(merge_case, case_id=3, parent_case_id=1).refusal is None
    story.given(unmerge_case, case_id=2).given(unmerge_case, case_id=3)
    assert story.when(merge_case, case_id=1, parent_case_id=2).refusal is None


@pytest.mark.parametrize("other", [person("boris"), person("ann", FORUM)])
def test_only_cases_of_one_user_are_merged(other: Any) -> None:
    story = one_case().given(open_case, who=other, content="Hello")
    assert isinstance(story.when(merge_case, case_id=2, parent_case_id=1).refusal, CannotMerge)


def test_a_merged_case_that_is_deleted_does_not_bind_its_parent() -> None:
    story = three_cases().given(merge_case, case_id=2, parent_case_id=1)
    assert story.when(delete_case, case_id=2).new[:-1] == [
        ChildCaseUnmerged(**ABOUT, child_case_id=2)
    ]
    assert story.when(merge_case, case_id=1, parent_case_id=3).refusal is None


def test_a_merged_case_outlives_its_parent() -> None:
    story = (
        three_cases().given(merge_case, case_id=2, parent_case_id=1).given(delete_case, case_id=1)
    )
    assert story.when(unmerge_case, case_id=2).new == [
        CaseUnmerged(**{**ABOUT, "case_id": 2}, parent_case_id=1)
    ]


def test_a_merged_case_goes_the_way_of_its_parent() -> None:
    story = three_cases().given(merge_case, case_id=2, parent_case_id=1)
    story.given(trash_case, case_id=1)
    write = {"case_id": 2, "user_id": 1, "content": "y"}
    assert isinstance(story.when(add_user_message, **write).refusal, CaseNotFound)
    assert story.when(unmerge_case, case_id=2).refusal is None
    assert story.when(add_user_message, **write).refusal is None
    assert isinstance(story.when(merge_case, case_id=2, parent_case_id=1).refusal, CaseNotFound)
