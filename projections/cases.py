"""Cases: one row for each conversation, with all that its answer shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Index,
    MetaData,
    Table,
    and_,
    case,
    false,
    func,
    select,
)
from sqlalchemy import text as sql_text

from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseFieldsChanged,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseLanguageChanged,
    CaseMarkedAsSpam,
    CaseMerged,
    CaseOpened,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    CaseUnmerged,
    ChatState,
    ChildCaseMerged,
    ChildCaseUnmerged,
    MessageAdded,
    Priority,
    Rating,
    Status,
)
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatReopened,
    ChatReturned,
    ChatStarted,
)
from kanal.domain.custom_fields import Values
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections import custom_fields, labels
from kanal.projections.links import having_contact
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
    text,
)
from kanal.projections.search import between, searched

Sort = Literal[
    "updated_at_desc",
    "updated_at_asc",
    "created_at_desc",
    "created_at_asc",
    "response_desc",
    "response_asc",
    "priority_desc",
    "priority_asc",
    "status_asc",
    "status_desc",
]

DEFAULT_SORT: Sort = "created_at_desc"
"""Known clients walk through all pages without naming a sort. While they do so, cases change and new ones come in:
by `updated_at` a case that changes would jump to a page already read and be missed; by creation none is ever missed.
"""

NO_IDS = "[]"
"""As most cases have no labels, this is not read as JSON."""
_IDS = msgspec.json.Decoder(tuple[int, ...])


class CaseRow(NamedTuple):
    case_id: int
    user_id: int
    staff_id: int
    """0 for nobody."""
    group_id: int
    status: Status
    priority: Priority
    channel: str
    """`cch<id>` for a custom channel, else the name of a standard one."""
    channel_id: int
    """0 for a standard channel."""
    subject: str
    recipient: str
    cc_emails: str
    bcc_emails: str
    deleted: bool
    """In the trash. A case that was deleted for good has no row."""
    spam: bool
    parent_case_id: int
    """The case into which this one is merged, 0 for none."""
    language_id: int
    rating: Rating | Literal[""]
    """"" while it is not rated."""
    rating_comment: str
    rated_staff_id: int
    opened_by: Literal["user", "staff"]
    created_at: int
    updated_at: int
    last_response_at: int
    """Time of the last message that is not a note; of one that was brought in later, the time that it bears."""
    closed_at: int
    """0 while it is not closed."""
    labels: tuple[int, ...]
    """Without those that have been deleted since."""
    locked_labels: tuple[int, ...]
    """Put on by rules."""
    chat: ChatState
    custom_fields: Values
    """Without those of fields that have been deleted since."""


class CaseFilter(NamedTuple):
    """An empty field does not filter. Several values of one field are joined by "or", fields by "and"."""

    channel: Sequence[str] = ()
    status: Sequence[str] = ()
    priority: Sequence[str] = ()
    user_id: Sequence[int] = ()
    user_custom_id: Sequence[str] = ()
    """External ids, byte for byte."""
    user_email: Sequence[str] = ()
    """Parts of any of the user's e-mails, with the search marks (search.py)."""
    user_phone: Sequence[str] = ()
    staff_id: Sequence[int] = ()
    """0 finds the cases that are nobody's."""
    group_id: Sequence[int] = ()
    labels: Sequence[int] = ()
    """Put on by staff or by rules."""
    custom_fields: Mapping[str, Sequence[str]] | None = None
    """Key of a field of cases or of users -> what its value has to match (custom_fields.py)."""
    subject: str = ""
    """A part of it, with the search marks, without regard to case."""
    from_time: int | None = None
    """Of creation; all times in microseconds."""
    to_time: int | None = None
    from_updated_time: int | None = None
    to_updated_time: int | None = None
    deleted: bool = False
    """What lies in the trash, spam or not, instead of what does not."""
    spam: bool = False
    """Spam instead of what is not."""
    show_merged_cases: bool = False
    """Also those that are merged into others."""
    show_active_chats: bool = False


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    cases = name("cases")
    yield Table(
        cases,
        metadata,
        number("case_id", key=True),
        number("user_id"),
        number("staff_id"),
        number("group_id"),
        text("status"),
        text("priority"),
        text("channel"),
        number("channel_id"),
        text("subject"),
        text("subject_folded"),
        text("recipient"),
        text("cc_emails"),
        text("bcc_emails"),
        flag("deleted"),
        flag("spam"),
        number("parent_case_id"),
        number("language_id"),
        text("rating"),
        text("rating_comment"),
        number("rated_staff_id"),
        text("opened_by"),
        number("created_at"),
        number("updated_at"),
        number("last_response_at"),
        number("closed_at"),
        text("labels"),
        text("locked_labels"),
        text("chat"),
        text("custom_fields"),
        # What hides a case at the end: lists and their totals are counted without a look at the rows.
        *[
            Index(
                f"{cases}_{end}", *columns, "case_id", "deleted", "spam", "parent_case_id", "chat"
            )
            for end, columns in {
                "created": ("created_at",),
                "updated": ("updated_at",),
                "user": ("user_id", "created_at"),
                "channel": ("channel", "created_at"),
                "status": ("status", "created_at"),
                "staff": ("staff_id", "created_at"),
            }.items()
        ],
        # For hand-overs and for what is in use: closed cases are the most, and none of them counts.
        *[
            Index(
                f"{cases}_unclosed_{column}",
                column,
                "case_id",
                sqlite_where=UNCLOSED,
                postgresql_where=UNCLOSED,
            )
            for column in ("staff_id", "group_id")
        ],
    )


UNCLOSED = sql_text("status <> 'closed'")
"""Word for word, because a database takes a partial index only where it sees its condition."""


def _shown(cases: FromClause) -> ColumnElement[bool]:
    return and_(cases.c.deleted.is_(False), cases.c.spam.is_(False))


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    cases = tables["cases"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case MessageAdded(kind="note"):
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case MessageAdded():
            said_at = event.sent_at or event.created_at or at
            times = {"updated_at": at, "last_response_at": said_at}
            changes.update(cases, (event.case_id,), times)
        case CaseOpened():
            opened_at = event.created_at or at
            row = {
                "case_id": event.case_id,
                "user_id": event.user_id,
                "staff_id": event.staff_id,
                "group_id": event.group_id,
                "status": event.status,
                "priority": event.priority,
                "channel": event.channel,
                "channel_id": event.channel_id,
                "subject": event.subject,
                "subject_folded": event.subject.casefold(),
                "recipient": event.recipient,
                "cc_emails": event.cc_emails,
                "bcc_emails": event.bcc_emails,
                "deleted": False,
                "spam": False,
                "parent_case_id": 0,
                "language_id": event.language_id,
                "rating": "",
                "rating_comment": "",
                "rated_staff_id": 0,
                "opened_by": event.opened_by,
                "created_at": opened_at,
                "updated_at": at,
                "last_response_at": opened_at,
                "closed_at": opened_at if event.status == "closed" else 0,
                "labels": NO_IDS,
                "locked_labels": NO_IDS,
                "chat": "",
                "custom_fields": custom_fields.NO_VALUES,
            }
            changes.insert(cases, row)
        case CaseStatusChanged():
            closed_at = at if event.new == "closed" else 0
            status = {"status": event.new, "closed_at": closed_at, "updated_at": at}
            changes.update(cases, (event.case_id,), status)
        case CasePriorityChanged():
            changes.update(cases, (event.case_id,), {"priority": event.new, "updated_at": at})
        case CaseAssigned():
            changes.update(cases, (event.case_id,), {"staff_id": event.new, "updated_at": at})
        case CaseGroupChanged():
            changes.update(cases, (event.case_id,), {"group_id": event.new, "updated_at": at})
        case CaseSubjectChanged():
            subject = {
                "subject": event.new,
                "subject_folded": event.new.casefold(),
                "updated_at": at,
            }
            changes.update(cases, (event.case_id,), subject)
        case CaseLabelsChanged():
            worn = {
                "labels": _stored(event.labels),
                "locked_labels": _stored(event.locked_labels),
                "updated_at": at,
            }
            changes.update(cases, (event.case_id,), worn)
        case CaseLanguageChanged():
            changes.update(cases, (event.case_id,), {"language_id": event.new, "updated_at": at})
        case CaseRated():
            rating = {
                "rating": event.rating,
                "rating_comment": event.rating_comment,
                "rated_staff_id": event.rated_staff_id,
                "updated_at": at,
            }
            changes.update(cases, (event.case_id,), rating)
        case CaseMerged():
            merged = {"parent_case_id": event.parent_case_id, "updated_at": at}
            changes.update(cases, (event.case_id,), merged)
        case CaseUnmerged():
            changes.update(cases, (event.case_id,), {"parent_case_id": 0, "updated_at": at})
        case ChildCaseMerged() | ChildCaseUnmerged():
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case CaseFieldsChanged():
            values = {"custom_fields": custom_fields.stored(event.values), "updated_at": at}
            changes.update(cases, (event.case_id,), values)
        case CaseTrashed():
            changes.update(cases, (event.case_id,), {"deleted": True, "updated_at": at})
        case CaseMarkedAsSpam():
            changes.update(cases, (event.case_id,), {"spam": True, "updated_at": at})
        case CaseRestored():
            restored = {"deleted": False, "spam": False, "updated_at": at}
            changes.update(cases, (event.case_id,), restored)
        case CaseDeleted():
            changes.delete(cases, (event.case_id,))
        case ChatStarted() | ChatReopened():
            changes.update(cases, (event.case_id,), {"chat": event.state, "updated_at": at})
        case ChatAccepted():
            changes.update(cases, (event.case_id,), {"chat": "active", "updated_at": at})
        case ChatReturned():
            changes.update(cases, (event.case_id,), {"chat": "waiting", "updated_at": at})
        case ChatCompleted():
            changes.update(cases, (event.case_id,), {"chat": "completed", "updated_at": at})


PROJECTION = ReadModel(
    name="cases",
    version=5,
    handles=dict.fromkeys(
        (
            MessageAdded,
            CaseOpened,
            CaseStatusChanged,
            CasePriorityChanged,
            CaseAssigned,
            CaseGroupChanged,
            CaseLabelsChanged,
            CaseFieldsChanged,
            CaseSubjectChanged,
            CaseLanguageChanged,
            CaseRated,
            CaseTrashed,
            CaseMarkedAsSpam,
            CaseRestored,
            CaseMerged,
            CaseUnmerged,
            ChildCaseMerged,
            ChildCaseUnmerged,
            CaseDeleted,
            ChatStarted,
            ChatReopened,
            ChatAccepted,
            ChatReturned,
            ChatCompleted,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, case_id: int) -> CaseRow | None:
    """Also what lies in the trash or is spam."""
    cases = views.cases["cases"]
    query = columns_of(cases, CaseRow).where(cases.c.case_id == case_id)
    rows = list(map(_row, connection.execute(query)))
    return _as_of_now(connection, views, rows)[0] if rows else None


def listed(
    connection: Connection,
    views: Views,
    wanted: CaseFilter,
    page: Page,
    sort: Sort = DEFAULT_SORT,
) -> Found[CaseRow]:
    """Without `wanted.deleted` or `wanted.spam` neither trash nor spam is listed."""
    cases = _cases_of_users(views, wanted)
    conditions = [
        *_conditions(views, cases, wanted),
        *_by_custom_fields(connection, views, cases, wanted),
    ]
    query = columns_of(cases, CaseRow).where(*conditions)
    rows, total = found(connection, query.order_by(*_order(cases, sort)), page, _row)
    return Found(_as_of_now(connection, views, rows), total)


def _row(columns: Iterable[Any]) -> CaseRow:
    row = CaseRow._make(columns)
    return row._replace(
        labels=_read(row.labels),
        locked_labels=_read(row.locked_labels),
        custom_fields=custom_fields.read(row.custom_fields),
    )


def _as_of_now(connection: Connection, views: Views, rows: list[CaseRow]) -> list[CaseRow]:
    """Without what has been deleted elsewhere, for which the cases have no events."""
    worn = {label for row in rows for label in (*row.labels, *row.locked_labels)}
    living = labels.living(connection, views, worn)
    values = custom_fields.living(connection, views, [row.custom_fields for row in rows])
    return [
        row._replace(
            labels=tuple(i for i in row.labels if i in living),
            locked_labels=tuple(i for i in row.locked_labels if i in living),
            custom_fields=of_row,
        )
        for row, of_row in zip(rows, values, strict=True)
    ]


def unclosed(
    connection: Connection,
    views: Views,
    *,
    staff_id: int = 0,
    group_id: int = 0,
    limit: int,
) -> list[int]:
    """Ids of cases of that staff member or group that are not closed, trash and spam too; the oldest first."""
    cases = views.cases["cases"].c
    whose = cases.staff_id == staff_id if staff_id else cases.group_id == group_id
    query = select(cases.case_id).where(whose, UNCLOSED).order_by(cases.case_id).limit(limit)
    return list(connection.scalars(query))


def amounts_of_cases(
    connection: Connection, views: Views, user_ids: Sequence[int]
) -> dict[int, int]:
    """How many cases each of these users has: neither trash nor spam counted, nor those merged into others."""
    cases = views.cases["cases"]
    query = (
        select(cases.c.user_id, func.count())
        .where(cases.c.user_id.in_(user_ids), _shown(cases), cases.c.parent_case_id == 0)
        .group_by(cases.c.user_id)
    )
    amounts = dict.fromkeys(user_ids, 0)
    amounts.update((user_id, amount) for user_id, amount in connection.execute(query))
    return amounts


def of_user(connection: Connection, views: Views, user_id: int, limit: int) -> list[int]:
    """Ids of cases of this user, whatever state they are in."""
    cases = views.cases["cases"]
    query = select(cases.c.case_id).where(cases.c.user_id == user_id)
    return list(connection.scalars(query.order_by(cases.c.created_at).limit(limit)))


def amounts_of_companies(
    connection: Connection, views: Views, company_ids: Sequence[int]
) -> dict[int, int]:
    """How many cases the users of each of these companies have, counted like `amounts_of_cases`."""
    cases, users = views.cases["cases"], views.users["users"]
    query = (
        select(users.c.company_id, func.count())
        .join_from(users, cases, cases.c.user_id == users.c.user_id)
        .where(users.c.company_id.in_(company_ids), _shown(cases))
        .group_by(users.c.company_id)
    )
    amounts = dict.fromkeys(company_ids, 0)
    amounts.update((company_id, amount) for company_id, amount in connection.execute(query))
    return amounts


def _cases_of_users(views: Views, wanted: CaseFilter) -> FromClause:
    """The cases of the users who are asked for. They are few, so they are taken first, whatever else is asked for:
    left to itself SQLite would rather walk through all cases of a channel.
    """
    cases = views.cases["cases"]
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id:
        conditions.append(cases.c.user_id.in_(wanted.user_id))
    if wanted.user_custom_id:
        users = views.users["users"].c
        those = select(users.user_id).where(
            users.identity.in_(wanted.user_custom_id), users.type == "custom"
        )
        conditions.append(cases.c.user_id.in_(those))
    if wanted.user_email:
        conditions.append(cases.c.user_id.in_(having_contact(views, "email", wanted.user_email)))
    if wanted.user_phone:
        conditions.append(cases.c.user_id.in_(having_contact(views, "phone", wanted.user_phone)))
    if not conditions:
        return cases
    return cases.select().where(*conditions).cte("theirs").prefix_with("MATERIALIZED")


def _conditions(views: Views, cases: FromClause, wanted: CaseFilter) -> list[ColumnElement[bool]]:
    c = cases.c
    conditions = [
        *between(c.created_at, wanted.from_time, wanted.to_time),
        *between(c.updated_at, wanted.from_updated_time, wanted.to_updated_time),
    ]
    if wanted.deleted:
        conditions.append(c.deleted.is_(True))
    if wanted.spam:
        conditions.append(c.spam.is_(True))
        if not wanted.deleted:
            conditions.append(c.deleted.is_(False))
    if not wanted.deleted and not wanted.spam:
        conditions.append(_shown(cases))
    if not wanted.show_merged_cases:
        conditions.append(c.parent_case_id == 0)
    if not wanted.show_active_chats:
        conditions.append(c.chat != "active")
    for column, values in (
        (c.channel, wanted.channel),
        (c.status, wanted.status),
        (c.priority, wanted.priority),
        (c.staff_id, wanted.staff_id),
        (c.group_id, wanted.group_id),
    ):
        if values:
            conditions.append(column == values[0] if len(values) == 1 else column.in_(values))
    if wanted.labels:
        conditions.append(c.case_id.in_(labels.having(views, wanted.labels)))
    if wanted.subject:
        conditions.append(searched(c.subject_folded, wanted.subject.casefold()))
    return conditions


def _by_custom_fields(
    connection: Connection, views: Views, cases: FromClause, wanted: CaseFilter
) -> list[ColumnElement[bool]]:
    if not wanted.custom_fields:
        return []
    found_by = custom_fields.searches(connection, views, wanted.custom_fields)
    if found_by is None:
        return [false()]
    columns = {"case": cases.c.case_id, "user": cases.c.user_id}
    return [columns[search.level].in_(search.ids) for search in found_by]


def _order(cases: FromClause, sort: Sort) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The id last, so that no case stands on two pages. Among equal statuses and priorities the newest first."""
    c = cases.c
    by, _, direction = sort.rpartition("_")
    ranked: dict[str, ColumnElement[int]] = {
        "updated_at": c.updated_at,
        "created_at": c.created_at,
        "response": c.last_response_at,
        "priority": _rank(c.priority, get_args(Priority)),
        "status": _rank(c.status, get_args(Status)),
    }
    rank = ranked[by].asc() if direction == "asc" else ranked[by].desc()
    newest_first = direction == "desc" or by in ("priority", "status")
    return rank, c.case_id.desc() if newest_first else c.case_id.asc()


def _stored(ids: Sequence[int]) -> str:
    return msgspec.json.encode(ids).decode()


def _read(stored: Any) -> tuple[int, ...]:
    return () if stored == NO_IDS else _IDS.decode(stored)


def _rank(column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[int]:
    """`Status` and `Priority` name their values in rising order."""
    return case({value: place for place, value in enumerate(values)}, value=column)
