"""Hand-overs: cases of staff members and groups that left go to their successors, batch by batch."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.hand_overs import hand_over_cases
from kanal.projections import cases
from kanal.projections.hand_overs import HandOver, under_way
from kanal.projections.read_model import Views

BATCH = 200
"""Cases in one command: some ten milliseconds of the writer's time, so that nobody's request waits long behind it."""
AT_ONCE = 10
"""Staff members, and groups, that hand over at the same time; more wait for the next turn."""


class Batch(NamedTuple):
    hand_over: HandOver
    case_ids: tuple[int, ...]


class HandOvers:
    """A duty of the agenda."""

    name = "hand_overs"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Batch]:
        """The next cases of each who left, the oldest first; no cases of who has none left."""

        def batch(hand_over: HandOver) -> Batch:
            whose = {"staff_id": hand_over.staff_id, "group_id": hand_over.group_id}
            return Batch(hand_over, tuple(cases.unclosed(connection, views, **whose, limit=BATCH)))

        return [batch(each) for each in under_way(connection, views, AT_ONCE)]

    async def act(self, item: Batch) -> None:
        last = len(item.case_ids) < BATCH
        command = partial(
            hand_over_cases,
            case_ids=item.case_ids,
            hand_over_id=item.hand_over.hand_over_id if last else 0,
            staff_id=item.hand_over.staff_id,
            group_id=item.hand_over.group_id,
        )
        await self._hand.submit(command, cause=item.hand_over.position)
