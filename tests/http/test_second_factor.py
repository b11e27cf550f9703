"""Codes of authenticators are those of RFC 6238."""

from base64 import b32encode
from urllib.parse import parse_qs, urlsplit

import pytest

from kanal.http.second_factor import (
    RECOVERY_CODES,
    STEP,
    address_of,
    code_of,
    new_recovery_codes,
    new_secret,
    step_of,
)

SECRET = b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_a_code_is_that_of_the_standard(seconds: int, code: str) -> None:
    assert code_of(SECRET, seconds // STEP) == code
    assert step_of(SECRET, f" {code[:3]} {code[3:]}", seconds) == seconds // STEP


def test_a_clock_may_be_one_step_wrong() -> None:
    code = code_of(SECRET, 1000)
    found = [step_of(SECRET, code, step * STEP) for step in (998, 999, 1000, 1001, 1002)]
    assert found == [None, 1000, 1000, 1000, None]
    for wrong in ("", "x", "28708", "\udcff", "١٢٣٤٥٦"):
        assert step_of(SECRET, wrong, 59) is None


def test_what_is_made_is_random_and_what_an_authenticator_takes() -> None:
    secret = new_secret()
    assert (len(secret), secret == new_secret()) == (32, False)
    address = urlsplit(address_of(secret, "anna+x@example.com"))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert address.path == "/Kanal:anna%2Bx%40example.com"
    assert parse_qs(address.query) == {"secret": [secret], "issuer": ["Kanal"]}
    assert len(set(new_recovery_codes())) == RECOVERY_CODES
