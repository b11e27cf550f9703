"""/cases/...: one conversation with its person, and everything that staff do in it."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow
from kanal.delivery.typists import Typist
from kanal.domain import cases as domain
from kanal.domain import chats as chat_commands
from kanal.domain.case_events import Status
from kanal.domain.cases import CASES
from kanal.domain.conversation import AddedMessage, add_note
from kanal.domain.custom_fields import key_of
from kanal.domain.errors import CaseNotFound, MacroNotFound, MessageNotFound
from kanal.domain.message_events import MessageScheduled
from kanal.domain.messages import TakenBack, reply_with_undo, send_now, take_back
from kanal.domain.plain_text import plain_text
from kanal.domain.work import Work
from kanal.http.answers import empty
from kanal.http.api import macros as macro_calls
from kanal.http.api import typing_calls
from kanal.http.api.cases import CaseChanges, changing
from kanal.http.api.messages import Texts, require_content, said
from kanal.http.attachments import LIMITS, submit_with_files
from kanal.http.fields import Fields, Id, Text
from kanal.http.files import send as send_file
from kanal.http.ids import case_id_in, id_in
from kanal.http.pages import drafts, sidebar
from kanal.http.pages.drafts import Draft
from kanal.http.pages.form_values import word
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit, now
from kanal.http.pages.ways_out import WayOut, ways_out
from kanal.projections import (
    cases,
    changelog,
    channels,
    companies,
    custom_fields,
    deadlines,
    files,
    links,
    macros,
    messages,
    rules,
    users,
)
from kanal.projections.cases import CaseFilter, CaseRow
from kanal.projections.causes import Link, chain
from kanal.projections.changelog import Change
from kanal.projections.channels import ChannelRow
from kanal.projections.custom_fields import CustomFieldRow
from kanal.projections.deadlines import DeadlineRow
from kanal.projections.files import Attached, FileRow
from kanal.projections.macros import MacroRow
from kanal.projections.messages import MessageRow
from kanal.projections.read_model import Page, Views
from kanal.projections.users import UserRow

SHOWN: Final = 100
"""Messages on one page."""
OTHER_CASES: Final = 10
"""Of the person, beside the conversation."""
ASKED_ANEW: Final = "private, no-cache"
"""A browser that has a file asks each time whether it may still show it."""


class NewWords(Texts):
    kind: Literal["reply", "note"] = "reply"
    status: Status | None = None
    seen: Id = 0
    """The position of the log up to which its writer saw the case; 0: they do not say."""


class CaseAction(Fields):
    action: Annotated[str, BeforeValidator(word)] = ""
    back: Id = 0
    """The case whose page the form stands on, if it is not the one that is changed."""


class ChosenCase(Fields):
    into: Text = ""
    """One that is proposed."""
    number: Text = ""
    """Any other one: its number or id. It counts before the one proposed."""


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
    number: int = 0
    """Of the change, among those of one event."""


class Person(NamedTuple):
    user: UserRow | None
    profiles: list[UserRow]
    """All of the person, the case's user first."""
    contacts: Mapping[int, Mapping[Any, str]]
    company: str
    cases: list[CaseRow]
    others: int
    """How many cases of the person there are beside this one."""


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
    fields: dict[str, CustomFieldRow]
    """Custom fields by key."""
    merged: list[int]
    """Ids of the cases that this one took in."""
    due: DeadlineRow | None
    """The first of its deadlines."""
    draft: Draft
    sidebar: Sidebar
    position: int
    older: int
    """Pages back from the newest messages."""


async def show(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(ConversationQuery)
    return await _page(visit, await visit.read(_found, visit, _case_id(visit), asked.older))


async def say(visit: Visit) -> web.StreamResponse:
    """Whoever answers what somebody else has answered meanwhile is told so first, and sends it a second time or not."""
    case_id = _case_id(visit)
    given = await visit.given(NewWords)
    require_content(await visit.body(), given)
    is_reply = given.kind == "reply"
    if is_reply and given.seen:
        meanwhile = await visit.read(_meanwhile, case_id, given.seen, visit.who.staff_id)
        if meanwhile:
            found = await visit.read(_found, visit, case_id, 0)
            return await _page(visit, found, meanwhile=meanwhile, given=given)
    texts = await said(given)

    def command(work: Work, **brought: Any) -> AddedMessage:
        who = {"case_id": case_id, "staff_id": visit.who.staff_id}
        if is_reply:
            return reply_with_undo(work, **who, status=given.status, **texts, **brought)
        added = add_note(work, **who, **texts, **brought)
        if given.status:
            domain.change_case(work, case_id=case_id, status=given.status)
        return added

    done = await submit_with_files(visit, given, command)
    added = msgspec.convert(done.result, AddedMessage) if done.repeated else done.result
    await visit.keep(partial(drafts.forget, staff_id=visit.who.staff_id, case_id=case_id))
    waits = any(isinstance(each.event, MessageScheduled) for each in done.events)
    told = "noted" if not is_reply else "waits" if waits else "sent"
    return await _after(visit, added.case_id, done=told)


async def show_file(visit: Visit) -> web.StreamResponse:
    """For whoever sees the case at that moment. The address that receivers get opens to everybody who has it, this one does not."""
    case_id, file_id = _case_id(visit), id_in(visit.path("file"), MessageNotFound)

    def query(connection: Connection, views: Views) -> FileRow | None:
        if not cases.find(connection, views, case_id):
            raise CaseNotFound(case_id)
        return files.find_in_case(connection, views, case_id, file_id)

    found = await visit.read(query)
    if found is None:
        raise web.HTTPNotFound
    return await send_file(visit.request, found, ASKED_ANEW)


async def undo(visit: Visit) -> web.StreamResponse:
    """A reply that waits is not sent; its text comes before what its author has begun since, and with a note that is a note."""
    case_id, message_id = _case_id(visit), _message_id(visit)
    staff_id = visit.who.staff_id

    def command(work: Work) -> TakenBack:
        return take_back(work, case_id=case_id, message_id=message_id, staff_id=staff_id)

    def keep(connection: Connection, taken: TakenBack) -> None:
        words = taken.texts.content or plain_text(taken.texts.content_html)
        begun = drafts.of_case(connection, staff_id, case_id)
        content = "\n\n".join(filter(str.strip, (words, begun.content)))
        # `begun.kind`: of no draft it is a reply. What was meant for staff never goes out with it.
        draft = Draft(kind=begun.kind, content=content)
        drafts.keep(connection, staff_id=staff_id, case_id=case_id, draft=draft)

    done = await visit.submit(command, beside=keep)
    return await _after(visit, case_id, done="undone_files" if done.result.files else "undone")


async def send(visit: Visit) -> web.StreamResponse:
    """What waits, at once."""
    case_id, message_id = _case_id(visit), _message_id(visit)
    command = partial(send_now, case_id=case_id, message_id=message_id, staff_id=visit.who.staff_id)
    await visit.submit(command)
    return await _after(visit, case_id, done="sent")


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
        case "merge":
            into = await visit.given(ChosenCase)
            parent = case_id_in((into.number or into.into).strip().removeprefix("#"))
            command = partial(domain.merge_case, case_id=case_id, parent_case_id=parent)
        case "unmerge":
            command = partial(domain.unmerge_case, case_id=case_id)
        case "take":
            command = partial(domain.change_case, case_id=case_id, staff_id=visit.who.staff_id)
        case _:
            given = await visit.changed(CaseChanges, emptied=("subject",))
            command = changing(case_id, given, visit.context.dates)
    await visit.submit(command)
    return await _after(visit, chosen.back or case_id)


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
    case_id, given = _case_id(visit), await visit.given(Draft)
    drafts.check_length(given.content)
    if await visit.read(cases.find, case_id) is None:
        raise CaseNotFound(case_id)
    staff_id = visit.who.staff_id
    await visit.keep(partial(drafts.keep, staff_id=staff_id, case_id=case_id, draft=given))
    return empty()


async def tell_typing(visit: Visit) -> web.StreamResponse:
    await typing_calls.note(visit, _case_id(visit), Typist(0, visit.who.staff_id))
    return empty()


async def why(visit: Visit) -> web.StreamResponse:
    """Why a rule's message was sent: what caused it, and what caused that."""
    case_id = _case_id(visit)
    message_id = _message_id(visit)

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


def _message_id(visit: Visit) -> int:
    return id_in(visit.path("message"), MessageNotFound)


async def _page(
    visit: Visit,
    found: Conversation,
    *,
    meanwhile: Sequence[MessageRow] = (),
    given: NewWords | None = None,
) -> web.StreamResponse:
    """`meanwhile`: answers of others that its writer did not know of, and what they have written: `given`."""
    draft = Draft(kind=given.kind, content=given.content) if given else found.draft
    return visit.page(
        "conversation.html",
        status=400 if meanwhile else 200,
        found=found,
        case=found.case,
        sidebar=found.sidebar,
        position=found.position,
        older=found.older,
        has_older=(found.older + 1) * SHOWN < found.total,
        meanwhile=meanwhile,
        draft=draft,
        afterwards=given.status if given else None,
        limits=LIMITS,
        now=now(),
        once=secrets.token_hex(16),
    )


def _meanwhile(
    connection: Connection, views: Views, case_id: int, seen: int, staff_id: int
) -> list[MessageRow]:
    """Raises CaseNotFound."""
    case = cases.find(connection, views, case_id)
    if case is None:
        raise CaseNotFound(case_id)
    # Both only as far as they are seen.
    receiving = cases.of_ids(connection, views, [case_id, case.parent_case_id])
    own = [each.case_id for each in receiving]
    return messages.replies_behind(connection, views, own, seen, staff_id)


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
    first = rows[0].position if rows and found.total > (older + 1) * SHOWN else 0
    behind = None
    if older:
        newer = messages.of_case(connection, views, case_id, Page(older * SHOWN, 1), "desc").rows
        behind = newer[0].position if newer else None
    stream_id = visit.context.stream_ids.of(CASES, str(case_id))
    changes = changelog.changed(connection, database, stream_id, first=first, behind=behind)
    staff_id = visit.who.staff_id
    beside = sidebar.read(connection, views, staff_id)
    # A deleted one stands beside no page.
    channel = beside.channels.get(case.channel)
    if case.channel_id and channel is None:
        channel = channels.find(connection, views, case.channel_id)
    return Conversation(
        case=case,
        entries=_entries(connection, views, rows, changes),
        total=found.total,
        person=_person(connection, views, case),
        channel=channel,
        way_out=_way_out(connection, case, channel),
        rules={rule.rule_id: rule.title for rule in rules.listed(connection, views)},
        macros=macros.visible(connection, views, staff_id),
        fields={
            key_of(row.field_id): row
            for row in custom_fields.listed(connection, views, sidebar.EVERY).rows
        },
        merged=cases.merged_into(connection, views, case),
        due=deadlines.of_cases(connection, views, [case_id]).get(case_id),
        draft=drafts.of_case(connection, staff_id, case_id),
        sidebar=beside,
        position=position,
        older=older,
    )


def _entries(
    connection: Connection,
    views: Views,
    rows: Sequence[MessageRow],
    changes: Iterable[Change],
) -> list[Entry]:
    ids = [row.message_id for row in rows]
    attached = files.of_messages(connection, views, ids)
    out = [row.message_id for row in rows if row.kind != "user_message"]
    deliveries = overview.of_messages(connection, out)
    said_ = [
        Entry(row.position, row, attached[row.message_id], deliveries.get(row.message_id))
        for row in rows
    ]
    at: Counter[int] = Counter()
    done = []
    for change in changes:
        at[change.position] += 1
        done.append(Entry(change.position, change=change, number=at[change.position]))
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
    listed = not (case.deleted or case.spam or case.parent_case_id)
    working = [user.company_id] if user and user.company_id else []
    names = companies.names_of(connection, views, working) if working else {}
    return Person(
        user=user,
        profiles=profiles,
        contacts=links.contacts_of(connection, views, ids),
        company=names.get(user.company_id, "") if user else "",
        cases=[row for row in found.rows if row.case_id != case.case_id],
        others=found.total - listed,
    )


def _way_out(connection: Connection, case: CaseRow, channel: ChannelRow | None) -> WayOut:
    if case.parent_case_id:
        return "merged"
    if channel is None:
        return "no_channel"
    return ways_out(connection, [channel])[channel.channel_id]
