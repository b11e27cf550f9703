"""/api/users: profiles, one for each identity (external id on a channel, e-mail, phone), and who they are linked with."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection

from kanal.domain.errors import ChannelNotFound, ChannelWithoutId, UserNotFound
from kanal.domain.identities import Identification, Identified, register_user
from kanal.domain.links import Contact
from kanal.domain.users import ContactKind, UserType, change_user
from kanal.http import contacts
from kanal.http.answers import NEVER, Date, DateOrNever, answer, listing
from kanal.http.context import Call
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import Content, Email, Fields, Flag, Id, Line, Many, Moment, Paging
from kanal.http.fields import Text as AnyText
from kanal.http.ids import channel_id_in, channel_key, id_in
from kanal.http.paging import page_of
from kanal.projections import cases, links, users
from kanal.projections.read_model import Found, Page, Views
from kanal.projections.users import UserFilter, UserRow

DETAILS = {
    "user_full_name": "full_name",
    "company_name": "company_name",
    "company_position": "company_position",
    "user_note": "note",
    "language_id": "language_id",
}
"""Names outside -> fields of the domain's UserDetails."""


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _channel(value: object) -> object:
    try:
        return channel_id_in(str(value))
    except ChannelNotFound:
        raise PydanticCustomError("channel", "must be a channel_api_key such as cch1") from None


ExternalIds = Annotated[tuple[Line, ...], BeforeValidator(_as_list)]
"""One or several. A comma is part of an id."""
ChannelId = Annotated[int, BeforeValidator(_channel)]
"""`cch5` or `5`."""


class Details(Fields):
    user_full_name: Line | None = None
    company_name: Line | None = None
    company_position: Line | None = None
    user_note: Content | None = None


class UserDetails(Details):
    language_id: Id | None = None


class Person(Details):
    """What a caller may say of a user when opening a case or making a profile."""

    user_custom_id: Line = ""
    user_email: Email | None = None
    user_phone: AnyText = ""


class NewUser(Person, UserDetails):
    user_custom_channel: AnyText = ""


class UsersQuery(Paging):
    user_email: Annotated[tuple[AnyText, ...], Many] = ()
    user_phone: Annotated[tuple[AnyText, ...], Many] = ()
    user_custom_id: ExternalIds = ()
    user_custom_channel: Annotated[tuple[ChannelId, ...], Many] = ()
    language_id: Annotated[tuple[Id, ...], Many] = ()
    amount_of_cases: Flag = False
    from_time: Moment | None = None
    to_time: Moment | None = None
    from_updated_time: Moment | None = None
    to_updated_time: Moment | None = None
    from_last_contact_time: Moment | None = None
    to_last_contact_time: Moment | None = None


class ConflictAnswer(Struct):
    """Why a contact was not linked; of the profile that is in the way only its id is told."""

    user_id: int
    channel: str
    message: str


class UserAnswer(Struct, kw_only=True):
    user_id: int
    user_full_name: str
    company_name: str
    company_position: str
    user_note: str
    thumbnail: str
    confirmed: bool
    active: bool
    deleted: bool
    created_at: Date
    updated_at: Date
    last_contact_at: DateOrNever
    type: UserType
    user_screen_name: str
    user_email: str
    user_phone: str
    language_id: int
    custom_fields: dict[str, str | int | bool]
    linked_users: list[int]
    user_custom_id: str | UnsetType = UNSET
    """Of the type `custom`, as the next one."""
    user_custom_channel: str | UnsetType = UNSET
    identity_conflict: dict[ContactKind, ConflictAnswer] | UnsetType = UNSET
    """Only in the answer to the creation, for contacts that were not linked."""
    amount_of_cases: int | UnsetType = UNSET
    """In lists that ask for it."""


@contract("Make a profile", One("user", UserAnswer, 201), body=Takes("user", NewUser))
async def create(call: Call) -> web.Response:
    given = await call.given(NewUser)
    channel_id = channel_id_in(given.user_custom_channel) if given.user_custom_channel else 0
    if channel_id and not given.user_custom_id:
        raise ChannelWithoutId(channel_id)
    if given.user_custom_id and not channel_id:
        raise ApiError(
            400,
            "channel_required",
            "user_custom_id is an id within one custom channel: "
            "give its channel_api_key (cch...) as user_custom_channel.",
        )
    who = identification(given, channel_id, call.context.phone_region, wrong_phone="wrong_phone")
    done = await call.submit(partial(register_user, who=who))
    made = msgspec.convert(done.result, Identified) if done.repeated else done.result

    def query(connection: Connection, views: Views) -> UserAnswer:
        row = _found(connection, views, made.user_id)
        user = _shown_one(connection, views, row, call.context.dates)
        if made.conflicts:
            user.identity_conflict = identity_conflict(
                connection, views, made.user_id, made.conflicts, row.created_at
            )
        return user

    return answer({"user": await call.context.read(query)}, 201)


@contract("List the profiles", Listed("user", UserAnswer), query=UsersQuery)
async def list_users(call: Call) -> web.Response:
    dates = call.context.dates
    asked = call.asked(UsersQuery)
    wanted = UserFilter(
        user_email=asked.user_email,
        user_phone=asked.user_phone,
        user_custom_id=asked.user_custom_id,
        channel_id=asked.user_custom_channel,
        language_id=asked.language_id,
        from_time=asked.from_time,
        to_time=asked.to_time,
        from_updated_time=asked.from_updated_time,
        to_updated_time=asked.to_updated_time,
        from_last_contact_time=asked.from_last_contact_time,
        to_last_contact_time=asked.to_last_contact_time,
    )
    found = await call.read(_listed, wanted, page_of(asked), dates, asked.amount_of_cases)
    return answer(listing("user", found.rows, found.total))


@contract("Show a profile", One("user", UserAnswer))
async def show(call: Call) -> web.Response:
    return answer({"user": await _read(call, _user_id(call))})


@contract("Change a profile", One("user", UserAnswer), body=Takes("user", UserDetails, bare=True))
async def change(call: Call) -> web.Response:
    user_id = _user_id(call)
    given = await call.given(UserDetails)
    await call.submit(partial(change_user, user_id=user_id, **details(given)))
    return answer({"user": await _read(call, user_id)})


def identification(
    given: Person, channel_id: int, region: str, *, wrong_phone: str
) -> Identification:
    """Raises ApiError with the code `wrong_phone`, which is not the same for all calls."""
    return Identification(
        channel_id=channel_id,
        external_id=given.user_custom_id,
        email=given.user_email,
        phone=_phone(given.user_phone, region, wrong_phone) if given.user_phone else None,
        details=details(given),
    )


def details(given: Details) -> dict[str, Any]:
    return {DETAILS[name]: value for name, value in given.given().items() if name in DETAILS}


def identity_conflict(
    connection: Connection, views: Views, user_id: int, kinds: Iterable[ContactKind], at: int
) -> dict[ContactKind, ConflictAnswer]:
    """Why these contacts were not linked by the command of that time."""
    refused = {
        row.kind: row
        for row in links.conflicts_of(connection, views, user_id, at)
        if row.kind in set(kinds)
    }
    return {
        kind: ConflictAnswer(
            user_id=row.taken_by,
            channel=channel_key(row.channel_id),
            message=(
                f"The {kind} was not linked: with it one person would have two ids of channel "
                f"{channel_key(row.channel_id)}. User {row.taken_by} has the other one."
            ),
        )
        for kind, row in refused.items()
    }


def shown(row: UserRow, linked: list[int], dates: Dates) -> UserAnswer:
    user = UserAnswer(
        user_id=row.user_id,
        user_full_name=row.full_name,
        company_name=row.company_name,
        company_position=row.company_position,
        user_note=row.note,
        thumbnail="",
        confirmed=row.confirmed,
        active=row.active,
        deleted=row.deleted,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
        last_contact_at=dates.render(row.last_contact_at) if row.last_contact_at else NEVER,
        type=row.type,
        user_screen_name=row.identity,
        user_email=row.email,
        user_phone=row.phone,
        language_id=row.language_id,
        custom_fields={},
        linked_users=linked,
    )
    if row.type == "custom":
        user.user_custom_id = row.identity
        user.user_custom_channel = channel_key(row.channel_id)
    return user


def _phone(given: str, region: str, code: str) -> Contact:
    try:
        return contacts.phone(given, region)
    except ValueError as error:
        sentence = f"user_phone {error}."
        raise ApiError(400, code, sentence, fields={"user_phone": str(error)}) from None


def _user_id(call: Call) -> int:
    return id_in(call.path("user"), UserNotFound)


async def _read(call: Call, user_id: int) -> UserAnswer:
    def query(connection: Connection, views: Views) -> UserAnswer:
        row = _found(connection, views, user_id)
        return _shown_one(connection, views, row, call.context.dates)

    return await call.read(query)


def _found(connection: Connection, views: Views, user_id: int) -> UserRow:
    row = users.find(connection, views, user_id)
    if row is None:
        raise UserNotFound(user_id)
    return row


def _shown_one(connection: Connection, views: Views, row: UserRow, dates: Dates) -> UserAnswer:
    linked = links.linked_users(connection, views, [row.user_id])
    return shown(row, linked[row.user_id], dates)


def _listed(
    connection: Connection,
    views: Views,
    wanted: UserFilter,
    page: Page,
    dates: Dates,
    with_amounts: bool,
) -> Found[UserAnswer]:
    found = users.listed(connection, views, wanted, page)
    ids = [row.user_id for row in found.rows]
    linked = links.linked_users(connection, views, ids)
    shown_rows = [shown(row, linked[row.user_id], dates) for row in found.rows]
    if with_amounts and ids:
        amounts: Mapping[int, int] = cases.amounts_of_cases(connection, views, ids)
        for user in shown_rows:
            user.amount_of_cases = amounts[user.user_id]
    return Found(shown_rows, found.total)
