"""Passwords: slow hashes, made and compared on threads, a few at a time."""

import asyncio
from typing import Final

import argon2

from kanal.http.errors import ApiError

SHORTEST: Final = 10
"""Characters; what lies below is guessed within the throttle's patience."""
LONGEST: Final = 1024
"""A hash takes time for each."""
AT_ONCE: Final = 2
"""Each takes 64 MB and a core for a moment."""


class Passwords:
    def __init__(self, hasher: argon2.PasswordHasher) -> None:
        self._hasher = hasher
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._nobodys = ""

    async def are_right(self, password_hash: str, password: str) -> bool:
        """As long for an account that there is not (`password_hash` empty) as for one that there is."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, password_hash, password)

    async def hashed(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

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
