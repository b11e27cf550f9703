"""A person is the connected component of the live links."""

import pytest
from folding import Log, email, folded_at_once, phone
from sqlalchemy import Connection

from kanal.domain.channels import create_channel
from kanal.domain.identities import Identification, find_or_register
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
