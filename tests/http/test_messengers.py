"""Ids in messengers are compared in a normal form of their own."""

import pytest

from kanal.http.messengers import FIELDS, Blank, messenger_id


@pytest.mark.parametrize(
    ("field", "spellings"),
    [
        ("user_telegram", ["Ann", " @ann ", "@ANN"]),
        ("user_telegram_data", ["+7 916 123-45-67", "+79161234567"]),
        ("user_whatsapp_phone", ["8 (916) 123-45-67", "+79161234567", "79161234567"]),
        ("user_instagram", ["@Ann.E", "ann.e"]),
        ("user_viber", ["aB+/=", " aB+/= "]),
    ],
)
def test_spellings_of_one_id_are_one_identity(field: str, spellings: list[str]) -> None:
    assert len({messenger_id(field, each, "RU").claim().key for each in spellings}) == 1


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("user_viber", "aB", "ab"),
        ("user_slack", "U1", "@U1"),
        ("user_telegram", "79161234567", "+79161234567"),
    ],
)
def test_ids_that_differ_are_two_identities(field: str, one: str, other: str) -> None:
    assert messenger_id(field, one, "RU").claim() != messenger_id(field, other, "RU").claim()


def test_one_id_in_two_messengers_is_two_identities() -> None:
    keys = {messenger_id(field, "+79161234567", "RU").claim().key for field in FIELDS}
    assert len(keys) == len(set(FIELDS.values()))


@pytest.mark.parametrize(
    ("field", "given", "error"),
    [
        ("user_telegram", " @ ", Blank),
        ("user_viber", " ", Blank),
        ("user_whatsapp_phone", "ann", ValueError),
        ("user_telegram_data", "+12", ValueError),
    ],
)
def test_what_cannot_be_an_id_is_refused(field: str, given: str, error: type[ValueError]) -> None:
    with pytest.raises(error, match="must"):
        messenger_id(field, given, "RU")
