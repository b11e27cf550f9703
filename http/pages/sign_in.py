"""/sign-in, /sign-out and /join: how a browser becomes somebody's."""

import time
from collections.abc import Mapping
from functools import partial
from hmac import compare_digest
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.errors import DomainError
from kanal.domain.staff import note_recovery_code
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
    refused_openly,
    signed_in,
    take_cookie,
)
from kanal.http.pages.visit import Visit, now, redirect, root_of
from kanal.http.pages.workspace import WORKSPACE
from kanal.projections import staff
from kanal.projections.read_model import Views

HOME: Final = "/inbox"
STEP: Final = "-step"
"""Behind the name of the cookie, while a code is asked for."""
STEP_LIFETIME: Final = 600 * rendering.SECOND
"""To find the phone."""
FORM_KB: Final = 32
"""Two passwords of the longest kind, each octet escaped, and an address to go to."""


class WrongCode(Exception):
    """Neither of the authenticator nor for recovery."""


async def form(request: web.Request) -> web.StreamResponse:
    if await signed_in(request):
        return redirect(root_of(request.app[CONTEXT]) + HOME)
    return _page(request)


async def sign_in(request: web.Request) -> web.StreamResponse:
    context, workspace = request.app[CONTEXT], request.app[WORKSPACE]
    try:
        check_origin(request)
        fields = await _form(request)
    except ApiError as error:
        return refused_openly(request, context, error)
    given, password = _text(fields, "email"), _text(fields, "password")
    address, account = request[REMOTE], throttle.account_of(given)
    if wait := workspace.throttle.attempt(address, account):
        headers = {"Retry-After": str(wait)}
        return _page(
            request, 429, headers, email=given, problem="throttled", minutes=wait // 60 + 1
        )
    found = await context.read(sessions.account_of, account)
    try:
        right = await workspace.passwords.are_right(found.password_hash if found else "", password)
    except ApiError as error:
        workspace.throttle.not_made(address, account)
        return refused_openly(request, context, error)
    if found is None or not right:
        return _page(request, 403, email=given, problem="wrong")
    path = _inside(context, _text(fields, "next"))
    if found.second_factor:
        # Half of the way is no success: whoever knows the password would guess codes for ever.
        workspace.throttle.not_made(address, account)
        return _to_second_step(request, found.staff_id, found.password_hash, path)
    workspace.throttle.succeeded(address, account)
    return await begin(request, found.staff_id, path)


async def begin(request: web.Request, staff_id: int, path: str) -> web.Response:
    """The browser becomes that staff member's. A token that it had before is none of theirs."""
    token = sessions.new_token()
    row = partial(
        sessions.begin,
        session_id=sessions.id_of(token),
        staff_id=staff_id,
        now=now(),
        address=request[REMOTE],
        agent=request.headers.get("User-Agent", ""),
    )
    await request.app[CONTEXT].writer.run(row)
    answer = redirect(path)
    give_cookie(request, answer, token)
    return answer


class Pending(NamedTuple):
    """Whose password was right a moment ago."""

    staff_id: int
    email: str


async def code_form(request: web.Request) -> web.StreamResponse:
    if await _pending(request) is None:
        return redirect(f"{root_of(request.app[CONTEXT])}/sign-in")
    return _code_page(request, path=request.query.get("next", ""))


async def second_step(request: web.Request) -> web.StreamResponse:
    """With a code of the authenticator, or one of those for whoever has lost it."""
    context, workspace = request.app[CONTEXT], request.app[WORKSPACE]
    try:
        check_origin(request)
        fields = await _form(request)
    except ApiError as error:
        return refused_openly(request, context, error)
    pending = await _pending(request)
    if pending is None:
        return redirect(f"{root_of(context)}/sign-in")
    path = _text(fields, "next")
    address, account = request[REMOTE], throttle.account_of(pending.email)
    if wait := workspace.throttle.attempt(address, account):
        headers = {"Retry-After": str(wait)}
        minutes = wait // 60 + 1
        return _code_page(request, 429, headers, path, problem="throttled", minutes=minutes)
    if not await _is_theirs(request, pending.staff_id, _text(fields, "code")):
        return _code_page(request, 403, path=path, problem="wrong")
    workspace.throttle.succeeded(address, account)
    answer = await begin(request, pending.staff_id, _inside(context, path))
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
    token = f"{staff_id}.{until}.{_proof(context, staff_id, until, password_hash)}"
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
        right = _proof(context, int(staff_id), int(until), password_hash)
        if not compare_digest(right.encode(), sessions.octets(proof)):
            return None
        if row is None or not row.active or not second_factor.is_on(connection, row.staff_id):
            return None
        return Pending(row.staff_id, row.email)

    return await context.read(query)


def _proof(context: Context, staff_id: int, until: int, password_hash: str) -> str:
    """Void with another password."""
    return context.stream_ids.keyed_hash(f"step/{staff_id}/{until}/{password_hash}").hex()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS


async def sign_out(visit: Visit) -> web.StreamResponse:
    who = visit.who
    await visit.keep(partial(sessions.end, session_id=who.session_id, staff_id=who.staff_id))
    answer = visit.see("/sign-in", done="signed_out")
    take_cookie(visit.request, answer)
    return answer


async def joining(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    if not await _invited(request):
        return refused_openly(request, context, _void())
    return _joining_page(request)


async def join(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    try:
        check_origin(request)
        staff_id = await _invited(request)
        if not staff_id:
            raise _void()
        fields = await _form(request)
        password = _text(fields, "password")
        passwords.check_new(password, _text(fields, "again"))
        hashed = await request.app[WORKSPACE].passwords.hashed(password)
    except ApiError as error:
        if error.status == 400:
            return _joining_page(request, 400, problem=error.code)
        return refused_openly(request, context, error)

    def keep(connection: Connection) -> None:
        sessions.keep_password(connection, staff_id, hashed)
        sessions.end_others(connection, staff_id)

    await context.writer.run(keep)
    home = root_of(context) + HOME
    if await context.read(lambda connection, _: second_factor.is_on(connection, staff_id)):
        # Whoever has the link has not the authenticator.
        return _to_second_step(request, staff_id, hashed, home)
    return await begin(request, staff_id, home)


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
        next=request.query.get("next", ""),
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
