"""What staff write over the API while processes and databases fail, and the evidence of what came of it.

async with Correspondence(receiver, [kanal]) as desk:
    await desk.open(channels=2, cases=8)
    async with desk.writing():             # until the block ends
        await receiver.wait_for(100)
        await kanal.kill()
        await kanal.start()
    await desk.until_all_ended()
    assert not breaches(await desk.evidence())
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

import aiohttp
from invariants import Attempt, Closed, Delivery, Evidence, Message, breaches
from kanal_process import Client, Kanal
from webhook_receiver import Receiver

WRITERS: Final = 4
LOOK_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 0.02
"""Before a call that found nobody is made again, of another process."""
CALL_SECONDS: Final = 10.0
"""A process that is stopped or busy answers no sooner; the next one may."""
PAGE: Final = 100
ASKED_AT_ONCE: Final = 8
IN_FLIGHT: Final = 16
"""The default of KANAL_WEBHOOK_PER_CHANNEL."""


class Correspondence:
    """Writes are repeated under their own Idempotency-Key until they are answered. `kanals`: who may be asked."""

    def __init__(self, receiver: Receiver, kanals: Sequence[Kanal], seed: int = 1) -> None:
        self.written: dict[int, int] = {}
        """Ids of messages whose writes were answered, with their cases."""
        self.channels: list[int] = []
        self.cases: list[int] = []
        self.secrets: dict[int, list[str]] = {}
        self.closed: list[Closed] = []
        self.crashes = 0
        """Count those that cut off POSTs here."""
        self._receiver = receiver
        self._kanals = kanals
        self._dice = random.Random(seed)
        self._stack = contextlib.AsyncExitStack()
        self._number = 0

    async def __aenter__(self) -> Self:
        self._clients = [
            await self._stack.enter_async_context(kanal.client()) for kanal in self._kanals
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def call(self, method: str, path: str, json: Any = None) -> Any:
        """Of one process after the other until one answers; a POST is carried out once."""
        key = {"Idempotency-Key": str(uuid.UUID(int=self._dice.getrandbits(128)))}
        while True:
            for client in self._dice.sample(self._clients, len(self._clients)):
                answer = await self._asked(client, method, path, json, key)
                if answer is not None:
                    return answer
            await asyncio.sleep(AGAIN_SECONDS)

    async def _asked(
        self, client: Client, method: str, path: str, json: Any, headers: dict[str, str]
    ) -> Any:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                status, body = await client.answer(method, path, json=json, headers=headers)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None  # nobody listens, or it was killed before or while it answered
        if status == 503:
            return None
        assert 200 <= status < 300, (method, path, status, body, client.logged(body))
        return body

    async def open(self, channels: int, cases: int, channel_type: str = "sync") -> None:
        """So many channels, each with so many cases; channel n sends to the receiver's /n."""
        for _ in range(channels):
            await self.open_channel(cases, channel_type)

    async def open_channel(self, cases: int, channel_type: str = "sync", url: str = "") -> int:
        given = {
            "title": "App",
            "webhook_url": url or self._receiver.url,
            "channel_type": channel_type,
        }
        made = await self.call("POST", "custom_channels.json", {"custom_channel": given})
        channel_id: int = made["custom_channel"]["channel_id"]
        self.channels.append(channel_id)
        self.secrets[channel_id] = [made["custom_channel"]["secret"]]
        for _ in range(cases):
            self._number += 1
            case = {
                "user_custom_id": f"u{self._number}",
                "channel": f"cch{channel_id}",
                "content": "Help!",
            }
            opened = await self.call("POST", "cases.json", {"case": case})
            self.cases.append(opened["case"]["case_id"])
        return channel_id

    async def write(self, case_id: int) -> int:
        """A reply or a note; both go out."""
        self._number += 1
        kind, place = ("note", "note") if self._number % 5 == 0 else ("message", "messages")
        text = {"content": f"number {self._number}"}
        answer = await self.call("POST", f"cases/{case_id}/{place}.json", {kind: text})
        message_id: int = answer["message"]["message_id"]
        self.written[message_id] = case_id
        return message_id

    @contextlib.asynccontextmanager
    async def writing(
        self, writers: int = WRITERS, pause: float = 0.0, cases: Sequence[int] = ()
    ) -> AsyncIterator[None]:
        """All the time until the block ends. `pause`: seconds that each writer waits between two."""
        ended = asyncio.Event()

        async def write() -> None:
            while not ended.is_set():
                await self.write(self._dice.choice(cases or self.cases))
                if pause:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await ended.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(write())
            try:
                yield
            finally:
                ended.set()

    @contextlib.asynccontextmanager
    async def disabled(self, channel_id: int) -> AsyncIterator[None]:
        """The channel takes nothing meanwhile; POSTs under way may end first."""
        await self.call("PUT", f"custom_channels/{channel_id}/disable.json")
        since = time.monotonic()
        try:
            yield
        finally:
            self.closed.append(Closed(channel_id, since + 1, time.monotonic()))
            await self.call("PUT", f"custom_channels/{channel_id}/enable.json")

    async def waiting(self) -> int:
        """Deliveries that are neither delivered nor dead."""
        states = [
            await self.call("GET", f"deliveries.json?state={state}&limit=1")
            for state in ("pending", "held")
        ]
        return sum(int(each["total_count"]) for each in states)

    async def until_all_ended(self, seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.waiting():  # noqa: ASYNC110 rows have no event to wait for
                await asyncio.sleep(LOOK_SECONDS)

    # -- what came of it ---------------------------------------------------------------------------

    async def check(self, **circumstances: Any) -> Evidence:
        evidence = await self.evidence(**circumstances)
        found = breaches(evidence)
        assert not found, "\n".join(found[:20])
        return evidence

    async def evidence(self, **circumstances: Any) -> Evidence:
        """`circumstances`: fields of Evidence. Of deliveries with one attempt and one receipt no attempts are asked for."""
        deliveries = [each for case_id in self.cases for each in await self._deliveries_of(case_id)]
        evidence = Evidence(
            written=set(self.written),
            log=await self._log(),
            deliveries=deliveries,
            received=self._receiver.received,
            wall=time.time() - time.monotonic(),
            secrets=self.secrets,
            in_flight_at_crashes=self.crashes * len(self.channels) * IN_FLIGHT,
            closed=self.closed,
            **circumstances,
        )
        receipts = evidence.by_delivery()
        places = asyncio.Semaphore(ASKED_AT_ONCE)

        async def add_log(delivery: Delivery) -> None:
            arrived = len(receipts.get(delivery.delivery_id, ()))
            if (delivery.attempts, arrived) != (1, 1):
                async with places:
                    delivery.log = await self._attempts_of(delivery)

        await asyncio.gather(*map(add_log, deliveries))
        return evidence

    async def _log(self) -> list[Message]:
        found = []
        after = 0
        while True:
            page = await self.call("GET", f"events.json?after={after}&limit={PAGE}")
            events = [each["event"] for name, each in page.items() if name != "total_count"]
            if not events:
                return found
            after = events[-1]["position"]
            for event in events:
                data = event["data"]
                if event["type"] == "case.message_added.1" and data["kind"] != "user_message":
                    found.append(Message(*(data[name] for name in Message._fields)))

    async def _deliveries_of(self, case_id: int) -> list[Delivery]:
        """The oldest first."""
        found: list[Delivery] = []
        page = 1
        while True:
            path = f"deliveries.json?case_id={case_id}&limit={PAGE}&page={page}"
            answer = await self.call("GET", path)
            rows = [each["delivery"] for name, each in answer.items() if name != "total_count"]
            found += map(_delivery, rows)
            if len(rows) < PAGE:
                return found[::-1]
            page += 1

    async def _attempts_of(self, delivery: Delivery) -> tuple[Attempt, ...]:
        answer = await self.call("GET", f"deliveries/{delivery.delivery_id}.json")
        return tuple(map(_attempt, reversed(answer["delivery"]["attempt_log"])))


def _delivery(row: dict[str, Any]) -> Delivery:
    names = ("delivery_id", "message_id", "case_id", "channel_id", "sequence", "state", "reason")
    return Delivery(*(row[name] for name in names), attempts=row["attempts"])


def _attempt(row: dict[str, Any]) -> Attempt:
    started_at = _seconds(row["started_at"])
    assert started_at is not None
    return Attempt(
        row["number"], started_at, _seconds(row["ended_at"]), row["class"], row["http_status"]
    )


def _seconds(date: str | None) -> float | None:
    return parsedate_to_datetime(date).timestamp() if date else None
