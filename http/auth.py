"""Who is calling: HTTP Basic with a staff member's e-mail and one of their API keys.

What is remembered here only says whose key it is; whether it is still live is checked again with each read and command.
"""

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from contextlib import suppress

from aiohttp import web

from kanal.eventlog.writer import LogUnavailable
from kanal.http import contacts, keys
from kanal.http.context import Context
from kanal.http.errors import ApiError
from kanal.http.keys import Holder, holder_of

NOTED_AFTER = 5 * 60 * 1_000_000
REMEMBERED = 1000
"""Headers, by their hash."""


class Authentication:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: OrderedDict[bytes, Holder] = OrderedDict()
        self._used: dict[int, int] = {}
        """Key -> when its use was noted last."""

    async def caller(self, request: web.Request, *, anew: bool = False) -> Holder:
        """`anew`: with the scope as it is by now, not as it is remembered. Raises ApiError 401."""
        header = request.headers.get("Authorization")
        if not header:
            raise _refused("Send your staff e-mail and API key as HTTP Basic authentication.")
        digest = hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        if known and not anew:
            return known
        email, key = _credentials(header)
        caller = await self._context.read(holder_of, email, key)
        if caller is None:
            raise _refused("This e-mail and API key do not belong together, or the key is revoked.")
        self._known[digest] = caller
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return caller

    async def note_use(self, holder: Holder) -> None:
        """To some minutes: a write for each request would cost more than the request."""
        now = time.time_ns() // 1000
        if now - self._used.get(holder.key_id, 0) < NOTED_AFTER:
            return
        self._used[holder.key_id] = now
        # It is no use to anybody that is worth a refusal.
        with suppress(LogUnavailable):
            await self._context.writer.run(
                lambda connection: keys.used(connection, holder.key_id, now)
            )


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        raise _refused("Only HTTP Basic authentication is offered: staff e-mail and API key.")
    try:
        sent = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise _refused("The Authorization header is not Base64 of e-mail:key.") from None
    try:
        text = sent.decode()
    except UnicodeDecodeError:  # older clients follow RFC 2617
        text = sent.decode("latin-1")
    email, colon, key = text.partition(":")
    if not colon:
        raise _refused("The Authorization header has no colon between e-mail and API key.")
    try:
        return contacts.email(email).normalised, key
    except ValueError:
        raise _refused("The user name must be the staff member's e-mail.") from None


def _refused(message: str) -> ApiError:
    return ApiError(
        401, "unauthorized", message, headers={"WWW-Authenticate": 'Basic realm="Kanal"'}
    )
