"""What callers see when something is refused: {"error": code, "message": sentence, "fields"?: {...}}.

`STATUSES` maps each class of domain error to its HTTP status; the code is the error's own.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from kanal.domain import errors as refused
from kanal.eventlog.writer import LogUnavailable
from kanal.http.answers import answer


class ApiError(Exception):
    """A refusal that http/ itself makes: a body, a field, a key, a path."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.headers = headers


STATUSES: dict[type[refused.DomainError], int] = {
    refused.DomainError: 400,
    refused.NotFound: 404,
    refused.NotAllowed: 403,
    refused.KeyRevoked: 401,
    refused.IdempotencyKeyReused: 422,
}
"""The nearest class in an error's ancestry decides, so a new domain error is a 400 until it is
listed here."""

HTTP_CODES = {
    400: ("bad_request", "The request could not be read."),
    404: ("path_not_found", "There is no such path. The calls are listed in docs/api.md."),
    405: ("method_not_allowed", "This path does not take this method; see the header Allow."),
    413: ("body_too_large", "The body is too large."),
    417: ("expectation_failed", "The only expectation understood is 100-continue."),
}
"""For the errors that aiohttp raises by itself: no route, wrong method, too large, Expect."""

RETRY_SECONDS = 1
"""After which a client may come again: what the log could not take a moment ago it usually can now."""


def refusal(error: BaseException) -> ApiError | None:
    """What an exception answers; None if nobody foresaw it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, refused.DomainError):
        return ApiError(_status(type(error)), error.code, str(error), fields=error.fields)
    if isinstance(error, LogUnavailable):
        again = {"Retry-After": str(RETRY_SECONDS)}
        return ApiError(503, "log_unavailable", str(error), headers=again)
    if isinstance(error, web.HTTPException) and error.status >= 400:
        code, message = HTTP_CODES.get(error.status, (f"http_{error.status}", error.reason))
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return ApiError(error.status, code, message, headers=kept)
    return None


def refuse(error: ApiError) -> web.Response:
    body: dict[str, Any] = {"error": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    return answer(body, error.status, headers=error.headers)


def unexpected(error_id: str) -> web.Response:
    """The same id stands in the log beside the traceback."""
    return answer({"error": "internal_error", "error_id": error_id}, 500)


def _status(kind: type[refused.DomainError]) -> int:
    return next(STATUSES[each] for each in kind.__mro__ if each in STATUSES)
