"""/api/cases: opening, listing, showing and changing cases."""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import Connection

from kanal.domain import cases, conversation
from kanal.domain.case_events import ChatState, Priority, Rating, Status
from kanal.domain.cases import case_number
from kanal.domain.channels import STANDARD_CHANNELS
from kanal.domain.conversation import OpenedCase
from kanal.domain.errors import CaseNotFound, ChannelNotFound
from kanal.domain.identities import Conflict
from kanal.domain.work import Work
from kanal.http.answers import NEVER, Date, DateOrNever, answer, listing
from kanal.http.api.custom_fields import CustomFields, FieldFilters, FieldKeys, given_values
from kanal.http.api.labels import LabelIds
from kanal.http.api.messages import Texts, require_content, said
from kanal.http.api.users import (
    ConflictAnswer,
    ExternalIds,
    Person,
    identification,
    identity_conflict,
)
from kanal.http.as_of import AsOf, read_case
from kanal.http.attachments import FileAnswer, shown_files, submit_with_files
from kanal.http.chosen_filter import conditions_of
from kanal.http.context import Call, Context, read_made
from kanal.http.contract import Listed, One, Takes, Whole, contract
from kanal.http.cursors import cursor_of, link_to_next, place_of
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import (
    Comment,
    Emails,
    Fields,
    Flag,
    Id,
    Line,
    Many,
    Moment,
    Paging,
    Text,
)
from kanal.http.ids import CHANNEL_PREFIX, case_id_in, channel_id_in
from kanal.http.paging import page_of
from kanal.projections import cases as read
from kanal.projections import files
from kanal.projections.cases import DEFAULT_SORT, CaseFilter, CaseRow, Sort
from kanal.projections.read_model import Views

MINUTE = 60 * 1_000_000
MOST_CASES = 10
"""In one call; Omnidesk's limit."""

CUSTOM_CHANNEL = re.compile(r"cch[1-9]\d*", re.ASCII)


class NewCase(Person, Texts):
    CODES: ClassVar[Mapping[str, str]] = {
        "user_email": "incorrect_user_email",
        "user_phone": "incorrect_user_phone",
        "status": "incorrect_status",
        "priority": "incorrect_priority",
        "labels": "incorrect_labels",
    }
    channel: Text = ""
    subject: Line = ""
    staff_id: Id = 0
    group_id: Id = 0
    status: Status | None = None
    priority: Priority = "normal"
    language_id: Id = 0
    labels: LabelIds = ()
    recipient: Line = ""
    cc_emails: Emails = ""
    bcc_emails: Emails = ""
    custom_fields: CustomFields | None = None


class CaseChanges(Fields):
    CODES: ClassVar[Mapping[str, str]] = {
        "status": "incorrect_status",
        "priority": "incorrect_priority",
        "add_labels": "incorrect_labels",
        "delete_labels": "incorrect_labels",
    }
    status: Status | None = None
    priority: Priority | None = None
    subject: Line | None = None
    staff_id: Id | None = None
    group_id: Id | None = None
    add_labels: LabelIds = ()
    delete_labels: LabelIds = ()
    language_id: Id | None = None
    custom_fields: CustomFields | None = None
    delete_custom_fields: FieldKeys = ()


class CaseRating(Fields):
    CODES: ClassVar[Mapping[str, str]] = {"rating": "incorrect_rating"}
    rating: Rating
    rating_comment: Comment = ""
    rated_staff_id: Id | None = None


class CaseMerge(Fields):
    parent_case_id: Text
    """A case_id or a case_number."""


class CasesQuery(Paging):
    """Named as the fields of the read model's CaseFilter."""

    channel: Annotated[tuple[Text, ...], Many] = ()
    status: Annotated[tuple[Status, ...], Many] = ()
    priority: Annotated[tuple[Priority, ...], Many] = ()
    user_id: Annotated[tuple[Id, ...], Many] = ()
    user_custom_id: ExternalIds = ()
    user_email: Annotated[tuple[Text, ...], Many] = ()
    user_phone: Annotated[tuple[Text, ...], Many] = ()
    staff_id: Annotated[tuple[Id, ...], Many] = ()
    group_id: Annotated[tuple[Id, ...], Many] = ()
    labels: LabelIds = ()
    custom_fields: FieldFilters | None = None
    subject: Text = ""
    from_time: Moment | None = None
    to_time: Moment | None = None
    from_updated_time: Moment | None = None
    to_updated_time: Moment | None = None
    deleted: Flag = False
    spam: Flag = False
    show_merged_cases: Flag = False
    show_active_chats: Flag = False
    sort: Sort = DEFAULT_SORT
    filter: Id = 0
    """A filter whose conditions come first; a parameter of the call stands in place of its like."""
    cursor: Text = ""
    """From the header `Link` of the page before; `page` does not count then."""

    def wanted(self) -> CaseFilter:
        given = self.__dict__
        return CaseFilter(**{name: given[name] for name in CaseFilter._fields if name in given})


class CaseAnswer(Struct, kw_only=True):
    """All keys, always, but the last ones: known clients index what they do not need."""

    case_id: int
    case_number: str
    subject: str
    user_id: int
    staff_id: int
    group_id: int
    status: Status
    priority: Priority
    channel: str
    recipient: str
    cc_emails: str
    bcc_emails: str
    deleted: bool
    spam: bool
    created_at: Date
    closed_at: DateOrNever
    updated_at: Date
    last_response_at: Date
    parent_case_id: int
    closing_speed: int | Literal["-"]
    """Minutes from opening to closing."""
    language_id: int
    custom_fields: dict[str, str | bool]
    labels: list[int]
    locked_labels: list[int]
    rating: Rating | UnsetType = UNSET
    """Absent while the case is not rated, as the next two."""
    rating_comment: str | UnsetType = UNSET
    rated_staff_id: int | UnsetType = UNSET
    chat: ChatState
    """Kanal's own: of a case on a sync channel, else ""."""
    attachments: list[FileAnswer] | UnsetType = UNSET
    """Only in the answer to the creation, as the next one."""
    identity_conflict: dict[Conflict, ConflictAnswer] | UnsetType = UNSET
    """For contacts that were not linked."""


class ChangedCases(Struct):
    case_success_id: list[int]
    """Those that are not there are left out."""
    case: CaseAnswer | UnsetType = UNSET
    """When the path names one case, and it is not deleted for good."""


@contract("Open a case", One("case", CaseAnswer, 201), body=Takes("case", NewCase, files=True))
async def create(call: Call) -> web.Response:
    given = await call.given(NewCase)
    require_content(await call.body(), given)
    channel_id = _custom_channel(given.channel)
    command = partial(
        conversation.open_case,
        who=identification(given, channel_id, call.context, wrong_phone="incorrect_user_phone"),
        channel="" if channel_id else given.channel,
        subject=given.subject,
        staff_id=given.staff_id,
        group_id=given.group_id,
        status=given.status,
        priority=given.priority,
        language_id=given.language_id,
        labels=given.labels,
        recipient=given.recipient,
        cc_emails=given.cc_emails,
        bcc_emails=given.bcc_emails,
        given_values=given_values(given.custom_fields, (), call.context.dates),
        **await said(given),
    )
    done = await submit_with_files(call, given, command)
    opened = msgspec.convert(done.result, OpenedCase) if done.repeated else done.result
    return answer({"case": await read_made(call, done, _opened, opened, call.context)}, 201)


@contract("List cases", Listed("case", CaseAnswer), query=CasesQuery)
async def list_cases(call: Call) -> web.Response:
    dates = call.context.dates
    asked = call.asked(CasesQuery)
    if asked.filter:
        chosen = CasesQuery.read(await conditions_of(call, asked.filter), call.context)
        asked = chosen.model_copy(update=asked.given())
    keyed_hash = call.context.stream_ids.keyed_hash
    after = place_of(asked.cursor, asked.sort, keyed_hash) if asked.cursor else None
    found = await call.read(read.listed, asked.wanted(), page_of(asked), asked.sort, after)
    headers = {}
    if found.end:
        headers = link_to_next(call.request, cursor_of(asked.sort, found.end, keyed_hash))
    items = [shown(row, dates) for row in found.rows]
    return answer(listing("case", items, found.total), headers=headers)


@contract("Show a case", One("case", CaseAnswer), query=AsOf)
async def show(call: Call) -> web.Response:
    case_id = _case_id(call)
    row = await read_case(call, case_id, call.asked(AsOf), partial(_found, case_id))
    return answer({"case": shown(row, call.context.dates)})


@contract("Change a case", One("case", CaseAnswer), body=Takes("case", CaseChanges, bare=True))
async def change(call: Call) -> web.Response:
    given = await call.given(CaseChanges)
    return await submit_and_show(call, changing(_case_id(call), given, call.context.dates))


def changing(case_id: int, given: CaseChanges, dates: Dates) -> Callable[[Work], int]:
    """The command that makes these changes."""
    changes = given.given()
    values = given_values(
        changes.pop("custom_fields", None),
        changes.pop("delete_custom_fields", ()),
        dates,
    )
    return partial(cases.change_case, case_id=case_id, given_values=values, **changes)


@contract("Rate a case", One("case", CaseAnswer), body=Takes("rate", CaseRating, bare=True))
async def rate(call: Call) -> web.Response:
    case_id = _case_id(call)
    given = await call.given(CaseRating)
    return await submit_and_show(call, partial(cases.rate_case, case_id=case_id, **given.given()))


@contract(
    "Merge a case into another", One("case", CaseAnswer), body=Takes("case", CaseMerge, bare=True)
)
async def merge(call: Call) -> web.Response:
    case_id = _case_id(call)
    given = await call.given(CaseMerge)
    parent = case_id_in(given.parent_case_id)
    return await submit_and_show(
        call, partial(cases.merge_case, case_id=case_id, parent_case_id=parent)
    )


@contract("Take a case out of another", One("case", CaseAnswer))
async def unmerge(call: Call) -> web.Response:
    return await submit_and_show(call, partial(cases.unmerge_case, case_id=_case_id(call)))


@contract("Put cases into the trash", Whole(ChangedCases))
async def trash(call: Call) -> web.Response:
    return await _submit_each(call, cases.trash_case)


@contract("Mark cases as spam", Whole(ChangedCases))
async def mark_as_spam(call: Call) -> web.Response:
    return await _submit_each(call, cases.mark_case_as_spam)


@contract("Take cases out of trash and spam", Whole(ChangedCases))
async def restore(call: Call) -> web.Response:
    return await _submit_each(call, cases.restore_case)


@contract("Delete cases for good", Whole(ChangedCases))
async def delete(call: Call) -> web.Response:
    """One case is answered like several: who deletes one by the call for several reads the answer, others do not."""
    names = _case_names(call)
    if len(names) > 1:
        return await _submit_to_several(call, cases.delete_case, names)
    done = await call.submit(partial(cases.delete_case, case_id=case_id_in(names[0])))
    return answer(ChangedCases([done.result]))


def shown(row: CaseRow, dates: Dates) -> CaseAnswer:
    closed = row.closed_at > 0
    return CaseAnswer(
        case_id=row.case_id,
        case_number=case_number(row.case_id),
        subject=row.subject,
        user_id=row.user_id,
        staff_id=row.staff_id,
        group_id=row.group_id,
        status=row.status,
        priority=row.priority,
        channel=row.channel,
        recipient=row.recipient,
        cc_emails=row.cc_emails,
        bcc_emails=row.bcc_emails,
        deleted=row.deleted,
        spam=row.spam,
        created_at=dates.render(row.created_at),
        closed_at=dates.render(row.closed_at) if closed else NEVER,
        updated_at=dates.render(row.updated_at),
        last_response_at=dates.render(row.last_response_at),
        parent_case_id=row.parent_case_id,
        closing_speed=(row.closed_at - row.created_at) // MINUTE if closed else NEVER,
        language_id=row.language_id,
        custom_fields=row.custom_fields,
        labels=list(row.labels),
        locked_labels=list(row.locked_labels),
        rating=row.rating or UNSET,
        rating_comment=row.rating_comment if row.rating else UNSET,
        rated_staff_id=row.rated_staff_id if row.rating else UNSET,
        chat=row.chat,
    )


def _custom_channel(channel: str) -> int:
    """The id of a custom channel, 0 for a standard channel or none. Raises ApiError, ChannelNotFound."""
    if CUSTOM_CHANNEL.fullmatch(channel):
        return channel_id_in(channel)
    if channel.startswith(CHANNEL_PREFIX):
        raise ChannelNotFound(channel)
    if channel and channel not in STANDARD_CHANNELS:
        sentence = "must be the channel_api_key of a custom channel (cch1) or the name of a standard one (email)"
        raise ApiError(
            400, "incorrect_channel", f"channel {sentence}.", fields={"channel": sentence}
        )
    return 0


def _case_id(call: Call) -> int:
    return case_id_in(call.path("case"))


async def submit_and_show(call: Call, command: Callable[[Work], int]) -> web.Response:
    """The case whose id the command answers, as it is afterwards."""
    done = await call.submit(command)
    row = await read_made(call, done, _row, done.result)
    return answer({"case": shown(row, call.context.dates)})


async def _submit_each(call: Call, command: Callable[..., int]) -> web.Response:
    """`cases/1/trash` can be the call for one case or that for several with one in it: the answer suits both."""
    names = _case_names(call)
    if len(names) > 1:
        return await _submit_to_several(call, command, names)
    done = await call.submit(partial(command, case_id=case_id_in(names[0])))
    row = await read_made(call, done, _row, done.result)
    return answer(ChangedCases([row.case_id], shown(row, call.context.dates)))


async def _submit_to_several(
    call: Call, command: Callable[..., int], names: Sequence[str]
) -> web.Response:
    known = []
    for name in names:
        with contextlib.suppress(CaseNotFound):
            known.append(case_id_in(name))
    each = partial(cases.for_each_case, change=command, case_ids=known)
    done = await call.submit(each)
    return answer(ChangedCases(done.result))


def _case_names(call: Call) -> list[str]:
    """Of `cases/1,2,664-245651`, at least one. Raises ApiError."""
    path = call.path("case")
    names = [name for name in path.split(",") if name] or [path]
    if len(names) > MOST_CASES:
        sentence = f"may name up to {MOST_CASES} cases"
        raise ApiError(400, "too_many_cases", f"One call {sentence}.", fields={"case": sentence})
    return names


def _row(connection: Connection, views: Views, case_id: int) -> CaseRow:
    return _found(case_id, connection, views)


def _found(case_id: int, connection: Connection, views: Views) -> CaseRow:
    row = read.find(connection, views, case_id)
    if row is None:
        raise CaseNotFound(case_id)
    return row


def _opened(
    connection: Connection, views: Views, opened: OpenedCase, context: Context
) -> CaseAnswer:
    row = _row(connection, views, opened.case_id)
    case = shown(row, context.dates)
    attached = files.of_messages(connection, views, [opened.message_id])[opened.message_id]
    case.attachments = shown_files(attached.files, context.links)
    if opened.conflicts:
        case.identity_conflict = identity_conflict(
            connection, views, opened.user_id, opened.conflicts, row.created_at
        )
    return case
