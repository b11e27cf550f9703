"""Profiles and their list."""

import pytest
from folding import SECOND, START, Log, ReadModels, email, folded_at_once, phone
from sqlalchemy import Connection

from kanal.domain.channels import create_channel
from kanal.domain.conversation import add_user_message, open_case
from kanal.domain.identities import (
    Identification,
    change_profile,
    delete_user,
    find_or_register,
)
from kanal.domain.users import block_user, change_user, disable_user, restore_user
from kanal.projections import users
from kanal.projections.read_model import Page
from kanal.projections.users import UserFilter


@pytest.fixture
def log(log: Log) -> Log:
    """Channels 1 and 2."""
    for title in ("App", "Forum"):
        log.do(
            create_channel,
            title=title,
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )
    return log


def user_ids(models: ReadModels, **wanted: object) -> list[int]:
    found = models.ask(users.listed, UserFilter(**wanted), Page())  # type: ignore[arg-type]
    assert found.total == len(found.rows)
    return [row.user_id for row in found.rows]


def test_a_new_user_has_everything_that_its_answer_shows(log: Log, connection: Connection) -> None:
    who = Identification(
        channel_id=2,
        external_id="000123 ",
        email=email("Ivan@example.com"),
        details={"full_name": "Иван", "company_name": "Ромашка", "language_id": 2, "note": "!"},
    )
    log.do(find_or_register, who=who)
    row = folded_at_once(connection, log.events).ask(users.find, 1)
    assert row == users.UserRow(
        user_id=1,
        type="custom",
        channel_id=2,
        identity="000123 ",
        full_name="Иван",
        company_id=1,
        company_position="",
        note="!",
        language_id=2,
        confirmed=False,
        active=True,
        deleted=False,
        created_at=log.now,
        updated_at=log.now,
        custom_fields={},
        last_contact_at=0,
    )


def test_there_is_no_row_of_an_unknown_user(log: Log, connection: Connection) -> None:
    assert folded_at_once(connection, log.events).ask(users.find, 1) is None


def test_a_blocked_a_disabled_and_a_deleted_user(log: Log, connection: Connection) -> None:
    for external_id in ("a", "b", "c"):
        log.do(find_or_register, who=Identification(channel_id=1, external_id=external_id))
    log.do(block_user, user_id=1)
    log.do(disable_user, user_id=2)
    log.do(delete_user, user_id=3)
    models = folded_at_once(connection, log.events)
    rows = models.ask(users.listed, UserFilter(), Page()).rows
    assert [(row.active, row.deleted) for row in rows] == [(False, False), (True, True)]
    log.do(restore_user, user_id=1)
    log.do(restore_user, user_id=2)
    models.fold(log.events[-2:])
    rows = models.ask(users.listed, UserFilter(), Page()).rows
    assert [(row.active, row.deleted) for row in rows] == [(True, False)] * 2


def test_a_profile_s_new_e_mail_is_its_identity_and_is_found(
    log: Log, connection: Connection
) -> None:
    log.do(find_or_register, who=Identification(email=email("old@example.com")))
    log.do(change_profile, user_id=1, email=email("New@example.com"), details={})
    models = folded_at_once(connection, log.events)
    assert models.ask(users.find, 1).identity == "New@example.com"
    assert user_ids(models, user_email=["new@"]) == [1]
    assert user_ids(models, user_email=["old@"]) == []


def test_the_last_contact_is_the_users_own_last_message(log: Log, connection: Connection) -> None:
    log.do(open_case, channel="", who=Identification(channel_id=1, external_id="a"), content="x")
    log.do(add_user_message, case_id=1, user_id=1, content="y")
    last = log.now
    log.do(change_user, user_id=1, full_name="Ivan")
    row = folded_at_once(connection, log.events).ask(users.find, 1)
    assert (row.last_contact_at, row.updated_at, row.full_name) == (last, log.now, "Ivan")


@pytest.fixture
def five(log: Log) -> Log:
    """Users 1 to 5, each a second after the other."""
    for who in (
        Identification(channel_id=1, external_id="000123", email=email("ivan@example.com")),
        Identification(channel_id=2, external_id="000123", details={"language_id": 2}),
        Identification(channel_id=1, external_id="123", phone=phone("+7 (916) 123-45-67")),
        Identification(email=email("a_b@example.com")),
        Identification(email=email("a%b@example.org")),
    ):
        log.do(find_or_register, who=who)
    return log


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"user_email": ["Example.com"]}, [1, 4]),
        ({"user_email": ["^a_b"]}, [4]),
        ({"user_email": ["a%b"]}, [5]),
        ({"user_email": ["ivan", "org^"]}, [1, 5]),
        ({"user_email": ["^ivan@example.com^"]}, [1]),
        ({"user_email": ["7916"]}, []),
        ({"user_phone": ["123-45"]}, [3]),
        ({"user_phone": ["^+7 916"]}, [3]),
        ({"user_custom_id": ["000123"]}, [1, 2]),
        ({"user_custom_id": ["000123"], "channel_id": [2]}, [2]),
        ({"user_custom_id": ["a_b@example.com"]}, []),
        ({"language_id": [2]}, [2]),
        ({"from_time": START + 3 * SECOND, "to_time": START + 4 * SECOND}, [1, 2]),
        ({"from_updated_time": START + 7 * SECOND}, [5]),
        ({"from_last_contact_time": 1}, []),
        ({"to_last_contact_time": 0}, [1, 2, 3, 4, 5]),
    ],
)
def test_filters_are_joined_by_and_their_values_by_or(
    five: Log, connection: Connection, wanted: dict[str, object], expected: list[int]
) -> None:
    assert user_ids(folded_at_once(connection, five.events), **wanted) == expected


def test_pages_go_from_the_oldest_user_on(five: Log, connection: Connection) -> None:
    models = folded_at_once(connection, five.events)
    pages = [models.ask(users.listed, UserFilter(), Page(n, 2)) for n in (1, 2, 3, 4)]
    assert [[row.user_id for row in page.rows] for page in pages] == [[1, 2], [3, 4], [5], []]
    assert [page.total for page in pages] == [5, 5, 5, 5]


@pytest.mark.parametrize("few", [0, 5000])
def test_many_and_few_users_are_found_alike(
    five: Log, connection: Connection, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(users, "FEW", few)
    models = folded_at_once(connection, five.events)
    wanted = UserFilter(user_email=["example"], from_time=START)
    pages = [models.ask(users.listed, wanted, Page(n, 2)) for n in (1, 2, 3)]
    assert [[row.user_id for row in page.rows] for page in pages] == [[1, 4], [5], []]
    assert [page.total for page in pages] == [3, 3, 3]


def test_whom_somebody_may_mean_is_found_by_parts_of_names_and_contacts_and_whole_ids(
    log: Log, connection: Connection
) -> None:
    def known(external_id: str, name: str, mail: str = "", tel: str = "", channel: int = 1) -> None:
        contacts = {
            "email": email(mail) if mail else None,
            "phone": phone(tel) if tel else None,
        }
        details = {"full_name": name}
        log.do(
            find_or_register,
            who=Identification(
                channel_id=channel, external_id=external_id, details=details, **contacts
            ),
        )

    known("17", "Мария Соколова", mail="maria@example.com")
    known("x", "Former Name", tel="+7 916 123-45-67", channel=2)
    known("y", "Somebody Else")
    known("z", "Gone")
    log.do(change_user, user_id=2, full_name="Mario Rossi")
    log.do(disable_user, user_id=4)
    models = folded_at_once(connection, log.events)

    def meant(words: str) -> list[int]:
        return [row.user_id for row in models.ask(users.meant, words, 20)]

    assert meant("СОКОЛ") == meant(" maria@EXAMPLE ") == meant("17") == [1]
    assert meant("mari") == [2, 1]
    assert meant("916 123-45") == [2]
    assert meant("former") == meant("gone") == meant("so") == meant("^x^y") == []
    assert meant("som") == [3]
    for odd in ('"""', "%_%", "^^^", "a\"b'c", "+++", "……………", "\u0301\u0301\u0301"):
        assert meant(odd) == []
