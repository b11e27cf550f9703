"""/api/users: profiles, one for each identity (external id on a channel, e-mail, phone, id in a messenger), and who they
are linked with.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.domain import identities
from kanal.domain.access import check_channel, check_user
from kanal.domain.errors import ChannelNotFound, ChannelWithoutId, UserNotFound
from kanal.domain.identities import (
    Conflict,
    Identification,
    Identified,
    MessengerId,
    Proof,
    change_profile,
    delete_user,
    link_known_contact,
    register_user,
)
from kanal.domain.links import link_users, unlink_users
from kanal.domain.roles import Right
from kanal.domain.users import (
    ContactKind,
    UserType,
    block_user,
    disable_user,
    restore_user,
)
from kanal.domain.work import Work
from kanal.http import messengers
from kanal.http.answers import NEVER, Date, DateOrNever, answer, empty, listing
from kanal.http.api.custom_fields import CustomFields, FieldFilters, FieldKeys, given_values
from kanal.http.context import Call, Context
from kanal.http.contract import Empty, Listed, One, Takes, Whole, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import (
    Content,
    Email,
    Fields,
    Flag,
    Id,
    Line,
    Many,
    Moment,
    Paging,
    Phone,
    wrong,
)
from kanal.http.fields import Text as AnyText
from kanal.http.identification import code_of, user_proven
from kanal.http.ids import MAX_ID_DIGITS, channel_id_in, channel_key, id_in
from kanal.http.paging import page_of
from kanal.projections import cases, companies, links, users
from kanal.projections.read_model import Found, Page, Views
from kanal.projections.users import UserFilter, UserRow

R = TypeVar("R")

PASSWORD_DIGITS = 8

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
        raise wrong("must be a channel_api_key such as cch1") from None


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
    custom_fields: CustomFields | None = None


class Person(Details):
    """What a caller may say of a user when opening a case or making a profile."""

    user_custom_id: Line = ""
    user_email: Email | None = None
    user_phone: Phone | None = None
    user_telegram: Line = ""
    user_telegram_data: Line = ""
    user_whatsapp_phone: Line = ""
    user_viber: Line = ""
    user_vkontakte: Line = ""
    user_odnoklassniki: Line = ""
    user_facebook: Line = ""
    user_instagram: Line = ""
    user_skype: Line = ""
    user_line: Line = ""
    user_slack: Line = ""
    user_mattermost: Line = ""
    user_avito: Line = ""
    user_identification_code: Line = ""


class NewUser(Person, UserDetails):
    user_custom_channel: AnyText = ""


class UserChanges(UserDetails):
    user_email: Email | None = None
    user_phone: Phone | None = None
    delete_custom_fields: FieldKeys = ()


class LinkedWith(Fields):
    user_id: Id = 0
    user_email: Email | None = None
    user_phone: Phone | None = None


class UnlinkedFrom(Fields):
    user_id: Id


class UsersQuery(Paging):
    user_email: Annotated[tuple[AnyText, ...], Many] = ()
    user_phone: Annotated[tuple[AnyText, ...], Many] = ()
    user_custom_id: ExternalIds = ()
    user_custom_channel: Annotated[tuple[ChannelId, ...], Many] = ()
    company_id: Annotated[tuple[Id, ...], Many] = ()
    language_id: Annotated[tuple[Id, ...], Many] = ()
    custom_fields: FieldFilters | None = None
    amount_of_cases: Flag = False
    from_time: Moment | None = None
    to_time: Moment | None = None
    from_updated_time: Moment | None = None
    to_updated_time: Moment | None = None
    from_last_contact_time: Moment | None = None
    to_last_contact_time: Moment | None = None


class ConflictAnswer(Struct):
    """Why a contact was not linked; of the profile that is in the way only its id is told.

    Id 0 and no channel: it is on one that the caller does not see.
    """

    user_id: int
    channel: str
    message: str


class UserAnswer(Struct, kw_only=True):
    user_id: int
    user_full_name: str
    company_id: int
    """0 for none."""
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
    custom_fields: dict[str, str | bool]
    linked_users: list[int]
    user_custom_id: str | UnsetType = UNSET
    """Of the type `custom`, as the next one; each of the following is there for its own type."""
    user_custom_channel: str | UnsetType = UNSET
    user_telegram: str | UnsetType = UNSET
    user_telegram_data: str | UnsetType = UNSET
    telegram_id: str | UnsetType = UNSET
    user_whatsapp_phone: str | UnsetType = UNSET
    user_viber: str | UnsetType = UNSET
    user_vkontakte: str | UnsetType = UNSET
    user_odnoklassniki: str | UnsetType = UNSET
    user_facebook: str | UnsetType = UNSET
    facebook_id: int | UnsetType = UNSET
    """0 unless the id is a number."""
    user_instagram: str | UnsetType = UNSET
    user_skype: str | UnsetType = UNSET
    user_line: str | UnsetType = UNSET
    user_slack: str | UnsetType = UNSET
    user_mattermost: str | UnsetType = UNSET
    user_avito: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    """Only in the answer to the creation; it opens nothing."""
    identity_conflict: dict[Conflict, ConflictAnswer] | UnsetType = UNSET
    """Only in answers to calls that should have linked something, for what was not linked."""
    amount_of_cases: int | UnsetType = UNSET
    """In lists that ask for it."""


class CodeAnswer(Struct):
    code: str


@contract("Make a profile", One("user", UserAnswer, 201), body=Takes("user", NewUser))
async def create(call: Call) -> web.Response:
    given = await call.given(NewUser)
    who = _identification(call.context, given)
    values = given_values(given.custom_fields, (), call.context.dates)
    command = partial(register_user, who=who, given_values=values)
    done = await call.submit(partial(_at_home, command, who.channel_id))
    made = msgspec.convert(done.result, Identified) if done.repeated else done.result

    def query(connection: Connection, views: Views) -> UserAnswer:
        row = _found(connection, views, made.user_id)
        user = _shown_one(connection, views, row, call.context.dates)
        secret = call.context.stream_ids.keyed_hash(f"password/{made.user_id}")
        user.password = secret.hex()[:PASSWORD_DIGITS]
        if made.conflicts:
            user.identity_conflict = identity_conflict(
                connection, views, made.user_id, made.conflicts, row.created_at
            )
        return user

    return answer({"user": await call.read(query)}, 201)


@contract(
    "Identify a user, for a deep link",
    Whole(CodeAnswer, 201),
    body=Takes("user", NewUser, bare=True),
)
async def identify(call: Call) -> web.Response:
    context = call.context
    given = await call.given(NewUser)
    who = _identification(context, given)
    values = given_values(given.custom_fields, (), context.dates)
    command = partial(identities.identify, who=who, given_values=values)
    done = await call.submit(partial(_at_home, command, who.channel_id))
    proof = msgspec.convert(done.result, Proof) if done.repeated else done.result
    return answer({"code": code_of(context.stream_ids, proof)}, 201)


@contract("List the profiles", Listed("user", UserAnswer), query=UsersQuery)
async def list_users(call: Call) -> web.Response:
    dates = call.context.dates
    asked = call.asked(UsersQuery)
    wanted = UserFilter(
        user_email=asked.user_email,
        user_phone=asked.user_phone,
        user_custom_id=asked.user_custom_id,
        channel_id=asked.user_custom_channel,
        company_id=asked.company_id,
        language_id=asked.language_id,
        custom_fields=asked.custom_fields,
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


@contract("Change a profile", One("user", UserAnswer), body=Takes("user", UserChanges, bare=True))
async def change(call: Call) -> web.Response:
    given = await call.given(UserChanges)
    command = partial(
        change_profile,
        user_id=_user_id(call),
        email=given.user_email,
        phone=given.user_phone,
        details=details(given),
        given_values=given_values(
            given.custom_fields, given.delete_custom_fields, call.context.dates
        ),
    )
    return await _submit(call, command)


@contract(
    "Link two profiles, or a profile with an e-mail or phone",
    One("user", UserAnswer),
    body=Takes("user", LinkedWith, bare=True),
)
async def link(call: Call) -> web.Response:
    user_id, given = _user_id(call), await call.given(LinkedWith)
    if given.user_id:
        return await _submit(call, partial(link_profiles, user_id=user_id, other_id=given.user_id))
    if not given.user_email and not given.user_phone:
        sentence = "user_id, user_email or user_phone is required"
        raise ApiError(400, "invalid_parameters", f"{sentence}.", fields={"user_id": sentence})
    who = Identification(email=given.user_email, phone=given.user_phone)
    return await _submit(call, partial(link_known_contact, user_id=user_id, who=who))


@contract(
    "Undo the links between two profiles",
    One("user", UserAnswer),
    body=Takes("user", UnlinkedFrom, bare=True),
)
async def unlink(call: Call) -> web.Response:
    other_id = (await call.given(UnlinkedFrom)).user_id
    return await _submit(call, partial(unlink_profiles, user_id=_user_id(call), other_id=other_id))


@contract("Put a profile among the deleted ones", One("user", UserAnswer))
async def disable(call: Call) -> web.Response:
    return await _submit(call, partial(disable_user, user_id=_user_id(call)))


@contract("Block a user: later cases are spam", One("user", UserAnswer))
async def block(call: Call) -> web.Response:
    return await _submit(call, partial(block_user, user_id=_user_id(call)))


@contract("Unblock a user, or take it back from the deleted ones", One("user", UserAnswer))
async def restore(call: Call) -> web.Response:
    return await _submit(call, partial(restore_user, user_id=_user_id(call)))


@contract("Delete a profile for good", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(delete_user, user_id=_user_id(call)))
    return empty()


def identification(
    given: Person, channel_id: int, context: Context, *, wrong_phone: str
) -> Identification:
    """Raises ApiError with the code `wrong_phone`, which is not the same for all calls, and WrongIdentificationCode."""
    region, code = context.phone_region, given.user_identification_code
    return Identification(
        channel_id=channel_id,
        external_id=given.user_custom_id,
        email=given.user_email,
        phone=given.user_phone,
        messengers=_messengers(given, region, wrong_phone),
        proven=user_proven(context.stream_ids, code, _now()) if code else 0,
        details=details(given),
    )


def _identification(context: Context, given: NewUser) -> Identification:
    """Raises ApiError, ChannelWithoutId and what `identification` raises."""
    channel_id = channel_id_in(given.user_custom_channel) if given.user_custom_channel else 0
    if channel_id and not given.user_custom_id:
        raise ChannelWithoutId(channel_id)
    if given.user_custom_id and not channel_id:
        raise ApiError(
            400,
            "channel_required",
            "user_custom_id is an id within one custom channel: "
            "give its channel_api_key (cch...) as user_custom_channel.",
            fields={"user_custom_channel": "is required with user_custom_id"},
        )
    return identification(given, channel_id, context, wrong_phone="wrong_phone")


def _messengers(given: Person, region: str, wrong_phone: str) -> tuple[MessengerId, ...]:
    """Raises ApiError, which names all that are wrong."""
    found: dict[str, MessengerId] = {}
    wrong: dict[str, str] = {}
    code = ""
    for field in messengers.FIELDS:
        text = getattr(given, field)
        if not text:
            continue
        try:
            messenger = messengers.messenger_id(field, text, region)
        except ValueError as error:
            blank = isinstance(error, messengers.Blank)
            code = code or ("invalid_parameters" if blank else wrong_phone)
            wrong[field] = str(error)
        else:
            found.setdefault(messenger.claim().key, messenger)
    if wrong:
        sentence = "; ".join(f"{field} {words}" for field, words in wrong.items())
        raise ApiError(400, code, f"{sentence}.", fields=wrong)
    return tuple(found.values())


def details(given: Details) -> dict[str, Any]:
    return {DETAILS[name]: value for name, value in given.given().items() if name in DETAILS}


def identity_conflict(
    connection: Connection, views: Views, user_id: int, kinds: Iterable[Conflict], at: int
) -> dict[Conflict, ConflictAnswer]:
    """Why these were not linked by the command of that time."""
    refused = {
        row.kind: row
        for row in links.conflicts_of(connection, views, user_id, at)
        if row.kind in set(kinds)
    }
    return {
        kind: _conflict(kind, row, views.scope.reaches(row.channel_id, "see"))
        for kind, row in refused.items()
    }


def _conflict(kind: Conflict, row: links.ConflictRow, is_seen: bool) -> ConflictAnswer:
    """`is_seen`: the channel on which the other profile is."""
    not_linked = f"The {kind} was not linked: with it one person would have two ids of"
    if not is_seen:
        return ConflictAnswer(0, "", f"{not_linked} a channel that you do not see.")
    channel = channel_key(row.channel_id)
    return ConflictAnswer(
        user_id=row.taken_by,
        channel=channel,
        message=f"{not_linked} channel {channel}. User {row.taken_by} has the other one.",
    )


def shown(
    row: UserRow,
    *,
    company_name: str | None,
    linked: list[int],
    contacts: Mapping[ContactKind, str],
    dates: Dates,
) -> UserAnswer:
    """`company_name`: None if there is no such company any more."""
    user = UserAnswer(
        user_id=row.user_id,
        user_full_name=row.full_name,
        company_id=row.company_id if company_name is not None else 0,
        company_name=company_name or "",
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
        user_email=_contact(row, contacts, "email"),
        user_phone=_contact(row, contacts, "phone"),
        language_id=row.language_id,
        custom_fields=row.custom_fields,
        linked_users=linked,
    )
    match row.type:
        case "custom":
            user.user_custom_id = row.identity
            user.user_custom_channel = channel_key(row.channel_id)
        case "telegram":
            user.user_telegram = user.user_telegram_data = user.telegram_id = row.identity
        case "whatsapp":
            user.user_whatsapp_phone = row.identity
        case "facebook":
            user.user_facebook = row.identity
            user.facebook_id = _number(row.identity)
        case type_:
            # That of an e-mail or phone stands there already.
            setattr(user, f"user_{type_}", row.identity)
    return user


def _contact(row: UserRow, contacts: Mapping[ContactKind, str], kind: ContactKind) -> str:
    return row.identity if row.type == kind else contacts.get(kind, "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < MAX_ID_DIGITS else 0


def _now() -> int:
    return time.time_ns() // 1000


def _at_home(command: Callable[[Work], R], channel_id: int, work: Work) -> R:
    """Of a profile that may be new: on a channel where its maker may answer."""
    check_channel(work, channel_id, Right.ANSWER)
    return command(work)


def link_profiles(work: Work, *, user_id: int, other_id: int) -> bool:
    """By hand, both of whom the caller may answer. Raises UserNotFound, NoRightOnChannel."""
    check_user(work, other_id)
    return link_users(work, user_id=user_id, other_id=other_id)


def unlink_profiles(work: Work, *, user_id: int, other_id: int) -> int:
    """As `link_profiles`."""
    check_user(work, other_id)
    return unlink_users(work, user_id=user_id, other_id=other_id)


async def _submit(call: Call, command: Callable[[Work], object]) -> web.Response:
    """Carry it out and show the profile that the path names."""
    await call.submit(command)
    return answer({"user": await _read(call, _user_id(call))})


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
    [user] = _all_shown(connection, views, [row], dates)
    return user


def _all_shown(
    connection: Connection, views: Views, rows: Sequence[UserRow], dates: Dates
) -> list[UserAnswer]:
    ids = [row.user_id for row in rows]
    linked = links.linked_users(connection, views, ids)
    seen = users.seen(connection, views, (each for found in linked.values() for each in found))
    contacts = links.contacts_of(connection, views, ids)
    names = companies.names_of(connection, views, (row.company_id for row in rows))
    return [
        shown(
            row,
            company_name=names.get(row.company_id),
            linked=[each for each in linked[row.user_id] if each in seen],
            contacts=contacts[row.user_id],
            dates=dates,
        )
        for row in rows
    ]


def _listed(
    connection: Connection,
    views: Views,
    wanted: UserFilter,
    page: Page,
    dates: Dates,
    with_amounts: bool,
) -> Found[UserAnswer]:
    found = users.listed(connection, views, wanted, page)
    shown_rows = _all_shown(connection, views, found.rows, dates)
    if with_amounts and shown_rows:
        ids = [row.user_id for row in found.rows]
        amounts: Mapping[int, int] = cases.amounts_of_cases(connection, views, ids)
        for user in shown_rows:
            user.amount_of_cases = amounts[user.user_id]
    return Found(shown_rows, found.total)
