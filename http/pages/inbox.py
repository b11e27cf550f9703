"""/inbox: the cases of all channels in one list, by views, with a search and changes of several at once."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.domain import cases as domain
from kanal.domain.cases import case_id_of
from kanal.domain.errors import FilterNotFound
from kanal.domain.plain_text import plain_text
from kanal.domain.roles import Right
from kanal.domain.work import Work
from kanal.http.api.cases import CasesQuery
from kanal.http.chosen_filter import for_staff
from kanal.http.cursors import cursor_of, place_of
from kanal.http.fields import Fields, Id, Text
from kanal.http.pages import sidebar
from kanal.http.pages.filters import may_change
from kanal.http.pages.sidebar import OVERDUE, Sidebar
from kanal.http.pages.visit import HIDDEN_STEPS, Visit, now
from kanal.projections import cases, chats, deadlines, filters, links, messages, users, words
from kanal.projections.cases import CaseFilter, CaseRow, Sort
from kanal.projections.deadlines import DeadlineRow
from kanal.projections.keyset import After, Listed
from kanal.projections.messages import Excerpt
from kanal.projections.read_model import Page, Views
from kanal.projections.users import Known
from kanal.projections.words import Beginning, Piece

ROWS: Final = 50
UNCLOSED: Final = ("open", "waiting")
DEFAULT_VIEW: Final = "open"
DEFAULT_SORT: Final[Sort] = "response_desc"
SORTS: Final[tuple[Sort, ...]] = (
    "response_desc",
    "response_asc",
    "created_at_desc",
    "created_at_asc",
    "priority_desc",
)
LINE: Final = 160
"""Characters of a message that a row shows."""
MOST_SEARCHED: Final = 200
PHONE: Final = re.compile(r"\+?[\d\s().-]{5,}")
NUMBER: Final = re.compile(r"#?(\d{1,18})")
CHATS: Final = "chats"
ORDERED: Final = (CHATS, OVERDUE)
"""Views with an order of their own: what waits the longest comes first."""
NUMBERED: Final = re.compile(r"[1-9][0-9]{0,17}")
"""The id that a view may name."""
ID_MARK: Final = "id:"
NOBODY: Final = (0,)
"""Whose cases there are none of."""


def _several(value: object) -> object:
    return value if isinstance(value, list) else [value]


class InboxQuery(Fields):
    view: Text = DEFAULT_VIEW
    sort: Sort = DEFAULT_SORT
    q: Text = ""
    cursor: Text = ""

    @property
    def order(self) -> str:
        """What cursors are of."""
        return self.view if self.view in ORDERED and not self.q.strip() else self.sort


class BulkChange(Fields):
    case: Annotated[tuple[Id, ...], BeforeValidator(_several)] = ()
    action: Text = ""
    staff: Id | None = None
    group: Id | None = None
    label: Id | None = None


class Row(NamedTuple):
    case: CaseRow
    person: Known | None
    excerpt: Excerpt | None
    due: DeadlineRow | None
    """The first of its deadlines."""
    found: Sequence[Piece] = ()
    """Where the words that were searched for stand in a message."""
    subject: Sequence[Piece] = ()

    @property
    def line(self) -> str:
        """The beginning of the last message."""
        if self.excerpt is None:
            return ""
        text = self.excerpt.content or plain_text(self.excerpt.content_html)
        return " ".join(text.split())[:LINE]

    @property
    def asks(self) -> bool:
        """The customer spoke last."""
        unclosed = self.case.status != "closed"
        return unclosed and self.excerpt is not None and self.excerpt.kind == "user_message"


class Shown(NamedTuple):
    rows: list[Row]
    total: int
    next: After | None
    sidebar: Sidebar
    position: int
    whose: str
    """Name of the person whose cases these are, "" for a list of another kind."""


async def show(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(InboxQuery)
    query = asked.q.strip()[:MOST_SEARCHED]
    if query and (case_id := await _named(visit, query)):
        return visit.see(f"/cases/{case_id}")
    keyed_hash = visit.context.stream_ids.keyed_hash
    after = place_of(asked.cursor, asked.order, keyed_hash) if asked.cursor else None
    if query:
        await visit.context.follower.catch_up()
    shown = await visit.read(_shown, visit, asked, query, after)
    if not shown.sidebar.channels and not asked.given() and begins(visit):
        return visit.see("/start")
    return visit.page(
        "inbox.html",
        asked=asked,
        query=query,
        sorts=SORTS if asked.order in SORTS else (),
        changeable=_is_changeable(visit, asked.view, shown.sidebar),
        shown=shown,
        sidebar=shown.sidebar,
        position=shown.position,
        following=cursor_of(asked.order, shown.next, keyed_hash) if shown.next else "",
    )


def _is_changeable(visit: Visit, view: str, beside: Sidebar) -> bool:
    """Whether the view is a filter that they may change."""
    of_views = {f"filter:{row.filter_id}": row for row in beside.filters}
    return view in of_views and may_change(visit, of_views[view])


def begins(visit: Visit) -> bool:
    """Whether the first steps are for them."""
    return visit.may(Right.MANAGE_CHANNELS) and HIDDEN_STEPS not in visit.request.cookies


async def change(visit: Visit) -> web.StreamResponse:
    given = await visit.given(BulkChange)
    if given.case:
        commands = _commands(visit, given)

        def command(work: Work) -> list[int]:
            changed: list[int] = []
            for each in commands:
                changed = domain.for_each_case(work, change=each, case_ids=given.case[:ROWS])
            return changed

        await visit.submit(command)
    return visit.back("/inbox", done="changed")


def _commands(visit: Visit, given: BulkChange) -> list[Any]:
    """What else is chosen stands beside a button that is not `Apply`, and waits for that one."""
    commands: list[Any] = []
    match given.action:
        case "open" | "waiting" | "closed":
            commands.append(partial(domain.change_case, status=given.action))
        case "take":
            commands.append(partial(domain.change_case, staff_id=visit.who.staff_id))
        case "spam":
            commands.append(domain.mark_case_as_spam)
        case "trash":
            commands.append(domain.trash_case)
        case "restore":
            commands.append(domain.restore_case)
        case "":
            chosen: dict[str, Any] = {
                "staff_id": given.staff,
                "group_id": given.group,
                "add_labels": None if given.label is None else (given.label,),
            }
            wanted = {name: value for name, value in chosen.items() if value is not None}
            commands += [partial(domain.change_case, **wanted)] if wanted else []
    return commands


async def _named(visit: Visit, query: str) -> int:
    """The case that the search names by its number or id, 0 if there is none."""
    by_number = case_id_of(query)
    if by_number is None:
        number = NUMBER.fullmatch(query)
        by_number = int(number[1]) if number else None
    if by_number is None:
        return 0
    found = await visit.read(cases.find, by_number)
    return found.case_id if found else 0


def _shown(
    connection: Connection,
    views: Views,
    visit: Visit,
    asked: InboxQuery,
    query: str,
    after: After | None,
) -> Shown:
    staff_id = visit.who.staff_id
    position = visit.context.database.head(connection)
    beside = sidebar.read(connection, views, staff_id)
    asked_for = words.beginnings(query)
    if asked.order in ORDERED:
        longest = (
            chats.longest(connection, views, ROWS, after)
            if asked.order == CHATS
            else deadlines.violated(connection, views, now(), ROWS, after)
        )
        rows = cases.of_ids(connection, views, longest.rows)
        listed = Listed(rows, longest.total, longest.end)
    else:
        wanted = _searched(query) if query else _wanted(connection, views, visit, asked.view)
        asked_for = asked_for if wanted.words else []
        listed = cases.listed(connection, views, wanted, Page(limit=ROWS), asked.sort, after)
    rows = listed.rows
    kind, _, value = asked.view.partition(":")
    owner = int(value) if kind == "person" and NUMBERED.fullmatch(value) else 0
    named = [*users.seen(connection, views, [owner]), *(row.user_id for row in rows)]
    people = users.known(connection, views, named)
    excerpts = messages.excerpts(connection, views, [row.case_id for row in rows])
    pieces = _pieces(connection, views, asked_for, rows) if asked_for else {}
    due = deadlines.of_cases(connection, views, [row.case_id for row in rows])
    shown = [
        Row(
            row,
            people.get(row.user_id),
            excerpts.get(row.case_id),
            due.get(row.case_id),
            pieces.get(row.case_id, ()),
            words.marked(row.subject, asked_for),
        )
        for row in rows
    ]
    whose = people[owner].name if owner in people else ""
    return Shown(shown, listed.total, listed.end, beside, position, whose)


def _pieces(
    connection: Connection, views: Views, asked: list[Beginning], rows: Sequence[CaseRow]
) -> dict[int, list[Piece]]:
    """Of the newest message of each case that has the words."""
    of = words.messages_with(connection, views, asked, [row.case_id for row in rows])
    texts = messages.texts(connection, views, of.values())
    return {
        case_id: words.around(" ".join(texts[message_id].split()), asked)
        for case_id, message_id in of.items()
        if message_id in texts  # else it was deleted a moment ago
    }


def _wanted(connection: Connection, views: Views, visit: Visit, view: str) -> CaseFilter:
    """Raises FilterNotFound, ApiError."""
    kind, _, value = view.partition(":")
    unclosed = CaseFilter(status=UNCLOSED, show_active_chats=True)
    match kind:
        case "mine":
            return unclosed._replace(staff_id=(visit.who.staff_id,))
        case "unassigned":
            return unclosed._replace(staff_id=(0,))
        case "waiting" | "closed" | "open":
            return unclosed._replace(status=(kind,))
        case "channel":
            return unclosed._replace(channel=(value,))
        case "group" if NUMBERED.fullmatch(value):
            return unclosed._replace(group_id=(int(value),))
        case "person" if NUMBERED.fullmatch(value):
            person = links.linked_users(connection, views, [int(value)])[int(value)]
            found = users.seen(connection, views, person or [int(value)])
            return CaseFilter(
                user_id=tuple(found) or NOBODY, show_active_chats=True, show_merged_cases=True
            )
        case "label" if NUMBERED.fullmatch(value):
            return unclosed._replace(status=(), labels=(int(value),))
        case "spam":
            return CaseFilter(spam=True, show_active_chats=True)
        case "trash":
            return CaseFilter(deleted=True, show_active_chats=True)
        case "all":
            return CaseFilter(show_active_chats=True)
        case "filter" if NUMBERED.fullmatch(value):
            row = filters.find(connection, views, int(value), visit.who.staff_id)
            if row is not None:
                conditions = for_staff(row.parsed(), visit.who.staff_id)
                return CasesQuery.read(conditions, visit.context).wanted()
    raise FilterNotFound(view)


def _searched(query: str) -> CaseFilter:
    """Closed cases too. What is looked for is told by how it looks."""
    everywhere = CaseFilter(show_active_chats=True, show_merged_cases=True)
    if query.startswith(ID_MARK):
        return everywhere._replace(user_custom_id=(query.removeprefix(ID_MARK).strip(),))
    if "@" in query:
        return everywhere._replace(user_email=(query,))
    if PHONE.fullmatch(query):
        return everywhere._replace(user_phone=(query,))
    return everywhere._replace(words=query)
