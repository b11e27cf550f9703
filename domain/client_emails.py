"""Client e-mails: the addresses at which an account's users write to it. Kanal keeps the list; it sends no e-mail."""

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import ClientEmailNotFound, EmailTaken
from kanal.domain.event import Event
from kanal.domain.links import Contact
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class ClientEmailAdded(Event, frozen=True):
    NAME = "client_email.added.1"
    email_id: int
    email: str
    """As given, without outer blanks."""
    normalised: str
    active: bool


class ClientEmailChanged(Event, frozen=True):
    """Holds all of it, so that a reader needs no earlier event."""

    NAME = "client_email.changed.1"
    email_id: int
    email: str
    normalised: str
    active: bool


class ClientEmailRemoved(Event, frozen=True):
    NAME = "client_email.removed.1"
    email_id: int


class ClientEmail(Struct, frozen=True):
    email_id: int
    email: str
    normalised: str
    active: bool


class ClientEmails(Struct, frozen=True):
    known: tuple[ClientEmail, ...] = ()


def evolve(emails: ClientEmails, event: Event) -> ClientEmails:
    if not isinstance(event, ClientEmailAdded | ClientEmailChanged | ClientEmailRemoved):
        return emails
    others = [one for one in emails.known if one.email_id != event.email_id]
    if isinstance(event, ClientEmailRemoved):
        return ClientEmails(tuple(others))
    new = ClientEmail(event.email_id, event.email, event.normalised, event.active)
    return ClientEmails((*others, new))


CLIENT_EMAILS = Aggregate("client_emails", ClientEmails(), evolve)
"""One stream, key "all": there are few, and no two may be the same."""


def add_client_email(work: Work, *, email: Contact, active: bool = True) -> int:
    """The new address's id. Raises EmailTaken."""
    email_id = work.take("client_email")
    _refuse_taken(work, email_id, email.normalised)
    added = ClientEmailAdded(
        email_id=email_id, email=email.given.strip(), normalised=email.normalised, active=active
    )
    work.record(CLIENT_EMAILS, "all", added)
    return email_id


def change_client_email(
    work: Work, *, email_id: int, email: Contact | None = None, active: bool | None = None
) -> int:
    """None means "as it is". Raises ClientEmailNotFound, EmailTaken."""
    known = existing_client_email(work, email_id)
    changed = known if active is None else replace(known, active=active)
    if email is not None:
        _refuse_taken(work, email_id, email.normalised)
        changed = replace(changed, email=email.given.strip(), normalised=email.normalised)
    if changed != known:
        event = ClientEmailChanged(
            email_id=email_id,
            email=changed.email,
            normalised=changed.normalised,
            active=changed.active,
        )
        work.record(CLIENT_EMAILS, "all", event)
    return email_id


def remove_client_email(work: Work, *, email_id: int) -> int:
    """Raises ClientEmailNotFound."""
    existing_client_email(work, email_id)
    work.record(CLIENT_EMAILS, "all", ClientEmailRemoved(email_id))
    return email_id


def existing_client_email(work: Work, email_id: int) -> ClientEmail:
    """Raises ClientEmailNotFound."""
    for one in work.load(CLIENT_EMAILS, "all").known:
        if one.email_id == email_id:
            return one
    raise ClientEmailNotFound(email_id)


def _refuse_taken(work: Work, email_id: int, normalised: str) -> None:
    for one in work.load(CLIENT_EMAILS, "all").known:
        if one.normalised == normalised and one.email_id != email_id:
            raise EmailTaken
