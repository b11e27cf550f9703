"""From a template to an answer: the environment of each language, what templates may call, and the headers of every page."""

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from babel.dates import (
    format_date,
    format_datetime,
    format_skeleton,
    format_time,
    format_timedelta,
)
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from kanal.domain.cases import case_number
from kanal.http.ids import channel_key
from kanal.http.pages import wording
from kanal.http.pages.addresses import linked
from kanal.http.pages.outcomes import spoken
from kanal.http.pages.refusals import fault, reason, reason_of

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing comes from elsewhere, and nothing that stands in a page runs or styles: only what /static serves."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
YEAR: Final = 365 * 24 * 3600
COLOURS: Final = 8
"""Of the discs that stand for people; the style sheet has as many."""
SECOND: Final = 1_000_000
CACHED_WORDS: Final = 8192
"""Amounts and durations in words: a year of figures has some thousand, most of them the same, and each takes 20 µs."""
UNITS: Final = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
"""Of how long something takes, in seconds."""
KILO: Final = 1024

ZONE_COOKIE: Final = "kanal_zone"
"""The browser's time zone, set by the script: of no other use, and wrong at worst."""
ZONE: Final = re.compile(r"[A-Za-z0-9_+/-]{1,64}")


def page(
    template: str,
    values: Mapping[str, Any],
    *,
    language: str,
    status: int = 200,
    headers: Mapping[str, str] = {},
) -> web.Response:
    return web.Response(
        text=rendered(template, values, language),
        status=status,
        content_type="text/html",
        headers={**HEADERS, **headers},
    )


def rendered(template: str, values: Mapping[str, Any], language: str) -> str:
    return environment(language).get_template(template).render(values, language=language)


@cache
def environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_translations(  # type: ignore[attr-defined]
        wording.translations(language), newstyle=True
    )
    made.filters |= {
        "when": when,
        "exact": exact,
        "iso": iso,
        "left": left,
        "span": span,
        "colour": colour,
        "initials": initials,
        "octets": octets,
        "linked": linked,
        "spoken": spoken,
        "reason": reason,
        "reason_of": reason_of,
        "fault": fault,
        "amount": amount,
        "duration": duration,
        "percent": percent,
        "case_number": case_number,
        "channel_key": channel_key,
    }
    made.globals |= {"languages": wording.LANGUAGES, "static": static_path}
    return made


def zone_of(request: web.Request, otherwise: tzinfo) -> tzinfo:
    name = request.cookies.get(ZONE_COOKIE, "")
    if ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    return otherwise


@pass_context
def when(context: Context, at: int) -> str:
    """Short, in the reader's zone: the time of today, the day of this year, else the date."""
    moment = _moment(context, at)
    locale = wording.locale_of(context["language"])
    now = datetime.now(moment.tzinfo)
    if moment.date() == now.date():
        return format_time(moment, "short", locale=locale)
    if moment.year == now.year:
        return format_skeleton("MMMd", moment, locale=locale)
    return format_date(moment, "medium", locale=locale)


@pass_context
def exact(context: Context, at: int) -> str:
    """To the second, with the zone."""
    moment = _moment(context, at)
    shown = format_datetime(
        moment, "d MMMM y, HH:mm:ss", locale=wording.locale_of(context["language"])
    )
    return f"{shown} {moment:%Z}"


def iso(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).isoformat()


def left(at: int) -> int:
    """Seconds until then, below 0 if it is over."""
    return at // SECOND - int(time.time())


@pass_context
def span(context: Context, seconds: int) -> str:
    """About so long: `25 min`, `2 hrs`."""
    locale = wording.locale_of(context["language"])
    about = max(60, abs(seconds))
    return str(format_timedelta(about, granularity="minute", format="short", locale=locale))


def colour(number: int) -> int:
    return number % COLOURS


def initials(name: str) -> str:
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


@pass_context
def octets(context: Context, size: int) -> str:
    def gettext(text: str, **values: object) -> str:
        return str(context.call(context.resolve("gettext"), text, **values))

    if size < KILO:
        return gettext("%(n)s B", n=size)
    if size < KILO * KILO:
        return gettext("%(n)s KB", n=round(size / KILO))
    return gettext("%(n)s MB", n=f"{size / KILO / KILO:.1f}")


@pass_context
def amount(context: Context, number: float) -> str:
    return _amount(context["language"], number)


@pass_context
def percent(context: Context, share: float) -> str:
    return format_percent(share, locale=wording.locale_of(context["language"]))


@pass_context
def duration(context: Context, seconds: float) -> str:
    """In its two largest units: `2 days 4 hrs`, `20 mins`."""
    return _duration(context["language"], round(seconds))


@lru_cache(CACHED_WORDS)
def _amount(language: str, number: float) -> str:
    return format_decimal(number, locale=wording.locale_of(language))


@lru_cache(CACHED_WORDS)
def _duration(language: str, left: int) -> str:
    locale = wording.locale_of(language)
    shown: list[str] = []
    for unit, length in UNITS.items():
        count, left = divmod(left, length)
        if count or (unit == "second" and not shown):
            shown.append(format_unit(count, f"duration-{unit}", "short", locale=locale))
        elif shown:
            break
    return " ".join(shown[:2])


def _moment(context: Context, at: int) -> datetime:
    return datetime.fromtimestamp(at // SECOND, context["zone"])


# -- files that never change under their address --------------------------------------------------


@cache
def static_files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(STATIC.iterdir())}


@cache
def _digest() -> str:
    """Of all of them: one that is another has another address."""
    whole = hashlib.sha256()
    for name, content in static_files().items():
        whole.update(name.encode() + content)
    return whole.hexdigest()[:12]


def static_path(name: str) -> str:
    if name not in static_files():
        raise KeyError(name)
    return f"/static/{_digest()}/{name}"


async def serve_static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    content = static_files().get(name)
    if content is None:
        raise web.HTTPNotFound
    headers = {
        "Content-Type": f"{TYPES[Path(name).suffix]}; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        # Asked for under a former address it may be another by now.
        "Cache-Control": f"max-age={YEAR}, immutable"
        if request.match_info["digest"] == _digest()
        else "no-store",
    }
    return web.Response(body=content, headers=headers)
