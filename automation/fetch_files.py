"""Duty: fetch the files that callers named by their addresses, and attach them to their messages."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.files import Fetched, NewFile, NotFetched, clean_name
from kanal.domain.messages import settle_files
from kanal.eventlog.files import BEGINNING, FileStore, mime_type_of
from kanal.projections import files
from kanal.projections.files import Awaited
from kanal.projections.read_model import Views

GIVE_UP_SECONDS: Final = 600
"""After which a failure is the last one: about ten tries, the agenda's pause doubling from one second. A reply that
waits for its files must not wait for hours."""
AT_MOST: Final = 500
"""Messages looked at in one turn: so many servers may be down before those behind them have to wait."""
FILES_AT_ONCE: Final = 4
"""Of one message."""

Fetch = Callable[[str, Path], Awaitable[Fetched | NotFetched]]


class FetchFiles:
    name = "fetch_files"

    def __init__(
        self,
        fetch: Fetch,
        hand: Hand,
        store: FileStore,
        folder: Path,
        clock: Callable[[], int],
    ) -> None:
        """`folder`: where files lie while they come in, on the store's disk if it has one. `clock`: microseconds."""
        self._fetch = fetch
        self._hand = hand
        self._store = store
        self._folder = folder
        self._clock = clock

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Awaited]:
        return files.to_fetch(connection, views, AT_MOST)

    async def act(self, item: Awaited) -> None:
        """One try for each file. Raises FilesMissing while some are still worth another one."""
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._folder))
        try:
            missing = await self._settle(item, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if missing:
            raise FilesMissing(missing)

    async def _settle(self, item: Awaited, folder: Path) -> list[str]:
        """What is still missing, in words without addresses."""
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def fetch(number: int, url: str) -> Fetched | NotFetched:
            async with turns:
                return await self._fetch(url, folder / str(number))

        async with asyncio.TaskGroup() as tries:
            tasks = [tries.create_task(fetch(*each)) for each in enumerate(item.urls)]
        outcomes = [task.result() for task in tasks]
        late = self._clock() - item.since > GIVE_UP_SECONDS * 1_000_000
        here: dict[str, tuple[Path, Fetched]] = {}
        missed: dict[str, str] = {}
        missing: list[str] = []
        for number, (url, outcome) in enumerate(zip(item.urls, outcomes, strict=True)):
            if isinstance(outcome, Fetched):
                here[url] = (folder / str(number), outcome)
            elif outcome.for_good or late:
                missed[url] = outcome.reason
            else:
                missing.append(outcome.reason)
        if here or missed:
            await self._attach(item, here, missed)
        return missing

    async def _attach(
        self, item: Awaited, here: dict[str, tuple[Path, Fetched]], missed: dict[str, str]
    ) -> None:
        kept = await asyncio.to_thread(self._keep, list(here.values()))
        fetched = dict(zip(here, kept, strict=True))
        command = partial(settle_files, message_id=item.message_id, fetched=fetched, missed=missed)
        done = await self._hand.submit(command)
        # The message was deleted meanwhile, or its files are too large together.
        unused = {file.token for file in kept} - set(done.result)
        await asyncio.to_thread(self._store.remove, unused)

    def _keep(self, here: Sequence[tuple[Path, Fetched]]) -> list[NewFile]:
        names, types = [], []
        for path, fetched in here:
            name = clean_name(fetched.file_name)
            with path.open("rb") as file:
                types.append(mime_type_of(file.read(BEGINNING), fetched.mime_type, name))
            names.append(name)
        tokens = self._store.keep([path for path, _ in here])
        return [
            NewFile(name, fetched.size, mime_type, token)
            for (_, fetched), name, mime_type, token in zip(here, names, types, tokens, strict=True)
        ]


class FilesMissing(Exception):
    """Some servers did not give their files; the agenda comes again."""
