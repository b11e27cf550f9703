"""The baseline of delivery: a bare aiohttp client that POSTs the same bytes to the same receiver, so many at a time.

Reads one job as JSON from standard input, writes one result as JSON to standard output.
"""

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
import uvloop

# What the client itself writes.
OWN_HEADERS = {"host", "content-length", "connection"}


async def post_all(job: dict[str, Any]) -> dict[str, Any]:
    head, _, body = job["sample"].encode("latin1").partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode("latin1").split("\r\n")[1:]]
    headers = {name: value for name, _, value in lines if name.lower() not in OWN_HEADERS}
    left = iter(range(job["posts"]))
    errors = 0

    async def post(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        for _ in left:
            async with session.post(job["url"], data=body, headers=headers) as answer:
                await answer.read()
                errors += answer.status != 200

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(post(session) for _ in range(job["concurrency"])))
        seconds = time.perf_counter() - began
    return {
        "rate": job["posts"] / seconds,
        "cpu_us": (time.process_time() - used) / job["posts"] * 1e6,
        "errors": errors,
    }


if __name__ == "__main__":
    json.dump(uvloop.run(post_all(json.loads(sys.stdin.readline()))), sys.stdout)
