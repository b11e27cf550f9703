"""/api/chats and /api/cases/.../chat: Kanal's own calls for the chats of sync channels; Omnidesk has them in its pages."""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from aiohttp import web
from msgspec import Struct

from kanal.domain import chats
from kanal.domain.chat_events import LiveState
from kanal.http.answers import NEVER, Date, DateOrNever, answer, listing
from kanal.http.api import cases
from kanal.http.api.cases import CaseAnswer
from kanal.http.context import Call
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Id, Many, Paging, one_author
from kanal.http.ids import case_id_in, channel_key
from kanal.http.paging import page_of
from kanal.projections import chats as read
from kanal.projections.chats import ChatFilter, ChatRow


class Accepting(Fields):
    staff_id: Id = 0


class Completing(Fields):
    user_id: Id = 0
    staff_id: Id = 0


class ChatsQuery(Paging):
    state: Annotated[tuple[Literal["waiting", "active"], ...], Many] = ()
    staff_id: Annotated[tuple[Id, ...], Many] = ()
    offered_to: Annotated[tuple[Id, ...], Many] = ()


class ChatAnswer(Struct):
    case_id: int
    user_id: int
    channel: str
    state: LiveState
    staff_id: int
    """0 while it waits."""
    since: Date
    """When it began to wait, or was accepted."""
    last_activity_at: Date
    offered_to: int
    """0 if there is no live offer."""
    offered_until: DateOrNever


@contract("List the chats that wait or are active", Listed("chat", ChatAnswer), query=ChatsQuery)
async def list_chats(call: Call) -> web.Response:
    """Those that wait or are active; a completed one is a case like any other."""
    asked = call.asked(ChatsQuery)
    now = time.time_ns() // 1000
    wanted = ChatFilter(asked.state, asked.staff_id, asked.offered_to, now)
    found = await call.read(read.listed, wanted, page_of(asked))
    dates = call.context.dates
    return answer(listing("chat", [shown(row, now, dates) for row in found.rows], found.total))


@contract("Accept a chat", One("case", CaseAnswer), body=Takes("chat", Accepting, bare=True))
async def accept(call: Call) -> web.Response:
    given = await call.given(Accepting)
    staff_id = given.staff_id or call.caller.staff_id
    return await _submit(call, partial(chats.accept_chat, staff_id=staff_id))


@contract("Complete a chat", One("case", CaseAnswer), body=Takes("chat", Completing, bare=True))
async def complete(call: Call) -> web.Response:
    given = await call.given(Completing)
    one_author(given.user_id, given.staff_id)
    if given.user_id:
        return await _submit(call, partial(chats.complete_chat, user_id=given.user_id))
    staff_id = given.staff_id or call.caller.staff_id
    return await _submit(call, partial(chats.complete_chat, staff_id=staff_id))


def shown(row: ChatRow, now: int, dates: Dates) -> ChatAnswer:
    """An offer whose time has passed is none."""
    offered = row.offer_until > now
    return ChatAnswer(
        case_id=row.case_id,
        user_id=row.user_id,
        channel=channel_key(row.channel_id),
        state=row.state,
        staff_id=row.staff_id,
        since=dates.render(row.since),
        last_activity_at=dates.render(row.active_at),
        offered_to=row.offered_to if offered else 0,
        offered_until=dates.render(row.offer_until) if offered else NEVER,
    )


async def _submit(call: Call, command: Callable[..., int]) -> web.Response:
    case_id = case_id_in(call.path("case"))
    return await cases.submit_and_show(call, partial(command, case_id=case_id))
