"""Carries what visitors write to Kanal: in order for each chat, again and again until it is taken.

A request is written down before it is sent for the first time and repeated unchanged with the same
Idempotency-Key, so trying again is safe even when the answer got lost on its way.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
from store import Outgoing, Store

# Of one request in all: Kanal answers in milliseconds, and the visitor is told when it does not.
TIMEOUT_SECONDS = 15
OPENING = "/api/cases.json"
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
# A Retry-After beyond this is a mistake somewhere.
LONGEST_HINT_SECONDS = 600.0
# Refusals of this very message; everything else that is refused is mended by the operator (a wrong
# key, a disabled channel), and then the message goes through.
MESSAGE_REFUSED = {400, 413, 422}
# The case was deleted or given to somebody else: the conversation goes on in a new one.
CASE_LOST = {"case_not_found", "user_not_found", "user_has_not_access"}
SUBJECT_CHARACTERS = 100

log = logging.getLogger("own_chat")


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    retry_after: float

    @property
    def code(self) -> str:
        return str(self.body.get("error", ""))


class Unreachable(Exception):
    """No answer from Kanal, or not one of Kanal's."""


class Courier:
    """`changed` is called with a chat's id when its messages have another state."""

    def __init__(
        self,
        store: Store,
        kanal: aiohttp.ClientSession,
        channel: str,
        changed: Callable[[int], None],
    ) -> None:
        self._store = store
        self._kanal = kanal
        self._channel = channel
        self._changed = changed
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._quiet_until = 0.0

    def start(self) -> None:
        """Take up what was left when the program ended."""
        for chat in self._store.chats_with_outgoing():
            self.wake(chat)

    def wake(self, chat: int) -> None:
        if chat not in self._lanes:
            self._lanes[chat] = asyncio.create_task(self._lane(chat))

    async def close(self) -> None:
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def _lane(self, chat: int) -> None:
        wait = FIRST_WAIT_SECONDS
        try:
            while item := self._store.next_outgoing(chat):
                await asyncio.sleep(self._quiet_until - asyncio.get_running_loop().time())
                if await self._carried(self._prepared(item)):
                    wait = FIRST_WAIT_SECONDS
                    self._changed(chat)
                    continue
                self._store.tried_in_vain(item)
                self._changed(chat)
                # All chats fail together when Kanal is down; they must not come back together.
                await asyncio.sleep(wait * random.uniform(0.5, 1))
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        finally:
            del self._lanes[chat]

    def _prepared(self, item: Outgoing) -> Outgoing:
        """With its request: a message for the chat's case, or a new case if there is none."""
        if item.path:
            return item
        chat = self._store.chat(item.chat)
        if chat.case_id:
            path = f"/api/cases/{chat.case_id}/messages.json"
            body: dict[str, Any] = {"message": {"user_id": chat.user_id, "content": item.text}}
        else:
            path = OPENING
            body = {
                "case": {
                    "user_custom_id": chat.custom_id,
                    "channel": self._channel,
                    "subject": item.text[:SUBJECT_CHARACTERS],
                    "content": self._store.transcript(chat.id, up_to=item.message),
                }
            }
        return self._store.write_request(item, path, json.dumps(body))

    async def _carried(self, item: Outgoing) -> bool:
        """Whether this request is over, well or not; otherwise it is to be tried again."""
        try:
            answer = await self._post(item)
            if answer.status < 300:
                self._taken(item, answer)
                return True
        except Unreachable as error:
            log.warning("Kanal cannot be reached: %s", error)
            return False
        log.warning("Kanal refuses %s: %s %s", item.path, answer.status, answer.body)
        if answer.code in CASE_LOST and item.path != OPENING:
            self._store.forget_case(item)
            return True
        if answer.status in MESSAGE_REFUSED and not answer.code.startswith("channel_"):
            self._store.settled(item, "refused")
            return True
        self._quiet_until = asyncio.get_running_loop().time() + answer.retry_after
        return False

    async def _post(self, item: Outgoing) -> Answer:
        headers = {"Content-Type": "application/json", "Idempotency-Key": item.key}
        try:
            async with self._kanal.post(
                item.path, data=item.body.encode(), headers=headers, allow_redirects=False
            ) as response:
                try:
                    body = await response.json()
                except ValueError:
                    body = None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(str(error) or "no answer in time") from error
        # Not Kanal's: a proxy's page, or another server at this address.
        answer = body if isinstance(body, dict) else {}
        return Answer(response.status, answer, _seconds(response.headers.get("Retry-After", "")))

    def _taken(self, item: Outgoing, answer: Answer) -> None:
        if item.path == OPENING:
            try:
                case_id = int(answer.body["case"]["case_id"])
                user_id = int(answer.body["case"]["user_id"])
            except (KeyError, TypeError, ValueError) as error:
                raise Unreachable("the answer does not come from Kanal") from error
            self._store.case_opened(item.chat, case_id, user_id)
            log.info("case %s opened", case_id)
        elif "message" not in answer.body:
            raise Unreachable("the answer does not come from Kanal")
        self._store.settled(item, "delivered")


def _seconds(retry_after: str) -> float:
    return min(float(retry_after), LONGEST_HINT_SECONDS) if retry_after.isdecimal() else 0
