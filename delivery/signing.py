"""Standard Webhooks v1 and v1a: the id of a delivery, the secrets of a channel, the three headers of an attempt."""

import base64
import hashlib
import secrets as randomness
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from kanal.delivery.body import CONTENT_TYPES, MICROSECONDS
from kanal.delivery.tables import NEVER
from kanal.domain.webhook_options import Format, Signature

SECRET_BYTES: Final = 32
"""Standard Webhooks asks for 24 to 64 random bytes."""

SECRET_PREFIX: Final = "whsec_"

PRIVATE_KEY_BYTES: Final = 32
PUBLIC_KEY_PREFIX: Final = "whpk_"

ID_PREFIX: Final = "msg_"

OWN_ID_BYTES: Final = 16

ID_LENGTH: Final = 26
"""Characters of base32 kept: 130 bits, as many as a UUID and a little more."""


def webhook_id(stream_id: str, version: int, channel_id: int, *, installation: str) -> str:
    """The id of one event's delivery to one channel; the same over retries, replay, rebuild and a move.

    It is made of nothing but the event's place in the log and its target, never of a row or a clock.
    `installation` keeps two Kanals that share a receiver apart, and what a restored log goes on with from what it once went on with. It holds no dot, which separates
    the parts of the signed bytes.
    """
    parts = ("kanal", installation, stream_id, str(version), str(channel_id))
    digest = hashlib.sha256(b"".join(_framed(part.encode()) for part in parts)).digest()
    return ID_PREFIX + base64.b32encode(digest).decode("ascii").lower()[:ID_LENGTH]


def new_secret(random_bytes: bytes | None = None) -> str:
    """A signing secret as it is shown to the administrator: `whsec_` and base64."""
    key = randomness.token_bytes(SECRET_BYTES) if random_bytes is None else random_bytes
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def new_private_key() -> bytes:
    """For `v1a`: what an ed25519 key pair is made of."""
    return randomness.token_bytes(PRIVATE_KEY_BYTES)


def public_key(private_key: bytes) -> str:
    """`whpk_` and base64: what a receiver checks `v1a` with."""
    key = Ed25519PrivateKey.from_private_bytes(private_key).public_key()
    return PUBLIC_KEY_PREFIX + base64.b64encode(key.public_bytes_raw()).decode("ascii")


class Secret(NamedTuple):
    """One of a channel's, with the key beside it."""

    secret: str
    private_key: bytes
    created_at: int
    expires_at: int | None
    """None for the newest."""

    def signs(self, now: int) -> bool:
        return self.expires_at is None or self.expires_at > now


class Signers(NamedTuple):
    """What signs a channel's webhooks for some time."""

    secrets: tuple[str, ...]
    keys: tuple[Ed25519PrivateKey, ...] = ()
    until: int = NEVER
    """Microseconds: then one of them expires."""


def signers_of(kept: Sequence[Secret], signature: Signature, now: int) -> Signers:
    """`kept`: the newest first, and so they sign."""
    live = [each for each in kept if each.signs(now)]
    keys = [each.private_key for each in live] if signature == "v1a" else []
    return Signers(
        tuple(each.secret for each in live),
        tuple(map(Ed25519PrivateKey.from_private_bytes, keys)),
        min((each.expires_at for each in live if each.expires_at is not None), default=NEVER),
    )


def signature_headers(
    delivery_id: str, timestamp: int, body: bytes, signers: Signers
) -> dict[str, str]:
    """The headers of one attempt; `timestamp` is whole seconds; one `v1` per live secret, one `v1a` per key.

    Made anew for every attempt: the timestamp is the attempt's, the id the delivery's.
    """
    # The library drops the zone instead of converting, so the time must be in UTC.
    moment = datetime.fromtimestamp(timestamp, UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(delivery_id, moment, text) for secret in signers.secrets]
    for key in signers.keys:
        signed = key.sign(f"{delivery_id}.{timestamp}.".encode() + body)
        signatures.append(f"v1a,{base64.b64encode(signed).decode('ascii')}")
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def headers_beside_the_queue(
    kind: str, at: int, body: bytes, signers: Signers, form: Format
) -> dict[str, str]:
    """Of a body that comes of no event: its id is random, `<kind>_...`, so that no receiver which remembers ids takes it
    for a message. `at` is microseconds.
    """
    own_id = f"{kind}_{randomness.token_hex(OWN_ID_BYTES)}"
    headers = signature_headers(own_id, at // MICROSECONDS, body, signers)
    headers["Content-Type"] = CONTENT_TYPES[form]
    return headers


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
