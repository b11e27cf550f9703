"""/api/openapi.json and a page that shows it, /api/docs: for everybody, and without asking anything of other hosts."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from aiohttp import web

from kanal.http import openapi
from kanal.http.answers import JSON

FILES: Final = {
    "swagger_bundle.js": "text/javascript",
    "swagger_style.css": "text/css",
}
"""Of the package offapi, which holds Swagger UI as files."""

# Swagger UI sets style attributes, and its style sheet holds images as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kanal API</title>
<link rel="stylesheet" href="docs/swagger_style.css">
<link rel="icon" href="data:,">
<div id="calls"></div>
<script src="docs/swagger_bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
# Without validatorUrl the page would ask a validator on the internet.
START = """\
SwaggerUIBundle({
    url: new URL("openapi.json", document.baseURI).href,
    dom_id: "#calls",
    deepLinking: true,
    docExpansion: "none",
    validatorUrl: null,
});
"""

DAY = "max-age=86400"


def add_documentation(app: web.Application) -> None:
    app.router.add_get("/api/openapi.json", _fixed(openapi.text, JSON))
    app.router.add_get("/api/docs", _fixed(lambda: PAGE, "text/html; charset=utf-8"))
    app.router.add_get("/api/docs/start.js", _fixed(lambda: START, "text/javascript"))
    # Importing the package would read all its nine megabytes.
    folder = Path(str(distribution("offapi").locate_file("offapi")))
    for name, kind in FILES.items():
        app.router.add_get(f"/api/docs/{name}", _file(folder / name, kind))


def _fixed(
    made: Callable[[], str], kind: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def show(_: web.Request) -> web.Response:
        # The document takes a fifth of a second to make, once.
        body = (await asyncio.to_thread(made)).encode()
        return web.Response(body=body, headers={**HEADERS, "Content-Type": kind})

    return show


def _file(path: Path, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def show(_: web.Request) -> web.FileResponse:
        headers = {**HEADERS, "Content-Type": kind, "Cache-Control": DAY}
        return web.FileResponse(path, headers=headers)

    return show
