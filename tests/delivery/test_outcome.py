"""Whom a failure is charged to, and what people read about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.delivery.outcome import Outcome, OutcomeClass, readable


def outcome(outcome_class: OutcomeClass, status: int | None = None, detail: str = "") -> Outcome:
    return Outcome(
        outcome_class=outcome_class, started_at=1, ended_at=2, http_status=status, detail=detail
    )


def answered(status: int) -> Outcome:
    return outcome(OutcomeClass.HTTP_STATUS, status)


@given(
    st.sampled_from(OutcomeClass).flatmap(
        lambda each: st.integers(100, 599).map(lambda status: outcome(each, status))
    )
)
def test_every_outcome_is_charged_to_exactly_one(each: Outcome) -> None:
    charges = [
        each.succeeded,
        each.endpoint_class,
        each.message_class,
        each.permanent,
        each.local,
    ]
    assert charges.count(True) == 1


@pytest.mark.parametrize("status", [408, 410, 429, 500, 502, 503, 504, 599])
def test_statuses_of_an_endpoint_in_trouble_hold_the_channel(status: int) -> None:
    assert answered(status).endpoint_class


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 413, 422])
def test_other_statuses_hold_only_the_case(status: int) -> None:
    assert answered(status).message_class


def test_only_410_means_gone() -> None:
    assert answered(410).gone
    assert not answered(404).gone


@pytest.mark.parametrize("each", OutcomeClass)
def test_every_outcome_has_one_human_sentence(each: OutcomeClass) -> None:
    sentence = outcome(each, 418, "a {detail} of its own").sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    assert "None" not in sentence


@given(st.text(), st.integers(0, 40))
def test_readable_text_is_bounded_and_free_of_controls(text: str, limit: int) -> None:
    shown = readable(text, limit)
    assert len(shown.encode("utf-8")) <= limit
    assert not any(character < " " and character not in "\n\t" for character in shown)
    assert "\x7f" not in shown
    assert "\u202e" not in shown
