"""From a stream's address to its id: the same for ever, and telling nothing of a person."""

from uuid import UUID, uuid5

import pytest

from kanal.domain.cases import CASES
from kanal.domain.channels import CHANNELS
from kanal.domain.identities import IDENTITIES
from kanal.domain.links import CONTACTS
from kanal.domain.receipts import RECEIPTS
from kanal.domain.staff import ADMINISTRATORS, STAFF, STAFF_EMAILS
from kanal.domain.users import USERS
from kanal.eventlog.stream_ids import NAMESPACE, StreamIds

ONE, OTHER = StreamIds(b"1" * 32), StreamIds(b"2" * 32)
PERSONAL = [IDENTITIES, CONTACTS, RECEIPTS, STAFF_EMAILS]
PLAIN = [CASES, CHANNELS, USERS, STAFF, ADMINISTRATORS]


def test_ids_never_change() -> None:
    assert ONE.of(CASES, "21755012") == UUID("824b1a6a-0366-59f4-bb49-401cfb818622")
    assert ONE.of(CONTACTS, "email/a@example.com") == UUID("a9512b48-aba6-5d14-a1b4-d20ded2eba73")


@pytest.mark.parametrize("aggregate", PLAIN, ids=lambda a: a.kind)
def test_ids_of_numbers_are_the_same_in_every_installation(aggregate: object) -> None:
    assert ONE.of(aggregate, "1") == OTHER.of(aggregate, "1")


@pytest.mark.parametrize("aggregate", PERSONAL, ids=lambda a: a.kind)
def test_ids_of_personal_keys_cannot_be_guessed_without_the_secret(aggregate: object) -> None:
    key = "email/a@example.com"
    assert ONE.of(aggregate, key) != OTHER.of(aggregate, key)
    assert ONE.of(aggregate, key) != uuid5(NAMESPACE, f"{aggregate.kind}/{key}")


def test_kinds_and_keys_do_not_run_into_each_other() -> None:
    ids = {ONE.of(aggregate, key) for aggregate in PERSONAL + PLAIN for key in ("1", "1/1", "")}
    assert len(ids) == 3 * len(PERSONAL + PLAIN)
