"""/api/cases/.../typing: who is typing at this moment. Kanal's own; Omnidesk shows it in its pages."""

from aiohttp import web
from msgspec import Struct
from sqlalchemy import Connection

from kanal.delivery.ledger import Claimed, read_lanes
from kanal.delivery.typists import Typist
from kanal.domain.errors import (
    CaseNotFound,
    NoRightOnChannel,
    StaffNotActive,
    StaffNotFound,
    UserHasNoAccess,
    UserNotFound,
)
from kanal.domain.roles import Right
from kanal.http.answers import Date, answer, listing
from kanal.http.context import Call, Caller
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Id, one_author
from kanal.http.ids import case_id_in
from kanal.projections import cases, channels, links, staff, users
from kanal.projections.cases import CaseRow
from kanal.projections.read_model import Views


class TypingFields(Fields):
    user_id: Id = 0
    staff_id: Id = 0


class TypingAnswer(Struct):
    user_id: int
    staff_id: int
    """One of the two is 0."""
    until: Date
    """When it is forgotten, unless it is said again."""


@contract(
    "Say that somebody is typing",
    One("typing", TypingAnswer),
    body=Takes("typing", TypingFields, bare=True),
)
async def tell(call: Call) -> web.Response:
    """The user, the staff member, or with neither the caller. That of staff goes out to a channel which asks for it."""
    case_id = case_id_in(call.path("case"))
    given = await call.given(TypingFields)
    one_author(given.user_id, given.staff_id)
    typist = Typist(given.user_id, 0 if given.user_id else given.staff_id or call.caller.staff_id)
    until = await note(call, case_id, typist)
    return answer({"typing": shown(typist, until, call.context.dates)})


async def note(call: Caller, case_id: int, typist: Typist) -> int:
    """That they are typing now, for the other staff and for a channel that asks for it; until when it counts.

    Raises CaseNotFound and what says that they may not write there.
    """
    case = await call.read(_checked, case_id, typist)
    noted = await call.context.typists.note(case.case_id, typist)
    if noted.is_news and typist.staff_id and case.channel_id:
        await _send(call, case, typist.staff_id)
    return noted.until


@contract("List who is typing", Listed("typing", TypingAnswer))
async def list_typists(call: Call) -> web.Response:
    case = await call.read(_receiving, case_id_in(call.path("case")))
    found, dates = call.context.typists.of(case.case_id), call.context.dates
    typing = [shown(typist, until, dates) for typist, until in found.items()]
    return answer(listing("typing", typing, len(typing)))


def shown(typist: Typist, until: int, dates: Dates) -> TypingAnswer:
    return TypingAnswer(typist.user_id, typist.staff_id, dates.render(until))


def _receiving(connection: Connection, views: Views, case_id: int) -> CaseRow:
    """The case that messages go to: of a merged one its parent. Raises CaseNotFound."""
    case = cases.find(connection, views, case_id)
    if case is not None and case.parent_case_id:
        case = cases.find(connection, views, case.parent_case_id)
    if case is None:
        raise CaseNotFound(case_id)
    return case


def _checked(connection: Connection, views: Views, case_id: int, typist: Typist) -> CaseRow:
    """Who may not write there does not type there."""
    case = _receiving(connection, views, case_id)
    if case.deleted:
        raise CaseNotFound(case_id)
    if not views.scope.reaches(case.channel_id, "answer"):
        raise NoRightOnChannel(case.channel_id, Right.ANSWER.value)
    if typist.staff_id:
        author = staff.find(connection, views, typist.staff_id)
        if author is None:
            raise StaffNotFound(typist.staff_id)
        if not author.active:
            raise StaffNotActive(typist.staff_id)
    elif typist.user_id != case.user_id:
        if users.find(connection, views, typist.user_id) is None:
            raise UserNotFound(typist.user_id)
        person = links.linked_users(connection, views, [case.user_id])[case.user_id]
        if typist.user_id not in person:
            raise UserHasNoAccess(typist.user_id, case_id)
    return case


async def _send(call: Caller, case: CaseRow, staff_id: int) -> None:
    def query(connection: Connection, views: Views) -> tuple[Claimed, str] | None:
        channel = channels.find(connection, views, case.channel_id)
        user = users.find(connection, views, case.user_id)
        if channel is None or not channel.webhook.typing or user is None:
            return None
        return read_lanes(connection, [case.channel_id])[0], user.identity

    asked = await call.read(query)
    if asked:
        call.context.typing_webhook.send(
            asked[0],
            case_id=case.case_id,
            staff_id=staff_id,
            user_id=case.user_id,
            custom_user_id=asked[1],
        )
