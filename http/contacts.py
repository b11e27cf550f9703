"""E-mails and phones made comparable: two people who write the same address mean the same one."""

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumberFormat

from kanal.domain.links import Contact

EMAIL_NORMALISER = "email.1"
"""Outer blanks off, Unicode NFC, the domain's Unicode form, all in lower case (email-validator)."""
PHONE_NORMALISER = "phone.1"
"""E.164; a number without `+` is read in the region first, then as if `+` stood before it
(phonenumbers)."""

PHONE_REGION = "RU"
"""Region of numbers without a country code: the market of the product that Kanal's API follows."""

MAX_LENGTH = 320
"""64 octets before the @, 255 after it (RFC 5321); longer is not looked at."""

PRIVATE_DOMAINS = frozenset({"local", "localhost", "test", "invalid"})
"""email-validator refuses these as reserved, but a company's own network may well use them."""


def email(given: str) -> Contact:
    """Raises ValueError with a sentence."""
    text = given.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError("must be an e-mail address")
    # A reserved last label passes the validator's syntax rules under a public one.
    private = text.rpartition("@")[2].lower().rpartition(".")[2] in PRIVATE_DOMAINS
    suffix = ".example.com" if private else ""
    try:
        valid = validate_email(text + suffix, check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("must be an e-mail address") from None
    normalised = valid.normalized.removesuffix(suffix).lower()
    return Contact(kind="email", given=given, normalised=normalised, normaliser=EMAIL_NORMALISER)


def domain(given: str) -> str:
    """What stands behind the @ of normalised e-mails; an @ before it is no harm. Raises ValueError with a sentence."""
    try:
        return email(f"x@{given.strip().removeprefix('@')}").normalised.removeprefix("x@")
    except ValueError:
        raise ValueError("must be domains of e-mails, such as example.com") from None


def phone(given: str, region: str = PHONE_REGION) -> Contact:
    """Raises ValueError with a sentence.

    A number of the right length is accepted even if no operator is known to have it: new ranges
    appear before the library learns of them.
    """
    text = given.strip()
    readings = [] if len(text) > MAX_LENGTH else _readings(text, region)
    best = next((n for n in readings if phonenumbers.is_valid_number(n)), None) or next(
        (n for n in readings if phonenumbers.is_possible_number(n)), None
    )
    if best is None:
        raise ValueError("must be a phone number, best with its country code: +7 916 123-45-67")
    normalised = phonenumbers.format_number(best, PhoneNumberFormat.E164)
    return Contact(kind="phone", given=given, normalised=normalised, normaliser=PHONE_NORMALISER)


def _readings(text: str, region: str) -> list[phonenumbers.PhoneNumber]:
    if text.startswith("00"):
        text = "+" + text[2:]
    readings = []
    for candidate in (text,) if text.startswith("+") else (text, "+" + text):
        try:
            readings.append(phonenumbers.parse(candidate, region))
        except NumberParseException:
            continue
    return readings
