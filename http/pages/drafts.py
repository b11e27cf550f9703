"""What staff have begun to write and not sent, kept for its author alone: in a case, and to whom no case has begun yet."""

from typing import Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from kanal.eventlog.tables import begun_cases, drafts
from kanal.http.errors import ApiError
from kanal.http.fields import Content, Fields, Id, Text
from kanal.http.pages.visit import now
from kanal.projections import users
from kanal.projections.read_model import Views

MAX_DRAFT: Final = 100_000
"""Characters; a longer text is not kept until it is sent."""
MOST_BEGUN: Final = 20
"""Cases that are listed as begun; nobody has more in mind."""
SUBJECT: Final = 255


class Draft(Fields):
    kind: Literal["reply", "note"] = "reply"
    content: Content = ""


class BegunCase(Fields):
    """What somebody has written so far."""

    person: Id = 0
    """Who was chosen."""
    user: Id = 0
    """The one of their profiles that it goes to; 0 if that is not chosen."""
    subject: Text = ""
    content: Content = ""


class Begun(NamedTuple):
    user_id: int
    name: str
    words: str
    """The subject, else how the text begins."""


def check_length(content: str) -> None:
    """One that is too long leaves the former one in place. Raises ApiError."""
    if len(content) > MAX_DRAFT:
        raise ApiError(413, "draft_too_long", f"A draft may have {MAX_DRAFT} characters.")


def of_case(connection: Connection, staff_id: int, case_id: int) -> Draft:
    query = select(drafts.c.kind, drafts.c.content).where(_own(staff_id, case_id))
    row = connection.execute(query).first()
    return Draft(kind=row.kind, content=row.content) if row else Draft()


def keep(connection: Connection, *, staff_id: int, case_id: int, draft: Draft) -> None:
    """In place of the former one; an empty one is none."""
    forget(connection, staff_id=staff_id, case_id=case_id)
    if draft.content.strip():
        row = {"staff_id": staff_id, "case_id": case_id, "updated_at": now()}
        connection.execute(insert(drafts).values(row | draft.model_dump()))


def forget(connection: Connection, *, staff_id: int, case_id: int) -> None:
    connection.execute(delete(drafts).where(_own(staff_id, case_id)))


def beginning(connection: Connection, staff_id: int, person: int) -> BegunCase:
    b = begun_cases.c
    query = select(b.profile_id, b.subject, b.content).where(_to(staff_id, person))
    row = connection.execute(query).first()
    if row is None:
        return BegunCase(person=person)
    return BegunCase(person=person, user=row.profile_id, subject=row.subject, content=row.content)


def keep_beginning(connection: Connection, *, staff_id: int, begun: BegunCase) -> None:
    """As `keep`."""
    forget_beginning(connection, staff_id=staff_id, person=begun.person)
    if begun.subject.strip() or begun.content.strip():
        row = {
            "staff_id": staff_id,
            "user_id": begun.person,
            "profile_id": begun.user,
            "subject": begun.subject[:SUBJECT],
            "content": begun.content,
            "updated_at": now(),
        }
        connection.execute(insert(begun_cases).values(row))


def forget_beginning(connection: Connection, *, staff_id: int, person: int) -> None:
    connection.execute(delete(begun_cases).where(_to(staff_id, person)))


def begun_by(connection: Connection, views: Views, staff_id: int) -> list[Begun]:
    """The newest first, to those people whom the views' scope sees."""
    b = begun_cases.c
    query = select(b.user_id, b.subject, b.content).where(b.staff_id == staff_id)
    rows = connection.execute(query.order_by(b.updated_at.desc()).limit(MOST_BEGUN)).all()
    people = users.known(connection, views, users.seen(connection, views, [r[0] for r in rows]))
    return [
        Begun(row.user_id, people[row.user_id].name, row.subject or row.content[:SUBJECT])
        for row in rows
        if row.user_id in people
    ]


def _own(staff_id: int, case_id: int) -> ColumnElement[bool]:
    return and_(drafts.c.staff_id == staff_id, drafts.c.case_id == case_id)


def _to(staff_id: int, person: int) -> ColumnElement[bool]:
    return and_(begun_cases.c.staff_id == staff_id, begun_cases.c.user_id == person)
