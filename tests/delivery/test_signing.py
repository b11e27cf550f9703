"""Standard Webhooks v1, checked with the published vector and the reference verifier."""

import base64
import json
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from kanal.delivery.signing import (
    Secret,
    Signers,
    new_private_key,
    new_secret,
    public_key,
    signature_headers,
    signers_of,
    webhook_id,
)

VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_TIME = 1614265330
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
FORM = b"type=message_new&object%5Bcontent%5D=%D0%94%D0%B0"


def test_published_vector() -> None:
    body = b'{"test": 2432232314}'
    assert signature_headers(VECTOR_ID, VECTOR_TIME, body, Signers((VECTOR_SECRET,))) == {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": VECTOR_SIGNATURE,
    }


def test_signature_does_not_depend_on_the_zone_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        headers = signature_headers(
            VECTOR_ID, VECTOR_TIME, b'{"test": 2432232314}', Signers((VECTOR_SECRET,))
        )
        assert headers["webhook-signature"] == VECTOR_SIGNATURE
    finally:
        monkeypatch.undo()
        time.tzset()


def test_every_live_secret_verifies_and_no_other() -> None:
    old, new, stranger = (new_secret() for _ in range(3))
    headers = signature_headers("msg_a", int(time.time()), FORM, Signers((new, old)))
    for secret in (old, new):
        Webhook(secret).verify(FORM, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(stranger).verify(FORM, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(FORM + b"!", headers, json_parse=False)


def test_json_body_in_utf_8_verifies() -> None:
    secret = new_secret()
    body = json.dumps({"content": "Привет 👋"}, ensure_ascii=False).encode()
    headers = signature_headers("msg_a", int(time.time()), body, Signers((secret,)))
    Webhook(secret).verify(body, headers)


# The key pair and the signature that Svix's own tests print.
VECTOR_PRIVATE = (
    "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
VECTOR_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
VECTOR_V1A = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def test_published_vector_of_v1a_stands_beside_that_of_v1() -> None:
    private = base64.b64decode(VECTOR_PRIVATE)[:32]
    assert public_key(private) == VECTOR_PUBLIC
    signers = signers_of([Secret(VECTOR_SECRET, private, 1, None)], "v1a", 2)
    headers = signature_headers(VECTOR_ID, VECTOR_TIME, b'{"test": 2432232314}', signers)
    assert headers["webhook-signature"] == f"{VECTOR_SIGNATURE} {VECTOR_V1A}"


def test_what_has_expired_signs_no_more_and_it_is_known_until_when_the_others_do() -> None:
    kept = [
        Secret("newest", new_private_key(), 30, None),
        Secret("old", new_private_key(), 20, 200),
        Secret("older", new_private_key(), 10, 100),
    ]
    for now, live, until in [(99, 3, 100), (100, 2, 200), (200, 1, 2**62)]:
        signers = signers_of(kept, "v1a", now)
        assert signers.secrets == tuple(each.secret for each in kept[:live])
        assert (len(signers.keys), signers.until) == (live, until)
    assert signers_of(kept, "v1", 0).keys == ()


def test_secret_is_32_random_bytes_or_the_bytes_given() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32
    assert new_secret(bytes(24)) == "whsec_" + "A" * 32


def test_id_is_the_same_for_ever() -> None:
    # These are stored by receivers: a change here makes every one of them see old messages as new.
    identity = webhook_id("case-21755012", 3, 7, installation="an installation")
    assert identity == "msg_xp4jexaydrpqupnzzjc7jc56py"


@given(st.text(), st.integers(0, 2**63), st.integers(0, 2**63), st.text())
def test_id_holds_no_dot_and_fits_a_header(
    stream: str, version: int, channel: int, installation: str
) -> None:
    identity = webhook_id(stream, version, channel, installation=installation)
    assert len(identity) == 30
    assert identity.startswith("msg_")
    assert set(identity[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_ids_differ_when_any_part_differs() -> None:
    parts = product(("case-1", "case-11"), (1, 11), (1, 11), ("", "a"))
    ids = {webhook_id(s, v, c, installation=i) for s, v, c, i in parts}
    assert len(ids) == 16
