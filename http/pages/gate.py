"""Before every page: whose browser it is, that the form is ours, that they may; and after it, errors as pages."""

from collections.abc import Awaitable, Callable
from functools import partial
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from kanal.domain.roles import Right
from kanal.http.context import CONTEXT, Context
from kanal.http.errors import ApiError, refusal
from kanal.http.middleware import REMOTE, WHO
from kanal.http.pages import rendering, sessions, wording
from kanal.http.pages.sessions import SEEN_EVERY, SignedIn, octets
from kanal.http.pages.visit import (
    TOKEN_FIELD,
    Visit,
    csrf_token,
    is_secure,
    now,
    redirect,
    root_of,
)

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]
Open = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURE_COOKIE: Final = "__Host-kanal"
"""Browsers take it over https alone, for this very host and all its paths."""
PLAIN_COOKIE: Final = "kanal"
TOKEN_HEADER: Final = "X-Kanal-Token"
"""For what the script sends that is no form."""
SAFE: Final = frozenset({"GET", "HEAD"})
OURS: Final = frozenset({"same-origin", "none"})
"""What browsers say of a form that stands on a page of ours; `none`: the person asked for it themselves."""

log = structlog.get_logger(__name__)


def guarded(handler: Handler, right: Right) -> Open:
    """For who is signed in and may; everybody else is asked to sign in."""

    async def handle(request: web.Request) -> web.StreamResponse:
        context = request.app[CONTEXT]
        who = await signed_in(request)
        if who is None:
            return _to_sign_in(request, root_of(context))
        request[WHO] = f"staff:{who.staff_id}"
        visit = Visit(request, context, who, right)
        try:
            if request.method not in SAFE:
                await _check_form(visit)
            visit.check()
            return await handler(visit)
        except Exception as error:  # noqa: BLE001 what nobody foresaw is raised again
            return _refused(visit, error)

    return handle


async def signed_in(request: web.Request) -> SignedIn | None:
    token = request.cookies.get(cookie_name(request), "")
    if not token:
        return None
    context, at = request.app[CONTEXT], now()
    session_id = sessions.id_of(token)
    who = await context.read(sessions.find, session_id, at)
    if who and at - who.seen_at > SEEN_EVERY:
        seen = partial(sessions.seen, session_id=session_id, now=at, address=request[REMOTE])
        await context.writer.run(seen)
    return who


def cookie_name(request: web.Request) -> str:
    return SECURE_COOKIE if is_secure(request) else PLAIN_COOKIE


def give_cookie(request: web.Request, answer: web.StreamResponse, token: str) -> None:
    answer.set_cookie(
        cookie_name(request),
        token,
        max_age=sessions.LIFETIME // rendering.SECOND,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="Lax",
    )


def take_cookie(request: web.Request, answer: web.StreamResponse) -> None:
    answer.del_cookie(
        cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="Lax"
    )


def check_origin(request: web.Request) -> None:
    """A form of another site is refused, whoever is signed in. Raises ApiError."""
    headers = request.headers
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    public = urlsplit(request.app[CONTEXT].links.public_url).netloc
    if site is not None:
        ours = site in OURS
    else:
        ours = origin is not None and _host(origin) in (request.host, public)
    if not ours:
        raise _foreign()


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def _check_form(visit: Visit) -> None:
    """Raises ApiError."""
    check_origin(visit.request)
    given = visit.request.headers.get(TOKEN_HEADER)
    if given is None:
        given = (await visit.body()).fields.get(TOKEN_FIELD)
    expected = csrf_token(visit.context, visit.who.session_id)
    if not isinstance(given, str) or not compare_digest(octets(given), expected.encode()):
        raise _foreign()


def _foreign() -> ApiError:
    return ApiError(
        403,
        "foreign_form",
        "This form does not come from a page of this session. Load the page anew and try again.",
    )


def _to_sign_in(request: web.Request, root: str) -> web.StreamResponse:
    if request.method in SAFE and "X-Kanal-Part" not in request.headers:
        return redirect(f"{root}/sign-in?next={quote(request.rel_url.raw_path_qs, safe='/')}")
    return web.Response(status=401, text="Sign in.", headers=rendering.HEADERS)


def _refused(visit: Visit, error: Exception) -> web.StreamResponse:
    refused = refusal(error)
    half_out = visit.request.writer.output_size > 0
    if refused is None or half_out or isinstance(error, web.HTTPException):
        raise error
    return visit.page(
        "refused.html", status=refused.status, headers=refused.headers or {}, refused=refused
    )


def refused_openly(
    request: web.Request, context: Context, error: ApiError, **values: Any
) -> web.Response:
    """Of a page for everybody."""
    language = wording.chosen("", request.headers.get("Accept-Language", ""))
    given = {**open_values(request, context), "refused": error, **values}
    return rendering.page(
        "refused_openly.html",
        given,
        language=language,
        status=error.status,
        headers=error.headers or {},
    )


def open_values(request: web.Request, context: Context) -> dict[str, Any]:
    """What templates of pages for everybody may name."""
    return {
        "root": root_of(context),
        "theme": "",
        "zone": rendering.zone_of(request, context.dates.zone),
        "done": request.query.get("done", ""),
    }
