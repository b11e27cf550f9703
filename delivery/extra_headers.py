"""Which headers a channel may add to its webhooks: any that are no part of HTTP itself and none of Kanal's own."""

import re
from collections.abc import Mapping
from typing import Final

MAX_HEADERS: Final = 20
MAX_NAME: Final = 100
MAX_VALUE: Final = 2000
"""Characters. Servers commonly take 8 KiB for one line and for all headers together."""
MAX_TOTAL: Final = 6000

NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110."""
VALUE: Final = re.compile(r"[!-~](?:[ -~\t]*[!-~])?")
"""What every server reads alike: printable ASCII, no blank at either end. So no line can end within it."""

RESERVED: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
        *("date", "expect", "host", "http2-settings", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent"),
    }
)
RESERVED_PREFIXES: Final = ("kanal-", "proxy-", "webhook-")


def problems(headers: Mapping[str, str]) -> list[str]:
    """One sentence's part for each wrong header, without any value: values are secrets."""
    found = [f"{name[:MAX_NAME]!r} {problem}" for name in headers if (problem := _of_name(name))]
    found += [
        f"the value of {name[:MAX_NAME]!r} {problem}" for name, problem in _of_values(headers)
    ]
    seen: set[str] = set()
    for name in headers:
        if name.lower() in seen:
            found.append(f"{name[:MAX_NAME]!r} is there twice")
        seen.add(name.lower())
    if len(headers) > MAX_HEADERS:
        found.append(f"there may be up to {MAX_HEADERS}")
    elif sum(len(name) + len(value) for name, value in headers.items()) > MAX_TOTAL:
        found.append(f"together they may have up to {MAX_TOTAL} characters")
    return found


def _of_name(name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"is not a name of up to {MAX_NAME} letters, digits and hyphens"
    if name.lower() in RESERVED or name.lower().startswith(RESERVED_PREFIXES):
        return "is set by Kanal or belongs to the connection"
    return ""


def _of_values(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    rule = f"must be 1 to {MAX_VALUE} printable ASCII characters without a blank at either end"
    return [
        (name, rule)
        for name, value in headers.items()
        if len(value) > MAX_VALUE or not VALUE.fullmatch(value)
    ]
