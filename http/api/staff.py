"""/api/staff: colleagues and their API keys. Keys are Kanal's own addition; Omnidesk hands them out in its pages."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from sqlalchemy import Connection, select

from kanal.domain import access, staff
from kanal.domain.errors import KeyNotFound, StaffNotFound
from kanal.domain.roles import BUILT_IN
from kanal.domain.staff import OFFLINE, Kind, NewKey, kind_of
from kanal.domain.staff_statuses import set_staff_status
from kanal.domain.work import Work
from kanal.eventlog.tables import api_keys
from kanal.eventlog.writer import Done
from kanal.http import contacts, sessions
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Content, Email, Fields, Id, Line, Paging
from kanal.http.ids import id_in
from kanal.http.keys import NewApiKey, forget, forget_all, keep, move, new_key
from kanal.http.paging import page_of
from kanal.projections import roles
from kanal.projections import staff as read
from kanal.projections.read_model import Found, Page, Views
from kanal.projections.staff import StaffRow

R = TypeVar("R")

ROLE_IDS = {role.title: role.role_id for role in BUILT_IN.values()}

PROFILE = {
    "staff_full_name": "full_name",
    "staff_signature": "signature",
    "staff_signature_chat": "signature_chat",
    "thumbnail": "thumbnail",
}
"""Texts that can be changed -> their names inside."""


class NewStaff(Fields):
    staff_email: Email
    staff_full_name: Line = ""
    staff_signature: Content = ""
    staff_signature_chat: Content = ""
    thumbnail: Line = ""
    role: Literal["administrator", "staff", "owner"] = "staff"
    role_id: Id = 0
    """In place of `role`."""


class StaffChanges(Fields):
    staff_email: Email | None = None
    staff_full_name: Line | None = None
    staff_signature: Content | None = None
    staff_signature_chat: Content | None = None
    thumbnail: Line | None = None
    status_id: Id | None = None


class StaffRole(Fields):
    role_id: Annotated[Id, Field(ge=1)]


class StaffReplacement(Fields):
    replace_staff_id: Id = 0
    """Who gets the cases that are not closed, 0 for nobody."""


class StaffQuery(Paging):
    language_id: Id = 0
    """Changes nothing: names and signatures are kept in one language."""


class KeyFields(Fields):
    name: Line = ""


class StaffAnswer(Struct):
    staff_id: int
    staff_email: str
    staff_full_name: str
    staff_signature: str
    staff_signature_chat: str
    thumbnail: str
    active: bool
    role: Kind
    """Whether they administer."""
    role_id: int
    role_title: str
    status: Literal["online", "offline"]
    status_id: int
    replace_staff_id: int
    """Who has their cases since they were disabled; 0: they keep them."""
    handing_over: bool
    """Some of their cases may still have to be handed over."""
    created_at: Date
    updated_at: Date
    key_ids: list[int] | UnsetType = UNSET
    """The live keys; not in lists."""
    api_key: str | UnsetType = UNSET
    """The first key, only in the answer to the creation."""


class KeyAnswer(Struct):
    key_id: int
    staff_id: int
    name: str
    api_key: str | UnsetType = UNSET
    """Shown once."""


class RoleAnswer(Struct):
    role_id: int
    role: Kind
    """Whether it administers."""
    role_title: str


@contract("List the staff", Listed("staff", StaffAnswer), query=StaffQuery)
async def list_staff(call: Call) -> web.Response:
    found = await call.read(_listed, page_of(call.asked(StaffQuery)), call.context.dates)
    return answer(listing("staff", found.rows, found.total))


@contract("Show a staff member", One("staff", StaffAnswer))
async def show(call: Call) -> web.Response:
    return answer({"staff": await call.read(with_keys, _staff_id(call), call.context.dates)})


@contract(
    "Add a staff member", One("staff", StaffAnswer, 201), body=Takes("staff", NewStaff, bare=True)
)
async def create(call: Call) -> web.Response:
    added = await add_staff(call, await call.given(NewStaff))
    shown_staff = await _read(call, added.staff_id)
    if added.api_key:
        shown_staff.api_key = added.api_key
    return answer({"staff": shown_staff}, 201)


class AddedStaff(NamedTuple):
    staff_id: int
    api_key: str
    """"" if the request had added them before."""


async def add_staff(call: Caller, given: NewStaff) -> AddedStaff:
    """Raises EmailTaken, RoleNotFound, BeyondOwnRights."""
    made = new_key(call.context.stream_ids)
    email = given.staff_email

    def keep_key(connection: Connection, new: NewKey) -> None:
        keep_new(connection, new, email.given, made)

    command = partial(
        _create,
        email=email,
        full_name=given.staff_full_name,
        role_id=given.role_id or ROLE_IDS[given.role],
        signature=given.staff_signature,
        signature_chat=given.staff_signature_chat,
        thumbnail=given.thumbnail,
        key_fingerprint=made.fingerprint,
    )
    done = await call.submit(command, beside=keep_key)
    new = msgspec.convert(done.result, NewKey) if done.repeated else done.result
    return AddedStaff(new.staff_id, "" if done.repeated else made.key)


@contract(
    "Change a staff member",
    One("staff", StaffAnswer),
    body=Takes("staff", StaffChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    given = await call.given(StaffChanges)
    texts = {PROFILE[name]: value for name, value in given.given().items() if name in PROFILE}
    email = given.staff_email

    def keep_email(connection: Connection, staff_id: int) -> None:
        if email:
            move(connection, staff_id, email.normalised)

    staff_id = _staff_id(call)

    def command(work: Work) -> int:
        access.check_colleague(work, staff_id)
        staff.change_staff(work, staff_id=staff_id, email=email, **texts)
        if given.status_id is not None:
            set_staff_status(work, staff_id=staff_id, status_id=given.status_id)
        return staff_id

    done = await call.submit(command, beside=keep_email)
    return answer({"staff": await _read(call, done.result)})


@contract(
    "Disable a staff member",
    One("staff", StaffAnswer),
    body=Takes("staff", StaffReplacement, bare=True),
)
async def disable(call: Call) -> web.Response:
    given = await call.given(StaffReplacement)
    command = partial(staff.disable_staff, replace_staff_id=given.replace_staff_id)
    done = await _submit(call, command, sessions.end_all)
    return answer({"staff": await _read(call, done.result)})


@contract("Enable a staff member", One("staff", StaffAnswer))
async def enable(call: Call) -> web.Response:
    done = await _submit(call, staff.enable_staff)
    return answer({"staff": await _read(call, done.result)})


@contract(
    "Delete a staff member",
    Empty(),
    query=StaffReplacement,
    body=Takes("staff", StaffReplacement, bare=True),
)
async def delete(call: Call) -> web.Response:
    """Not every client can send a body with DELETE, so the query may name the replacement as well."""
    given, asked = await call.given(StaffReplacement), call.asked(StaffReplacement)

    def forget_keys(connection: Connection, staff_id: int) -> None:
        forget_all(connection, staff_id)
        sessions.end_all(connection, staff_id)

    command = partial(
        staff.delete_staff,
        replace_staff_id=given.replace_staff_id or asked.replace_staff_id,
    )
    await _submit(call, command, forget_keys)
    return empty()


@contract(
    "Give a staff member another role",
    One("staff", StaffAnswer),
    body=Takes("staff", StaffRole, bare=True),
)
async def change_role(call: Call) -> web.Response:
    given = await call.given(StaffRole)

    def command(work: Work, staff_id: int) -> int:
        access.check_role(work, given.role_id)
        return staff.change_role_of(work, staff_id=staff_id, role_id=given.role_id)

    done = await _submit(call, command)
    return answer({"staff": await _read(call, done.result)})


@contract("List the roles", Listed("staff_roles", RoleAnswer, total="count"))
async def list_roles(call: Call) -> web.Response:
    """Those that are built in first. Counted under `count`, as Omnidesk does here."""
    titles = await call.read(roles.titles)
    listed: dict[str, object] = {
        str(at): {"staff_roles": RoleAnswer(role_id, kind_of(role_id), title)}
        for at, (role_id, title) in enumerate(titles.items())
    }
    return answer({**listed, "count": len(titles)})


@contract("Issue an API key", One("key", KeyAnswer, 201), body=Takes("key", KeyFields, bare=True))
async def issue_key(call: Call) -> web.Response:
    staff_id = _staff_id(call)
    given = await call.given(KeyFields)
    made = new_key(call.context.stream_ids)
    holder = await call.read(read.find, staff_id)
    if holder is None:
        raise StaffNotFound(staff_id)
    email = holder.email

    def keep_key(connection: Connection, new: NewKey) -> None:
        keep_new(connection, new, email, made)

    command = partial(issue, staff_id=staff_id, name=given.name, fingerprint=made.fingerprint)
    done = await call.submit(command, beside=keep_key)
    new = msgspec.convert(done.result, NewKey) if done.repeated else done.result
    key = KeyAnswer(new.key_id, new.staff_id, given.name)
    if not done.repeated:
        key.api_key = made.key
    return answer({"key": key}, 201)


@contract("Revoke an API key", Empty())
async def revoke_key(call: Call) -> web.Response:
    return await revoke(call, _staff_id(call))


def shown(row: StaffRow, titles: Mapping[int, str], dates: Dates) -> StaffAnswer:
    """`titles`: of roles. `status` is what `status_id` was in Omnidesk before there were more than two."""
    return StaffAnswer(
        staff_id=row.staff_id,
        staff_email=row.email,
        staff_full_name=row.full_name,
        staff_signature=row.signature,
        staff_signature_chat=row.signature_chat,
        thumbnail=row.thumbnail,
        active=row.active,
        role=kind_of(row.role_id),
        role_id=row.role_id,
        role_title=titles.get(row.role_id, ""),
        status="offline" if row.status_id == OFFLINE else "online",
        status_id=row.status_id,
        replace_staff_id=row.replace_staff_id,
        handing_over=row.hand_over_id > 0,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
    )


def _create(work: Work, *, role_id: int, **profile: Any) -> NewKey:
    access.check_role(work, role_id)
    return staff.create_staff(work, role_id=role_id, **profile)


async def _submit(
    call: Call,
    command: Callable[..., R],
    beside: Callable[[Connection, R], None] | None = None,
) -> Done[R]:
    return await submit_for_colleague(call, _staff_id(call), command, beside)


async def submit_for_colleague(
    call: Caller,
    staff_id: int,
    command: Callable[..., R],
    beside: Callable[[Connection, R], None] | None = None,
) -> Done[R]:
    """What is done to a colleague, who may not be one who may more than the caller."""

    def checked(work: Work) -> R:
        access.check_colleague(work, staff_id)
        return command(work, staff_id=staff_id)

    return await call.submit(checked, beside=beside)


def issue(work: Work, *, staff_id: int, **key: Any) -> NewKey:
    """One's own, or that of a colleague."""
    access.check_own_or_managed(work, staff_id)
    return staff.issue_key(work, staff_id=staff_id, **key)


async def revoke(call: Call, staff_id: int) -> web.Response:
    await revoke_one(call, staff_id, id_in(call.path("key"), KeyNotFound))
    return empty()


async def revoke_one(call: Caller, staff_id: int, key_id: int) -> None:
    """Raises NoRight, StaffNotFound, BeyondOwnRights, KeyNotFound, LastAdministrator, LastOwner."""

    def command(work: Work) -> int:
        access.check_own_or_managed(work, staff_id)
        return staff.revoke_key(work, staff_id=staff_id, key_id=key_id)

    def forget_key(connection: Connection, _: int) -> None:
        forget(connection, key_id)

    await call.submit(command, beside=forget_key)


def keep_new(connection: Connection, new: NewKey, email: str, made: NewApiKey) -> None:
    """The e-mail as auth.py compares it."""
    login = contacts.email(email).normalised
    keep(connection, staff_id=new.staff_id, key_id=new.key_id, email=login, hash=made.hash)


def _staff_id(call: Call) -> int:
    return id_in(call.path("staff"), StaffNotFound)


async def _read(call: Call, staff_id: int) -> StaffAnswer:
    """Not for the caller's key: the command may have revoked it."""
    return await call.context.read(with_keys, staff_id, call.context.dates)


def _listed(connection: Connection, views: Views, page: Page, dates: Dates) -> Found[StaffAnswer]:
    found = read.listed(connection, views, page)
    titles = roles.titles(connection, views)
    return Found([shown(row, titles, dates) for row in found.rows], found.total)


def with_keys(connection: Connection, views: Views, staff_id: int, dates: Dates) -> StaffAnswer:
    row = read.find(connection, views, staff_id)
    if row is None:
        raise StaffNotFound(staff_id)
    live = select(api_keys.c.key_id).where(api_keys.c.staff_id == staff_id)
    one = shown(row, roles.titles(connection, views), dates)
    one.key_ids = list(connection.scalars(live.order_by(api_keys.c.key_id)))
    return one
