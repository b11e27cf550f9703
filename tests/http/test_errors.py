import json

import pytest
from aiohttp import web

from kanal.domain import errors as refused
from kanal.eventlog.writer import LogBusy, LogUnavailable
from kanal.http.errors import STATUSES, ApiError, refusal, refuse, unexpected


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (refused.CaseNotFound(1), 404, "case_not_found"),
        (refused.UserHasNoAccess(1, 2), 403, "user_has_not_access"),
        (refused.KeyRevoked(), 401, "unauthorized"),
        (refused.EmailTaken(), 400, "email_already_exist"),
        (refused.ChannelDisabled(1), 400, "channel_disabled"),
        (refused.IdempotencyKeyReused(), 422, "idempotency_key_reused"),
    ],
)
def test_a_domain_error_keeps_its_code_and_sentence(
    error: refused.DomainError, status: int, code: str
) -> None:
    found = refusal(error)
    assert found is not None
    assert (found.status, found.code, found.message) == (status, code, str(error))


def test_a_domain_error_that_is_not_listed_is_a_400() -> None:
    class Surprising(refused.DomainError):
        code = "surprising"

    found = refusal(Surprising("Do something else."))
    assert found is not None
    assert (found.status, found.code) == (400, "surprising")


@pytest.mark.parametrize("kind", [LogUnavailable, LogBusy])
def test_a_log_that_takes_no_writes_says_when_to_come_again(kind: type[LogUnavailable]) -> None:
    found = refusal(kind("Try again in a moment."))
    assert found is not None
    assert (found.status, found.code) == (503, "log_unavailable")
    assert refuse(found).headers["Retry-After"] == "1"


def test_every_status_is_one_of_a_client_error() -> None:
    assert all(400 <= status < 500 for status in STATUSES.values())


def test_an_error_that_nobody_foresaw_is_no_refusal() -> None:
    assert refusal(RuntimeError()) is None
    assert refusal(web.HTTPFound("/")) is None


def test_the_body_names_code_sentence_and_fields() -> None:
    error = ApiError(400, "wrong_email", "It is wrong.", fields={"user_email": "is wrong"})
    response = refuse(error)
    assert response.status == 400
    assert json.loads(response.body) == {  # type: ignore[arg-type]
        "error": "wrong_email",
        "message": "It is wrong.",
        "fields": {"user_email": "is wrong"},
    }
    assert b"fields" not in refuse(ApiError(404, "x", "y")).body  # type: ignore[operator]


def test_an_unexpected_error_shows_only_its_id() -> None:
    response = unexpected("abc")
    assert response.status == 500
    assert json.loads(response.body) == {  # type: ignore[arg-type]
        "error": "internal_error",
        "error_id": "abc",
    }
