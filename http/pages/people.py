"""/people: what staff know and decide of a person: their profile, who else they are, whether they are blocked."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.companies import put_into_company
from kanal.domain.errors import UserNotFound
from kanal.domain.identities import change_profile
from kanal.domain.users import block_user, restore_user
from kanal.domain.work import Work
from kanal.http.api.custom_fields import given_values
from kanal.http.api.users import UserChanges, details, link_profiles, unlink_profiles
from kanal.http.fields import Fields, Id, Text
from kanal.http.ids import id_in
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections import links, users
from kanal.projections.read_model import Views
from kanal.projections.users import UserRow

FOUND: Final = 20
"""Whoever is not among so many is looked for with more words."""
EMPTIED: Final = ("user_full_name", "company_name", "company_position", "user_note")
"""Of a profile, what may be taken away."""

Contacts = Mapping[int, Mapping[Any, str]]
"""Of each profile, by their kinds."""


class PersonQuery(Fields):
    q: Text = ""
    case: Id = 0
    """Where one came from."""


class OtherProfile(Fields):
    other: Id = 0
    case: Id = 0


class Matches(NamedTuple):
    """Profiles that were looked for."""

    rows: list[UserRow]
    contacts: Contacts


class Shown(NamedTuple):
    user: UserRow
    person: list[int]
    """All profiles that are linked already."""
    matches: Matches
    sidebar: Sidebar


def look_for(connection: Connection, views: Views, words: str) -> Matches:
    """Nobody, unless something is said of them."""
    rows = users.meant(connection, views, words, FOUND) if words.strip() else []
    return Matches(rows, links.contacts_of(connection, views, [row.user_id for row in rows]))


async def change(visit: Visit) -> web.StreamResponse:
    user_id = _user_id(visit)
    given = await visit.changed(UserChanges, emptied=EMPTIED)
    changes = details(given)
    company = changes.pop("company_name", None)
    values = given_values(given.custom_fields, given.delete_custom_fields, visit.context.dates)

    def command(work: Work) -> int:
        change_profile(work, user_id=user_id, details=changes, given_values=values)
        if company is not None:
            put_into_company(work, user_id=user_id, name=company)
        return user_id

    await visit.submit(command)
    return visit.back("/inbox", done="saved")


async def find_other(visit: Visit) -> web.StreamResponse:
    """Who else this person is."""
    asked, user_id = visit.asked(PersonQuery), _user_id(visit)

    def query(connection: Connection, views: Views) -> Shown:
        user = users.find(connection, views, user_id)
        if user is None:
            raise UserNotFound(user_id)
        person = links.linked_users(connection, views, [user_id])[user_id]
        return Shown(
            user,
            person or [user_id],
            look_for(connection, views, asked.q),
            sidebar.read(connection, views, visit.who.staff_id),
        )

    shown = await visit.read(query)
    return visit.page("link.html", shown=shown, asked=asked, sidebar=shown.sidebar, position=None)


async def link(visit: Visit) -> web.StreamResponse:
    given = await visit.given(OtherProfile)
    await visit.submit(partial(link_profiles, user_id=_user_id(visit), other_id=given.other))
    return _to_case(visit, given)


async def unlink(visit: Visit) -> web.StreamResponse:
    given = await visit.given(OtherProfile)
    await visit.submit(partial(unlink_profiles, user_id=_user_id(visit), other_id=given.other))
    return _to_case(visit, given)


async def block(visit: Visit) -> web.StreamResponse:
    """Later cases of theirs are spam."""
    await visit.submit(partial(block_user, user_id=_user_id(visit)))
    return visit.back("/inbox", done="saved")


async def restore(visit: Visit) -> web.StreamResponse:
    await visit.submit(partial(restore_user, user_id=_user_id(visit)))
    return visit.back("/inbox", done="saved")


def _to_case(visit: Visit, given: OtherProfile) -> web.StreamResponse:
    return visit.see(f"/cases/{given.case}" if given.case else "/inbox", done="saved")


def _user_id(visit: Visit) -> int:
    return id_in(visit.path("user"), UserNotFound)
