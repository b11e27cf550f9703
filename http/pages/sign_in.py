"""/sign-in, /sign-out and /join: how a browser becomes somebody's."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from sqlalchemy import Connection

from kanal.http import sessions
from kanal.http.body import KB, Limits, read_body
from kanal.http.context import CONTEXT, Context
from kanal.http.errors import ApiError
from kanal.http.middleware import REMOTE
from kanal.http.pages import passwords, rendering, throttle, wording
from kanal.http.pages.gate import (
    check_origin,
    give_cookie,
    open_values,
    refused_openly,
    signed_in,
    take_cookie,
)
from kanal.http.pages.visit import Visit, now, redirect, root_of
from kanal.http.pages.workspace import WORKSPACE

HOME: Final = "/inbox"
FORM_KB: Final = 32
"""Two passwords of the longest kind, each octet escaped, and an address to go to."""


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
    workspace.throttle.succeeded(address, account)
    return await begin(request, found.staff_id, _inside(context, _text(fields, "next")))


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
    return await begin(request, staff_id, root_of(context) + HOME)


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
    values: dict[str, Any] = {
        **open_values(request, request.app[CONTEXT]),
        "email": email,
        "problem": problem,
        "minutes": minutes,
        "next": request.query.get("next", ""),
    }
    return rendering.page(
        "sign_in.html", values, language=_language(request), status=status, headers=headers
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
