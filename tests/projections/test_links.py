"""A person is the connected component of the live links."""

import pytest
from folding import Log, email, folded_at_once, phone
from sqlalchemy import Connection

from kanal.domain.channels import create_channel
from kanal.domain.identities import Identification, delete_user, find_or_register
from kanal.domain.links import link_users, unlink_users
from kanal.projections import links


@pytest.fixture
def log(log: Log) -> Log:
    """Channels 1 to 3."""
    for title in ("App", "Forum", "Bot"):
        log.do(
            create_channel,
            title=title,
            webhook_url="https://example.com/hook",
            channel_type="sync",
            secret_fingerprint="f",
        )
    return log


def registered(log: Log, channel_id: int, external_id: str, **contacts: object) -> int:
    who = Identification(channel_id=channel_id, external_id=external_id, **contacts)  # type: ignore[arg-type]
    user_id: int = log.do(find_or_register, who=who).user_id
    return user_id


def test_profiles_are_linked_over_contacts_and_over_each_other(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a", email=email("a@example.com"))
    registered(log, 2, "b", email=email("A@example.com"), phone=phone("+79161234567"))
    registered(log, 3, "c", phone=phone("+7 916 123 45 67"))
    alone = registered(log, 1, "d", email=email("d@example.com"))
    without = registered(log, 1, "e")
    models = folded_at_once(connection, log.events)
    assert models.ask(links.linked_users, [3, 1, alone, without, 99]) == {
        3: [1, 2, 3],
        1: [1, 2, 3],
        alone: [],
        without: [],
        99: [],
    }


def test_nobody_is_asked_for(log: Log, connection: Connection) -> None:
    assert folded_at_once(connection, log.events).ask(links.linked_users, []) == {}


def test_an_email_and_a_phone_that_read_alike_are_different_contacts(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a", email=email("+79161234567"))
    registered(log, 2, "b", phone=phone("+79161234567"))
    models = folded_at_once(connection, log.events)
    assert models.ask(links.linked_users, [1, 2]) == {1: [], 2: []}


def test_a_refused_link_is_kept_as_a_conflict_and_links_nobody(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a", email=email("a@example.com"))
    registered(log, 1, "b", email=email("A@Example.com "))
    models = folded_at_once(connection, log.events)
    assert models.ask(links.linked_users, [1, 2]) == {1: [], 2: []}
    assert models.ask(links.conflicts_of, 2, log.now) == [
        links.ConflictRow(
            user_id=2,
            position=log.events[-1].position,
            kind="email",
            value="a@example.com",
            given="A@Example.com ",
            channel_id=1,
            taken_by=1,
            at=log.now,
        )
    ]


def test_profiles_are_linked_without_a_contact_and_parted_again(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a")
    registered(log, 2, "b", email=email("b@example.com"))
    registered(log, 3, "c", email=email("b@example.com"))
    log.do(link_users, user_id=1, other_id=2)
    models = folded_at_once(connection, log.events)
    assert models.ask(links.linked_users, [3]) == {3: [1, 2, 3]}
    log.do(unlink_users, user_id=3, other_id=2)
    models.fold(log.events[-2:])
    assert models.ask(links.linked_users, [1, 2, 3]) == {1: [1, 2], 2: [1, 2], 3: []}
    before = len(log.events)
    log.do(delete_user, user_id=2)
    models.fold(log.events[before:])
    assert models.ask(links.linked_users, [1, 2]) == {1: [], 2: []}


def test_a_user_s_contact_is_the_one_of_its_kind_that_was_linked_last(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a", email=email("first@example.com"), phone=phone("+7 916"))
    registered(log, 1, "a", email=email(" Second@example.com"))
    registered(log, 2, "b", email=email("second@example.com"))
    models = folded_at_once(connection, log.events)
    assert models.ask(links.contacts_of, [1, 9]) == {
        1: {"email": "Second@example.com", "phone": "+7 916"},
        9: {},
    }
    log.do(unlink_users, user_id=2, other_id=1)
    models.fold(log.events[-2:])
    assert models.ask(links.contacts_of, [1])[1]["email"] == "first@example.com"


def test_a_refused_link_to_a_profile_is_kept_as_a_conflict(
    log: Log, connection: Connection
) -> None:
    registered(log, 1, "a")
    who = Identification(channel_id=1, external_id="b", proven=1)
    log.do(find_or_register, who=who)
    models = folded_at_once(connection, log.events)
    [conflict] = models.ask(links.conflicts_of, 2, log.now)
    assert (conflict.kind, conflict.value, conflict.taken_by) == ("user", "1", 1)
