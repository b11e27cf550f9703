"""A process that is killed while it writes and sends, again and again: nothing is lost, nothing recorded is sent twice."""

import asyncio
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

from delivering import Desk, open_database
from webhook_receiver import Received, Receiver

PROGRAM = Path(__file__).parents[1] / "delivering_process.py"
KILLS = 3
CHANNELS = 2
CASES = 12


async def written_until_killed(url: str, folder: Path, seed: int, count: int) -> set[int]:
    """Ids of the messages whose writes were answered before the process was killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(PROGRAM), url, str(folder), str(CASES), str(seed)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    written = set()
    async with asyncio.timeout(30):
        for _ in range(count):
            written.add(int(await process.stdout.readline()))
        process.kill()
        for line in (await process.stdout.read()).splitlines():
            if line.isdigit():
                written.add(int(line))
        await process.wait()
    return written


def message_of(request: Received) -> int:
    return int(request.form["object[message_id]"])


async def test_a_killed_process_loses_nothing_and_repeats_only_what_was_under_way(
    database_url: str, data_dir: Path
) -> None:
    dice = random.Random(7)
    written: set[int] = set()
    async with Receiver() as receiver:
        async with Desk(open_database(database_url, data_dir)) as desk:
            channel_ids = [await desk.channel(receiver.url) for _ in range(CHANNELS)]
            for number in range(CASES):
                await desk.case(channel_ids[number % CHANNELS])
        for _ in range(KILLS):
            seed, count = dice.randint(0, 999), dice.randint(5, 120)
            written |= await written_until_killed(database_url, data_dir, seed, count)
        async with Desk(open_database(database_url, data_dir)) as desk:
            async with desk.sending():
                await desk.until_delivered()
            deliveries, attempts = await desk.deliveries(), await desk.attempts()

        received = receiver.received
        assert written <= {row["message_id"] for row in deliveries}
        assert {request.headers["webhook-id"] for request in received} == {
            row["delivery_id"] for row in deliveries
        }
        # An attempt that was never made may be unknown; one that was made is never missing.
        unknown = sum(attempt["outcome_class"] == "unknown" for attempt in attempts)
        assert len(received) - len(deliveries) <= unknown
        assert {attempt["outcome_class"] for attempt in attempts} <= {"ok", "unknown"}
        taken = Counter(each["delivery_id"] for each in attempts if each["outcome_class"] == "ok")
        assert set(taken.values()) == {1}
        last = {row["delivery_id"]: row["attempts"] for row in deliveries}
        for attempt in attempts:
            if attempt["outcome_class"] == "ok":
                assert attempt["number"] == last[attempt["delivery_id"]]

        order: dict[str, list[int]] = defaultdict(list)
        for request in received:
            seen = order[request.form["object[case_id]"]]
            if message_of(request) not in seen:
                seen.append(message_of(request))
        assert all(seen == sorted(seen) for seen in order.values())
        assert len({request.body for request in received}) == len(deliveries)
