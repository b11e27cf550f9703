"""/account/second-factor: an authenticator as the second step of signing in, set up and taken away by its owner."""

import time
from functools import partial
from typing import Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain import staff as domain
from kanal.domain.errors import StaffNotFound
from kanal.http import second_factor, sessions
from kanal.http.api.staff import submit_for_colleague
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Text
from kanal.http.ids import id_in
from kanal.http.pages import account, sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.second_factor import SecondFactor
from kanal.projections.read_model import Views

BORDER: Final = 4
"""Modules around the picture that stay light (ISO 18004)."""


class Confirmation(Fields):
    code: Text = ""
    current: Text = ""
    """The password."""


class Picture(NamedTuple):
    """A QR code: the side of the square in modules, and the dark ones as lines of a path."""

    side: int
    path: str


async def show(visit: Visit) -> web.StreamResponse:
    return await _page(visit)


async def begin(visit: Visit) -> web.StreamResponse:
    """A new secret in place of one that was never confirmed."""
    keep = partial(
        second_factor.begin, staff_id=visit.who.staff_id, secret=second_factor.new_secret()
    )
    await visit.keep(keep)
    return visit.see("/account/second-factor")


async def confirm(visit: Visit) -> web.StreamResponse:
    """From the next time on it is asked for, and all other browsers are signed out; recovery codes are shown this once."""
    given, staff_id = await visit.given(Confirmation), visit.who.staff_id
    found = await visit.read(_found, staff_id)
    if found is None or found.confirmed:
        return visit.see("/account")
    step = second_factor.step_of(found.secret, given.code, time.time())
    if step is None:
        return await _page(visit, 400, problem="wrong_code")
    try:
        await account.prove(visit, given.current)
    except ApiError as error:
        return await _page(visit, error.status, problem=error.code)
    codes = second_factor.new_recovery_codes()

    def keep(connection: Connection, _: int) -> None:
        second_factor.confirm(connection, staff_id, step, codes)
        sessions.end_others(connection, staff_id, visit.who.session_id)

    command = partial(domain.turn_on_second_factor, staff_id=staff_id)
    await visit.submit(command, beside=keep)
    return await _page(visit, codes=codes)


async def renew_codes(visit: Visit) -> web.StreamResponse:
    """Those of before are good for nothing; the new ones are shown this once."""
    given, staff_id = await visit.given(Confirmation), visit.who.staff_id
    if not await visit.read(_is_on, staff_id):
        return visit.see("/account")
    try:
        await account.prove(visit, given.current)
    except ApiError as error:
        return await account.page(visit, status=error.status, codes_problem=error.code)
    codes = second_factor.new_recovery_codes()

    def keep(connection: Connection, _: int) -> None:
        second_factor.keep_recovery_codes(connection, staff_id, codes)

    await visit.submit(partial(domain.renew_recovery_codes, staff_id=staff_id), beside=keep)
    return await _page(visit, codes=codes, renewed=True)


async def turn_off(visit: Visit) -> web.StreamResponse:
    given, staff_id = await visit.given(Confirmation), visit.who.staff_id
    try:
        await account.prove(visit, given.current)
    except ApiError as error:
        return await account.page(visit, status=error.status, second_problem=error.code)
    command = partial(domain.turn_off_second_factor, staff_id=staff_id)
    await visit.submit(command, beside=_forget)
    return visit.see("/account", done="saved")


async def turn_off_of_colleague(visit: Visit) -> web.StreamResponse:
    """For who has lost the authenticator and the codes."""
    staff_id = id_in(visit.path("staff"), StaffNotFound)
    await submit_for_colleague(visit, staff_id, domain.turn_off_second_factor, _forget)
    return visit.see("/staff", done="saved")


def _forget(connection: Connection, staff_id: int) -> None:
    second_factor.forget(connection, staff_id)


def _found(connection: Connection, _: Views, staff_id: int) -> SecondFactor | None:
    return second_factor.find(connection, staff_id)


def _is_on(connection: Connection, _: Views, staff_id: int) -> bool:
    return second_factor.is_on(connection, staff_id)


async def _page(
    visit: Visit,
    status: int = 200,
    problem: str = "",
    codes: list[str] | None = None,
    *,
    renewed: bool = False,
) -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> tuple[Sidebar, SecondFactor | None]:
        staff_id = visit.who.staff_id
        return sidebar.read(connection, views, staff_id), second_factor.find(connection, staff_id)

    beside, found = await visit.read(query)
    if codes is None and (found is None or found.confirmed):
        return visit.see("/account")
    secret = found.secret if found else ""
    return visit.page(
        "second_factor.html",
        status=status,
        sidebar=beside,
        problem=problem,
        codes=codes,
        renewed=renewed,
        secret=second_factor.in_groups(secret),
        picture=None if codes else picture(second_factor.address_of(secret, visit.who.email)),
        position=None,
    )


def picture(text: str) -> Picture:
    # Read when somebody sets up an authenticator, which hardly any process ever sees.
    import segno

    matrix = segno.make(text, micro=False, error="m").matrix
    lines = [
        f"M{x + BORDER} {y + BORDER}.5h1"
        for y, row in enumerate(matrix)
        for x, dark in enumerate(row)
        if dark
    ]
    return Picture(len(matrix) + 2 * BORDER, "".join(lines))
