"""/account: what is one's own: language, look, password, and the browsers that are signed in."""

import secrets
from functools import partial
from typing import Any, Literal, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.staff import note_password
from kanal.http import second_factor, sessions
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Flag, Text
from kanal.http.pages import passwords, sidebar, sign_in, throttle, wording
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit, now
from kanal.http.pages.workspace import WORKSPACE
from kanal.http.sessions import SessionRow
from kanal.projections import staff_keys
from kanal.projections.read_model import Views
from kanal.projections.staff_keys import KeyRow


class Preferences(Fields):
    language: Text = ""
    theme: Literal["light", "dark"] | None = None


class Alerts(Fields):
    """Each is off unless it is ticked."""

    sound: Flag = False
    title: Flag = False
    notice: Flag = False


class NewPassword(Fields):
    current: Text = ""
    password: Text = ""
    again: Text = ""


class EndedSession(Fields):
    session: Text = ""


class Shown(NamedTuple):
    sidebar: Sidebar
    sessions: list[SessionRow]
    keys: list[tuple[KeyRow, int]]
    second_factor: bool
    recovery_codes: int
    codes_in_vain: int


async def show(visit: Visit) -> web.StreamResponse:
    return await page(visit)


async def page(visit: Visit, status: int = 200, **values: Any) -> web.StreamResponse:
    """`values`: what came of one of its forms."""

    def query(connection: Connection, views: Views) -> Shown:
        staff_id = visit.who.staff_id
        return Shown(
            sidebar.read(connection, views, staff_id),
            sessions.of_staff(connection, staff_id, now()),
            staff_keys.of_staff(connection, views, staff_id),
            second_factor.is_on(connection, staff_id),
            second_factor.recovery_codes_left(connection, staff_id),
            throttle.codes_in_vain(connection, staff_id),
        )

    shown = await visit.read(query)
    nothing = {"made_key": None, "key_form": None, "key_problem": ""}
    nothing |= {"second_problem": "", "codes_problem": ""}
    return visit.page(
        "account.html",
        status=status,
        sidebar=shown.sidebar,
        sessions=shown.sessions,
        keys=shown.keys,
        second_factor=shown.second_factor,
        recovery_codes=shown.recovery_codes,
        codes_in_vain=shown.codes_in_vain,
        now=now(),
        once=secrets.token_hex(16),
        shortest=passwords.SHORTEST,
        position=None,
        **(nothing | values),
    )


async def change(visit: Visit) -> web.StreamResponse:
    given = await visit.given(Preferences)
    language = given.language if given.language in wording.LANGUAGES else ""
    await visit.keep(
        partial(
            sessions.prefer,
            staff_id=visit.who.staff_id,
            language=language,
            theme=given.theme or "",
        )
    )
    return visit.see("/account", done="saved")


async def change_alerts(visit: Visit) -> web.StreamResponse:
    given = await visit.given(Alerts)
    wanted = " ".join(name for name in sessions.ALERTS if getattr(given, name))
    await visit.keep(partial(sessions.prefer, staff_id=visit.who.staff_id, alerts=wanted))
    return visit.see("/account", done="saved")


async def prove(visit: Visit, password: str) -> None:
    """That it is the person's own hand, not only their browser. Raises ApiError."""
    who, workspace = visit.who, visit.request.app[WORKSPACE]
    limits = workspace.throttle
    counts = (throttle.of_session(who.session_id),)
    if await visit.keep(lambda connection: limits.attempt(connection, counts, now())):
        raise ApiError(429, "throttled", "Too many attempts. Try again in some minutes.")

    def query(connection: Connection, _: Views) -> str:
        return sessions.password_of(connection, who.staff_id)

    kept = await visit.read(query)
    try:
        right = await workspace.passwords.are_right(kept, password)
    except ApiError:
        await visit.keep(lambda connection: limits.not_made(connection, counts))
        raise
    if not right:
        raise ApiError(403, "wrong_password", "That is not your password.")
    await visit.keep(lambda connection: limits.succeeded(connection, *counts))


async def change_password(visit: Visit) -> web.StreamResponse:
    """All other browsers are signed out."""
    given, who = await visit.given(NewPassword), visit.who
    passwords.check_new(given.password, given.again)
    await prove(visit, given.current)
    hashed = await visit.request.app[WORKSPACE].passwords.hashed(given.password)

    def keep(connection: Connection, _: int) -> None:
        sessions.keep_password(connection, who.staff_id, hashed)
        sessions.end_others(connection, who.staff_id, who.session_id)

    await visit.submit(partial(note_password, staff_id=who.staff_id), beside=keep)
    answer = visit.see("/account", done="saved")
    sign_in.make_known(visit.request, answer, who.staff_id, hashed)
    return answer


async def end_session(visit: Visit) -> web.StreamResponse:
    given, who = await visit.given(EndedSession), visit.who
    if given.session:
        end = partial(sessions.end, session_id=given.session, staff_id=who.staff_id)
    else:
        end = partial(sessions.end_others, staff_id=who.staff_id, session_id=who.session_id)
    await visit.keep(end)
    return visit.see("/account", done="ended")
