"""Hand-overs: the cases of staff members and groups that leave go to their successors, a batch of cases at a time.

The order is given by `staff.disabled.1`, `staff.deleted.1` and their likes of groups; what is left to do can be done
again and by anybody: a case that went elsewhere meanwhile stays where it is.
"""

from collections.abc import Sequence

from kanal.domain import groups, staff
from kanal.domain.cases import hand_over_case
from kanal.domain.work import Work


def hand_over_cases(work: Work, *, case_ids: Sequence[int]) -> None:
    for case_id in case_ids:
        hand_over_case(work, case_id)


def finish_hand_over(work: Work, *, staff_id: int = 0, group_id: int = 0) -> None:
    """When no case that is not closed is theirs. None can become theirs again: nobody is given to who has left."""
    if staff_id:
        staff.finish_hand_over(work, staff_id)
    if group_id:
        groups.finish_hand_over(work, group_id)
