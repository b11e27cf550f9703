"""The e-mail addresses of the account."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, Table

from kanal.domain.client_emails import ClientEmailAdded, ClientEmailChanged, ClientEmailRemoved
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    found,
    number,
    one,
    text,
)


class ClientEmailRow(NamedTuple):
    email_id: int
    email: str
    active: bool


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("client_emails"),
        metadata,
        number("email_id", key=True),
        text("email"),
        flag("active"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    emails = tables["client_emails"]
    match recorded.event:
        case ClientEmailAdded() as event:
            row = {"email_id": event.email_id, "email": event.email, "active": event.active}
            changes.insert(emails, row)
        case ClientEmailChanged() as event:
            changed = {"email": event.email, "active": event.active}
            changes.update(emails, (event.email_id,), changed)
        case ClientEmailRemoved() as event:
            changes.delete(emails, (event.email_id,))


PROJECTION = ReadModel(
    name="client_emails",
    version=1,
    handles=dict.fromkeys((ClientEmailAdded, ClientEmailChanged, ClientEmailRemoved), fold),
    define=define,
)


def find(connection: Connection, views: Views, email_id: int) -> ClientEmailRow | None:
    emails = views.client_emails["client_emails"]
    query = columns_of(emails, ClientEmailRow).where(emails.c.email_id == email_id)
    return one(connection, query, ClientEmailRow._make)


def listed(connection: Connection, views: Views, page: Page) -> Found[ClientEmailRow]:
    """The oldest first."""
    emails = views.client_emails["client_emails"]
    query = columns_of(emails, ClientEmailRow).order_by(emails.c.email_id)
    return found(connection, query, page, ClientEmailRow._make)
