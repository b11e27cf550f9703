"""Cursors: where a page ended, in a form that callers can only hand back. Signed, so that what comes back is ours."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest

import msgspec
from aiohttp import web

from kanal.http.errors import ApiError
from kanal.projections.keyset import After

SIGNATURE = 8
"""Octets; a forged cursor would show nothing that the caller may not list anyway."""
LONGEST = 200
"""Characters; ours have fewer than 100."""

Hash = Callable[[bytes], bytes]
_PLACE = msgspec.json.Decoder(tuple[str, int, int])


def cursor_of(sort: str, end: After, keyed_hash: Hash) -> str:
    place = msgspec.json.encode((sort, *end))
    return urlsafe_b64encode(_signature(place, keyed_hash) + place).decode().rstrip("=")


def place_of(
    cursor: str,
    sort: str,
    keyed_hash: Hash,
    *,
    field: str = "cursor",
    source: str = "the header Link of a page with the same sort",
) -> After:
    """`field`: what the caller calls it, `source`: where it is to be taken from. Raises ApiError."""
    try:
        octets = urlsafe_b64decode(cursor[:LONGEST].encode() + b"==")
        signature, place = octets[:SIGNATURE], octets[SIGNATURE:]
        if compare_digest(signature, _signature(place, keyed_hash)):
            sorted_by, value, key = _PLACE.decode(place)
            if sorted_by == sort:
                return After(value, key)
    except (ValueError, msgspec.DecodeError):
        pass
    raise wrong_cursor(field, f"must be taken from {source}")


def wrong_cursor(field: str, sentence: str) -> ApiError:
    return ApiError(400, "wrong_cursor", f"{field} {sentence}.", fields={field: sentence})


def link_to_next(request: web.Request, cursor: str) -> dict[str, str]:
    """The header of a page that another one follows (RFC 8288)."""
    following = request.rel_url.without_query_params("page").update_query(cursor=cursor)
    return {"Link": f'<{following}>; rel="next"'}


def _signature(place: bytes, keyed_hash: Hash) -> bytes:
    return keyed_hash(b"cursor\n" + place)[:SIGNATURE]
