"""What people are told of delivery, and which of it each staff member has read."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Index, MetaData, Select, Table, and_, exists, func, not_, select

from kanal.domain.event import Event
from kanal.domain.notices import HANDLED, NoticeKind, NoticeRead, NoticesRead, notice_of
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.access import about_cases_seen
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    found,
    number,
    one,
    text,
)


class NoticeRow(NamedTuple):
    notice_id: int
    kind: NoticeKind
    at: int
    who: str
    channel_id: int
    case_id: int
    message_id: int
    delivery_id: str
    attempt_id: str
    outcome_class: str
    http_status: int
    sentence: str


class Filter(NamedTuple):
    channel_id: int | None = None
    kind: NoticeKind | None = None
    unread: bool | None = None


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("notices"),
        metadata,
        number("notice_id", key=True),
        text("kind"),
        number("at"),
        text("who"),
        number("channel_id"),
        number("case_id"),
        number("message_id"),
        text("delivery_id"),
        text("attempt_id"),
        text("outcome_class"),
        number("http_status"),
        text("sentence"),
        Index(name("notices_channel"), "channel_id", "notice_id"),
        Index(name("notices_kind"), "kind", "notice_id"),
    )
    yield Table(
        name("notices_read"),
        metadata,
        number("staff_id", key=True),
        number("notice_id", key=True),
        sqlite_with_rowid=False,
    )
    yield Table(name("notice_readers"), metadata, number("staff_id", key=True), number("notice_id"))


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    notice = notice_of(recorded)
    if notice is None:
        return
    failure = notice.failure
    row = {
        "notice_id": notice.notice_id,
        "kind": notice.kind,
        "at": notice.at,
        "who": notice.who,
        "channel_id": notice.channel_id,
        "case_id": failure.case_id,
        "message_id": failure.message_id,
        "delivery_id": failure.delivery_id,
        "attempt_id": failure.attempt_id,
        "outcome_class": failure.outcome_class,
        "http_status": failure.http_status,
        "sentence": notice.sentence,
    }
    changes.insert(tables["notices"], row)


def fold_reading(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    event = recorded.event
    match event:
        case NoticeRead():
            row = {"staff_id": event.staff_id, "notice_id": event.notice_id}
            changes.insert(tables["notices_read"], row)
        case NoticesRead(before=0):
            row = {"staff_id": event.staff_id, "notice_id": event.notice_id}
            changes.insert(tables["notice_readers"], row)
        case NoticesRead():
            values = {"notice_id": event.notice_id}
            changes.update(tables["notice_readers"], (event.staff_id,), values)


FOLDS: dict[type[Event], Any] = {
    **dict.fromkeys(HANDLED, fold),
    NoticeRead: fold_reading,
    NoticesRead: fold_reading,
}

PROJECTION = ReadModel(name="notices", version=1, handles=FOLDS, define=define)


def listed(
    connection: Connection, views: Views, staff_id: int, wanted: Filter, page: Page
) -> Found[tuple[NoticeRow, bool]]:
    """The newest first, each with whether this staff member has read it."""
    query = _rows(views, staff_id)
    notices = views.notices["notices"]
    if wanted.channel_id is not None:
        query = query.where(notices.c.channel_id == wanted.channel_id)
    if wanted.kind is not None:
        query = query.where(notices.c.kind == wanted.kind)
    if wanted.unread is not None:
        unread = _unread(views, staff_id)
        query = query.where(unread if wanted.unread else not_(unread))
    return found(connection, query.order_by(notices.c.notice_id.desc()), page, _row)


def find(
    connection: Connection, views: Views, staff_id: int, notice_id: int
) -> tuple[NoticeRow, bool] | None:
    notices = views.notices["notices"]
    return one(connection, _rows(views, staff_id).where(notices.c.notice_id == notice_id), _row)


def last(connection: Connection, views: Views) -> int:
    """0 if there is none."""
    return connection.scalar(select(func.max(views.notices["notices"].c.notice_id))) or 0


def _rows(views: Views, staff_id: int) -> Select[Any]:
    notices = views.notices["notices"]
    query = columns_of(notices, NoticeRow).add_columns(not_(_unread(views, staff_id)))
    return query.where(*about_cases_seen(views, notices.c.channel_id, notices.c.case_id))


def _unread(views: Views, staff_id: int) -> Any:
    """As a boundary and a row for each of the others: read models never count what a member has not done."""
    notices, read = views.notices["notices"], views.notices["notices_read"]
    readers = views.notices["notice_readers"]
    up_to = select(readers.c.notice_id).where(readers.c.staff_id == staff_id).scalar_subquery()
    one_by_one = exists().where(
        and_(read.c.staff_id == staff_id, read.c.notice_id == notices.c.notice_id)
    )
    return and_(notices.c.notice_id > func.coalesce(up_to, 0), not_(one_by_one))


def _row(row: Any) -> tuple[NoticeRow, bool]:
    return NoticeRow._make(row[:-1]), bool(row[-1])
