"""The filters that there are for a caller: Kanal's own, and those that staff defined."""

from typing import NamedTuple

from sqlalchemy import Connection

from kanal.domain.errors import FilterNotFound
from kanal.domain.filters import Conditions
from kanal.http.context import Call
from kanal.projections import filters as read
from kanal.projections.read_model import Views

ME = "me"
"""As `staff_id` in a filter: whoever asks."""

UNCLOSED = ["open", "waiting"]


class BuiltIn(NamedTuple):
    title: str
    conditions: Conditions


BUILT_IN: dict[int, BuiltIn] = {
    1: BuiltIn("Open", {"status": ["open"]}),
    2: BuiltIn("Waiting", {"status": ["waiting"]}),
    3: BuiltIn("Closed", {"status": ["closed"]}),
    4: BuiltIn("Mine", {"status": UNCLOSED, "staff_id": [ME]}),
    5: BuiltIn("Nobody's", {"status": UNCLOSED, "staff_id": [0]}),
    6: BuiltIn("All", {}),
    7: BuiltIn("Spam", {"spam": True}),
    8: BuiltIn("Trash", {"deleted": True}),
}
"""Their numbers never change: clients keep them."""
FIRST = 1
"""Selected for who has selected none."""


async def conditions_of(call: Call, filter_id: int) -> Conditions:
    """Parameters of the list of cases for this caller. Raises FilterNotFound."""
    return for_staff(await call.read(_find, filter_id, call.caller.staff_id), call.caller.staff_id)


def for_staff(conditions: Conditions, staff_id: int) -> Conditions:
    """With that staff member in place of `me`."""
    given = conditions.get("staff_id")
    if isinstance(given, list):
        return {**conditions, "staff_id": [staff_id if each == ME else each for each in given]}
    return {**conditions, "staff_id": staff_id} if given == ME else conditions


def _find(connection: Connection, views: Views, filter_id: int, staff_id: int) -> Conditions:
    if filter_id in BUILT_IN:
        return BUILT_IN[filter_id].conditions
    row = read.find(connection, views, filter_id, staff_id)
    if row is None:
        raise FilterNotFound(filter_id)
    return row.parsed()
