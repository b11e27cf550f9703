"""Users: one row for each profile."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    false,
    func,
    select,
    union_all,
)

from kanal.domain.case_events import MessageAdded
from kanal.domain.custom_fields import Values
from kanal.domain.stream import Recorded
from kanal.domain.users import (
    UserCasesDeleted,
    UserChanged,
    UserFieldsChanged,
    UserIdentityChanged,
    UserJoinedCompany,
    UserLeftCompany,
    UserLinked,
    UserLinkedToUser,
    UserRegistered,
    UserType,
    UserUnlinked,
    UserUnlinkedFromUser,
    UserWasBlocked,
    UserWasDeleted,
    UserWasDisabled,
    UserWasRestored,
)
from kanal.eventlog.projection import Changes, Tables
from kanal.projections import companies, custom_fields
from kanal.projections.access import channel_seen
from kanal.projections.links import PHONE_PUNCTUATION, having_contact
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    among,
    columns_of,
    counted,
    flag,
    number,
    text,
)
from kanal.projections.search import MARK, between
from kanal.projections.trigrams import SHORTEST, containing, searchable

FEW = 5000
"""So few users are found by their filters and then sorted. Left to itself SQLite would rather walk through all users in the
order of the list, which is the faster way only if a page of them is found soon.
"""


class UserRow(NamedTuple):
    user_id: int
    type: UserType
    channel_id: int
    """0 for a profile that is not of a custom channel."""
    identity: str
    """The external id byte for byte, or the e-mail, phone or messenger id as first given."""
    full_name: str
    company_id: int
    """0 for none. It may be of a company that is deleted for good."""
    company_position: str
    note: str
    language_id: int
    confirmed: bool
    active: bool
    """Not blocked."""
    deleted: bool
    """Disabled. A profile that was deleted for good has no row."""
    created_at: int
    updated_at: int
    last_contact_at: int
    """Time of the user's last message, 0 before the first."""
    custom_fields: Values
    """Without those of fields that have been deleted since."""


class UserFilter(NamedTuple):
    """An empty field does not filter. Several values of one field are joined by "or", fields by "and"."""

    user_email: Sequence[str] = ()
    """Parts of any of the user's e-mails, with the search marks (search.py)."""
    user_phone: Sequence[str] = ()
    user_custom_id: Sequence[str] = ()
    """External ids, byte for byte."""
    channel_id: Sequence[int] = ()
    """`user_custom_channel` without its `cch`."""
    company_id: Sequence[int] = ()
    language_id: Sequence[int] = ()
    custom_fields: Mapping[str, Sequence[str]] | None = None
    """Key of a field of users -> what its value has to match (custom_fields.py)."""
    from_time: int | None = None
    """Of registration; all times in microseconds."""
    to_time: int | None = None
    from_updated_time: int | None = None
    to_updated_time: int | None = None
    from_last_contact_time: int | None = None
    to_last_contact_time: int | None = None


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    users = name("users")
    yield Table(
        users,
        metadata,
        number("user_id", key=True),
        text("type"),
        number("channel_id"),
        text("identity"),
        text("full_name"),
        number("company_id"),
        text("company_position"),
        text("note"),
        number("language_id"),
        flag("confirmed"),
        flag("active"),
        flag("deleted"),
        number("created_at"),
        number("updated_at"),
        number("last_contact_at"),
        text("custom_fields"),
        *[
            Index(f"{users}_{end}", *columns)
            for end, columns in {
                "identity": ("identity",),
                "channel": ("channel_id", "user_id"),
                "language": ("language_id", "user_id"),
                "company": ("company_id", "user_id"),
                "created": ("created_at", "user_id"),
                "updated": ("updated_at", "user_id"),
                "contact": ("last_contact_at", "user_id"),
            }.items()
        ],
    )
    yield searchable(name("user_names"), metadata)
    # Users who are deleted for good and whose cases are not yet.
    yield Table(
        name("leaving_cases"),
        metadata,
        number("user_id", key=True),
        number("position"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    users = tables["users"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case MessageAdded():
            if event.kind == "user_message":
                contact_at = event.created_at or at
                changes.update(users, (event.user_id,), {"last_contact_at": contact_at})
        case UserRegistered():
            row = {
                "user_id": event.user_id,
                "type": event.type,
                "channel_id": event.channel_id,
                "identity": event.identity,
                "full_name": event.full_name,
                "company_id": 0,
                "company_position": event.company_position,
                "note": event.note,
                "language_id": event.language_id,
                "confirmed": False,
                "active": True,
                "deleted": False,
                "created_at": at,
                "updated_at": at,
                "last_contact_at": 0,
                "custom_fields": custom_fields.NO_VALUES,
            }
            changes.insert(users, row)
            _fold_name(changes, tables, event.user_id, event.full_name)
        case UserChanged():
            details = {
                "full_name": event.full_name,
                "company_position": event.company_position,
                "note": event.note,
                "language_id": event.language_id,
                "updated_at": at,
            }
            changes.update(users, (event.user_id,), details)
            changes.delete(tables["user_names"], (event.user_id,))
            _fold_name(changes, tables, event.user_id, event.full_name)
        case UserFieldsChanged():
            values = {"custom_fields": custom_fields.stored(event.values), "updated_at": at}
            changes.update(users, (event.user_id,), values)
        case UserIdentityChanged():
            changes.update(users, (event.user_id,), {"identity": event.new, "updated_at": at})
        case UserLinked() | UserUnlinked() | UserLinkedToUser() | UserUnlinkedFromUser():
            changes.update(users, (event.user_id,), {"updated_at": at})
        case UserJoinedCompany():
            joined = {"company_id": event.company_id, "updated_at": at}
            changes.update(users, (event.user_id,), joined)
        case UserLeftCompany():
            changes.update(users, (event.user_id,), {"company_id": 0, "updated_at": at})
        case UserWasBlocked():
            changes.update(users, (event.user_id,), {"active": False, "updated_at": at})
        case UserWasDisabled():
            changes.update(users, (event.user_id,), {"deleted": True, "updated_at": at})
        case UserWasRestored():
            restored = {"active": True, "deleted": False, "updated_at": at}
            changes.update(users, (event.user_id,), restored)
        case UserWasDeleted():
            changes.delete(users, (event.user_id,))
            changes.delete(tables["user_names"], (event.user_id,))
            leaving = {"user_id": event.user_id, "position": recorded.position}
            changes.insert(tables["leaving_cases"], leaving)
        case UserCasesDeleted():
            changes.delete(tables["leaving_cases"], (event.user_id,))


def _fold_name(changes: Changes, tables: Tables, user_id: int, full_name: str) -> None:
    if full_name:
        changes.insert(tables["user_names"], {"rowid": user_id, "content": full_name.casefold()})


PROJECTION = ReadModel(
    name="users",
    version=7,
    handles=dict.fromkeys(
        (
            MessageAdded,
            UserRegistered,
            UserChanged,
            UserFieldsChanged,
            UserIdentityChanged,
            UserJoinedCompany,
            UserLeftCompany,
            UserLinked,
            UserUnlinked,
            UserLinkedToUser,
            UserUnlinkedFromUser,
            UserWasBlocked,
            UserWasDisabled,
            UserWasRestored,
            UserWasDeleted,
            UserCasesDeleted,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, user_id: int) -> UserRow | None:
    users = views.users["users"]
    query = columns_of(users, UserRow).where(users.c.user_id == user_id)
    query = query.where(*channel_seen(users.c.channel_id, views.scope))
    rows = list(map(_row, connection.execute(query)))
    return _as_of_now(connection, views, rows)[0] if rows else None


def seen(connection: Connection, views: Views, user_ids: Iterable[int]) -> set[int]:
    """Which of these profiles the views' scope sees."""
    given = set(user_ids)
    if views.scope.sees_all_channels or not given:
        return given
    users = views.users["users"].c
    query = select(users.user_id).where(users.user_id.in_(given))
    return set(connection.scalars(query.where(*channel_seen(users.channel_id, views.scope))))


def of_ids(connection: Connection, views: Views, user_ids: Sequence[int]) -> list[UserRow]:
    """Without those that were deleted for good, or that the views' scope does not see."""
    users = views.users["users"]
    query = columns_of(users, UserRow).where(
        users.c.user_id.in_(user_ids), *channel_seen(users.c.channel_id, views.scope)
    )
    return _as_of_now(connection, views, list(map(_row, connection.execute(query))))


def meant(connection: Connection, views: Views, words: str, limit: int) -> list[UserRow]:
    """Whom somebody may mean by a part of a name, an e-mail or a phone, or by a whole external id; the newest first.

    Nobody by less than three characters, which no index finds, unless they are an external id.
    """
    users, names = views.users["users"], views.users["user_names"]
    wanted = words.strip().strip(MARK)
    ids: list[Select[Any] | CompoundSelect[Any]] = [
        select(users.c.user_id).where(users.c.identity == wanted)
    ]
    if len(wanted) >= SHORTEST:
        texts = containing(connection, names, wanted.casefold())
        ids.append(select(texts.rowid).where(texts.found))
        ids.append(having_contact(connection, views, "email", [wanted]).ids)
    digits = PHONE_PUNCTUATION.sub("", wanted)
    if len(digits) >= SHORTEST and digits.removeprefix("+").isdecimal():
        ids.append(having_contact(connection, views, "phone", [digits]).ids)
    query = columns_of(users, UserRow).where(
        among(users.c.user_id, union_all(*ids)),
        users.c.deleted.is_(False),
        *channel_seen(users.c.channel_id, views.scope),
    )
    rows = connection.execute(query.order_by(users.c.user_id.desc()).limit(limit))
    return _as_of_now(connection, views, list(map(_row, rows)))


class Known(NamedTuple):
    """What a list calls a user by."""

    user_id: int
    full_name: str
    identity: str

    @property
    def name(self) -> str:
        return self.full_name or self.identity


def known(connection: Connection, views: Views, user_ids: Iterable[int]) -> dict[int, Known]:
    """Without those that were deleted for good."""
    wanted = set(user_ids)
    if not wanted:
        return {}
    users = views.users["users"]
    query = columns_of(users, Known).where(users.c.user_id.in_(wanted))
    return {row.user_id: Known._make(row) for row in connection.execute(query)}


def listed(connection: Connection, views: Views, wanted: UserFilter, page: Page) -> Found[UserRow]:
    """The oldest first: whoever walks through the pages while users register misses none and sees none twice."""
    users = views.users["users"]
    if wanted.company_id:
        existing = tuple(companies.names_of(connection, views, wanted.company_id))
        if not existing:
            return Found([], 0)
        wanted = wanted._replace(company_id=existing)
    conditions = [
        *_conditions(connection, views, wanted),
        *_by_custom_fields(connection, views, wanted),
        *channel_seen(users.c.channel_id, views.scope),
    ]
    query = columns_of(users, UserRow).where(*conditions)
    total = counted(connection, query)
    if conditions and total <= FEW:
        those = select(users.c.user_id).where(*conditions).cte("those").prefix_with("MATERIALIZED")
        query = columns_of(users, UserRow).where(users.c.user_id.in_(select(those.c.user_id)))
    query = query.order_by(users.c.user_id).limit(page.limit).offset(page.offset)
    rows = [_row(row) for row in connection.execute(query)]
    return Found(_as_of_now(connection, views, rows), total)


def _row(columns: Iterable[Any]) -> UserRow:
    row = UserRow._make(columns)
    return row._replace(custom_fields=custom_fields.read(row.custom_fields))


def _as_of_now(connection: Connection, views: Views, rows: list[UserRow]) -> list[UserRow]:
    """Without what has been deleted elsewhere, for which the users have no events."""
    values = custom_fields.living(connection, views, [row.custom_fields for row in rows])
    return [row._replace(custom_fields=of_row) for row, of_row in zip(rows, values, strict=True)]


def _by_custom_fields(
    connection: Connection, views: Views, wanted: UserFilter
) -> list[ColumnElement[bool]]:
    """A field of cases finds no users."""
    if not wanted.custom_fields:
        return []
    found_by = custom_fields.searches(connection, views, wanted.custom_fields)
    if found_by is None or any(search.level == "case" for search in found_by):
        return [false()]
    user_id = views.users["users"].c.user_id
    return [user_id.in_(search.ids) for search in found_by]


def leaving_cases(connection: Connection, views: Views, limit: int) -> list[tuple[int, int]]:
    """Deleted users who may have cases yet, and the positions of their deletion."""
    leaving = views.users["leaving_cases"]
    query = select(leaving.c.user_id, leaving.c.position).order_by(leaving.c.user_id).limit(limit)
    return [(row.user_id, row.position) for row in connection.execute(query)]


def amounts_of_users(
    connection: Connection, views: Views, company_ids: Sequence[int]
) -> dict[int, int]:
    """How many users each of these companies has."""
    users = views.users["users"]
    query = (
        select(users.c.company_id, func.count())
        .where(users.c.company_id.in_(company_ids), *channel_seen(users.c.channel_id, views.scope))
        .group_by(users.c.company_id)
    )
    amounts = dict.fromkeys(company_ids, 0)
    amounts.update((company_id, amount) for company_id, amount in connection.execute(query))
    return amounts


def _conditions(
    connection: Connection, views: Views, wanted: UserFilter
) -> list[ColumnElement[bool]]:
    c = views.users["users"].c
    conditions = [
        *between(c.created_at, wanted.from_time, wanted.to_time),
        *between(c.updated_at, wanted.from_updated_time, wanted.to_updated_time),
        *between(c.last_contact_at, wanted.from_last_contact_time, wanted.to_last_contact_time),
    ]
    if wanted.user_email:
        those = having_contact(connection, views, "email", wanted.user_email)
        conditions.append(c.user_id.in_(those.ids))
    if wanted.user_phone:
        those = having_contact(connection, views, "phone", wanted.user_phone)
        conditions.append(c.user_id.in_(those.ids))
    if wanted.user_custom_id:
        conditions += [c.identity.in_(wanted.user_custom_id), c.type == "custom"]
    if wanted.channel_id:
        conditions.append(c.channel_id.in_(wanted.channel_id))
    if wanted.company_id:
        conditions.append(c.company_id.in_(wanted.company_id))
    if wanted.language_id:
        conditions.append(c.language_id.in_(wanted.language_id))
    return conditions
