"""/staff: colleagues, and the links under which they choose their passwords."""

from functools import partial
from typing import Annotated, Literal, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.domain import staff as domain
from kanal.domain.errors import StaffNotFound
from kanal.http import second_factor, sessions
from kanal.http.api.staff import NewStaff, add_staff, submit_for_colleague
from kanal.http.fields import Fields
from kanal.http.ids import id_in
from kanal.http.middleware import JOIN
from kanal.http.pages import sidebar
from kanal.http.pages.form_values import word
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit, now
from kanal.projections import roles, staff
from kanal.projections.read_model import Views


class StateChange(Fields):
    action: Annotated[Literal["", "enable", "disable"], BeforeValidator(word)] = ""


class Link(NamedTuple):
    """Shown once, to be handed to whom it is for."""

    name: str
    url: str
    api_key: str


async def show_all(visit: Visit) -> web.StreamResponse:
    return await _page(visit)


async def create(visit: Visit) -> web.StreamResponse:
    given = await visit.given(NewStaff)
    added = await add_staff(visit, given)
    token = sessions.new_token()
    await visit.keep(partial(_keep, token=token, staff_id=added.staff_id))
    name = given.staff_full_name or given.staff_email.given
    return await _page(visit, Link(name, _address(visit, token), added.api_key))


async def invite(visit: Visit) -> web.StreamResponse:
    """Their password of now stays until they choose another."""
    staff_id = _staff_id(visit)
    found = await visit.read(staff.find, staff_id)
    if found is None:
        raise StaffNotFound(staff_id)
    token = sessions.new_token()

    def keep(connection: Connection, _: int) -> None:
        _keep(connection, token, staff_id)

    # Whoever has the link can be that colleague.
    await submit_for_colleague(visit, staff_id, domain.invite_staff, keep)
    return await _page(visit, Link(found.full_name or found.email, _address(visit, token), ""))


async def change_state(visit: Visit) -> web.StreamResponse:
    """Whoever is disabled is signed out everywhere."""
    staff_id = _staff_id(visit)
    given = await visit.given(StateChange)

    def end(connection: Connection, _: int) -> None:
        sessions.end_all(connection, staff_id)

    if given.action == "disable":
        await submit_for_colleague(visit, staff_id, domain.disable_staff, end)
    elif given.action == "enable":
        await submit_for_colleague(visit, staff_id, domain.enable_staff)
    return visit.see("/staff", done="saved")


def _keep(connection: Connection, token: str, staff_id: int) -> None:
    sessions.invite(connection, sessions.id_of(token), staff_id, now())


def _address(visit: Visit, token: str) -> str:
    return f"{visit.context.links.public_url}{JOIN}{token}"


async def _page(visit: Visit, link: Link | None = None) -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> tuple[Sidebar, dict[int, str], set[int]]:
        beside = sidebar.read(connection, views, visit.who.staff_id)
        return beside, roles.titles(connection, views), second_factor.having(connection)

    beside, titles, with_second_factor = await visit.read(query)
    return visit.page(
        "staff.html",
        sidebar=beside,
        roles=titles,
        link=link,
        with_second_factor=with_second_factor,
        position=None,
    )


def _staff_id(visit: Visit) -> int:
    return id_in(visit.path("staff"), StaffNotFound)
