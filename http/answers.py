"""JSON answers in the form that Omnidesk's clients know: indented by four, lists as objects."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

INDENT = 4
"""Two known clients compare whole answers with PHP's JSON_PRETTY_PRINT."""

JSON = "application/json"
"""Without a charset: one known client parses only when the header ends in `json`, and RFC 8259
gives the type no such parameter."""

Date = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$",
        examples=["Thu, 26 Apr 2018 20:17:10 +0300"],
    ),
]
NEVER: Final = "-"
"""Omnidesk's word for a date that is not set."""
DateOrNever = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(-|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4})$",
        examples=["Thu, 26 Apr 2018 20:17:10 +0300", NEVER],
    ),
]

_HEADERS = {"Content-Type": JSON}
_encoder = msgspec.json.Encoder()


def answer(
    data: object, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    # Setting content_type afterwards costs five times the whole of this.
    all_headers = {**_HEADERS, **headers} if headers else _HEADERS
    return web.Response(body=encode(data), status=status, headers=all_headers)


def encode(data: object) -> bytes:
    return msgspec.json.format(_encoder.encode(data), indent=INDENT)


def listing(entity: str, items: Iterable[object], total: int) -> dict[str, Any]:
    """{"0": {entity: item}, "1": ..., "total_count": total}; no items: only the total.

    Clients index every key but total_count by the entity's name, so nothing else may stand here.
    """
    rows: dict[str, Any] = {str(at): {entity: item} for at, item in enumerate(items)}
    rows["total_count"] = total
    return rows


def empty() -> web.Response:
    """What a DELETE answers: 200 and no body."""
    return web.Response(body=b"", headers=_HEADERS)
