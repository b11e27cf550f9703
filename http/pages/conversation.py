"""/cases/...: one conversation with its person, and everything that staff do in it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection, delete, insert, select

from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow
from kanal.delivery.typists import Typist
from kanal.domain import cases as domain
from kanal.domain import chats as chat_commands
from kanal.domain.case_events import Status
from kanal.domain.cases import CASES
from kanal.domain.conversation import AddedMessage, add_note, add_staff_reply
from kanal.domain.errors import CaseNotFound, MacroNotFound, MessageNotFound
from kanal.domain.work import Work
from kanal.eventlog.tables import drafts
from kanal.http.answers import empty
from kanal.http.api import macros as macro_calls
from kanal.http.api import typing_calls
from kanal.http.api.cases import CaseChanges, changing
from kanal.http.api.messages import Texts, require_content, said
from kanal.http.attachments import submit_with_files
from kanal.http.errors import ApiError
from kanal.http.fields import Content, Fields, Id, Text
from kanal.http.ids import case_id_in, id_in
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit, now
from kanal.projections import (
    cases,
    changelog,
    channels,
    companies,
    custom_fields,
    files,
    links,
    macros,
    messages,
    rules,
    users,
)
from kanal.projections.cases import CaseFilter, CaseRow
from kanal.projections.causes import Link, chain
from kanal.projections.changelog import RULES, Change
from kanal.projections.channels import ChannelRow
from kanal.projections.files import Attached
from kanal.projections.macros import MacroRow
from kanal.projections.messages import MessageRow
from kanal.projections.read_model import Page, Views
from kanal.projections.users import UserRow

SHOWN: Final = 100
"""Messages on one page."""
OTHER_CASES: Final = 10
"""Of the person, beside the conversation."""
MAX_DRAFT: Final = 100_000
"""Characters; a longer text is not kept until it is sent."""

WayOut = Literal[
    "", "merged", "no_channel", "deleted", "disabled", "no_url", "silent", "paused", "failing"
]
"""Why a reply may not reach anybody, or not soon."""


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


class NewWords(Texts):
    kind: Literal["reply", "note"] = "reply"
    status: Status | None = None


class Draft(Fields):
    kind: Literal["reply", "note"] = "reply"
    content: Content = ""


class CaseAction(Fields):
    action: Annotated[str, BeforeValidator(_word)] = ""


class ConversationQuery(Fields):
    older: Id = 0
    """Pages back from the newest messages."""


class Entry(NamedTuple):
    """What stands in the conversation: a message, or changes that somebody made."""

    position: int
    message: MessageRow | None = None
    attached: Attached | None = None
    delivery: DeliveryRow | None = None
    change: Change | None = None


class Person(NamedTuple):
    user: UserRow | None
    profiles: list[UserRow]
    """All of the person, the case's user first."""
    contacts: Mapping[int, Mapping[Any, str]]
    company: str
    cases: list[CaseRow]
    total: int


class Conversation(NamedTuple):
    case: CaseRow
    entries: list[Entry]
    total: int
    """Of messages."""
    person: Person
    channel: ChannelRow | None
    way_out: WayOut
    rules: dict[int, str]
    macros: list[MacroRow]
    fields: dict[str, str]
    """Titles of custom fields by key."""
    draft: Draft
    sidebar: Sidebar
    position: int


async def show(visit: Visit) -> web.StreamResponse:
    case_id = _case_id(visit)
    asked = visit.asked(ConversationQuery)
    found = await visit.read(_found, visit, case_id, asked.older)
    return visit.page(
        "conversation.html",
        found=found,
        case=found.case,
        sidebar=found.sidebar,
        position=found.position,
        older=asked.older,
        has_older=(asked.older + 1) * SHOWN < found.total,
        once=secrets.token_hex(16),
    )


async def say(visit: Visit) -> web.StreamResponse:
    case_id = _case_id(visit)
    given = await visit.given(NewWords)
    require_content(await visit.body(), given)
    add: Callable[..., AddedMessage] = add_note if given.kind == "note" else add_staff_reply
    texts = await said(given)

    def command(work: Work, **brought: Any) -> AddedMessage:
        added = add(work, case_id=case_id, staff_id=visit.who.staff_id, **texts, **brought)
        if given.status:
            domain.change_case(work, case_id=case_id, status=given.status)
        return added

    done = await submit_with_files(visit, given, command)
    added = msgspec.convert(done.result, AddedMessage) if done.repeated else done.result
    await visit.keep(partial(_forget_draft, staff_id=visit.who.staff_id, case_id=case_id))
    return await _after(visit, added.case_id, done="sent" if given.kind == "reply" else "noted")


async def change(visit: Visit) -> web.StreamResponse:
    case_id = _case_id(visit)
    chosen = await visit.given(CaseAction)
    match chosen.action:
        case "spam":
            command: Callable[[Work], int] = partial(domain.mark_case_as_spam, case_id=case_id)
        case "trash":
            command = partial(domain.trash_case, case_id=case_id)
        case "restore":
            command = partial(domain.restore_case, case_id=case_id)
        case "unmerge":
            command = partial(domain.unmerge_case, case_id=case_id)
        case "take":
            command = partial(domain.change_case, case_id=case_id, staff_id=visit.who.staff_id)
        case _:
            given = await visit.given(CaseChanges)
            command = changing(case_id, given, visit.context.dates)
    await visit.submit(command)
    return await _after(visit, case_id)


async def change_chat(visit: Visit) -> web.StreamResponse:
    case_id = _case_id(visit)
    chosen = await visit.given(CaseAction)
    commands = {"accept": chat_commands.accept_chat, "complete": chat_commands.complete_chat}
    if chosen.action in commands:
        command = partial(commands[chosen.action], case_id=case_id, staff_id=visit.who.staff_id)
        await visit.submit(command)
    return await _after(visit, case_id)


class ChosenMacro(Fields):
    macro: Text


async def apply_macro(visit: Visit) -> web.StreamResponse:
    case_id = _case_id(visit)
    given = await visit.given(ChosenMacro)
    macro_id = id_in(given.macro, MacroNotFound)
    command = await macro_calls.applying(visit, macro_id, case_id, visit.who.staff_id)
    await visit.submit(command)
    return await _after(visit, case_id, done="applied")


async def keep_draft(visit: Visit) -> web.StreamResponse:
    """One that is too long leaves the former one in place."""
    case_id, given = _case_id(visit), await visit.given(Draft)
    staff_id = visit.who.staff_id
    if len(given.content) > MAX_DRAFT:
        raise ApiError(413, "draft_too_long", f"A draft may have {MAX_DRAFT} characters.")
    if await visit.read(cases.find, case_id) is None:
        raise CaseNotFound(case_id)

    def keep(connection: Connection) -> None:
        _forget_draft(connection, staff_id, case_id)
        if given.content.strip():
            row = {"staff_id": staff_id, "case_id": case_id, "updated_at": now()}
            connection.execute(insert(drafts).values(row | given.model_dump()))

    await visit.keep(keep)
    return empty()


async def tell_typing(visit: Visit) -> web.StreamResponse:
    await typing_calls.note(visit, _case_id(visit), Typist(0, visit.who.staff_id))
    return empty()


async def why(visit: Visit) -> web.StreamResponse:
    """Why a rule's message was sent: what caused it, and what caused that."""
    case_id = _case_id(visit)
    message_id = id_in(visit.path("message"), MessageNotFound)

    def query(connection: Connection, views: Views) -> tuple[Sidebar, MessageRow, list[Link]]:
        row = messages.find(connection, views, case_id, message_id)
        if row is None or cases.find(connection, views, case_id) is None:
            raise MessageNotFound(message_id)
        found = list(chain(connection, views, visit.context.database, row.position))
        return sidebar.read(connection, views, visit.who.staff_id), row, found

    beside, row, found = await visit.read(query)
    return visit.page(
        "why.html", sidebar=beside, message=row, causes=found, case_id=case_id, position=None
    )


async def _after(visit: Visit, case_id: int, **query: str) -> web.StreamResponse:
    """To the case, unless what was done took it out of one's own sight."""
    if await visit.read(cases.find, case_id) is None:
        return visit.see("/inbox", done=query.get("done", "changed"))
    return visit.see(f"/cases/{case_id}", **query)


def _case_id(visit: Visit) -> int:
    return case_id_in(visit.path("case"))


def _found(
    connection: Connection, views: Views, visit: Visit, case_id: int, older: int
) -> Conversation:
    """Raises CaseNotFound."""
    database = visit.context.database
    position = database.head(connection)
    case = cases.find(connection, views, case_id)
    if case is None:
        raise CaseNotFound(case_id)
    page = Page(older + 1, SHOWN)
    found = messages.of_case(connection, views, case_id, page, "desc")
    rows = found.rows[::-1]
    stream_id = visit.context.stream_ids.of(CASES, str(case_id))
    changes = changelog.of_case(connection, views, database, case_id, stream_id)
    channel = channels.find(connection, views, case.channel_id) if case.channel_id else None
    staff_id = visit.who.staff_id
    return Conversation(
        case=case,
        entries=_entries(connection, views, rows, changes, whole=found.total <= SHOWN),
        total=found.total,
        person=_person(connection, views, case),
        channel=channel,
        way_out=_way_out(connection, case, channel),
        rules={rule.rule_id: rule.title for rule in rules.listed(connection, views)},
        macros=macros.visible(connection, views, staff_id),
        fields={
            f"cf_{row.field_id}": row.title
            for row in custom_fields.listed(connection, views, sidebar.EVERY).rows
        },
        draft=_draft(connection, staff_id, case_id),
        sidebar=sidebar.read(connection, views, staff_id),
        position=position,
    )


def _entries(
    connection: Connection,
    views: Views,
    rows: Sequence[MessageRow],
    changes: Sequence[Change],
    *,
    whole: bool,
) -> list[Entry]:
    ids = [row.message_id for row in rows]
    attached = files.of_messages(connection, views, ids)
    out = [row.message_id for row in rows if row.kind != "user_message"]
    deliveries = overview.of_messages(connection, out)
    first = 0 if whole or not rows else rows[0].position
    said_ = [
        Entry(row.position, row, attached[row.message_id], deliveries.get(row.message_id))
        for row in rows
    ]
    # What rules did stands in the changes that they made.
    done = [
        Entry(change.position, change=change)
        for change in changes
        if change.position >= first and change.kind != RULES
    ]
    return sorted([*said_, *done], key=lambda entry: entry.position)


def _person(connection: Connection, views: Views, case: CaseRow) -> Person:
    person = links.linked_users(connection, views, [case.user_id])[case.user_id] or [case.user_id]
    others = users.seen(connection, views, set(person) - {case.user_id})
    ids = [case.user_id, *sorted(others)]
    profiles = users.of_ids(connection, views, ids)
    user = next((row for row in profiles if row.user_id == case.user_id), None)
    profiles.sort(key=lambda row: ids.index(row.user_id))
    wanted = CaseFilter(user_id=ids, show_active_chats=True)
    found = cases.listed(connection, views, wanted, Page(limit=OTHER_CASES))
    names = companies.names_of(connection, views, [user.company_id] if user else [])
    return Person(
        user=user,
        profiles=profiles,
        contacts=links.contacts_of(connection, views, ids),
        company=names.get(user.company_id, "") if user else "",
        cases=[row for row in found.rows if row.case_id != case.case_id],
        total=found.total,
    )


def _way_out(connection: Connection, case: CaseRow, channel: ChannelRow | None) -> WayOut:
    if case.parent_case_id:
        return "merged"
    if channel is None:
        return "no_channel"
    if channel.deleted:
        return "deleted"
    if not channel.webhook.replies:
        return "silent"
    if not channel.webhook_url and not channel.webhook.polling:
        return "no_url"
    state = overview.of_channels(connection, [channel.channel_id])[channel.channel_id].state
    return "" if state == "ok" else state


def _draft(connection: Connection, staff_id: int, case_id: int) -> Draft:
    query = select(drafts.c.kind, drafts.c.content).where(
        drafts.c.staff_id == staff_id, drafts.c.case_id == case_id
    )
    row = connection.execute(query).first()
    return Draft(kind=row.kind, content=row.content) if row else Draft()


def _forget_draft(connection: Connection, staff_id: int, case_id: int) -> None:
    own = delete(drafts).where(drafts.c.staff_id == staff_id, drafts.c.case_id == case_id)
    connection.execute(own)
