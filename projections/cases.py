"""Cases: what lists are filtered and sorted by in one narrow row for each, what is only shown in another.

A list that no index answers walks through the narrow rows, which stay few pages; messages change nothing else.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Computed,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    and_,
    case,
    false,
    func,
    not_,
    null,
    or_,
    select,
    tuple_,
)
from sqlalchemy import text as sql_text

from kanal.domain.access import Scope
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
from kanal.domain.users import ContactKind
from kanal.eventlog.amounts import Amounts
from kanal.eventlog.projection import Changes, Tables
from kanal.projections import custom_fields, labels
from kanal.projections.access import cases_seen
from kanal.projections.keyset import After, Listed, Order
from kanal.projections.links import having_contact
from kanal.projections.read_model import (
    NUMBER,
    Names,
    Page,
    ReadModel,
    Views,
    among,
    flag,
    number,
    text,
    unindexed,
)
from kanal.projections.search import between
from kanal.projections.totals import counted_once
from kanal.projections.trigrams import containing, searchable
from kanal.projections.words import FEW, cases_with

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

DELETED, SPAM, MERGED, ACTIVE_CHAT = 1, 2, 4, 8
HIDDEN = f"""CASE WHEN deleted THEN {DELETED} ELSE 0 END + CASE WHEN spam THEN {SPAM} ELSE 0 END
+ CASE WHEN parent_case_id > 0 THEN {MERGED} ELSE 0 END + CASE WHEN chat = 'active' THEN {ACTIVE_CHAT} ELSE 0 END"""
"""Why a case is not in the plain list; 0 for most. One small number, so that an index of lists and totals holds it."""

SORTED_BY = {
    "updated_at": "updated_at",
    "created_at": "created_at",
    "response": "last_response_at",
    "priority": "priority",
    "status": "status",
}
RANKS: dict[str, tuple[str, ...]] = {"priority": get_args(Priority), "status": get_args(Status)}
"""`Status` and `Priority` name their values in rising order. Among equal ones the newest comes first."""
GATHERED = 2000
"""Places of cases that one statement takes and Python sorts, before a page is worth walking to along an index."""
LOOKED_AT = 10_000
"""Rows that are each asked whether they meet a common condition, before it is quicker to gather all that do."""
SORTED = 20_000
"""So many that nothing but facets is asked of are looked up by them and sorted by the database: on their way along the index
there may be very many others.
"""
FILTERED_BY = ("status", "priority", "staff_id", "group_id", "channel")
"""Kept in the indexes that lists walk along, so that it needs no look at the rows."""
FACETS = ("hidden", *FILTERED_BY)
"""How many cases there are with each combination of these that there is stands in a table of its own: a few thousand rows,
from which totals are added up, whichever of them a list is filtered by.
"""

UNCLOSED = sql_text("status <> 'closed'")
"""Word for word, because a database takes a partial index only where it sees its condition."""
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
    words: str = ""
    """Of the subject, a message, or the user's name (words.py); of very many the newest that meet all else. Unlike the others it
    follows the log a moment later."""
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
    table = Table(
        cases,
        metadata,
        number("case_id", key=True),
        Column("hidden", NUMBER, Computed(HIDDEN, persisted=True)),
        text("status"),
        text("priority"),
        number("staff_id"),
        number("group_id"),
        text("channel"),
        number("user_id"),
        number("created_at"),
        number("updated_at"),
        number("last_response_at"),
        flag("deleted"),
        flag("spam"),
        number("parent_case_id"),
        text("chat"),
        number("closed_at"),
        number("channel_id"),
        number("language_id"),
        text("opened_by"),
        Index(f"{cases}_user", "user_id", "created_at", "case_id", "hidden"),
        Index(f"{cases}_created", "created_at", "case_id", *FACETS),
        Index(f"{cases}_updated", "updated_at", "case_id", *FACETS),
        Index(f"{cases}_response", "last_response_at", "case_id", *FACETS),
        Index(f"{cases}_facets", *FACETS, "case_id"),
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
    yield table
    hidden_by = ("deleted", "spam", "parent_case_id", "chat")
    yield Amounts(table, name("case_amounts"), FACETS, {"hidden": _hides}, hidden_by).table
    yield Table(
        name("case_details"),
        metadata,
        number("case_id", key=True),
        text("subject"),
        text("recipient"),
        text("cc_emails"),
        text("bcc_emails"),
        text("rating"),
        text("rating_comment"),
        number("rated_staff_id"),
        text("labels"),
        text("locked_labels"),
        text("custom_fields"),
    )
    yield searchable(name("case_subjects"), metadata)


def _hides(row: Mapping[str, Any]) -> int:
    """As `HIDDEN`."""
    return (
        (DELETED if row["deleted"] else 0)
        | (SPAM if row["spam"] else 0)
        | (MERGED if row["parent_case_id"] else 0)
        | (ACTIVE_CHAT if row["chat"] == "active" else 0)
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    cases, details, subjects = tables["cases"], tables["case_details"], tables["case_subjects"]
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
                "deleted": False,
                "spam": False,
                "parent_case_id": 0,
                "chat": "",
                "language_id": event.language_id,
                "opened_by": event.opened_by,
                "created_at": opened_at,
                "updated_at": at,
                "last_response_at": opened_at,
                "closed_at": opened_at if event.status == "closed" else 0,
            }
            changes.insert(cases, row)
            shown = {
                "case_id": event.case_id,
                "subject": event.subject,
                "recipient": event.recipient,
                "cc_emails": event.cc_emails,
                "bcc_emails": event.bcc_emails,
                "rating": "",
                "rating_comment": "",
                "rated_staff_id": 0,
                "labels": NO_IDS,
                "locked_labels": NO_IDS,
                "custom_fields": custom_fields.NO_VALUES,
            }
            changes.insert(details, shown)
            subject = {"rowid": event.case_id, "content": event.subject.casefold()}
            changes.insert(subjects, subject)
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
            changes.update(cases, (event.case_id,), {"updated_at": at})
            changes.update(details, (event.case_id,), {"subject": event.new})
            changes.update(subjects, (event.case_id,), {"content": event.new.casefold()})
        case CaseLabelsChanged():
            worn = {
                "labels": _stored(event.labels),
                "locked_labels": _stored(event.locked_labels),
            }
            changes.update(details, (event.case_id,), worn)
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case CaseLanguageChanged():
            changes.update(cases, (event.case_id,), {"language_id": event.new, "updated_at": at})
        case CaseRated():
            rating = {
                "rating": event.rating,
                "rating_comment": event.rating_comment,
                "rated_staff_id": event.rated_staff_id,
            }
            changes.update(details, (event.case_id,), rating)
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case CaseMerged():
            merged = {"parent_case_id": event.parent_case_id, "updated_at": at}
            changes.update(cases, (event.case_id,), merged)
        case CaseUnmerged():
            changes.update(cases, (event.case_id,), {"parent_case_id": 0, "updated_at": at})
        case ChildCaseMerged() | ChildCaseUnmerged():
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case CaseFieldsChanged():
            values = {"custom_fields": custom_fields.stored(event.values)}
            changes.update(details, (event.case_id,), values)
            changes.update(cases, (event.case_id,), {"updated_at": at})
        case CaseTrashed():
            changes.update(cases, (event.case_id,), {"deleted": True, "updated_at": at})
        case CaseMarkedAsSpam():
            changes.update(cases, (event.case_id,), {"spam": True, "updated_at": at})
        case CaseRestored():
            restored = {"deleted": False, "spam": False, "updated_at": at}
            changes.update(cases, (event.case_id,), restored)
        case CaseDeleted():
            for table in (cases, details, subjects):
                changes.delete(table, (event.case_id,))
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
    version=8,
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
    """Also what lies in the trash or is spam; not what the views' scope does not see."""
    found = _rows(connection, views, [case_id])
    return found[0] if found else None


def of_ids(connection: Connection, views: Views, case_ids: Sequence[int]) -> list[CaseRow]:
    """In that order; without those that there are not."""
    return _rows(connection, views, case_ids)


class Tally(NamedTuple):
    """How many cases there are of one kind: of what is neither closed nor hidden, and of spam and trash."""

    hidden: int
    status: Status
    staff_id: int
    """The one who is asked for, 0 for nobody, `OTHERS` for anybody else."""
    group_id: int
    channel: str
    amount: int


OTHERS = -1


def tallies(connection: Connection, views: Views, staff_id: int) -> list[Tally]:
    """For the counts beside lists, all at once: a few hundred sums, however many cases there are. Only what the views' scope sees."""
    amounts = views.cases["case_amounts"]
    c = amounts.c
    whose = case((c.staff_id.in_((0, staff_id)), c.staff_id), else_=OTHERS)
    facets = (c.hidden, c.status, whose, c.group_id, c.channel)
    unclosed = and_(c.hidden.in_((0, ACTIVE_CHAT)), c.status != "closed")
    query = select(*facets, func.sum(c.amount)).where(
        or_(unclosed, c.hidden.in_((SPAM, DELETED, DELETED | SPAM))),
        *cases_seen(c, views.scope),
    )
    rows = connection.execute(query.group_by(*facets))
    return [Tally(*row[:-1], int(row[-1])) for row in rows if row[-1]]


def listed(
    connection: Connection,
    views: Views,
    wanted: CaseFilter,
    page: Page,
    sort: Sort = DEFAULT_SORT,
    after: After | None = None,
) -> Listed[CaseRow]:
    """Without `wanted.deleted` or `wanted.spam` neither trash nor spam is listed.

    `after`: the place where the page before ended; `page` then says only how many there may be.
    """
    search = _search(connection, views, wanted)
    by, _, direction = sort.rpartition("_")
    descending = direction == "desc"
    order = Order(SORTED_BY[by], descending, newest_first=descending or by in RANKS)
    amounts = _amounts(connection, search, order)
    most = sum(amounts.values())
    places = None
    if most <= GATHERED or search.selective:
        places = _gathered(connection, search, order, by_facets=most <= GATHERED)
    if places is not None:
        total = len(places)
        first = bisect_right(places, order.key(after), key=order.key) if after else page.offset
        places = places[first : first + page.limit + 1]
    else:
        search = search._replace(by_facets=most <= SORTED)
        if search.others or search.common:
            question = wanted, order.by if order.by in RANKS else None
            count = partial(_counted, connection, search, order, most)
            amounts = counted_once(connection, views, question, count)
        total = sum(amounts.values())
        nearer = 0 if after else min(page.offset, total - page.offset)
        looked_at = (nearer + page.limit) * most // (total or 1)
        search = search._replace(in_bulk=looked_at > LOOKED_AT)
        walk = _ranked if order.by in RANKS else _walked
        places = walk(connection, search, order, page, after, amounts)
    end = places[page.limit - 1] if len(places) > page.limit > 0 else None
    rows = _rows(connection, views, [place.id for place in places[: page.limit]])
    return Listed(rows, total, end)


def matching(connection: Connection, views: Views, wanted: CaseFilter) -> Select[Any]:
    """Their ids, for a condition of another query."""
    search = _search(connection, views, wanted)
    return search.select(views.cases["cases"].c.case_id)


class Common(NamedTuple):
    """A condition that very many cases meet by what stands in another table."""

    met: ColumnElement[bool]
    """Asked of one case."""
    in_bulk: ColumnElement[bool]
    """The same, for a look at most cases."""
    ids: Select[Any] | None = None
    """Of those cases, each once, if they can be counted without a look at the cases."""


class Search(NamedTuple):
    views: Views
    wanted: CaseFilter
    others: Sequence[ColumnElement[bool]]
    """Conditions on the rows of cases beside those on facets."""
    common: Sequence[Common]
    by_facets: bool = False
    """Rows are looked up by facets, which is for few; else along an index that something else asks for."""
    in_bulk: bool = False
    """What meets a common condition is gathered first, which is for a look at very many rows; else each row is asked."""

    @property
    def selective(self) -> bool:
        """Something is asked for that may find few, whatever the facets find."""
        return bool(self.others) or len(self.common) > 1

    def select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        cases, amounts = self.views.cases["cases"], self.views.cases["case_amounts"]
        common = [each.in_bulk if self.in_bulk else each.met for each in self.common]
        conditions = [*self.others, *common]
        if not self.by_facets:
            unsought = {name: unindexed(cases.c[name]) for name in FACETS}
            facets = _facets(unsought, self.wanted, self.views.scope)
            return select(*columns).select_from(cases).where(*facets, *conditions)
        facets = _facets(amounts.c, self.wanted, self.views.scope)
        return self._looked_up(*columns).where(*facets, *conditions)

    def left_out(self, *columns: ColumnElement[Any]) -> Select[Any]:
        """Of the cases that meet the one common condition, those that the facets do not want."""
        facets = _facets(self.views.cases["case_amounts"].c, self.wanted, self.views.scope)
        return self._looked_up(*columns).where(not_(and_(*facets)), self.common[0].met)

    def _looked_up(self, *columns: ColumnElement[Any]) -> Select[Any]:
        cases, amounts = self.views.cases["cases"], self.views.cases["case_amounts"]
        same = [unindexed(amounts.c[name]) == cases.c[name] for name in FACETS]
        return select(*columns).select_from(amounts.join(cases, and_(*same)))


def _amounts(connection: Connection, search: Search, order: Order) -> dict[Any, int]:
    """How many cases the facets find: for each value of what is sorted by, if that is a rank, else for None."""
    amounts = search.views.cases["case_amounts"]
    value = amounts.c[order.by] if order.by in RANKS else null()
    facets = _facets(amounts.c, search.wanted, search.views.scope)
    query = select(value, func.sum(amounts.c.amount)).where(*facets)
    rows = connection.execute(query.group_by(value) if order.by in RANKS else query)
    return {value: int(amount or 0) for value, amount in rows}


def _counted(connection: Connection, search: Search, order: Order, most: int) -> dict[Any, int]:
    """As `_amounts`, for all that is asked for: one by one, if need be."""
    if order.by in RANKS:
        column, values = search.views.cases["cases"].c[order.by], RANKS[order.by]
        counts = [func.count().filter(column == value) for value in values]
        query = search._replace(in_bulk=most > SORTED).select(*counts)
        return dict(zip(values, connection.execute(query).one(), strict=True))
    ids = None if search.selective or search.by_facets else search.common[0].ids
    if ids is not None:
        amount = search.views.cases["case_amounts"].c.amount
        if (connection.scalar(select(func.sum(amount))) or 0) - most <= SORTED:
            every = select(func.count()).select_from(ids.subquery())
            left_out = connection.scalar(search.left_out(func.count())) or 0
            return {None: (connection.scalar(every) or 0) - left_out}
    query = search._replace(in_bulk=most > SORTED).select(func.count())
    return {None: connection.scalar(query) or 0}


def _gathered(
    connection: Connection, search: Search, order: Order, *, by_facets: bool
) -> list[After] | None:
    """The places of all that are found, in order, if they are few: one statement instead of a count and a long walk."""
    cases = search.views.cases["cases"].c
    query = search._replace(by_facets=by_facets).select(cases[order.by], cases.case_id)
    # Of those with words there are never very many, and to look for them is most of the work.
    few = SORTED if search.wanted.words else GATHERED
    found = connection.execute(query.limit(few + 1)).all()
    if len(found) > few:
        return None
    ranks = RANKS.get(order.by)
    places = [After(ranks.index(value) if ranks else value, key) for value, key in found]
    return sorted(places, key=order.key)


def _walked(
    connection: Connection,
    search: Search,
    order: Order,
    page: Page,
    after: After | None,
    amounts: Mapping[Any, int],
) -> list[After]:
    """The page's places and that of the first row behind it, along the index."""
    cases = search.views.cases["cases"].c
    column, key = cases[order.by], cases.case_id
    total = sum(amounts.values())
    query = search.select(column, key)
    if after:
        here = tuple_(column, key)
        there = tuple_(*after)
        query = query.where(here < there if order.descending else here > there)
        total = page.limit + 1
    rows = _stretch(
        connection, query, [column, key], order.descending, page.offset, page.limit + 1, total
    )
    return [After(*row) for row in rows]


def _ranked(
    connection: Connection,
    search: Search,
    order: Order,
    page: Page,
    after: After | None,
    amounts: Mapping[Any, int],
) -> list[After]:
    """As `_walked`, one value of the column after the other: within each the newest come first, so nothing is sorted."""
    key = search.views.cases["cases"].c.case_id
    ranks = list(enumerate(RANKS[order.by]))
    places: list[After] = []
    offset = 0 if after else page.offset
    for rank, value in reversed(ranks) if order.descending else ranks:
        amount = amounts.get(value, 0)
        only: dict[str, Any] = {order.by: [value]}
        of_value = search._replace(wanted=search.wanted._replace(**only))
        if not (search.others or search.common):
            of_value = of_value._replace(by_facets=amount <= SORTED)
        query = of_value.select(key)
        if after and rank == after.value:
            query = query.where(key < after.id)
        elif after and (rank > after.value) == order.descending:
            continue
        if amount <= offset:
            offset -= amount
            continue
        more = _stretch(
            connection, query, [key], True, offset, page.limit + 1 - len(places), amount
        )
        places += [After(rank, row.case_id) for row in more]
        if len(places) > page.limit:
            break
        offset = 0
    return places


def _stretch(
    connection: Connection,
    query: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    descending: bool,
    offset: int,
    length: int,
    total: int,
) -> Sequence[Any]:
    """So many rows behind the first ones, ordered by these columns; walked to from the end that is nearer."""
    backwards = offset > total // 2
    if backwards:
        length = min(length, total - offset)
        offset = total - offset - length
    if length <= 0:
        return []
    ordered = [c.desc() if descending != backwards else c.asc() for c in columns]
    rows = connection.execute(query.order_by(*ordered).limit(length).offset(offset)).all()
    return rows[::-1] if backwards else rows


def _rows(connection: Connection, views: Views, case_ids: Sequence[int]) -> list[CaseRow]:
    """In that order; without those that there are not, or that the views' scope does not see."""
    if not case_ids:
        return []
    cases, details = views.cases["cases"], views.cases["case_details"]
    columns = [(cases if name in cases.c else details).c[name] for name in CaseRow._fields]
    query = (
        select(*columns)
        .join_from(cases, details, cases.c.case_id == details.c.case_id)
        .where(cases.c.case_id.in_(case_ids))
    )
    rows = {
        row.case_id: row for row in map(_row, connection.execute(query)) if views.scope.sees(row)
    }
    return _as_of_now(connection, views, [rows[i] for i in case_ids if i in rows])


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


def merged_into(connection: Connection, views: Views, case: CaseRow) -> list[int]:
    """Ids of the cases that this one took in, of those that the views' scope sees: they are of the same user."""
    cases = views.cases["cases"]
    query = select(cases.c.case_id).where(
        cases.c.user_id == case.user_id,
        cases.c.parent_case_id == case.case_id,
        *cases_seen(cases.c, views.scope),
    )
    return list(connection.scalars(query.order_by(cases.c.case_id)))


def amounts_of_cases(
    connection: Connection, views: Views, user_ids: Sequence[int]
) -> dict[int, int]:
    """How many cases the views' scope sees of each of these users: neither trash nor spam counted, nor those merged into others."""
    cases = views.cases["cases"]
    query = (
        select(cases.c.user_id, func.count())
        .where(
            cases.c.user_id.in_(user_ids),
            cases.c.hidden.in_([0, ACTIVE_CHAT]),
            *cases_seen(cases.c, views.scope),
        )
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
        .where(
            users.c.company_id.in_(company_ids),
            cases.c.hidden.in_([0, ACTIVE_CHAT]),
            *cases_seen(cases.c, views.scope),
        )
        .group_by(users.c.company_id)
    )
    amounts = dict.fromkeys(company_ids, 0)
    amounts.update((company_id, amount) for company_id, amount in connection.execute(query))
    return amounts


def _facets(
    columns: Mapping[str, ColumnElement[Any]] | Any, wanted: CaseFilter, scope: Scope
) -> list[ColumnElement[bool]]:
    """Conditions on what amounts are kept by; a scope makes no others."""
    wishes = {name: getattr(wanted, name) for name in FILTERED_BY} | {"hidden": _hidden(wanted)}
    asked = [_is_one_of(columns[name], values) for name, values in wishes.items() if values]
    return [*asked, *cases_seen(columns, scope)]


def _is_common_label(connection: Connection, views: Views, label_id: int) -> bool:
    """Whether it is on very many cases, and was not deleted."""
    on_some = labels.on_cases(connection, views, label_id, SORTED + 1)
    return on_some > SORTED and bool(labels.living(connection, views, [label_id]))


def _is_one_of(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else column.in_(values)


def _search(connection: Connection, views: Views, wanted: CaseFilter) -> Search:
    c = views.cases["cases"].c
    common: list[Common] = []
    conditions = [
        *between(c.created_at, wanted.from_time, wanted.to_time),
        *between(c.updated_at, wanted.from_updated_time, wanted.to_updated_time),
    ]
    if wanted.user_id:
        conditions.append(_is_one_of(c.user_id, wanted.user_id))
    if wanted.user_custom_id:
        users = views.users["users"].c
        having = users.identity.in_(wanted.user_custom_id)
        those = select(users.user_id).where(having, users.type == "custom")
        conditions.append(among(c.user_id, those))
    contacts: dict[ContactKind, Sequence[str]] = {
        "email": wanted.user_email,
        "phone": wanted.user_phone,
    }
    for kind, texts in contacts.items():
        if not texts:
            continue
        users_having = having_contact(connection, views, kind, texts)
        if users_having.common:
            in_bulk = c.user_id.in_(users_having.ids)
            common.append(Common(users_having.met(c.user_id), in_bulk))
        else:
            conditions.append(among(c.user_id, users_having.ids))
    if wanted.labels:
        ids = labels.having(views, wanted.labels)
        if len(wanted.labels) == 1 and _is_common_label(connection, views, wanted.labels[0]):
            met = labels.on_case(views, wanted.labels[0], c.case_id)
            common.append(Common(met, unindexed(c.case_id).in_(ids), ids))
        else:
            conditions.append(among(c.case_id, ids))
    if wanted.subject:
        subject = wanted.subject.casefold()
        found = containing(connection, views.cases["case_subjects"], subject)
        ids = select(found.rowid).where(found.found)
        if found.common:
            met = found.of(c.case_id, subject)
            common.append(Common(met, unindexed(c.case_id).in_(ids), ids))
        else:
            conditions.append(among(c.case_id, ids))
    conditions += _by_custom_fields(connection, views, wanted)
    if wanted.words:
        # Along with all else that is asked for, so that nothing counts for the most that are found but what is listed.
        unsought = {name: unindexed(c[name]) for name in FACETS}
        besides = [
            *_facets(unsought, wanted, views.scope),
            *conditions,
            *(each.met for each in common),
        ]
        amounts = views.cases["case_amounts"].c
        within = _facets(amounts, wanted, views.scope)
        most = connection.scalar(select(func.sum(amounts.amount)).where(*within)) or 0
        few = Search(views, wanted, conditions, common, by_facets=True).select(c.case_id)
        having_words = cases_with(
            connection, views, wanted.words, besides, few if most <= FEW else None
        )
        conditions.append(false() if having_words is None else among(c.case_id, having_words))
    return Search(views, wanted, conditions, common)


def _by_custom_fields(
    connection: Connection, views: Views, wanted: CaseFilter
) -> list[ColumnElement[bool]]:
    if not wanted.custom_fields:
        return []
    found_by = custom_fields.searches(connection, views, wanted.custom_fields)
    if found_by is None:
        return [false()]
    cases = views.cases["cases"].c
    columns = {"case": cases.case_id, "user": cases.user_id}
    return [among(columns[search.level], search.ids) for search in found_by]


def _hidden(wanted: CaseFilter) -> list[int]:
    """The values of `hidden` that are listed."""
    if wanted.deleted:
        reasons = [DELETED | SPAM] if wanted.spam else [DELETED, DELETED | SPAM]
    else:
        reasons = [SPAM] if wanted.spam else [0]
    if wanted.show_merged_cases:
        reasons += [reason | MERGED for reason in reasons]
    if wanted.show_active_chats:
        reasons += [reason | ACTIVE_CHAT for reason in reasons]
    return reasons


def _stored(ids: Sequence[int]) -> str:
    return msgspec.json.encode(ids).decode()


def _read(stored: Any) -> tuple[int, ...]:
    return () if stored == NO_IDS else _IDS.decode(stored)
