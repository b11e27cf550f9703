"""/sign-in, /sign-out and /join: how a browser becomes somebody's."""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.errors import DomainError
from kanal.domain.staff import active_staff, note_password, note_recovery_code
from kanal.domain.work import Work
from kanal.http import second_factor, sessions
from kanal.http.body import KB, Limits, read_body
from kanal.http.context import CONTEXT, Context
from kanal.http.errors import ApiError
from kanal.http.ids import MAX_ID_DIGITS
from kanal.http.middleware import REMOTE, REQUEST_ID
from kanal.http.pages import passwords, rendering, throttle, wording
from kanal.http.pages.gate import (
    check_origin,
    cookie_name,
    give_cookie,
    open_values,
    signed_in,
    take_cookie,
)
from kanal.http.pages.throttle import Count
from kanal.http.pages.visit import Visit, now, redirect, root_of
from kanal.http.pages.workspace import WORKSPACE
from kanal.projections import staff
from kanal.projections.read_model import Views

HOME: Final = "/inbox"
STEP: Final = "-step"
"""Behind the name of the cookie, while a code is asked for."""
STEP_LIFETIME: Final = 600 * rendering.SECOND
"""To find the phone."""
KNOWN: Final = "-known"
"""Behind the name of the cookie of a browser in which somebody has signed in: what strangers guess is not counted there."""
KNOWN_LIFETIME: Final = 400 * 24 * 3600
"""Seconds; browsers keep no cookie for longer."""
KNOWN_OCTETS: Final = 16
FORM_KB: Final = 32
"""Two passwords of the longest kind, each octet escaped, and an address to go to."""


class WrongCode(Exception):
    """Neither of the authenticator nor for recovery."""


class VoidLink(Exception):
    """Somebody else was quicker, or it was taken back."""


async def form(request: web.Request) -> web.StreamResponse:
    path = request.query.get("next", "")
    if await signed_in(request):
        return redirect(_inside(request.app[CONTEXT], path))
    return _page(request, path=path)


async def sign_in(request: web.Request) -> web.StreamResponse:
    context, workspace = request.app[CONTEXT], request.app[WORKSPACE]
    check_origin(request)
    fields = await _form(request)
    given, password, path = (_text(fields, name) for name in ("email", "password", "next"))
    found = await context.read(sessions.account_of, throttle.account_of(given))
    counts: Sequence[Count] = throttle.of_account(given), throttle.of_address(request[REMOTE])
    if found and (browser := _known(request, found.staff_id, found.password_hash)):
        counts = (throttle.of_browser(found.staff_id, browser),)
    if wait := await _attempt(request, counts):
        headers = {"Retry-After": str(wait)}
        minutes = wait // 60 + 1
        return _page(
            request, 429, headers, path=path, email=given, problem="throttled", minutes=minutes
        )
    try:
        right = await workspace.passwords.are_right(found.password_hash if found else "", password)
    except ApiError:
        await _not_made(request, counts)
        raise
    if found is None or not right:
        return _page(request, 403, path=path, email=given, problem="wrong")
    path = _inside(context, path)
    if found.second_factor:
        # Half of the way is no success: whoever knows the password would guess codes for ever.
        await _not_made(request, counts)
        return _to_second_step(request, found.staff_id, found.password_hash, path)
    return await begin(request, found.staff_id, found.password_hash, path, counts)


async def _attempt(request: web.Request, counts: Sequence[Count]) -> int:
    limits = request.app[WORKSPACE].throttle
    return await request.app[CONTEXT].writer.run(
        lambda connection: limits.attempt(connection, counts, now())
    )


async def _not_made(request: web.Request, counts: Sequence[Count]) -> None:
    limits = request.app[WORKSPACE].throttle
    await request.app[CONTEXT].writer.run(lambda connection: limits.not_made(connection, counts))


async def begin(
    request: web.Request,
    staff_id: int,
    password_hash: str,
    path: str,
    counts: Sequence[Count] = (),
    *,
    with_code: bool = False,
) -> web.Response:
    """The browser becomes that staff member's. A token that it had before is none of theirs.

    Comparing takes its time: whoever has got another password, a second step, or was disabled meanwhile begins anew,
    since what ended their sessions was behind this one's beginning.

    `counts`: for what the attempt that has succeeded was counted, first of all as that staff member's.
    """
    token = sessions.new_token()
    entered = False
    row = partial(
        sessions.begin,
        session_id=sessions.id_of(token),
        staff_id=staff_id,
        now=now(),
        address=request[REMOTE],
        agent=request.headers.get("User-Agent", ""),
    )
    limits = request.app[WORKSPACE].throttle

    def command(work: Work) -> int:
        nonlocal entered
        entered = False  # also when it is run again
        return active_staff(work, staff_id).staff_id

    def enter(connection: Connection, _: int) -> None:
        nonlocal entered
        same = sessions.password_of(connection, staff_id) == password_hash
        entered = same and (with_code or not second_factor.is_on(connection, staff_id))
        if entered:
            row(connection)
            if counts:
                limits.succeeded(connection, *counts)

    with suppress(DomainError):
        await request.app[CONTEXT].writer.submit(
            command,
            who=f"staff:{staff_id}",
            origin="page",
            request=request[REQUEST_ID],
            beside=enter,
        )
    if not entered:
        return _to_first_step(request, path)
    answer = redirect(path)
    give_cookie(request, answer, token)
    make_known(request, answer, staff_id, password_hash)
    return answer


def make_known(
    request: web.Request, answer: web.StreamResponse, staff_id: int, password_hash: str
) -> None:
    """With the password that they have from now on."""
    browser = _known(request, staff_id, password_hash) or secrets.token_hex(KNOWN_OCTETS)
    proof = _proof(request.app[CONTEXT], "known", staff_id, browser, password_hash)
    give_cookie(request, answer, f"{staff_id}.{browser}.{proof}", KNOWN, KNOWN_LIFETIME)


def _known(request: web.Request, staff_id: int, password_hash: str) -> str:
    """Which browser it is, "" if that staff member has not signed in there with this password."""
    cookie = request.cookies.get(cookie_name(request, KNOWN), "")
    whose, _, rest = cookie.partition(".")
    browser, _, proof = rest.partition(".")
    right = _proof(request.app[CONTEXT], "known", staff_id, browser, password_hash)
    same = compare_digest(right.encode(), sessions.octets(proof))
    return browser if same and whose == str(staff_id) else ""


class Pending(NamedTuple):
    """Whose password was right a moment ago."""

    staff_id: int
    password_hash: str


async def code_form(request: web.Request) -> web.StreamResponse:
    path = request.query.get("next", "")
    if await _pending(request) is None:
        return _to_first_step(request, path)
    return _code_page(request, path=path)


async def second_step(request: web.Request) -> web.StreamResponse:
    """With a code of the authenticator, or one of those for whoever has lost it."""
    context = request.app[CONTEXT]
    check_origin(request)
    fields = await _form(request)
    path = _text(fields, "next")
    pending = await _pending(request)
    if pending is None:
        return _to_first_step(request, path)
    staff_id, password_hash = pending
    browser = _known(request, staff_id, password_hash)
    counts: Sequence[Count] = (throttle.of_codes(staff_id, browser),)
    if not browser:
        counts = *counts, throttle.of_address(request[REMOTE])
    if wait := await _attempt(request, counts):
        if wait == throttle.EVER:
            return _code_page(request, 403, path=path, problem="locked")
        headers = {"Retry-After": str(wait)}
        minutes = wait // 60 + 1
        return _code_page(request, 429, headers, path, problem="throttled", minutes=minutes)
    if not await _is_theirs(request, staff_id, _text(fields, "code")):
        return _code_page(request, 403, path=path, problem="wrong")
    path = _inside(context, path)
    answer = await begin(request, staff_id, password_hash, path, counts, with_code=True)
    take_cookie(request, answer, STEP)
    return answer


async def _is_theirs(request: web.Request, staff_id: int, code: str) -> bool:
    """Whether it is a code of theirs, which is used up by that."""
    context = request.app[CONTEXT]
    use = partial(second_factor.use, staff_id=staff_id, code=code, seconds=time.time())
    if await context.writer.run(use):
        return True

    def take(connection: Connection, _: None) -> None:
        if not second_factor.use_recovery_code(connection, staff_id, code):
            raise WrongCode

    try:
        await context.writer.submit(
            partial(note_recovery_code, staff_id=staff_id),
            who=f"staff:{staff_id}",
            origin="page",
            request=request[REQUEST_ID],
            beside=take,
        )
    except (WrongCode, DomainError):
        return False
    return True


def _to_second_step(
    request: web.Request, staff_id: int, password_hash: str, path: str
) -> web.Response:
    """Kept by the browser, so that any process can go on: who it is, until when, and that we said so."""
    context, until = request.app[CONTEXT], now() + STEP_LIFETIME
    root = root_of(context)
    answer = redirect(f"{root}/sign-in/code?{urlencode({'next': path})}")
    proof = _proof(context, "step", staff_id, str(until), password_hash)
    token = f"{staff_id}.{until}.{proof}"
    give_cookie(request, answer, token, STEP, STEP_LIFETIME // rendering.SECOND)
    return answer


async def _pending(request: web.Request) -> Pending | None:
    context = request.app[CONTEXT]
    staff_id, _, rest = request.cookies.get(cookie_name(request, STEP), "").partition(".")
    until, _, proof = rest.partition(".")
    if not (_is_number(staff_id) and _is_number(until) and now() < int(until)):
        return None

    def query(connection: Connection, views: Views) -> Pending | None:
        row = staff.find(connection, views, int(staff_id))
        password_hash = sessions.password_of(connection, int(staff_id))
        right = _proof(context, "step", int(staff_id), until, password_hash)
        if not compare_digest(right.encode(), sessions.octets(proof)):
            return None
        if row is None or not row.active or not second_factor.is_on(connection, row.staff_id):
            return None
        return Pending(row.staff_id, password_hash)

    return await context.read(query)


def _proof(context: Context, of: str, staff_id: int, what: str, password_hash: str) -> str:
    """That we said so; void with another password."""
    text = f"{of}/{staff_id}/{what}/{password_hash}"
    return context.stream_ids.keyed_hash(sessions.octets(text)).hex()


def _to_first_step(request: web.Request, path: str) -> web.Response:
    asked = f"?{urlencode({'next': path})}" if path else ""
    return redirect(f"{root_of(request.app[CONTEXT])}/sign-in{asked}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS


async def sign_out(visit: Visit) -> web.StreamResponse:
    who = visit.who
    await visit.keep(partial(sessions.end, session_id=who.session_id, staff_id=who.staff_id))
    answer = visit.see("/sign-in", done="signed_out")
    take_cookie(visit.request, answer)
    return answer


async def joining(request: web.Request) -> web.StreamResponse:
    if not await _invited(request):
        raise _void()
    return _joining_page(request)


async def join(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    check_origin(request)
    staff_id = await _invited(request)
    if not staff_id:
        raise _void()
    fields = await _form(request)
    password = _text(fields, "password")
    try:
        passwords.check_new(password, _text(fields, "again"))
    except ApiError as error:
        return _joining_page(request, 400, problem=error.code)
    hashed = await request.app[WORKSPACE].passwords.hashed(password)

    def accept(connection: Connection, _: int) -> None:
        link = sessions.id_of(request.match_info["token"])
        if not sessions.accept(connection, link, staff_id, hashed):
            raise VoidLink

    try:
        await context.writer.submit(
            partial(note_password, staff_id=staff_id, by_link=True),
            who=f"staff:{staff_id}",
            origin="page",
            request=request[REQUEST_ID],
            beside=accept,
        )
    except (VoidLink, DomainError):
        raise _void() from None
    home = root_of(context) + HOME
    if await context.read(lambda connection, _: second_factor.is_on(connection, staff_id)):
        # Whoever has the link has not the authenticator.
        return _to_second_step(request, staff_id, hashed, home)
    return await begin(request, staff_id, hashed, home)


async def _form(request: web.Request) -> dict[str, Any]:
    """Of whoever may be anybody: nothing of it comes to the disk. Raises ApiError."""
    limits = Limits(request.app[CONTEXT].uploads, plain=FORM_KB * KB, multipart=0)
    return (await read_body(request, limits)).fields


async def _invited(request: web.Request) -> int:
    token = request.match_info["token"]
    return await request.app[CONTEXT].read(sessions.invited, sessions.id_of(token), now())


def _void() -> ApiError:
    return ApiError(
        404, "invitation_void", "This link was used, has expired, or was replaced by a newer one."
    )


def _page(
    request: web.Request,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    path: str = "",
    email: str = "",
    problem: str = "",
    minutes: int = 0,
) -> web.Response:
    return _rendered(
        request,
        "sign_in.html",
        status,
        headers,
        email=email,
        problem=problem,
        minutes=minutes,
        next=path,
    )


def _code_page(
    request: web.Request,
    status: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
    path: str = "",
    *,
    problem: str = "",
    minutes: int = 0,
) -> web.Response:
    return _rendered(
        request,
        "sign_in_code.html",
        status,
        headers,
        problem=problem,
        minutes=minutes,
        next=path,
    )


def _rendered(
    request: web.Request, template: str, status: int, headers: Mapping[str, str], **more: Any
) -> web.Response:
    values = {**open_values(request, request.app[CONTEXT]), **more}
    return rendering.page(
        template, values, language=_language(request), status=status, headers=headers
    )


def _joining_page(request: web.Request, status: int = 200, problem: str = "") -> web.Response:
    values = {
        **open_values(request, request.app[CONTEXT]),
        "problem": problem,
        "shortest": passwords.SHORTEST,
        "longest": passwords.LONGEST,
    }
    return rendering.page("join.html", values, language=_language(request), status=status)


def _language(request: web.Request) -> str:
    return wording.chosen("", request.headers.get("Accept-Language", ""))


def _inside(context: Context, path: str) -> str:
    """Only to a page of ours: `//elsewhere` and `/\\elsewhere` are other hosts."""
    root = root_of(context)
    plain = path.isprintable() and path.isascii() and "\\" not in path
    if plain and path.startswith(f"{root}/") and not path.startswith("//"):
        return path
    return root + HOME


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""
