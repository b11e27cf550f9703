import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.http.contacts import EMAIL_NORMALISER, PHONE_NORMALISER, email, phone


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("user@domain.ru", "user@domain.ru"),
        (" User@Domain.RU\r\n", "user@domain.ru"),
        ("Иван@Пример.рф", "иван@пример.рф"),
        ("x@XN--E1AFMKFD.XN--P1AI", "x@пример.рф"),
        ("a+b@c.com", "a+b@c.com"),
        ("root@localhost", "root@localhost"),
        ("Anna@Corp.Local", "anna@corp.local"),
        ("a@example.test", "a@example.test"),
    ],
)
def test_emails_are_compared_without_case_and_blanks(given: str, normalised: str) -> None:
    contact = email(given)
    assert contact.normalised == normalised
    assert contact.given == given
    assert (contact.kind, contact.normaliser) == ("email", EMAIL_NORMALISER)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "a@b",
        "a b@c.com",
        "a@b..com",
        "Name <a@b.com>",
        "a@b.com\0",
        "a@[1.2.3.4]",
        "a@" + "b" * 400 + ".com",
        "a@b.com,c@d.com",
        "@local",
        "local",
        "\ud800@b.com",
    ],
)
def test_what_is_no_email_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an e-mail address$"):
        email(given)


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("+7 (916) 123-45-67", "+79161234567"),
        ("79161234567", "+79161234567"),
        ("8 916 123-45-67", "+79161234567"),
        ("9161234567", "+79161234567"),
        ("+44 7911 123456", "+447911123456"),
        ("447911123456", "+447911123456"),
        ("00447911123456", "+447911123456"),
        ("+70000000000", "+70000000000"),
    ],
)
def test_phones_are_compared_in_e164(given: str, normalised: str) -> None:
    contact = phone(given)
    assert contact.normalised == normalised
    assert contact.given == given
    assert (contact.kind, contact.normaliser) == ("phone", PHONE_NORMALISER)


def test_a_phone_without_its_country_is_read_in_the_region() -> None:
    assert phone("030 901820", region="DE").normalised == "+4930901820"


@pytest.mark.parametrize("given", ["", "12", "phone", "+", "+7916", "1" * 400, "+999 1234567890"])
def test_what_cannot_be_a_phone_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a phone number"):
        phone(given)


@given(st.text(max_size=30))
def test_whatever_is_given_normalising_twice_changes_nothing(given: str) -> None:
    for normalise in (email, phone):
        try:
            once = normalise(given)
        except ValueError:
            continue
        assert normalise(once.normalised).normalised == once.normalised
