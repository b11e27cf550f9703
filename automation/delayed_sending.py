"""Delayed sending: replies that wait are sent when their time has come."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.messages import send_scheduled
from kanal.projections import scheduled
from kanal.projections.read_model import Views
from kanal.projections.scheduled import ScheduledRow

MOST = 100
"""Messages that are looked at in one turn; the next turn finds the others."""


class DelayedSending:
    """A duty of the agenda."""

    name = "delayed_sending"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[ScheduledRow]:
        return scheduled.due(connection, views, now, MOST)

    async def act(self, item: ScheduledRow) -> None:
        command = partial(send_scheduled, message_id=item.message_id)
        await self._hand.submit(command, cause=item.position)
