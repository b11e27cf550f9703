"""Conditions of rules: what they ask, how they are read, and that they obey the laws of logic."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import APP, Story, desk, person

from kanal.domain.business_hours import Calendar, Span, add_business_hours
from kanal.domain.cases import CASES, change_case
from kanal.domain.companies import create_company
from kanal.domain.conditions import (
    ALWAYS,
    FIELDS,
    LOOKED_AT,
    MINUTE,
    OPERATORS,
    OPPOSITES,
    Cause,
    Condition,
    Facts,
    holds,
    leaves,
    read_leaf,
    verdicts,
)
from kanal.domain.conversation import add_staff_reply, add_user_message, open_case
from kanal.domain.custom_fields import GivenValues, create_field
from kanal.domain.labels import create_label
from kanal.domain.response_targets import Deadline, Deadlines


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def no_fault(_: str) -> str:
    return ""


def leaf(field: str, operator: str, value: Any = None) -> Condition:
    return read_leaf(field, operator, value, no_fault)


def story() -> Story:
    """Case 1 of a user with everything that can be asked, and case 2 of one with nothing."""
    there = desk().given(create_label, title="VIP").given(create_label, title="Slow")
    there.given(create_field, title="Plan", field_type="text", field_level="user")
    there.given(create_field, title="Paid", field_type="checkbox", field_level="case")
    details = {"full_name": "Анна Павловна", "note": "calls often"}
    who = person("u1", APP, mail="ann@example.com", tel="+79161234567", details=details)
    values = GivenValues(str, {"cf_1": "Gold", "cf_2": True})
    there.given(open_case, who=who, subject="Заказ № 5", content="Hi", given_values=values)
    there.given(create_company, name="ACME", users=[1])
    there.given(change_case, case_id=1, add_labels=[1], group_id=1, staff_id=1, language_id=2)
    there.given(add_user_message, case_id=1, user_id=1, content="Where?")
    there.given(add_staff_reply, case_id=1, staff_id=1, content="On its way")
    return there.given(open_case, who=person(mail="b@example.com"), content="Hi")


def facts(case_id: int = 1, **cause: Any) -> Facts:
    """Each version of a case came a minute after the one before; of the newest one it is not known yet."""
    there = story()
    said = {"change": "user_message", "version": 0, "author": "user", **cause}
    case = there.load(CASES, case_id)
    times = {version: version * MINUTE for version in range(case.version)}
    happened = Cause(position=9, case_id=case_id, **said)
    now = case.version * MINUTE
    deadlines: Deadlines = {
        # Nobody waits for an answer any more; to be closed in less than five minutes.
        "first_response": Deadline(1, 1, now - 1),
        "next_response": Deadline(1, 1, now - 1),
        "resolution": Deadline(1, 1, now + 5 * MINUTE - 1),
    }
    return Facts(there, case, happened, now, times.get, lambda: deadlines)


TRUE: list[tuple[str, str, Any]] = [
    ("channel", "is", ["cch1", "email"]),
    ("channel_type", "is", "async"),
    ("status", "is", "waiting"),
    ("priority", "is", ["normal", "low"]),
    ("group_id", "is", "1"),
    ("staff_id", "is", 1),
    ("language_id", "is", 2),
    ("user_id", "is", [1, 7]),
    ("company_id", "is", 1),
    ("labels", "include", [1, 2]),
    ("subject", "contains", "заказ"),
    ("subject", "matches", r"№ \d"),
    ("user_name", "is", " анна ПАВЛОВНА"),
    ("user_note", "contains", "OFTEN"),
    ("user_position", "is_empty", None),
    ("user_custom_id", "is", "u1"),
    ("user_email", "contains", "@EXAMPLE.com"),
    ("user_phone", "matches", "^[+]7"),
    ("company_name", "is", "acme"),
    ("user_messages", "at_least", 2),
    ("user_messages", "at_most", 2),
    ("staff_replies", "is", 1),
    ("minutes_since_opened", "at_least", 8),
    ("minutes_since_user_message", "is", 2),
    ("minutes_since_staff_reply", "at_most", 1),
    ("minutes_since_status", "is", 0),
    ("first_response_violated", "is", False),
    ("next_response_violated", "is", False),
    ("resolution_violated", "is", False),
    ("minutes_to_first_response", "is_not", 0),
    ("minutes_to_next_response", "is_not", 0),
    ("minutes_to_resolution", "is", 5),
    ("business_hours", "is", True),
    ("cf_1", "is", "gold"),
    ("cf_2", "is", "true"),
    ("cf_3", "is_empty", None),
    ("text", "contains", "REFUND"),
    ("author", "is", "user"),
    ("change", "is", ["user_message", "note"]),
    ("first_message", "is", "1"),
]


def test_every_field_says_what_it_should_and_its_opposite_the_contrary() -> None:
    assert {field for field, *_ in TRUE} == {*FIELDS, "cf_1", "cf_2", "cf_3"}
    known = facts(text="I want a refund", version=facts().case.first_message)
    contrary = {positive: negative for negative, positive in OPPOSITES.items()}
    for field, operator, value in TRUE:
        assert holds(leaf(field, operator, value), known, matches), (field, operator)
        if (
            operator in contrary
            and contrary[operator] in OPERATORS[getattr(FIELDS.get(field), "kind", "text")]
        ):
            opposite = leaf(field, contrary[operator], value)
            assert not holds(opposite, known, matches), (field, operator)


def test_who_has_nothing_is_nobodys_and_empty() -> None:
    known = facts(2, text="")
    for field, operator, value in (
        ("channel", "is", "email"),
        ("channel_type", "is", "standard"),
        ("group_id", "is", 0),
        ("staff_id", "is_not", [1, 2]),
        ("company_id", "is", 0),
        ("company_name", "is_empty", None),
        ("labels", "exclude", [1]),
        ("user_email", "is", "b@example.com"),
        ("user_custom_id", "is_empty", None),
        ("cf_1", "not_contains", "Gold"),
        ("text", "not_matches", "."),
        ("first_message", "is", False),
        ("minutes_since_staff_reply", "is_not", 0),
    ):
        assert holds(leaf(field, operator, value), known, matches), field
    for operator in ("at_least", "at_most"):
        assert not holds(leaf("minutes_since_staff_reply", operator, 0), known, matches)


def test_a_target_is_violated_when_it_is_over_and_somebody_waits_for_it_still() -> None:
    there = story()
    waiting = there.load(CASES, 2)
    known = facts(2)
    for seconds, violated in ((-1, True), (0, False), (90, False)):
        at = known.now + seconds * 1_000_000
        deadlines = {"first_response": Deadline(9, waiting.first_response_awaited, at)}
        asked = Facts(there, waiting, known.cause, known.now, deadlines=lambda at=deadlines: at)
        assert holds(leaf("first_response_violated", "is", violated), asked, matches), seconds
        near = leaf("minutes_to_first_response", "at_most", 2)
        assert holds(near, asked, matches) != violated, seconds
        exact = leaf("minutes_to_first_response", "is", 2)
        assert holds(exact, asked, matches) == (seconds == 90)
        assert holds(leaf("next_response_violated", "is", False), asked, matches)


def test_business_hours_are_those_of_the_cases_group_at_the_moment_of_asking() -> None:
    there, known = story(), facts()
    open_at, closed_at = leaf("business_hours", "is", True), leaf("business_hours", "is", False)
    nights = Calendar("UTC", (Span(0, 0, 60),))
    there.given(add_business_hours, title="Mondays, an hour", calendar=nights, groups=[1])
    monday = 4 * 24 * 60 * MINUTE
    for minutes, holds_then in ((30, True), (90, False)):
        now = monday + minutes * MINUTE
        asked = Facts(there, known.case, known.cause, now)
        assert holds(open_at, asked, matches) is holds_then
        assert holds(closed_at, asked, matches) is not holds_then


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    long = facts(text="x" * LOOKED_AT + "refund")
    assert not holds(leaf("text", "contains", "refund"), long, matches)


@pytest.mark.parametrize(
    ("field", "operator", "value", "sentence"),
    [
        ("size", "is", 1, "field must be one of channel"),
        ("status", "contains", "open", "operator must be is or is_not for status"),
        ("status", "is", "new", "value must be of open, waiting, closed"),
        ("status", "is", [], "value must be 1 to 100 values"),
        ("group_id", "is", "x", "value must be a number"),
        ("group_id", "is", 2**63, "value must be a number"),
        ("labels", "include", [True], "value must be a number"),
        ("user_messages", "at_least", [1], "value must be a number"),
        ("first_message", "is", "yes", "value must be true or false"),
        ("subject", "contains", "", "value must be a text"),
        ("subject", "contains", {"a": 1}, "value must be a text"),
        ("subject", "contains", "x" * 1001, "value may have up to 1000 characters"),
        ("channel", "is", [5], "value must be channels like cch1 or email"),
        ("cf_x", "is", "1", "field must be one of"),
    ],
)
def test_what_cannot_be_a_condition_is_refused_in_words(
    field: str, operator: str, value: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        leaf(field, operator, value)
    with pytest.raises(ValueError, match="value is no pattern: why"):
        read_leaf("subject", "matches", "(", lambda _: "why")


KNOWN = facts(text="I want a refund")
LEAVES = st.sampled_from(
    [leaf(*each) for each in TRUE]
    + [leaf("status", "is", "closed"), leaf("text", "contains", "no"), ALWAYS]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Condition,
        all=st.lists(inner, max_size=3).map(tuple),
        any=st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=12,
)


def truth(condition: Condition) -> bool:
    return holds(condition, KNOWN, matches)


@given(st.lists(TREES, min_size=1, max_size=4))
def test_all_and_any_are_the_and_and_or_of_what_they_hold(parts: list[Condition]) -> None:
    values = [truth(each) for each in parts]
    assert truth(Condition(all=tuple(parts))) == all(values)
    assert truth(Condition(any=tuple(parts))) == any(values)
    assert truth(Condition(all=tuple(reversed(parts)))) == all(values)
    assert truth(Condition(all=(Condition(any=tuple(parts)),))) == any(values)


@given(TREES)
def test_each_part_is_judged_at_its_place(condition: Condition) -> None:
    judged = dict(verdicts(condition, KNOWN, matches))
    assert judged["conditions"] == truth(condition)
    for each, place in leaves(condition):
        assert judged[place] == truth(each)


def test_without_conditions_everything_holds() -> None:
    assert truth(ALWAYS)
    assert truth(Condition(any=(ALWAYS,)))
