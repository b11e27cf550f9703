"""The baseline of an answer: an aiohttp handler that parses the same JSON and returns an answer of the same size.

No authentication, no checks, no log, no storage. Prints its port, then serves until it is told to end.
"""

import asyncio
import json
import signal
import sys
from functools import partial

import uvloop
from aiohttp import web

dumps = partial(json.dumps, ensure_ascii=False)
"""As Kanal does it, and half the bytes for Cyrillic."""


def app(size: int) -> web.Application:
    """`size`: bytes of an answer's body, for the content that the load sends."""
    filling = ""

    async def create(request: web.Request) -> web.Response:
        nonlocal filling
        message = (await request.json())["message"]
        answer = {"message": {"content": message["content"], "filling": filling}}
        if not filling:
            filling = "x" * max(1, size - len(dumps(answer).encode()))
            answer["message"]["filling"] = filling
        return web.json_response(answer, status=201, dumps=dumps)

    bare = web.Application()
    bare.router.add_post("/api/cases/{case}/messages.json", create)
    return bare


async def serve(size: int) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    runner = web.AppRunner(app(size), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await told.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
