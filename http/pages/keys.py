"""/keys: the API keys of all staff; and on /account, by the same forms, one's own."""

import secrets
from typing import Annotated, Any, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.domain.errors import KeyNotFound, NoRight
from kanal.domain.roles import Right
from kanal.http.api import api_keys as calls
from kanal.http.api.api_keys import NewLimitedKey
from kanal.http.api.staff import revoke_one
from kanal.http.errors import ApiError
from kanal.http.fields import MAX_LINE, Fields, Flag, Id, Many, Text
from kanal.http.ids import id_in
from kanal.http.pages import account, sidebar
from kanal.http.pages.form_values import word
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit, now
from kanal.projections import staff_keys
from kanal.projections.read_model import Views
from kanal.projections.staff_keys import KeyRow


class KeyForm(Fields):
    """A box that is not ticked is not sent."""

    staff_id: Id = 0
    """0: one's own."""
    name: Text = ""
    read_only: Flag = False
    channels: Annotated[tuple[Text, ...], Many] = ()
    expires: Annotated[str, BeforeValidator(word)] = ""
    """The last day; "" never."""


class MadeKey(NamedTuple):
    """Shown this once."""

    name: str
    key: str
    """"" if the same form has made it before."""


async def show(visit: Visit) -> web.StreamResponse:
    return await _page(visit)


async def create(visit: Visit) -> web.StreamResponse:
    """With what was typed, if it cannot be made."""
    given = await visit.given(KeyForm)
    own = given.staff_id in (0, visit.who.staff_id)
    staff_id = given.staff_id or visit.who.staff_id
    if not own and not visit.may(Right.MANAGE_STAFF):
        raise NoRight(Right.MANAGE_STAFF.value)  # whose keys the answer would show
    problem = ""
    if not 0 < len(given.name.strip()) <= MAX_LINE:
        problem = "name"
    else:
        fields: dict[str, Any] = {
            "name": given.name.strip(),
            "read_only": given.read_only,
            "channels": list(given.channels),
        }
        if given.expires:
            fields["expires_at"] = f"{given.expires} 23:59:59"
        try:
            asked = NewLimitedKey.read(fields, visit.context)
            made = await calls.make(visit, staff_id, asked)
        except ApiError as error:
            if error.status != 400:
                raise
            problem = "expires" if "expires_at" in (error.fields or {}) else "channels"
    render = account.page if own else _page
    if problem:
        return await render(visit, status=400, key_form=given, key_problem=problem)
    return await render(visit, made_key=MadeKey(given.name.strip(), made.key))


async def revoke(visit: Visit) -> web.StreamResponse:
    """One's own, or a colleague's; the command asks whether one may."""
    key_id = id_in(visit.path("key"), KeyNotFound)

    def query(connection: Connection, views: Views) -> int:
        return next(
            (
                row.staff_id
                for row, _ in staff_keys.of_staff(connection, views)
                if row.key_id == key_id
            ),
            0,
        )

    staff_id = await visit.read(query)
    if not staff_id:
        raise KeyNotFound(key_id)
    await revoke_one(visit, staff_id, key_id)
    return visit.back("/account", done="saved")


async def _page(visit: Visit, status: int = 200, **values: Any) -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> tuple[Sidebar, list[tuple[KeyRow, int]]]:
        beside = sidebar.read(connection, views, visit.who.staff_id)
        return beside, staff_keys.of_staff(connection, views)

    beside, keys = await visit.read(query)
    nothing = {"made_key": None, "key_form": None, "key_problem": ""}
    return visit.page(
        "keys.html",
        status=status,
        sidebar=beside,
        keys=keys,
        now=now(),
        once=secrets.token_hex(16),
        position=None,
        **(nothing | values),
    )
