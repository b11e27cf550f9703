"""Deleted users: their cases are deleted after them, batch by batch."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.deleted_users import delete_cases_of_user
from kanal.projections import cases, users
from kanal.projections.read_model import Views

BATCH = 200
"""Cases in one command: some ten milliseconds of the writer's time, so that nobody's request waits long behind it."""
AT_ONCE = 10
"""Users; more wait for the next turn."""


class Batch(NamedTuple):
    user_id: int
    cause: int
    """Position of the event with which the user was deleted."""
    case_ids: tuple[int, ...]


class DeletedUsers:
    """A duty of the agenda."""

    name = "deleted_users"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Batch]:
        """The next cases of each; no cases of whom none is left."""
        return [
            Batch(user_id, position, tuple(cases.of_user(connection, views, user_id, BATCH)))
            for user_id, position in users.leaving_cases(connection, views, AT_ONCE)
        ]

    async def act(self, item: Batch) -> None:
        command = partial(
            delete_cases_of_user,
            user_id=item.user_id,
            case_ids=item.case_ids,
            last=len(item.case_ids) < BATCH,
        )
        await self._hand.submit(command, cause=item.cause)
