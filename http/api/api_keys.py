"""/api/staff/.../api_keys: one's own keys and, for who manages staff, those of colleagues; named, limited, revoked.

Kanal's own; Omnidesk hands out keys in its pages. `me` stands for the caller's own staff_id.
"""

from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from sqlalchemy import Connection

from kanal.domain.errors import KeyNotFound, NoRight, StaffNotFound
from kanal.domain.roles import Right
from kanal.domain.staff import KeyLimits, NewKey
from kanal.http.answers import NEVER, Date, DateOrNever, answer, listing
from kanal.http.api import staff
from kanal.http.api.users import ChannelId
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Flag, Line, Many, Moment
from kanal.http.ids import channel_key, id_in
from kanal.http.keys import new_key
from kanal.projections import staff as read_staff
from kanal.projections import staff_keys as read
from kanal.projections.read_model import Views
from kanal.projections.staff_keys import KeyRow

ME = "me"
MAX_CHANNELS = 100
"""Of one key."""


class NewLimitedKey(Fields):
    name: Line
    read_only: Flag = False
    channels: Annotated[tuple[ChannelId, ...], Many, Field(max_length=MAX_CHANNELS)] = ()
    """Only these; nothing of the account then."""
    expires_at: Moment | None = None


class ApiKeyAnswer(Struct):
    key_id: int
    staff_id: int
    name: str
    fingerprint: str
    read_only: bool
    channels: list[str]
    """None of them: all that the role gives."""
    expires_at: DateOrNever
    created_at: Date
    last_used_at: DateOrNever
    """To five minutes."""
    used_now: bool
    """By this very call."""
    key: str | UnsetType = UNSET
    """Only in the answer that made it."""


@contract("List the API keys of a staff member", Listed("api_key", ApiKeyAnswer))
async def list_keys(call: Call) -> web.Response:
    """The oldest first, without the keys."""
    staff_id = _staff_id(call)

    def query(connection: Connection, views: Views) -> list[tuple[KeyRow, int]]:
        if staff_id != call.caller.staff_id and Right.MANAGE_STAFF not in views.scope.rights:
            raise NoRight(Right.MANAGE_STAFF.value)
        if read_staff.find(connection, views, staff_id) is None:
            raise StaffNotFound(staff_id)
        return read.of_staff(connection, views, staff_id)

    rows = await call.read(query)
    items = [_shown(call, *each) for each in rows]
    return answer(listing("api_key", items, len(items)))


@contract(
    "Make an API key",
    One("api_key", ApiKeyAnswer, 201),
    body=Takes("api_key", NewLimitedKey, others=("key",), bare=True),
)
async def create(call: Call) -> web.Response:
    """The key itself is shown this once."""
    staff_id = _staff_id(call)
    made = await make(call, staff_id, await call.given(NewLimitedKey))
    rows = await call.context.read(read.of_staff, staff_id)
    shown = next((_shown(call, *each) for each in rows if each[0].key_id == made.key_id), None)
    if shown is None:  # made by an earlier call with this Idempotency-Key, and revoked since
        raise KeyNotFound(made.key_id)
    if made.key:
        shown.key = made.key
    return answer({"api_key": shown}, 201)


class MadeKey(NamedTuple):
    key_id: int
    key: str
    """"" if the request had made it before."""


async def make(call: Caller, staff_id: int, given: NewLimitedKey) -> MadeKey:
    """Raises ApiError, StaffNotFound, NoRight, BeyondOwnRights, KeyIsLimited, ChannelNotFound."""
    context = call.context
    if given.expires_at is not None and given.expires_at <= context.writer.clock():
        sentence = "must lie in the future"
        raise ApiError(400, INVALID, f"expires_at {sentence}.", fields={"expires_at": sentence})
    made = new_key(context.stream_ids)
    holder = await context.read(read_staff.find, staff_id)
    email = holder.email if holder else ""

    def keep(connection: Connection, new: NewKey) -> None:
        staff.keep_new(connection, new, email, made)

    limits = KeyLimits(given.read_only, tuple(sorted(set(given.channels))), given.expires_at or 0)
    command = partial(
        staff.issue,
        staff_id=staff_id,
        name=given.name,
        fingerprint=made.fingerprint,
        limits=limits,
    )
    done = await call.submit(command, beside=keep)
    new = msgspec.convert(done.result, NewKey) if done.repeated else done.result
    return MadeKey(new.key_id, "" if done.repeated else made.key)


@contract("Revoke an API key of a staff member", Empty())
async def delete(call: Call) -> web.Response:
    return await staff.revoke(call, _staff_id(call))


def _shown(call: Call, row: KeyRow, last_used_at: int) -> ApiKeyAnswer:
    dates = call.context.dates
    return ApiKeyAnswer(
        key_id=row.key_id,
        staff_id=row.staff_id,
        name=row.name,
        fingerprint=row.fingerprint,
        read_only=row.read_only,
        channels=[channel_key(each) for each in row.channels],
        expires_at=_or_never(row.expires_at, dates),
        created_at=dates.render(row.created_at),
        last_used_at=_or_never(last_used_at, dates),
        used_now=row.key_id == call.caller.key_id,
    )


def _or_never(at: int, dates: Dates) -> str:
    return dates.render(at) if at else NEVER


def _staff_id(call: Call) -> int:
    given = call.path("staff")
    return call.caller.staff_id if given == ME else id_in(given, StaffNotFound)
