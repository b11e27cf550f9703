"""Passwords: slow hashes, made and compared on threads, a few at a time, and some dozens waiting for their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import argon2

from kanal.http.errors import ApiError

SHORTEST: Final = 10
"""Characters; what lies below is guessed within the throttle's patience."""
LONGEST: Final = 1024
"""A hash takes time for each."""
AT_ONCE: Final = 2
"""Each takes 64 MB and a core for a moment."""
MOST_WAITING: Final = 48
"""The last of them waits for some seconds; whoever comes then is asked to come again."""
RETRY_SECONDS: Final = 5


class Passwords:
    def __init__(self, hasher: argon2.PasswordHasher) -> None:
        self._hasher = hasher
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._present = 0
        self._nobodys = ""

    async def are_right(self, password_hash: str, password: str) -> bool:
        """As long for an account that there is not (`password_hash` empty) as for one that there is.

        Raises ApiError when too many wait.
        """
        async with self._in_turn():
            return await asyncio.to_thread(self._verify, password_hash, password)

    async def hashed(self, password: str) -> str:
        """Raises ApiError when too many wait."""
        async with self._in_turn():
            return await asyncio.to_thread(self._hasher.hash, password)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._present >= AT_ONCE + MOST_WAITING:
            raise ApiError(
                503,
                "busy",
                "Too many passwords are being compared at the moment. Try again soon.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._present += 1
        try:
            async with self._turn:
                yield
        finally:
            self._present -= 1

    def _verify(self, password_hash: str, password: str) -> bool:
        self._nobodys = self._nobodys or self._hasher.hash("nobody has this password")
        try:
            matches = self._hasher.verify(password_hash or self._nobodys, password[:LONGEST])
        except argon2.exceptions.VerificationError:
            return False
        return matches and bool(password_hash)


def check_new(password: str, again: str) -> None:
    """Raises ApiError."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ApiError(400, "weak_password", f"A password has {SHORTEST} to {LONGEST} characters.")
    if password != again:
        raise ApiError(400, "passwords_differ", "The two passwords are not the same.")
