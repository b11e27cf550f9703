"""From a stream's address to its id in the log, without a look-up."""

import hashlib
import hmac
from typing import Any
from uuid import UUID, uuid5

from kanal.domain.stream import Aggregate

NAMESPACE = UUID("0d1b7e3a-6a0a-5c1e-9c43-6b616e616c00")
"""Never changes: every stream of every installation depends on it."""
FINGERPRINT_DIGITS = 16
"""Hexadecimal: no two secrets of an installation come to have the same."""


class StreamIds:
    """Ids are UUIDv5 of the address; where the key says something of a person (an e-mail, a phone, an external id)
    they are HMACs under the installation's secret, because a bare hash of an e-mail can be guessed.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, aggregate: Aggregate[Any], key: str) -> UUID:
        address = f"{aggregate.kind}/{key}"
        if aggregate.personal:
            return UUID(bytes=self.keyed_hash(address)[:16], version=5)
        return uuid5(NAMESPACE, address)

    def keyed_hash(self, text: str | bytes) -> bytes:
        """32 bytes that tell nothing to whoever lacks the installation's secret."""
        data = text.encode() if isinstance(text, str) else text
        return hmac.digest(self._secret, data, hashlib.sha256)

    def fingerprint(self, secret: str) -> str:
        """What events and answers have of a key or secret: whoever sees it can tell them apart, and no more."""
        return self.keyed_hash(secret).hex()[:FINGERPRINT_DIGITS]
