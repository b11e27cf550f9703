"""The writer alone, without HTTP: group commit against one transaction for each command, both in this process.

Reads one job as JSON from standard input, writes the rate of each round as JSON to standard output.
"""

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from api import CONTENT
from figures import percentile

from kanal.bootstrap import opened
from kanal.domain.channels import create_channel
from kanal.domain.conversation import OpenedCase, add_user_message, open_case
from kanal.domain.identities import Identification
from kanal.domain.work import Work
from kanal.eventlog import writer as writer_module
from kanal.eventlog.writer import Writer
from kanal.settings import Settings

LIMITS = {"group": writer_module.BATCH_LIMIT, "single": 1}


async def submit(writer: Writer, command: Any) -> Any:
    done = await writer.submit(command, who="staff:1", origin="api", request="bench")
    return done.result


def first_case(work: Work, *, channel_id: int, at: int) -> OpenedCase:
    who = Identification(channel_id=channel_id, external_id=f"bench-{at}")
    return open_case(work, who=who, channel="", content=CONTENT)


async def rounds(writer: Writer, job: dict[str, Any]) -> dict[str, Any]:
    channel = partial(
        create_channel,
        title="Bench",
        webhook_url="https://receiver.example/",
        channel_type="sync",
        secret_fingerprint="bench",
    )
    channel_id = await submit(writer, channel)
    cases = [
        await submit(writer, partial(first_case, channel_id=channel_id, at=at))
        for at in range(job["clients"])
    ]
    figures: dict[str, Any] = {name: {"rates": [], "p99": []} for name in LIMITS}
    for number in range(job["rounds"]):
        for name in sorted(LIMITS, reverse=bool(number % 2)):
            # A constant of the writer's, no setting: nobody would want the other value.
            writer_module.BATCH_LIMIT = LIMITS[name]
            rate, p99 = await _round(writer, cases, job["seconds"])
            figures[name]["rates"].append(rate)
            figures[name]["p99"].append(p99)
    return figures


async def _round(writer: Writer, cases: list[OpenedCase], seconds: float) -> tuple[float, float]:
    took: list[float] = []
    began = time.perf_counter()

    async def client(case: OpenedCase) -> None:
        command = partial(
            add_user_message, case_id=case.case_id, user_id=case.user_id, content=CONTENT
        )
        while (sent := time.perf_counter()) < began + seconds:
            await submit(writer, command)
            took.append(time.perf_counter() - sent)

    await asyncio.gather(*map(client, cases))
    return len(took) / (time.perf_counter() - began), percentile(took, 99) * 1000


def measure(job: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.load(data_dir=Path(job["data_dir"]), database_url=job["database_url"])
    with opened(settings) as store:
        return uvloop.run(rounds(store.writer, job))


if __name__ == "__main__":
    json.dump(measure(json.loads(sys.stdin.readline())), sys.stdout)
