"""The programs of the demo's company, as far as Kanal sees them: what takes the webhooks of its channels, and how well.

The wholesalers' portal is down, Telegram refuses what is for somebody who blocked the bot, and some days ago the customer
area failed for hours; everything else is taken.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

DOWN_FOR: Final = timedelta(hours=26)
"""Of the wholesalers' portal, until now."""
FAILED: Final = timedelta(days=12), timedelta(days=11, hours=20)
"""When the customer area did, before now."""


class Answer(NamedTuple):
    status: int
    text: str


TAKEN: Final = Answer(200, "ok")


class Programs:
    """Those that answer at one address; the website's chat is a program of its own (examples/own_chat)."""

    def __init__(
        self, now: datetime, clock: Callable[[], datetime], blocked: Iterable[str] = ()
    ) -> None:
        """`now`: when the demo begins. `clock`: what time it is for them. `blocked`: who refuses Telegram's messages."""
        self._now = now
        self._clock = clock
        self._blocked = frozenset(blocked)

    def answer(self, program: str, user: str) -> Answer:
        ago = self._now - self._clock()
        if program == "wholesale" and ago < DOWN_FOR:
            return Answer(503, "The portal is being moved to new servers. Back soon.")
        if program == "account" and FAILED[1] < ago < FAILED[0]:
            return Answer(500, "Internal Server Error")
        if program == "telegram" and user in self._blocked:
            return Answer(403, "Forbidden: bot was blocked by the user")
        return TAKEN

    async def take(self, request: web.Request) -> web.Response:
        given = await request.text()
        if request.content_type == "application/json":
            user = str(json.loads(given)["object"].get("custom_user_id", ""))
        else:
            user = parse_qs(given).get("object[custom_user_id]", [""])[0]
        answer = self.answer(request.path.strip("/"), user)
        return web.Response(status=answer.status, text=answer.text)


@asynccontextmanager
async def answering(programs: Programs, *addresses: str) -> AsyncIterator[None]:
    """At these addresses, on this machine."""
    app = web.Application()
    app.router.add_post("/{program:.*}", programs.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for address in addresses:
            parts = urlsplit(address)
            await web.TCPSite(runner, parts.hostname, parts.port, reuse_address=True).start()
        yield
    finally:
        await runner.cleanup()


def today() -> datetime:
    return datetime.now(UTC)
