"""Staff members and groups that left, and may still have cases to hand over."""

from typing import NamedTuple

from sqlalchemy import Connection, literal, select

from kanal.projections.read_model import Views


class HandOver(NamedTuple):
    hand_over_id: int
    position: int
    """Of the event that began it."""
    staff_id: int
    group_id: int
    """One of the two is 0."""


def under_way(connection: Connection, views: Views, limit: int) -> list[HandOver]:
    """The oldest first; `limit` of staff and as many of groups."""
    staff, groups = views.staff["staff"].c, views.groups["groups"].c
    found = []
    for left, staff_id, group_id in (
        (staff, staff.staff_id, literal(0)),
        (groups, literal(0), groups.group_id),
    ):
        query = select(left.hand_over_id, left.left_at, staff_id, group_id)
        query = query.where(left.hand_over_id > 0).order_by(left.hand_over_id).limit(limit)
        found += [HandOver._make(row) for row in connection.execute(query)]
    return sorted(found)
