"""What an outcome means for its message and for its channel."""

from typing import Any

import pytest

from kanal.delivery.outcome import Outcome, OutcomeClass
from kanal.delivery.schedule import DAY, HOUR, MINUTE, SECOND
from kanal.delivery.tables import NEVER
from kanal.delivery.verdict import (
    NOTICED_AFTER,
    REFUSALS_OF_ALL,
    Attempted,
    Delivery,
    LaneRow,
    Rules,
    Verdict,
    judge,
    reason_for,
)
from kanal.domain.webhook_options import WebhookOptions

START = 1_700_000_000 * SECOND
URL = "https://example.com/hook"
RULES = Rules(jitter=lambda: 0.0)


def lane(**given: Any) -> LaneRow:
    row: dict[str, Any] = {
        "channel_id": 1,
        "webhook_url": URL,
        "channel_type": "sync",
        "options": WebhookOptions(),
        "state": "active",
        "open_since": 0,
        "failures": 0,
        "charged_at": 0,
        "paused_until": 0,
        "owner": "somebody",
        "token": 1,
    }
    return LaneRow(**row | given)


def delivery(**given: Any) -> Delivery:
    row: dict[str, Any] = {
        "delivery_id": "msg_1",
        "position": 5,
        "channel_id": 1,
        "case_id": 1,
        "message_id": 1,
        "kind": "message_new",
        "sequence": 1,
        "previous_id": "",
        "queue": 1,
        "turn": 5,
        "replay_id": None,
        "created_at": START,
        "due_since": START,
        "due_at": START,
        "attempts": 0,
        "failures": 0,
        "first_failed_at": None,
        "content_type": "text/plain",
    }
    return Delivery(**row | given)


def attempted(
    outcome_class: OutcomeClass = OutcomeClass.HTTP_STATUS,
    http_status: int | None = None,
    *,
    of: Delivery | None = None,
    url: str = URL,
    succeeded_at: int = 0,
    started_at: int = START,
    retry_after: int | None = None,
    lane_failures: int = 0,
) -> Attempted:
    outcome = Outcome(
        outcome_class=outcome_class,
        started_at=started_at,
        ended_at=started_at + SECOND,
        http_status=http_status,
        retry_after=retry_after,
    )
    return Attempted(of or delivery(), 1, url, outcome, succeeded_at, lane_failures=lane_failures)


ENDED = START + SECOND


def test_a_success_delivers_and_lets_a_paused_channel_go_on() -> None:
    taken = attempted(OutcomeClass.OK, 200)
    assert judge(lane(), taken, RULES) == Verdict("delivered")
    taken = attempted(OutcomeClass.OK, 200, lane_failures=3)
    resumed = judge(lane(failures=3, paused_until=START), taken, RULES)
    assert resumed.lane == {"failures": 0, "paused_until": 0}
    troubled = lane(failures=3, failing_since=START - DAY, failed_id="msg_1", warned=1)
    assert judge(troubled, taken, RULES).lane == {
        "failures": 0,
        "paused_until": 0,
        "state_since": ENDED,
        "failing_since": None,
        "failed_id": None,
        "notice_at": ENDED,
    }


@pytest.mark.parametrize("status", [500, 503, 408, 429])
def test_an_endpoints_failure_pauses_the_channel_and_leaves_the_message_due(status: int) -> None:
    verdict = judge(lane(failures=1), attempted(http_status=status, lane_failures=1), RULES)
    assert (verdict.result, verdict.due_at, verdict.failures) == ("again", START, 1)
    assert verdict.lane == {
        "failures": 2,
        "charged_at": ENDED,
        "paused_until": ENDED + 3 * SECOND,
        "failing_since": ENDED,
        "failed_id": "msg_1",
        "notice_at": ENDED + NOTICED_AFTER,
    }


def test_trouble_begins_with_the_first_failure_and_anew_after_a_long_silence() -> None:
    since = {"failing_since": START - 3 * DAY, "notice_at": START + HOUR, "failures": 9}
    still = lane(charged_at=START - DAY, **since)
    lane_changes = judge(still, attempted(http_status=500, lane_failures=9), RULES).lane
    assert lane_changes["failing_since"] == START - 3 * DAY
    assert lane_changes["notice_at"] == START + HOUR
    anew = lane(charged_at=START - 3 * DAY, **since)
    assert (
        judge(anew, attempted(http_status=500, lane_failures=9), RULES).lane["failing_since"]
        == ENDED
    )
    # An answer that is no success does not end it.
    refused = judge(still, attempted(http_status=404, lane_failures=9), RULES)
    assert refused.lane == {"failures": 0, "paused_until": 0}


def test_a_failure_that_was_under_way_when_the_channel_was_paused_is_not_charged_to_it() -> None:
    verdict = judge(lane(failures=1, charged_at=START + 1), attempted(http_status=500), RULES)
    assert (verdict.result, verdict.failures, verdict.lane) == ("again", 1, {})


@pytest.mark.parametrize("status", [200, 404])
def test_what_was_under_way_when_the_channel_was_paused_does_not_end_the_pause(status: int) -> None:
    paused = lane(failures=1, charged_at=START + 1, paused_until=START + HOUR)
    outcome_class = OutcomeClass.OK if status == 200 else OutcomeClass.HTTP_STATUS
    assert judge(paused, attempted(outcome_class, status), RULES).lane == {}
    # Nor if a clock that was set says that it began after.
    late = attempted(outcome_class, status, started_at=START + 2)
    assert judge(paused, late, RULES).lane == {}


def test_a_message_refused_by_a_living_endpoint_waits_alone() -> None:
    verdict = judge(lane(), attempted(http_status=422), RULES)
    assert (verdict.result, verdict.due_at, verdict.failures) == ("again", ENDED + SECOND, 1)
    assert verdict.first_failed_at == ENDED
    assert verdict.lane == {}


def test_a_refusal_shows_that_the_endpoint_is_back() -> None:
    verdict = judge(lane(failures=4), attempted(http_status=404, lane_failures=4), RULES)
    assert verdict.lane == {"failures": 0, "paused_until": 0}


def test_an_endpoint_that_fails_on_one_message_and_takes_others_is_not_paused() -> None:
    first = attempted(http_status=500, succeeded_at=START + 1)
    assert judge(lane(), first, RULES).lane == {}
    failed_before = delivery(failures=1, first_failed_at=START - HOUR)
    later = attempted(http_status=500, of=failed_before, succeeded_at=START - MINUTE)
    verdict = judge(lane(), later, RULES)
    assert (verdict.due_at, verdict.lane) == (ENDED + 3 * SECOND, {})


@pytest.mark.parametrize("status", [410, 429])
def test_what_a_receiver_says_for_all_pauses_the_channel_whatever_it_took(status: int) -> None:
    said = attempted(http_status=status, succeeded_at=START + 1)
    assert judge(lane(), said, RULES).lane["failures"] == 1


def test_a_wish_for_a_later_try_moves_the_pause() -> None:
    wished = attempted(http_status=503, retry_after=HOUR)
    assert judge(lane(), wished, RULES).lane["paused_until"] == ENDED + HOUR


def test_gone_pauses_for_a_day_and_is_told_at_once() -> None:
    lane_changes = judge(lane(), attempted(http_status=410), RULES).lane
    assert (lane_changes["paused_until"], lane_changes["notice_at"]) == (ENDED + DAY, ENDED)


@pytest.mark.parametrize(
    ("refused", "url"),
    [
        (OutcomeClass.BLOCKED_BY_POLICY, "http://10.0.0.1/hook"),
        (OutcomeClass.INVALID_URL, "http://256.1.1.1/hook"),
        (OutcomeClass.INVALID_URL, "http://[::1/hook"),
    ],
)
def test_an_address_that_may_not_be_called_waits_for_another_without_a_failure(
    refused: OutcomeClass, url: str
) -> None:
    verdict = judge(lane(webhook_url=url), attempted(refused, url=url), RULES)
    assert (verdict.result, verdict.due_at, verdict.failures) == ("again", START, 0)
    assert verdict.lane["paused_until"] == NEVER
    assert verdict.lane["notice_at"] == ENDED
    assert "failures" not in verdict.lane


def test_a_name_that_led_to_a_forbidden_address_is_tried_again() -> None:
    verdict = judge(lane(), attempted(OutcomeClass.BLOCKED_BY_POLICY), RULES)
    assert (verdict.result, verdict.failures) == ("again", 1)
    assert ENDED < verdict.lane["paused_until"] < NEVER


def test_kanals_own_faults_are_charged_to_nobody_and_tried_again_less_and_less_often() -> None:
    waits = []
    for attempts in (0, 1, 3, 50):
        fault = attempted(OutcomeClass.LOCAL_FAULT, of=delivery(attempts=attempts))
        verdict = judge(lane(failures=1), fault, RULES)
        assert (verdict.result, verdict.failures, verdict.lane) == ("again", 0, {})
        assert verdict.due_at is not None
        waits.append(verdict.due_at - ENDED)
    assert waits == [SECOND, 2 * SECOND, 8 * SECOND, MINUTE]


@pytest.mark.parametrize(
    "failed",
    [
        attempted(http_status=500, url="https://example.com/old"),
        attempted(OutcomeClass.BLOCKED_BY_POLICY, url="https://example.com/old"),
        attempted(http_status=404, url="https://example.com/old"),
    ],
)
def test_what_failed_at_a_former_url_is_sent_to_the_new_one_at_once(failed: Attempted) -> None:
    verdict = judge(lane(), failed, RULES)
    assert (verdict.result, verdict.due_at, verdict.failures) == ("again", ENDED, 0)
    assert verdict.lane == {}


@pytest.mark.parametrize("status", [404, 500])
def test_past_the_horizon_a_message_is_exhausted(status: int) -> None:
    old = delivery(due_since=START - 14 * DAY)
    verdict = judge(lane(), attempted(http_status=status, of=old), RULES)
    assert (verdict.result, verdict.due_at) == ("exhausted", None)
    if status == 500:
        assert verdict.lane["paused_until"] == ENDED + SECOND


def test_what_ends_while_the_channel_is_paused_is_not_exhausted() -> None:
    old = delivery(due_since=START - 14 * DAY)
    for http_status in (404, 500):
        failed = attempted(http_status=http_status, of=old)
        assert judge(lane(state="paused"), failed, RULES).result == "again"


def test_the_time_of_a_hold_does_not_count_towards_the_horizon() -> None:
    old = delivery(due_since=START - 20 * DAY)
    held = lane(open_since=START - HOUR)
    assert judge(held, attempted(http_status=404, of=old), RULES).result == "again"


def test_a_message_that_alone_is_refused_is_given_up_after_an_hour() -> None:
    young = delivery(failures=3, first_failed_at=ENDED - MINUTE)
    taken_since = {"http_status": 422, "succeeded_at": ENDED - SECOND}
    assert judge(lane(), attempted(of=young, **taken_since), RULES).result == "again"
    old = delivery(failures=7, first_failed_at=ENDED - HOUR + MINUTE)
    assert judge(lane(), attempted(of=old, **taken_since), RULES).result == "exhausted"


def test_a_refusal_counts_against_the_message_only_if_others_were_taken_since() -> None:
    old = delivery(failures=7, first_failed_at=ENDED - 2 * HOUR)
    taken_before = attempted(http_status=422, of=old, succeeded_at=ENDED - 3 * HOUR)
    assert judge(lane(), taken_before, RULES).result == "again"


def test_a_receiver_that_refuses_everything_pauses_the_channel() -> None:
    refused = attempted(http_status=401)._replace(refusals=REFUSALS_OF_ALL)
    verdict = judge(lane(), refused, RULES)
    assert (verdict.result, verdict.due_at) == ("again", START)
    assert verdict.lane["failures"] == 1
    alone = refused._replace(succeeded_at=START + 1)
    assert judge(lane(), alone, RULES).lane == {}


def test_the_reason_names_the_time_and_the_last_outcome() -> None:
    refused = attempted(http_status=404)
    assert reason_for(refused, RULES) == (
        "Tried for 14 days without success. The receiver answered HTTP 404, which is not a success."
    )
    assert reason_for(refused._replace(succeeded_at=START + 1), RULES) == (
        "The receiver took other messages and refused this one, again and again. "
        "The receiver answered HTTP 404, which is not a success."
    )
