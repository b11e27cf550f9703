"""What a user who was deleted for good leaves behind: the cases go too, batch by batch."""

from collections.abc import Iterable

from kanal.domain.cases import delete_case, for_each_case
from kanal.domain.users import USERS, UserCasesDeleted
from kanal.domain.work import Work


def delete_cases_of_user(
    work: Work, *, user_id: int, case_ids: Iterable[int], last: bool
) -> list[int]:
    """The cases that were still there. `last`: the user has no others, and gets none any more."""
    user = work.load(USERS, user_id)
    deleted = for_each_case(work, change=delete_case, case_ids=case_ids) if user.deleted else []
    if last and user.deleted and not user.cases_deleted:
        work.record(USERS, user_id, UserCasesDeleted(user_id))
    return deleted
