"""Standard Webhooks v1: the id of a delivery, the secrets of a channel, the three headers of an attempt."""

import base64
import hashlib
import secrets as randomness
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from kanal.delivery.body import CONTENT_TYPES, MICROSECONDS
from kanal.domain.webhook_options import Format

SECRET_BYTES: Final = 32
"""Standard Webhooks asks for 24 to 64 random bytes."""

SECRET_PREFIX: Final = "whsec_"

ID_PREFIX: Final = "msg_"

OWN_ID_BYTES: Final = 16

ID_LENGTH: Final = 26
"""Characters of base32 kept: 130 bits, as many as a UUID and a little more."""


def webhook_id(stream_id: str, version: int, channel_id: int, *, installation: str) -> str:
    """The id of one event's delivery to one channel; the same over retries, replay, rebuild and a move.

    It is made of nothing but the event's place in the log and its target, never of a row or a clock.
    `installation` keeps two Kanals that share a receiver apart. It holds no dot, which separates
    the parts of the signed bytes.
    """
    parts = ("kanal", installation, stream_id, str(version), str(channel_id))
    digest = hashlib.sha256(b"".join(_framed(part.encode()) for part in parts)).digest()
    return ID_PREFIX + base64.b32encode(digest).decode("ascii").lower()[:ID_LENGTH]


def new_secret(random_bytes: bytes | None = None) -> str:
    """A signing secret as it is shown to the administrator: `whsec_` and base64."""
    key = randomness.token_bytes(SECRET_BYTES) if random_bytes is None else random_bytes
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def signature_headers(
    delivery_id: str, timestamp: int, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """The headers of one attempt; `timestamp` is whole seconds, one `v1` per live secret.

    Made anew for every attempt: the timestamp is the attempt's, the id the delivery's.
    """
    # The library drops the zone instead of converting, so the time must be in UTC.
    moment = datetime.fromtimestamp(timestamp, UTC)
    text = body.decode()
    signatures = (Webhook(secret).sign(delivery_id, moment, text) for secret in secrets)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def headers_beside_the_queue(
    kind: str, at: int, body: bytes, secrets: Sequence[str], form: Format
) -> dict[str, str]:
    """Of a body that comes of no event: its id is random, `<kind>_...`, so that no receiver which remembers ids takes it
    for a message. `at` is microseconds.
    """
    own_id = f"{kind}_{randomness.token_hex(OWN_ID_BYTES)}"
    headers = signature_headers(own_id, at // MICROSECONDS, body, secrets)
    headers["Content-Type"] = CONTENT_TYPES[form]
    return headers


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
