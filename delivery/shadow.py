"""Copies of what was POSTed go to a second URL of the channel, and its answers are compared with those of the first.

Best effort, beside the queue: a copy is made when an attempt has ended, sent once, and kept nowhere but in memory. What the
second receiver does, or does not, is recorded and has no effect on any delivery.
"""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import structlog
from sqlalchemy import Connection, delete, insert, select, update

from kanal.delivery.address_guard import IPNetwork
from kanal.delivery.outcome import Outcome
from kanal.delivery.post import WebhookClient
from kanal.delivery.tables import shadow_results, shadows
from kanal.eventlog.writer import LogUnavailable, Writer

WAITING_LIMIT: Final = 100
"""Copies of one channel; what comes while so many wait is counted and not sent."""
WIDTH: Final = 4
"""In flight on one channel."""
IN_FLIGHT: Final = 32
"""Of all channels: few beside what deliveries have."""
HEADER: Final = "Kanal-Shadow"
KEPT: Final = 1_000
"""Results of one channel; the counts know of all."""
UNWRITTEN_LIMIT: Final = 2_000
"""Results, while the log cannot be written; then they are forgotten."""
WRITE_SECONDS: Final = 1.0
"""So long results are gathered."""

Comparison = Literal["same", "better", "worse", "not_sent"]
"""Of the second receiver with the first: both took it or neither, it alone did, it alone did not."""

log = structlog.get_logger(__name__)


class Copy(NamedTuple):
    channel_id: int
    url: str
    delivery_id: str
    queue: int | None
    """Copies of one queue are sent one after another."""
    body: bytes
    headers: Callable[[], dict[str, str]]
    """Signed for the moment."""
    deadline: float
    networks: tuple[IPNetwork, ...]
    outcome: Outcome
    """Of the channel's own URL."""


class Result(NamedTuple):
    copy: Copy
    outcome: Outcome | None
    """None: it was not sent."""

    @property
    def comparison(self) -> Comparison:
        if self.outcome is None or self.outcome.local:
            return "not_sent"
        first, second = self.copy.outcome.succeeded, self.outcome.succeeded
        return "same" if first == second else "better" if second else "worse"


class ShadowSender:
    def __init__(self, client: WebhookClient, writer: Writer) -> None:
        self._client = client
        self._writer = writer
        self._waiting: dict[int, deque[Copy]] = {}
        self._posts: dict[asyncio.Task[None], Copy] = {}
        self._results: list[Result] = []
        self._writing: asyncio.Task[None] | None = None

    def send(self, copy: Copy) -> None:
        """Returns at once. Nothing was asked of the second URL if the fault of the first attempt was Kanal's own."""
        if copy.outcome.local:
            return
        waiting = self._waiting.setdefault(copy.channel_id, deque())
        if len(waiting) >= WAITING_LIMIT:
            self._note(Result(copy, None))
            return
        waiting.append(copy)
        self._pump()

    async def close(self) -> None:
        """What waits or is under way was not sent."""
        left = [*(each for waiting in self._waiting.values() for each in waiting)]
        left += self._posts.values()
        self._waiting.clear()
        for task in (posts := list(self._posts)):
            task.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        if self._writing:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        self._results += [Result(each, None) for each in left]
        await self._write()

    def _pump(self) -> None:
        for channel_id in list(self._waiting):
            waiting = self._waiting[channel_id]
            own = [each for each in self._posts.values() if each.channel_id == channel_id]
            taken = {each.queue for each in own} - {None}
            places = min(WIDTH - len(own), IN_FLIGHT - len(self._posts))
            left: deque[Copy] = deque()
            for each in waiting:
                if places > 0 and each.queue not in taken:
                    places -= 1
                    self._start(each)
                else:
                    left.append(each)
                if each.queue is not None:
                    taken.add(each.queue)
            self._waiting[channel_id] = left
            if not left:
                del self._waiting[channel_id]

    def _start(self, copy: Copy) -> None:
        post = asyncio.create_task(self._post(copy))
        self._posts[post] = copy
        post.add_done_callback(self._ended)

    async def _post(self, copy: Copy) -> None:
        headers = {**copy.headers(), HEADER: "1"}
        outcome = await self._client.post(
            copy.url, copy.body, headers, copy.deadline, copy.networks
        )
        self._note(Result(copy, outcome))

    def _ended(self, post: asyncio.Task[None]) -> None:
        copy = self._posts.pop(post)
        if post.cancelled():
            return
        if error := post.exception():
            log.error("shadow_not_sent", delivery=copy.delivery_id, error=repr(error))
            self._note(Result(copy, None))
        self._pump()

    # -- what is kept --------------------------------------------------------------------------------

    def _note(self, result: Result) -> None:
        self._results.append(result)
        del self._results[:-UNWRITTEN_LIMIT]
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        while self._results:
            await asyncio.sleep(WRITE_SECONDS)
            await self._write()

    async def _write(self) -> None:
        results, self._results = self._results, []
        if not results:
            return
        try:
            await self._writer.run(partial(record, results=results))
        except LogUnavailable:
            self._results = (results + self._results)[-UNWRITTEN_LIMIT:]
        except Exception as error:  # noqa: BLE001 nothing of this may stop the sender
            log.error("shadows_not_written", error=repr(error), count=len(results))


def begin(connection: Connection, channel_id: int, url: str, at: int) -> None:
    """The counts begin anew; no `url`: there is no shadow any more."""
    connection.execute(delete(shadows).where(shadows.c.channel_id == channel_id))
    connection.execute(delete(shadow_results).where(shadow_results.c.channel_id == channel_id))
    if url:
        counts = {"same": 0, "better": 0, "worse": 0, "not_sent": 0}
        row = {"channel_id": channel_id, "url": url, "since": at, **counts}
        connection.execute(insert(shadows).values(row))


def record(connection: Connection, results: Sequence[Result]) -> None:
    """Inside a transaction of the writer. What was compared with a URL that is none any more is left out."""
    channel_ids = {each.copy.channel_id for each in results}
    current = select(shadows.c.channel_id, shadows.c.url)
    own_urls = connection.execute(current.where(shadows.c.channel_id.in_(channel_ids)))
    urls: dict[int, str] = {row.channel_id: row.url for row in own_urls}
    counted = [each for each in results if urls.get(each.copy.channel_id) == each.copy.url]
    rows = [_row(each, each.outcome) for each in counted if each.outcome]
    if rows:
        connection.execute(insert(shadow_results), rows)
    for channel_id in {each.copy.channel_id for each in counted}:
        own = [each.comparison for each in counted if each.copy.channel_id == channel_id]
        more = {name: shadows.c[name] + count for name, count in Counter(own).items()}
        connection.execute(update(shadows).where(shadows.c.channel_id == channel_id).values(more))
    _prune(connection, {row["channel_id"] for row in rows})


def _row(result: Result, outcome: Outcome) -> dict[str, Any]:
    first, copy = result.copy.outcome, result.copy
    return {
        "result_id": f"{outcome.ended_at:014x}{secrets.token_hex(6)}",
        "channel_id": copy.channel_id,
        "delivery_id": copy.delivery_id,
        "at": outcome.ended_at,
        "comparison": result.comparison,
        "main_class": str(first.outcome_class),
        "main_status": first.http_status,
        "main_milliseconds": _milliseconds(first),
        "shadow_class": str(outcome.outcome_class),
        "shadow_status": outcome.http_status,
        "shadow_milliseconds": _milliseconds(outcome),
        "sentence": outcome.sentence,
        "excerpt": outcome.excerpt,
    }


def _milliseconds(outcome: Outcome) -> int:
    return (outcome.ended_at - outcome.started_at) // 1000


def _prune(connection: Connection, channel_ids: Collection[int]) -> None:
    r = shadow_results.c
    for channel_id in channel_ids:
        newest = select(r.result_id).where(r.channel_id == channel_id).order_by(r.result_id.desc())
        oldest = connection.scalar(newest.offset(KEPT).limit(1))
        if oldest is not None:
            old = (r.channel_id == channel_id, r.result_id <= oldest)
            connection.execute(delete(shadow_results).where(*old))


# -- looking at it ---------------------------------------------------------------------------------


class Shadow(NamedTuple):
    url: str
    since: int
    same: int
    better: int
    worse: int
    not_sent: int


class ResultRow(NamedTuple):
    delivery_id: str
    at: int
    comparison: Comparison
    main_class: str
    main_status: int | None
    main_milliseconds: int
    shadow_class: str
    shadow_status: int | None
    shadow_milliseconds: int
    sentence: str
    excerpt: str


class Times(NamedTuple):
    """Milliseconds; None while there are none."""

    p50: int | None
    p95: int | None


class Seen(NamedTuple):
    shadow: Shadow
    main: Times
    second: Times
    differences: list[ResultRow]
    """The latest first."""


def look(connection: Connection, channel_id: int, limit: int) -> Seen | None:
    """None: the channel has no shadow."""
    columns = [shadows.c[name] for name in Shadow._fields]
    found = connection.execute(select(*columns).where(shadows.c.channel_id == channel_id)).first()
    if found is None:
        return None
    r = shadow_results.c
    times = select(r.main_milliseconds, r.shadow_milliseconds).where(r.channel_id == channel_id)
    both = connection.execute(times.order_by(r.result_id.desc()).limit(KEPT)).all()
    different = select(*[r[name] for name in ResultRow._fields]).where(
        r.channel_id == channel_id, r.comparison != "same"
    )
    rows = connection.execute(different.order_by(r.result_id.desc()).limit(limit))
    return Seen(
        Shadow._make(found),
        _times([first for first, _ in both]),
        _times([second for _, second in both]),
        [ResultRow._make(row) for row in rows],
    )


def _times(milliseconds: list[int]) -> Times:
    if not milliseconds:
        return Times(None, None)
    rising = sorted(milliseconds)
    return Times(rising[len(rising) // 2], rising[len(rising) * 95 // 100])
