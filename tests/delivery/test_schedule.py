"""When a failed delivery is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.delivery.schedule import (
    DAY,
    DEADLINES,
    HORIZON,
    HOUR,
    JITTER_LIMIT,
    MINUTE,
    SECOND,
    next_attempt_at,
    parse_retry_after,
)
from kanal.domain.channels import ChannelType

NOW = 1_700_000_000 * SECOND
TYPES: tuple[ChannelType, ...] = ("sync", "async")


def delay(
    channel_type: ChannelType, failures: int, jitter: float = 0.0, retry_after: int | None = None
) -> int:
    at = next_attempt_at(
        channel_type=channel_type,
        failures=failures,
        due_since=NOW,
        failed_at=NOW,
        jitter=jitter,
        retry_after=retry_after,
        horizon=30 * DAY,
    )
    assert at is not None
    return at - NOW


def tries(channel_type: ChannelType, horizon: int = HORIZON) -> list[int]:
    """When each try of a message that never succeeds starts, in microseconds since it was due."""
    starts, at = [0], 0
    while True:
        following = next_attempt_at(
            channel_type=channel_type,
            failures=len(starts),
            due_since=0,
            failed_at=at,
            jitter=0,
            horizon=horizon,
        )
        if following is None:
            return starts
        at = following
        starts.append(at)


def test_mail_like_channels_wait_5_s_first_and_24_h_at_last() -> None:
    waits = [delay("async", failures) for failures in range(1, 12)]
    minutes = [30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE]
    hours = [HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY]
    assert waits == [5 * SECOND, *minutes, *hours]


def test_chat_like_channels_start_with_1_3_and_10_s() -> None:
    waits = [delay("sync", failures) for failures in range(1, 6)]
    assert waits == [1 * SECOND, 3 * SECOND, 10 * SECOND, 30 * SECOND, 2 * MINUTE]


def test_retry_after_a_hanging_attempt_comes_within_seconds_or_tens_of_seconds() -> None:
    longest = {kind: DEADLINES[kind] + delay(kind, 1, JITTER_LIMIT) / SECOND for kind in TYPES}
    assert longest["sync"] < 10
    assert longest["async"] < 30


def test_tries_end_with_the_age_of_the_message() -> None:
    assert 20 <= len(tries("async")) <= 25
    assert 13 * DAY < tries("async")[-1] <= HORIZON
    assert 29 * DAY < tries("async", 30 * DAY)[-1] <= 30 * DAY


@given(
    st.sampled_from(TYPES),
    st.integers(1, 60),
    st.floats(0, JITTER_LIMIT),
    st.none() | st.integers(0, 400 * DAY),
)
def test_jitter_never_makes_a_try_earlier_nor_more_than_a_fifth_later(
    channel_type: ChannelType, failures: int, jitter: float, retry_after: int | None
) -> None:
    plain = delay(channel_type, failures, 0, retry_after)
    assert plain <= delay(channel_type, failures, jitter, retry_after) <= plain * 1.2


def test_receivers_wish_lengthens_the_wait_up_to_12_h_and_never_shortens_it() -> None:
    assert delay("async", 1, retry_after=0) == 5 * SECOND
    assert delay("async", 1, retry_after=3 * SECOND) == 5 * SECOND
    assert delay("async", 1, retry_after=HOUR) == HOUR
    assert delay("async", 1, retry_after=365 * DAY) == 12 * HOUR
    assert delay("async", 12, retry_after=365 * DAY) == DAY


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"jitter": -0.01}, {"jitter": 0.21}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    right = {"failures": 1, "jitter": 0.0, "due_since": 0, "failed_at": 0}
    with pytest.raises(ValueError, match=r"failures|jitter"):
        next_attempt_at(channel_type="sync", **{**right, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", 0),
        ("120", 120 * SECOND),
        (" 7 ", 7 * SECOND),
        ("31536000", 12 * HOUR),
        ("9" * 8000, 12 * HOUR),
        ("0" * 20 + "5", 5 * SECOND),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60 * SECOND),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60 * SECOND),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 12 * HOUR),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait: int) -> None:
    assert parse_retry_after(value, NOW) == wait


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "٣", "Tue, 99 Foo 2023", "²"])
def test_retry_after_that_is_neither_is_ignored(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text() | st.text("0123456789 ,:GMTueov+-"))
def test_no_header_value_breaks_the_reading(value: str) -> None:
    wait = parse_retry_after(value, NOW)
    assert wait is None or 0 <= wait <= 12 * HOUR
