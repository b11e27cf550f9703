"""What a caller may see, as conditions on the rows of read models; who reads with `Views.within` a scope is shown no more.

Each condition is on columns that amounts are kept by, so that totals under a scope are read and not counted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from kanal.domain.access import STANDARD, Scope, scope_of
from kanal.domain.channels import STANDARD_CHANNELS
from kanal.domain.roles import BUILT_IN, Grants
from kanal.domain.staff import NO_LIMITS, KeyLimits
from kanal.projections import roles
from kanal.projections.read_model import Views

NOTHING = Grants()


def scope_for(
    connection: Connection, views: Views, staff_id: int, key: KeyLimits = NO_LIMITS
) -> Scope | None:
    """What this staff member may reach at the moment of this connection; None if they are disabled or deleted."""
    staff = views.staff["staff"].c
    query = select(staff.role_id).where(staff.staff_id == staff_id, staff.active)
    role_id = connection.scalar(query)
    return None if role_id is None else scope_of_role(connection, views, staff_id, role_id, key)


def scopes_of(connection: Connection, views: Views, staff_ids: Iterable[int]) -> dict[int, Scope]:
    """As `scope_for`, of several; without those who are not active."""
    staff = views.staff["staff"].c
    query = select(staff.staff_id, staff.role_id).where(
        staff.staff_id.in_(list(staff_ids)), staff.active
    )
    role_of = {row.staff_id: row.role_id for row in connection.execute(query)}
    of_roles = {
        role_id: scope_of_role(connection, views, 0, role_id) for role_id in set(role_of.values())
    }
    return {
        staff_id: replace(of_roles[role_id], staff_id=staff_id)
        for staff_id, role_id in role_of.items()
    }


def scope_of_role(
    connection: Connection, views: Views, staff_id: int, role_id: int, key: KeyLimits = NO_LIMITS
) -> Scope:
    built_in = BUILT_IN.get(role_id)
    own = None if built_in else roles.find(connection, views, role_id)
    gives = built_in.gives if built_in else own.gives if own else NOTHING
    return scope_of(staff_id, role_id, gives, roles.restricted(connection, views), key)


def cases_seen(
    columns: Mapping[str, ColumnElement[Any]] | Any, scope: Scope
) -> list[ColumnElement[bool]]:
    """On `channel`, `group_id` and `staff_id` of cases or of their amounts; none for who sees all."""
    conditions = []
    if not scope.sees_all_channels:
        conditions.append(_of_channels(columns["channel"], scope, by_key=True))
    if scope.groups is not None:
        conditions.append(columns["group_id"].in_(sorted(scope.groups)))
    if scope.cases != "all":
        conditions.append(columns["staff_id"].in_(scope.whose))
    return conditions


def channel_seen(column: ColumnElement[Any], scope: Scope) -> list[ColumnElement[bool]]:
    """On a channel_id, 0 for the standard channels."""
    return [] if scope.sees_all_channels else [_of_channels(column, scope, by_key=False)]


def about_cases_seen(
    views: Views, channel_id: ColumnElement[Any], case_id: ColumnElement[Any]
) -> list[ColumnElement[bool]]:
    """Of what stands elsewhere and tells of a channel and of a case, or of none (0)."""
    scope = views.scope
    conditions = channel_seen(channel_id, scope)
    if not scope.sees_whole_channels:
        cases = views.cases["cases"]
        seen = select(cases.c.case_id).where(
            cases.c.case_id == case_id, *cases_seen(cases.c, scope)
        )
        conditions.append(or_(case_id == 0, seen.exists()))
    if not scope.sees_all:
        conditions.append(channel_id >= 0)  # what rules call is told of cases of all channels
    return conditions


def _of_channels(column: ColumnElement[Any], scope: Scope, *, by_key: bool) -> ColumnElement[bool]:
    """By what is named: either all that is seen or all that is not."""
    seen_by_default = scope.custom != "none"
    named = [
        channel_id
        for channel_id, level in scope.channels.items()
        if (level == "none") == seen_by_default
    ]
    if (scope.standard == "none") == seen_by_default:
        named.append(STANDARD)
    values: list[Any] = sorted(_keys(named)) if by_key else sorted(named)
    if not seen_by_default:
        return column.in_(values)
    # Below 0 stand the webhooks of rules.
    return column.not_in(values) if by_key else and_(column >= STANDARD, column.not_in(values))


def _keys(channel_ids: list[int]) -> set[str]:
    """As the cases name them."""
    keys = {f"cch{channel_id}" for channel_id in channel_ids if channel_id != STANDARD}
    return keys | STANDARD_CHANNELS if STANDARD in channel_ids else keys
