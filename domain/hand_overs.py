"""Hand-overs: the cases of staff members and groups that leave go to their successors, a batch of cases at a time.

A hand-over begins with `staff.disabled.1`, `staff.deleted.1` or their likes of groups. Each batch can be done again and
by anybody: a case that went elsewhere meanwhile stays where it is.
"""

from collections.abc import Sequence

from kanal.domain import groups, staff
from kanal.domain.cases import hand_over_case
from kanal.domain.work import Work


def hand_over_cases(
    work: Work,
    *,
    case_ids: Sequence[int],
    hand_over_id: int = 0,
    staff_id: int = 0,
    group_id: int = 0,
) -> None:
    """`hand_over_id`, with `staff_id` or `group_id`: the hand-over of which these cases are the last.

    Nobody is given a case after they left, so the last ones stay the last.
    """
    for case_id in case_ids:
        hand_over_case(work, case_id)
    if hand_over_id and staff_id:
        staff.finish_hand_over(work, staff_id=staff_id, hand_over_id=hand_over_id)
    if hand_over_id and group_id:
        groups.finish_hand_over(work, group_id=group_id, hand_over_id=hand_over_id)
