"""A chat of one's own, with a bot that hands over to people who work in Kanal.

It needs Kanal's address, a staff member's e-mail and API key, and a custom channel (`cch1`) whose
Webhook URL is this program's /webhook, with that channel's signing secret; see README.md.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import aiohttp
import bot
from aiohttp import web
from courier import TIMEOUT_SECONDS, Courier
from standardwebhooks import Webhook, WebhookVerificationError
from store import Chat, Store

PAGE = Path(__file__).parent / "page"
COOKIE = "own_chat"
COOKIE_SECONDS = 365 * 86400
# Kanal takes far more; a person in a chat does not write a book. The page says the same.
LONGEST_TEXT = 4000
# Kanal's content ends at 1 MB, which is up to 3 MB in a form.
LARGEST_BODY = 4 * 1024 * 1024
# Proxies close a connection on which nothing comes for a minute.
STREAM_SIGN_SECONDS = 15

SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

log = logging.getLogger("own_chat")


@dataclass(frozen=True)
class Settings:
    kanal_url: str
    email: str
    channel: str
    host: str
    port: int
    database: Path
    # From the environment only: arguments can be read by everybody on the machine.
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


STORE = web.AppKey("store", Store)
COURIER = web.AppKey("courier", Courier)
WEBHOOK = web.AppKey("webhook", Webhook)


class Bells:
    """Wakes the open pages of a chat when there is something new for them."""

    def __init__(self) -> None:
        self._bells: dict[int, set[asyncio.Event]] = {}
        self.closing = False

    def ring(self, chat: int) -> None:
        for bell in self._bells.get(chat, ()):
            bell.set()

    def close(self) -> None:
        self.closing = True
        for chat in self._bells:
            self.ring(chat)

    @contextmanager
    def hung(self, chat: int) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        bells = self._bells.setdefault(chat, set())
        bells.add(bell)
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells:
                self._bells.pop(chat, None)


BELLS = web.AppKey("bells", Bells)


# The page.


async def page(request: web.Request) -> web.StreamResponse:
    response = web.FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})
    if not _chat(request):
        response.set_cookie(
            COOKIE,
            request.app[STORE].new_chat(),
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="Lax",
            secure="https" in (request.scheme, request.headers.get("X-Forwarded-Proto")),
        )
    return response


async def write(request: web.Request) -> web.Response:
    """What the visitor wrote: kept before this answers. `id` is the page's, for safe repetition."""
    chat = _chat(request)
    if not chat:
        return web.json_response({"error": "no_chat"}, status=401)
    # Other sites can make a browser post a form here, with the cookie, but not JSON.
    if request.content_type != "application/json":
        return web.json_response({"error": "not_json"}, status=415)
    try:
        given = json.loads(await request.read())
        client_id, text = str(given["id"]), str(given["text"])
        text.encode()
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": "bad_message"}, status=400)
    if not text.strip() or len(text) > LONGEST_TEXT or "\0" in text or len(client_id) > 64:
        return web.json_response({"error": "bad_message"}, status=400)
    answer = None if chat.with_people else bot.reply_to(text)
    request.app[STORE].visitor_wrote(
        chat.id,
        client_id,
        text,
        answer.text if answer else None,
        for_people=answer is None or answer.hand_over,
    )
    request.app[BELLS].ring(chat.id)
    request.app[COURIER].wake(chat.id)
    return web.json_response({"id": client_id}, status=201)


async def stream(request: web.Request) -> web.StreamResponse:
    """The visitor's own conversation as server-sent events: all of it, or what changed since."""
    chat = _chat(request)
    if not chat:
        return web.json_response({"error": "no_chat"}, status=401)
    last = request.headers.get("Last-Event-ID", "")
    revision = int(last) if last.isdecimal() else 0
    store, bells = request.app[STORE], request.app[BELLS]
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    try:
        await response.write(b"retry: 1000\n\n")
        with bells.hung(chat.id) as bell:
            while not bells.closing:
                bell.clear()
                for message in store.changes(chat.id, revision):
                    revision = message.revision
                    data = json.dumps(message._asdict())
                    await response.write(f"id: {revision}\ndata: {data}\n\n".encode())
                try:
                    async with asyncio.timeout(STREAM_SIGN_SECONDS):
                        await bell.wait()
                except TimeoutError:
                    await response.write(b": still here\n\n")
    except ConnectionError:
        log.debug("a page was closed")
    return response


def _chat(request: web.Request) -> Chat | None:
    cookie = request.cookies.get(COOKIE)
    return request.app[STORE].chat_of(cookie) if cookie else None


# Kanal's webhook.


async def webhook(request: web.Request) -> web.Response:
    """What staff wrote. Kept before this answers; Kanal sends it again until it hears a 200."""
    body = await request.read()
    try:
        # Over the raw bytes: the same fields written in another way would not verify.
        request.app[WEBHOOK].verify(body, dict(request.headers), json_parse=False)
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    except (WebhookVerificationError, ValueError) as error:
        log.warning("webhook refused: %s", error)
        return web.json_response({"error": "wrong_signature"}, status=401)
    if form.get("type") == "message_new":
        chat = request.app[STORE].staff_wrote(
            request.headers["webhook-id"],
            custom_id=form["object[custom_user_id]"],
            case_id=int(form["object[case_id]"]),
            user_id=int(form["object[user_id]"]),
            text=form["object[content]"],
            note=form["object[note]"] == "1",  # staff write notes for themselves
        )
        if chat:
            request.app[BELLS].ring(chat)
    return web.json_response({"result": "ok"})


# The program.


def make_app(settings: Settings) -> web.Application:
    app = web.Application(client_max_size=LARGEST_BODY)
    app[WEBHOOK] = Webhook(settings.webhook_secret)
    app[BELLS] = Bells()

    async def running(app: web.Application) -> AsyncIterator[None]:
        store = app[STORE] = Store(settings.database)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        auth = aiohttp.encode_basic_auth(settings.email, settings.api_key)
        async with aiohttp.ClientSession(
            settings.kanal_url, timeout=timeout, headers={"Authorization": auth}
        ) as kanal:
            courier = app[COURIER] = Courier(store, kanal, settings.channel, app[BELLS].ring)
            courier.start()
            yield
            await courier.close()
        store.close()

    async def end_streams(app: web.Application) -> None:
        app[BELLS].close()

    async def add_safe_headers(_: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(SAFE_HEADERS)

    app.cleanup_ctx.append(running)
    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(add_safe_headers)
    app.router.add_get("/", page)
    app.router.add_static("/page/", PAGE)
    app.router.add_post("/messages", write)
    app.router.add_get("/stream", stream)
    app.router.add_post("/webhook", webhook)
    return app


def read_settings(arguments: Sequence[str]) -> Settings:
    """Arguments, or OWN_CHAT_... variables in their place."""
    parser = argparse.ArgumentParser(
        description="A chat with a bot that hands over to people who work in Kanal. The API key and "
        "the channel's signing secret come from OWN_CHAT_API_KEY and OWN_CHAT_WEBHOOK_SECRET."
    )

    def option(name: str, default: str, about: str) -> None:
        variable = "OWN_CHAT_" + name.upper().replace("-", "_")
        default = os.environ.get(variable, default)
        kind = int if name == "port" else str
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{about} ({variable})")

    option("kanal-url", "http://127.0.0.1:8080", "where Kanal is")
    option("email", "", "e-mail of the staff member whose API key is used")
    option("channel", "", "the custom channel's channel_api_key, for example cch1")
    option("host", "127.0.0.1", "address to listen on")
    option("port", "8090", "port to listen on; 0 takes any that is free")
    option("database", "own_chat.db", "SQLite file that keeps the conversations")
    given = parser.parse_args(arguments)
    secrets = {
        name: os.environ.get(f"OWN_CHAT_{name}", "") for name in ("API_KEY", "WEBHOOK_SECRET")
    }
    values = {"--email": given.email, "--channel": given.channel}
    values |= {f"OWN_CHAT_{name}": value for name, value in secrets.items()}
    if missing := [name for name, value in values.items() if not value]:
        parser.error("missing: " + ", ".join(missing))
    try:
        Webhook(secrets["WEBHOOK_SECRET"])
    except ValueError:
        parser.error("OWN_CHAT_WEBHOOK_SECRET is not a signing secret (whsec_...)")
    return Settings(
        kanal_url=given.kanal_url,
        email=given.email,
        channel=given.channel,
        host=given.host,
        port=given.port,
        database=Path(given.database),
        api_key=secrets["API_KEY"],
        webhook_secret=secrets["WEBHOOK_SECRET"],
    )


def announce(text: str) -> None:
    """`Running on http://...`, once it does."""
    print(text.splitlines()[0].strip("= "), flush=True)


def main() -> None:
    settings = read_settings(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        # It ends cleanly on SIGTERM and Ctrl-C.
        web.run_app(
            make_app(settings),
            host=settings.host,
            port=settings.port,
            access_log=None,
            print=announce,
        )
    except OSError as error:
        sys.exit(f"own_chat: cannot listen on {settings.host}:{settings.port}: {error.strerror}")


if __name__ == "__main__":
    main()
