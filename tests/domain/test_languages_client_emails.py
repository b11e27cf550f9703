"""Languages and e-mail addresses of an account."""

from folding import email
from story import Story

from kanal.domain.client_emails import (
    ClientEmailAdded,
    ClientEmailChanged,
    ClientEmailRemoved,
    add_client_email,
    change_client_email,
    remove_client_email,
)
from kanal.domain.errors import ClientEmailNotFound, EmailTaken, LanguageNotFound
from kanal.domain.languages import LanguageSet, add_language, change_language


def test_new_languages_are_numbered_after_those_that_every_account_has() -> None:
    story = Story().when(add_language, code="DEU", title="Deutsch")
    assert story.result == 3
    story.then(LanguageSet(language_id=3, code="DEU", title="Deutsch", active=True))
    story.when(add_language, code="FRA", title="Français", active=False)
    assert story.result == 4


def test_a_language_is_changed_and_what_is_set_already_is_no_event() -> None:
    story = (
        Story()
        .when(change_language, language_id=1, active=False)
        .then(LanguageSet(language_id=1, code="РУС", title="Русский", active=False))
    )
    story.when(change_language, language_id=1, code="РУС", active=False).then()
    story.when(change_language, language_id=1, code="RU", title="Russian").then(
        LanguageSet(language_id=1, code="RU", title="Russian", active=False)
    )
    story.when(change_language, language_id=3, title="x").refused(LanguageNotFound)


def test_an_address_of_the_account_is_there_once() -> None:
    story = Story().when(add_client_email, email=email(" Support@example.com"))
    story.then(
        ClientEmailAdded(
            email_id=1,
            email="Support@example.com",
            normalised="support@example.com",
            active=True,
        )
    )
    story.when(add_client_email, email=email("SUPPORT@example.com")).refused(EmailTaken)
    other = story.do(add_client_email, email=email("sales@example.com"), active=False)
    taken = email("support@example.com")
    story.when(change_client_email, email_id=other, email=taken).refused(EmailTaken)


def test_an_address_is_changed_and_removed() -> None:
    story = Story().given(add_client_email, email=email("a@example.com"))
    story.when(change_client_email, email_id=1, active=True).then()
    story.when(change_client_email, email_id=1, email=email("A@example.com"), active=False).then(
        ClientEmailChanged(
            email_id=1, email="A@example.com", normalised="a@example.com", active=False
        )
    )
    story.when(remove_client_email, email_id=1).then(ClientEmailRemoved(1))
    story.when(remove_client_email, email_id=1).refused(ClientEmailNotFound)
    story.when(change_client_email, email_id=1, active=True).refused(ClientEmailNotFound)
    story.when(add_client_email, email=email("a@example.com"))
    assert story.result == 2
