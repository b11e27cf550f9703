"""Before every page: whose browser it is, that the form is ours, that they may; and after it, errors as pages."""

from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from kanal.domain.errors import DomainError
from kanal.domain.roles import Right
from kanal.eventlog.writer import LogUnavailable
from kanal.http import sessions
from kanal.http.context import CONTEXT, Context
from kanal.http.errors import ApiError, refusal
from kanal.http.middleware import WHO
from kanal.http.pages import rendering, wording
from kanal.http.pages.visit import (
    TOKEN_FIELD,
    NoSecondStep,
    NotEntered,
    SignedOut,
    Visit,
    csrf_token,
    is_secure,
    now,
    redirect,
    root_of,
)
from kanal.http.sessions import SignedIn, octets

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
        visit = Visit(request, request.app[CONTEXT], session_of(request), right)
        try:
            if request.method not in SAFE:
                await visit.enter()
                await _check_form(visit)
            try:
                answer = await handler(visit)
            except NotEntered:  # it asks who it is for before it reads
                await visit.enter()
                answer = await handler(visit)
            if not visit.entered:  # a page that reads nothing is not everybody's either
                await visit.enter()
            return answer
        except Exception as error:  # noqa: BLE001 what nobody foresaw is raised again
            return await _refused(visit, error)
        finally:
            if visit.entered:
                request[WHO] = f"staff:{visit.who.staff_id}"

    return handle


def openly(handler: Open) -> Open:
    """For everybody; what is refused is a page."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (ApiError, LogUnavailable) as error:
            refused = refusal(error)
            assert refused
            return _refused_openly(request, refused)

    return handle


def session_of(request: web.Request) -> str:
    """The id of the browser's session, "" without one."""
    token = request.cookies.get(cookie_name(request), "")
    return sessions.id_of(token) if token else ""


async def signed_in(request: web.Request) -> SignedIn | None:
    """For pages for everybody."""
    session_id = session_of(request)
    if not session_id:
        return None
    return await request.app[CONTEXT].read(sessions.find, session_id, now())


def cookie_name(request: web.Request, kind: str = "") -> str:
    return (SECURE_COOKIE if is_secure(request) else PLAIN_COOKIE) + kind


def give_cookie(
    request: web.Request,
    answer: web.StreamResponse,
    token: str,
    kind: str = "",
    seconds: int = sessions.LIFETIME // rendering.SECOND,
) -> None:
    answer.set_cookie(
        cookie_name(request, kind),
        token,
        max_age=seconds,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="Lax",
    )


def take_cookie(request: web.Request, answer: web.StreamResponse, kind: str = "") -> None:
    answer.del_cookie(
        cookie_name(request, kind),
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="Lax",
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


def _leads(request: web.Request) -> bool:
    """Whether a person sees where they are led; a script would take that page for the one it asked for."""
    headers = request.headers
    streamed = "text/event-stream" in headers.get("Accept", "")
    return request.method in SAFE and "X-Kanal-Part" not in headers and not streamed


def _to_sign_in(request: web.Request, root: str) -> web.StreamResponse:
    if _leads(request):
        return redirect(f"{root}/sign-in?next={quote(request.rel_url.raw_path_qs, safe='/')}")
    return web.Response(status=401, text="Sign in.", headers=rendering.HEADERS)


async def _refused(visit: Visit, error: Exception) -> web.StreamResponse:
    if not visit.entered and not isinstance(error, SignedOut):
        try:
            await visit.enter()
        except (ApiError, DomainError, LogUnavailable) as instead:
            # Whoever is not signed in, or may not, learns nothing of what else was wrong.
            error = instead
    if isinstance(error, SignedOut):
        return _to_sign_in(visit.request, visit.root)
    if isinstance(error, NoSecondStep) and _leads(visit.request):
        return redirect(f"{visit.root}/account#second-factor")
    refused = refusal(error)
    if not visit.entered:
        raise error
    half_out = visit.request.writer.output_size > 0
    if refused is None or half_out or isinstance(error, web.HTTPException):
        raise error
    return visit.page(
        "refused.html", status=refused.status, headers=refused.headers or {}, refused=refused
    )


def _refused_openly(request: web.Request, error: ApiError) -> web.Response:
    language = wording.chosen("", request.headers.get("Accept-Language", ""))
    return rendering.page(
        "refused_openly.html",
        {**open_values(request, request.app[CONTEXT]), "refused": error},
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
