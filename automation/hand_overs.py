"""Hand-overs: cases of staff members and groups that left go to their successors, batch by batch."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.hand_overs import hand_over_cases
from kanal.projections import cases, groups, staff
from kanal.projections.read_model import Views

BATCH = 200
"""Cases in one command: some ten milliseconds of the writer's time, so that nobody's request waits long behind it."""
AT_ONCE = 10
"""Staff members, and groups, that hand over at the same time; more wait for the next turn."""


class Batch(NamedTuple):
    hand_over_id: int
    cause: int
    """Position of the event with which somebody left."""
    staff_id: int
    group_id: int
    """One of the two is 0."""
    case_ids: tuple[int, ...]


class HandOvers:
    """A duty of the agenda."""

    name = "hand_overs"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Batch]:
        """The next cases of each who left, the oldest first; no cases of who has none left."""
        of_staff = (
            Batch(each.hand_over_id, each.position, each.staff_id, 0, ())
            for each in staff.handing_over(connection, views, AT_ONCE)
        )
        of_groups = (
            Batch(each.hand_over_id, each.position, 0, each.group_id, ())
            for each in groups.handing_over(connection, views, AT_ONCE)
        )

        def filled() -> Iterator[Batch]:
            for batch in sorted(chain(of_staff, of_groups)):
                whose = {"staff_id": batch.staff_id, "group_id": batch.group_id}
                case_ids = cases.unclosed(connection, views, **whose, limit=BATCH)
                yield batch._replace(case_ids=tuple(case_ids))

        return list(filled())

    async def act(self, item: Batch) -> None:
        last = len(item.case_ids) < BATCH
        command = partial(
            hand_over_cases,
            case_ids=item.case_ids,
            hand_over_id=item.hand_over_id if last else 0,
            staff_id=item.staff_id,
            group_id=item.group_id,
        )
        await self._hand.submit(command, cause=item.cause)
