"""Levels on channels that are given to one staff member, and roles that are handed over: what pages do in one go.

What somebody may is always said by a role; whoever differs from theirs gets one that is made for them alone.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from kanal.domain.access import scope_in
from kanal.domain.channels import existing_channel
from kanal.domain.errors import RoleFixed, RoleInUse
from kanal.domain.roles import (
    ADMINISTERING,
    BUILT_IN,
    ROLE_HOLDERS,
    ChannelLevel,
    Level,
    change_role,
    create_role,
    delete_role,
    existing_role,
    own_role,
)
from kanal.domain.staff import change_role_of, existing_staff
from kanal.domain.work import Work

STANDARD = 0
"""In place of a channel_id: all channels that are not custom."""


def set_levels(work: Work, *, staff_id: int, levels: Mapping[int, Level], title: str) -> int:
    """The role that they have from now on. `levels`: by channel_id, those that stay the same among them; `title`: of a role
    that has to be made.

    Raises StaffNotFound, RoleFixed, ChannelNotFound.
    """
    staff = existing_staff(work, staff_id)
    if staff.role_id in ADMINISTERING:
        raise RoleFixed(staff.role_id)
    scope = scope_in(work, staff)
    changed = {each: level for each, level in levels.items() if scope.level(each) != level}
    if not changed:
        return staff.role_id
    gives = existing_role(work, staff.role_id).gives
    named = {each.channel_id: each.level for each in gives.channels}
    for channel_id, level in changed.items():
        if channel_id != STANDARD:
            existing_channel(work, channel_id)
            named[channel_id] = level
    standard = changed.get(STANDARD, gives.standard_channels)
    channels = tuple(ChannelLevel(each, level) for each, level in sorted(named.items()))
    if staff.role_id not in BUILT_IN and work.load(ROLE_HOLDERS, staff.role_id) == (staff_id,):
        return change_role(
            work, role_id=staff.role_id, standard_channels=standard, channels=channels
        )
    gives = replace(gives, standard_channels=standard, channels=channels)
    role_id = create_role(work, title=title, gives=gives)
    change_role_of(work, staff_id=staff_id, role_id=role_id)
    return role_id


def holders_of(work: Work, role_id: int) -> tuple[int, ...]:
    """Who has an own role, those who are disabled among them. Raises RoleNotFound, RoleFixed."""
    own_role(work, role_id)
    return work.load(ROLE_HOLDERS, role_id)


def delete_role_with_hand_over(work: Work, *, role_id: int, replace_role_id: int = 0) -> int:
    """Whoever has the role gets the other one first. `replace_role_id`: 0 where nobody has it.

    Raises RoleNotFound, RoleFixed, RoleInUse.
    """
    for staff_id in holders_of(work, role_id):
        if replace_role_id in (0, role_id):
            raise RoleInUse(role_id, [staff_id])
        change_role_of(work, staff_id=staff_id, role_id=replace_role_id)
    return delete_role(work, role_id=role_id)
