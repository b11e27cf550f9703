"""Ids as they stand in paths, queries and fields: numbers, numbers of cases, keys of channels."""

from collections.abc import Callable

from kanal.domain.cases import case_id_of
from kanal.domain.errors import CaseNotFound, ChannelNotFound, NotFound
from kanal.http.fields import MAX_ID

CHANNEL_PREFIX = "cch"
MAX_ID_DIGITS = len(str(MAX_ID))


def id_in(text: str, missing: Callable[[object], NotFound]) -> int:
    """`12`; whatever cannot be an id at all is the id of nothing. Raises `missing`."""
    if text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS:
        number = int(text)
        if number <= MAX_ID:
            return number
    raise missing(text)


def case_id_in(text: str) -> int:
    """A case_id or a case_number. Raises CaseNotFound."""
    by_number = case_id_of(text)
    return by_number if by_number is not None else id_in(text, CaseNotFound)


def channel_id_in(text: str) -> int:
    """`cch5` or `5`. Raises ChannelNotFound."""

    def missing(_: object) -> NotFound:
        return ChannelNotFound(text)

    return id_in(text.removeprefix(CHANNEL_PREFIX), missing)


def channel_key(channel_id: int) -> str:
    """The `channel_api_key` of a custom channel."""
    return f"{CHANNEL_PREFIX}{channel_id}"
