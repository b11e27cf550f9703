"""What stands beside every page: the lists that there are, with how many cases each has, and names for ids."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection

from kanal.http.ids import channel_key
from kanal.projections import cases, channels, chats, deadlines, filters, groups, labels, staff
from kanal.projections.cases import DELETED, SPAM, Tally
from kanal.projections.channels import ChannelRow
from kanal.projections.filters import FilterRow
from kanal.projections.groups import GroupRow
from kanal.projections.labels import LabelRow
from kanal.projections.read_model import Page, Views
from kanal.projections.staff import StaffRow

OVERDUE: Final = "overdue"
"""The view of cases of which a response target is over."""
EVERY: Final = Page(limit=1000)
"""Staff, groups and labels that a page names; nobody picks one of more."""


class Sidebar(NamedTuple):
    staff: dict[int, StaffRow]
    groups: dict[int, GroupRow]
    channels: dict[str, ChannelRow]
    """By key."""
    labels: dict[int, LabelRow]
    filters: list[FilterRow]
    counts: Counter[str]
    """By view: `mine`, `channel:cch1`, `group:2`, ..."""


def read(connection: Connection, views: Views, staff_id: int) -> Sidebar:
    counts = counted(cases.tallies(connection, views, staff_id), staff_id)
    counts["chats"] = chats.amount(connection, views)
    counts[OVERDUE] = deadlines.counted_violated(connection, views, time.time_ns() // 1000)
    return Sidebar(
        staff={row.staff_id: row for row in staff.listed(connection, views, EVERY).rows},
        groups={row.group_id: row for row in groups.listed(connection, views, EVERY).rows},
        channels={channel_key(row.channel_id): row for row in channels.listed(connection, views)},
        labels={row.label_id: row for row in labels.listed(connection, views, EVERY).rows},
        filters=filters.visible(connection, views, staff_id),
        counts=counts,
    )


def counted(tallies: Iterable[Tally], staff_id: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in tallies:
        for view in _views_of(each, staff_id):
            counts[view] += each.amount
    return counts


def _views_of(each: Tally, staff_id: int) -> list[str]:
    if each.hidden & DELETED:
        return ["trash"]
    if each.hidden & SPAM:
        return ["spam"]
    found = [each.status, f"channel:{each.channel}"]
    if each.group_id:
        found.append(f"group:{each.group_id}")
    if each.staff_id == staff_id:
        found.append("mine")
    if not each.staff_id:
        found.append("unassigned")
    return found
