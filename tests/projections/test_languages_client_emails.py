"""Languages and e-mail addresses of an account."""

from folding import Log, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.client_emails import add_client_email, change_client_email, remove_client_email
from kanal.domain.languages import add_language, change_language
from kanal.projections import client_emails, languages
from kanal.projections.client_emails import ClientEmailRow
from kanal.projections.languages import LanguageRow
from kanal.projections.read_model import Page

RUSSIAN = LanguageRow(1, "РУС", "Русский", True)
ENGLISH = LanguageRow(2, "ENG", "English", True)


def test_every_account_has_languages_from_the_start(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert models.ask(languages.listed, Page()) == ([RUSSIAN, ENGLISH], 2)
    assert models.ask(languages.listed, Page(2, 1)) == ([ENGLISH], 2)
    assert models.ask(languages.find, 1) == RUSSIAN
    assert models.ask(languages.find, 3) is None


def test_added_and_changed_languages_show(log: Log, connection: Connection) -> None:
    log.do(add_language, code="DEU", title="Deutsch")
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    for language_id in (1, 3, 1):
        log.do(change_language, language_id=language_id, active=False)
    log.do(change_language, language_id=1, title="Russian")
    models.fold(log.events[already:])
    assert models.ask(languages.listed, Page()).rows == [
        LanguageRow(1, "РУС", "Russian", False),
        ENGLISH,
        LanguageRow(3, "DEU", "Deutsch", False),
    ]


def test_addresses_show_as_they_are_now(log: Log, connection: Connection) -> None:
    for address in ("a@example.com", "b@example.com", "c@example.com"):
        log.do(add_client_email, email=email(address))
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(change_client_email, email_id=1, email=email("A@example.com"), active=False)
    log.do(remove_client_email, email_id=2)
    models.fold(log.events[already:])
    first, third = (
        ClientEmailRow(1, "A@example.com", False),
        ClientEmailRow(3, "c@example.com", True),
    )
    assert models.ask(client_emails.listed, Page()) == ([first, third], 2)
    assert models.ask(client_emails.find, 1) == first
    assert models.ask(client_emails.find, 2) is None
