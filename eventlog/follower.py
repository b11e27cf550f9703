"""Read models that follow the log instead of holding up the writer: slower ones, folded some moments later.

Several processes may follow for the same model: a step is a compare-and-set of its position, so whoever comes second does
nothing. Whoever needs the model now calls `catch_up` and reads what was written before that call.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, update

from kanal.domain.stream import Recorded
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Changes
from kanal.eventlog.tables import generations
from kanal.eventlog.writer import Writer

PAUSE_SECONDS = 0.5
"""Between two steps while events come in: steps of many events cost a fraction of many steps."""
CHUNK = 500
"""Events in one step, which is one of the writer's transactions: longer ones would hold up the commands behind it."""
REST = 9
"""Times as long as its last step took the follower rests while others write: replies and webhooks are waited for, figures are not."""
TOO_FAR = 5_000
"""Events behind the log from which on it does not rest; a process that is 10,000 behind is not ready."""
MOST_REST_SECONDS = 2.0
"""However long a step took, because it waited behind others."""

log = structlog.get_logger(__name__)


class Following(NamedTuple):
    """One followed read model, as the runner sees it at this moment."""

    name: str
    generation: int
    position: int
    fold: Callable[[Changes, Sequence[Recorded]], None]


class Follower:
    """`start`, then it follows until `close`."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        live: Callable[[Connection], list[Following]],
    ) -> None:
        self._database = database
        self._writer = writer
        self._live = live
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._follow(), name="kanal-follower")

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def catch_up(self) -> None:
        """Fold everything that was in the log when this was called."""
        head = await self._database.read(self._database.head)
        async with self._turn:
            while await self._step(head):
                pass

    async def lag(self) -> int:
        """Events that the slowest followed model has not folded yet."""

        def behind(connection: Connection) -> int:
            head = self._database.head(connection)
            return max((head - model.position for model in self._live(connection)), default=0)

        return await self._database.read(behind)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._catch_up_beside_others()
            except Exception as error:  # noqa: BLE001 the next turn tries again
                log.error("follower_failed", error=repr(error))

    async def _catch_up_beside_others(self) -> None:
        """Nobody waits for it, so it takes a small share of the time while others write."""
        head = await self._database.read(self._database.head)
        behind = head
        while behind:
            began, orders = time.monotonic(), self._writer.carried_out
            async with self._turn:
                behind = await self._step(head)
            alone = self._writer.carried_out - orders <= 1  # the step's own
            if not alone and 0 < behind < TOO_FAR:
                await asyncio.sleep(min(REST * (time.monotonic() - began), MOST_REST_SECONDS))

    async def _step(self, head: int) -> int:
        """How many events behind `head` the last of the models was; it, and those as far, went a step on."""
        live = await self._database.read(self._live)
        last = min((model.position for model in live), default=head)
        if last >= head:
            return 0
        models = [model for model in live if model.position == last]
        store = await self._database.in_thread(partial(self._folded, models, last))
        await self._writer.run(store)
        return head - last

    def _folded(self, models: Sequence[Following], position: int) -> Callable[[Connection], None]:
        """The next step of models that are at that position, ready to be stored."""
        events = self._database.events_after(position, limit=CHUNK)
        folded = []
        for model in models:
            changes = Changes()
            model.fold(changes, events)
            with self._database.reading() as connection:
                # If another follower goes on before it is stored, the position tells.
                changes.read_ahead(connection)
            folded.append((model, changes))

        def store(connection: Connection) -> None:
            for model, changes in folded:
                moved = connection.execute(
                    update(generations)
                    .where(
                        generations.c.name == model.name,
                        generations.c.generation == model.generation,
                        generations.c.position == position,
                    )
                    .values(position=events[-1].position)
                )
                if moved.rowcount:
                    changes.flush(connection)

        return store
