"""The unix socket through which the other `kanal` commands reach the process that owns the SQLite file.

Answers are lines of JSON, one for each step; the last one says how it ended.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
from aiohttp import web

from kanal.delivery.recovery import Recovery, recovering
from kanal.eventlog import backup
from kanal.eventlog.database import Database
from kanal.http.dispatch import Dispatch
from kanal.http.lost_keys import LostKeys
from kanal.projections.runner import Rebuild

log = structlog.get_logger()


ADDRESS_LIMIT = 100
"""Octets that a socket's address may have; Linux takes 107, others a few less."""


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for the socket at that path, however long the path is."""
    if len(os.fsencode(path)) <= ADDRESS_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def make_app(
    database: Database,
    rebuild: Callable[[tuple[str, ...]], Rebuild],
    recovery: Callable[[], Recovery],
    dispatch: Dispatch,
    reset: Callable[[str, bool], Iterator[dict[str, Any]]],
    lost_keys: LostKeys,
) -> web.Application:
    """`reset`: of the password of who has that e-mail, and maybe of the second factor."""
    busy = asyncio.Lock()

    async def do_rebuild(request: web.Request) -> web.StreamResponse:
        names = tuple((await request.json())["names"])
        work = rebuild(names)

        def steps() -> Iterator[dict[str, Any]]:
            for step in work.run():
                yield {"done": step.position, "of": step.head}
            yield {"differences": [each._asdict() for each in work.differences]}

        async with busy:
            return await _stream(request, steps())

    async def do_backup(request: web.Request) -> web.StreamResponse:
        target = Path((await request.json())["file"])
        return await _stream(
            request, ({"done": s.done, "of": s.of} for s in backup.write(database, target))
        )

    async def do_recover(request: web.Request) -> web.StreamResponse:
        given = await request.json()
        async with busy:
            return await _stream(request, recovering(recovery(), **given))

    async def do_deliveries(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        return await _stream(request, dispatch.steps(asked["call"], asked["arguments"]))

    async def do_reset(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        return await _stream(request, reset(asked["email"], asked["second_factor_too"]))

    async def do_new_key(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        return await _stream(request, lost_keys.steps(asked["email"]))

    app = web.Application()
    app.router.add_post("/reset-password", do_reset)
    app.router.add_post("/recover-deliveries", do_recover)
    app.router.add_post("/rebuild", do_rebuild)
    app.router.add_post("/backup", do_backup)
    app.router.add_post("/deliveries", do_deliveries)
    app.router.add_post("/new-key", do_new_key)
    return app


async def _stream(request: web.Request, steps: Iterator[dict[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            await response.write(msgspec.json.encode(step) + b"\n")
        await response.write(b'{"ended":"well"}\n')
    except ConnectionError:
        log.info("control.client_left", path=request.path)
    except Exception as error:  # noqa: BLE001 the other end shows it
        log.error("control.failed", path=request.path, error=repr(error))
        await response.write(msgspec.json.encode({"failed": str(error)}) + b"\n")
    return response
