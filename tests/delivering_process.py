"""A process that writes messages and sends them, as fast as it can, until it is killed.

python delivering_process.py DATABASE_URL FOLDER CASES SEED: prints the id of each message whose write was answered.
"""

import asyncio
import random
import sys
from pathlib import Path

import uvloop
from delivering import Desk, open_database

WRITERS = 6


async def run(url: str, folder: str, cases: int, seed: int) -> None:
    dice = random.Random(seed)

    async def write(desk: Desk) -> None:
        while True:
            print(await desk.say(dice.randint(1, cases), "Hello"), flush=True)

    async with Desk(open_database(url, Path(folder))) as desk, desk.sending():
        await asyncio.gather(*(write(desk) for _ in range(WRITERS)))


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
