"""`GET /files/<token>/<name>`: whoever has the address reads the file, as Omnidesk's clients and receivers do.

The bytes come from strangers, so a browser is told to save them, and to run nothing; only pictures that are what they say
are shown in place.
"""

import asyncio
from urllib.parse import quote

import structlog
from aiohttp import web

from kanal.eventlog.files import PIECE, TOKEN, FileLost
from kanal.http.context import CONTEXT
from kanal.http.middleware import FILES
from kanal.projections import files
from kanal.projections.files import FileRow

SHOWN_IN_PLACE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Types that are given only to what begins like one, and that no browser runs."""
FOR_EVER = f"private, max-age={365 * 24 * 3600}, immutable"
"""The bytes under an address never change."""

log = structlog.get_logger(__name__)


def add_files(app: web.Application) -> None:
    app.router.add_get(FILES + "{token}/{name:.*}", serve)


async def serve(request: web.Request) -> web.StreamResponse:
    """The name in the address is for people; what counts is the token."""
    context = request.app[CONTEXT]
    token = request.match_info["token"]
    found = None
    if TOKEN.fullmatch(token):
        found = await context.read(files.find, token)
    if found is None:
        raise web.HTTPNotFound
    return await send(request, found, FOR_EVER)


async def send(request: web.Request, found: FileRow, caching: str) -> web.StreamResponse:
    """The bytes, or those that were asked for. Raises HTTPNotFound if there are none."""
    headers = {**_headers(found), "Cache-Control": caching}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    wanted = _wanted(request, found.file_size, headers["ETag"])
    if wanted is None:
        return web.Response(
            status=416, headers={"Content-Range": f"bytes */{found.file_size}", **NOT_KEPT}
        )
    answer = web.StreamResponse(headers=headers)
    answer.content_length = len(wanted)
    if len(wanted) < found.file_size:
        answer.set_status(206)
        last = wanted.stop - 1
        answer.headers["Content-Range"] = f"bytes {wanted.start}-{last}/{found.file_size}"
    return await _send(request, answer, found.token, wanted)


NOT_KEPT = {"Cache-Control": "no-store"}


def _headers(file: FileRow) -> dict[str, str]:
    place = "inline" if file.mime_type in SHOWN_IN_PLACE else "attachment"
    return {
        "Content-Type": file.mime_type,
        "Content-Disposition": f"{place}; {_named(file.file_name)}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.file_id}"',
        "X-Robots-Tag": "noindex",
    }


def _named(file_name: str) -> str:
    """RFC 6266: the name in ASCII for old clients, and as it is."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in file_name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def _wanted(request: web.Request, size: int, etag: str) -> range | None:
    """The octets asked for; all of them when the range is not understood, None when none of them exist."""
    if "Range" not in request.headers or request.headers.get("If-Range", etag) != etag:
        return range(size)
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        return range(size)
    return range(start, stop) if start < stop else None


async def _send(
    request: web.Request, answer: web.StreamResponse, token: str, wanted: range
) -> web.StreamResponse:
    store = request.app[CONTEXT].database.files
    number = wanted.start // PIECE
    try:
        # Before the first octet of the answer: that is the last moment to say that there is no such file.
        piece = await asyncio.to_thread(store.piece, token, number)
    except FileLost:
        log.error("files.lost", token=token[:8])
        raise web.HTTPNotFound from None
    await answer.prepare(request)
    while request.method != "HEAD" and number * PIECE < wanted.stop:
        begin = number * PIECE
        await answer.write(piece[max(0, wanted.start - begin) : wanted.stop - begin])
        number += 1
        if number * PIECE < wanted.stop:
            piece = await asyncio.to_thread(store.piece, token, number)
    return answer
