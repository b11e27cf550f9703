"""/access and /roles: who may see, answer and manage what, now and at an earlier moment; and the roles that say so."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator, PlainValidator
from sqlalchemy import Connection

from kanal.domain import access, levels
from kanal.domain.access import STANDARD
from kanal.domain.errors import CaseNotFound, DomainError, RoleNotFound, StaffNotFound
from kanal.domain.roles import (
    ADMINISTERING,
    BUILT_IN,
    OF_THE_ACCOUNT,
    STAFF_ROLE,
    Cases,
    ChannelLevel,
    Grants,
    Level,
)
from kanal.domain.staff import STAFF, change_role_of
from kanal.domain.work import Work
from kanal.http.api import roles as calls
from kanal.http.api.roles import levels_given
from kanal.http.api.staff import submit_for_colleague
from kanal.http.dates import SECOND
from kanal.http.errors import ApiError, refusal
from kanal.http.fields import MAX_LINE, Fields, Id, Many, Text
from kanal.http.ids import case_id_in, id_in
from kanal.http.pages import sidebar
from kanal.http.pages.event_sentences import BUILT_IN_ROLES
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.pages.wording import N_
from kanal.projections import cases, roles
from kanal.projections.read_model import Views
from kanal.projections.viewers import Log, Reach, Viewer, everybody, viewers

LEVELS: Final[Mapping[Level, str]] = {
    "none": N_("nothing"),
    "see": N_("see"),
    "answer": N_("answer"),
    "manage": N_("manage"),
}
CASES: Final[Mapping[Cases, str]] = {
    "all": N_("everybody’s"),
    "own_and_unassigned": N_("own and nobody’s"),
    "own": N_("only own"),
}
RIGHTS: Final[Mapping[str, str]] = {
    "delete": N_("Delete cases, users and companies for good"),
    "manage_channels": N_("Make and delete channels, and say which ones are restricted"),
    "manage_staff": N_("Make, change and disable staff, groups, roles and API keys"),
    "share": N_("Make and change filters and macros that are everybody’s"),
    "manage_fields": N_("Delete labels; define custom fields, languages, e-mail addresses"),
    "manage_rules": N_("Make, change and test rules"),
    "see_statistics": N_("See statistics"),
    "audit": N_("Read the audit log"),
}
assert set(RIGHTS) == set(OF_THE_ACCOUNT)
DAY: Final = timedelta(1)


def _levels(value: object) -> tuple[ChannelLevel, ...]:
    """Channels for which nothing is chosen are not named."""
    if isinstance(value, dict):
        value = {name: level for name, level in value.items() if level}
    return levels_given(value)


def _known_rights(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    return tuple(name for name in RIGHTS if name in given)


ChosenLevels = Annotated[tuple[ChannelLevel, ...], PlainValidator(_levels)]


class AccessQuery(Fields):
    day: Text = ""
    """As it was at its end; "" for now."""
    staff: Id = 0
    """Whose row is to be changed."""


class LevelsForm(Fields):
    levels: ChosenLevels = ()
    """Of custom channels."""
    standard: Level | None = None
    role_id: Id = 0
    """Given: another role, and nothing else is changed."""


class RoleForm(Fields):
    """All of a role: a box that is not ticked is not sent."""

    title: Text = ""
    custom_channels: Level = "none"
    standard_channels: Level = "none"
    channels: ChosenLevels = ()
    of_groups: Literal["all", "some"] = "all"
    groups: Annotated[tuple[Id, ...], Many] = ()
    cases: Cases = "all"
    rights: Annotated[tuple[str, ...], BeforeValidator(_known_rights)] = ()

    @property
    def gives(self) -> Grants:
        return Grants(
            custom_channels=self.custom_channels,
            standard_channels=self.standard_channels,
            channels=self.channels,
            all_groups=self.of_groups == "all",
            groups=self.groups,
            cases=self.cases,
            rights=self.rights,
        )


class DeletedRole(Fields):
    replace_role_id: Id = 0


class Role(NamedTuple):
    role_id: int
    title: str
    gives: Grants
    holders: Sequence[str] = ()
    """Names."""


class Matrix(NamedTuple):
    sidebar: Sidebar
    staff: list[Reach]
    roles: dict[int, str]
    channels: dict[int, str]
    """Columns: custom channels by id, then the standard ones."""


async def show_access(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(AccessQuery)
    until, wrong = _end_of(visit, asked.day)

    def query(connection: Connection, views: Views) -> Matrix:
        beside = sidebar.read(connection, views, visit.who.staff_id)
        return Matrix(
            beside,
            everybody(views, _log(visit, connection, until)),
            dict.fromkeys(BUILT_IN_ROLES, "") | roles.titles(connection, views),
            {row.channel_id: row.title for row in beside.channels.values()},
        )

    found = await visit.read(query)
    return _page(
        visit,
        "access.html",
        found.sidebar,
        found=found,
        asked=asked,
        wrong=wrong,
        editing=0 if asked.day else asked.staff,
        administering=ADMINISTERING,
        standard=STANDARD,
    )


async def change_access(visit: Visit) -> web.StreamResponse:
    """Another role, or other levels; whoever then differs from their role gets one of their own."""
    staff_id = id_in(visit.path("staff"), StaffNotFound)
    given = await visit.given(LevelsForm)
    chosen = {each.channel_id: each.level for each in given.levels}
    if given.standard:
        chosen[STANDARD] = given.standard

    def command(work: Work, *, staff_id: int) -> int:
        if given.role_id:
            access.check_role(work, given.role_id)
            return change_role_of(work, staff_id=staff_id, role_id=given.role_id)
        profile = work.load(STAFF, staff_id).profile
        title = profile.full_name or profile.email
        role_id = levels.set_levels(work, staff_id=staff_id, levels=chosen, title=title)
        access.check_role(work, role_id)
        return staff_id

    await submit_for_colleague(visit, staff_id, command)
    return visit.see("/access", done="saved")


async def show_viewers(visit: Visit) -> web.StreamResponse:
    """Who sees a case, or could at the end of a day."""
    case_id = case_id_in(visit.path("case"))
    asked = visit.asked(AccessQuery)
    until, wrong = _end_of(visit, asked.day)

    def query(connection: Connection, views: Views) -> tuple[Sidebar, list[Viewer] | None]:
        if cases.find(connection, views, case_id) is None:
            raise CaseNotFound(case_id)
        found = viewers(views, _log(visit, connection, until), case_id)
        return sidebar.read(connection, views, visit.who.staff_id), found

    beside, found = await visit.read(query)
    return _page(
        visit, "viewers.html", beside, case_id=case_id, found=found, asked=asked, wrong=wrong
    )


async def show_roles(visit: Visit) -> web.StreamResponse:
    beside, found = await visit.read(_roles, visit)
    return _page(visit, "roles.html", beside, found=found)


async def new_role(visit: Visit) -> web.StreamResponse:
    """With what plain staff have, to begin with."""
    beside, _ = await visit.read(_roles, visit)
    return _role_page(visit, beside, Role(0, "", BUILT_IN[STAFF_ROLE].gives), {})


async def show_role(visit: Visit) -> web.StreamResponse:
    role_id = id_in(visit.path("role"), RoleNotFound)
    beside, found = await visit.read(_roles, visit)
    if role_id not in found:
        raise RoleNotFound(role_id)
    others = {each.role_id: each.title for each in found.values() if each.role_id != role_id}
    return _role_page(visit, beside, found[role_id], others)


async def create_role(visit: Visit) -> web.StreamResponse:
    given = await visit.given(RoleForm)

    def command(work: Work) -> int:
        return calls.make(work, title=given.title.strip(), gives=given.gives)

    return await _save(visit, 0, given, command)


async def change_role(visit: Visit) -> web.StreamResponse:
    role_id = id_in(visit.path("role"), RoleNotFound)
    given = await visit.given(RoleForm)
    gives = {name: getattr(given.gives, name) for name in Grants.__struct_fields__}

    def command(work: Work) -> int:
        return calls.make_otherwise(work, role_id=role_id, title=given.title.strip(), **gives)

    return await _save(visit, role_id, given, command)


async def delete_role(visit: Visit) -> web.StreamResponse:
    """Whoever has it gets the role that is chosen."""
    role_id = id_in(visit.path("role"), RoleNotFound)
    given = await visit.given(DeletedRole)

    def command(work: Work) -> int:
        access.check_role(work, role_id)
        if given.replace_role_id:
            access.check_role(work, given.replace_role_id)
        for staff_id in levels.holders_of(work, role_id):
            access.check_colleague(work, staff_id)
        return levels.delete_role_with_hand_over(
            work, role_id=role_id, replace_role_id=given.replace_role_id
        )

    await visit.submit(command)
    return visit.see("/roles", done="deleted")


async def _save(
    visit: Visit, role_id: int, given: RoleForm, command: Callable[[Work], int]
) -> web.StreamResponse:
    """With what was chosen in the form, if it cannot be saved."""
    problem: ApiError | None = None
    if not 0 < len(given.title.strip()) <= MAX_LINE:
        problem = ApiError(
            400, "title_required", f"A role has a title of up to {MAX_LINE} characters."
        )
    else:
        try:
            await visit.submit(command)
        except DomainError as error:
            problem = refusal(error)
    if problem is None:
        return visit.see("/roles", done="saved")
    beside, found = await visit.read(_roles, visit)
    holders = found[role_id].holders if role_id in found else ()
    role = Role(role_id, given.title, given.gives, holders)
    others = {each.role_id: each.title for each in found.values() if each.role_id != role_id}
    return _role_page(visit, beside, role, others, problem)


def _role_page(
    visit: Visit,
    beside: Sidebar,
    role: Role,
    others: Mapping[int, str],
    problem: ApiError | None = None,
) -> web.Response:
    return _page(
        visit,
        "role.html",
        beside,
        status=problem.status if problem else 200,
        role=role,
        others=others,
        refused=problem,
        named={each.channel_id: each.level for each in role.gives.channels},
    )


def _page(visit: Visit, template: str, beside: Sidebar, **values: Any) -> web.Response:
    """With the words for what one may have."""
    return visit.page(
        template,
        sidebar=beside,
        levels=LEVELS,
        cases_titles=CASES,
        rights=RIGHTS,
        built_in=BUILT_IN_ROLES,
        position=None,
        **values,
    )


def _roles(connection: Connection, views: Views, visit: Visit) -> tuple[Sidebar, dict[int, Role]]:
    """Those that are built in first."""
    beside = sidebar.read(connection, views, visit.who.staff_id)
    holders: dict[int, list[str]] = {}
    for row in beside.staff.values():
        holders.setdefault(row.role_id, []).append(row.full_name or row.email)
    found = {
        role_id: Role(role_id, BUILT_IN[role_id].title, BUILT_IN[role_id].gives, holders.get(role_id, ()))
        for role_id in BUILT_IN_ROLES
    }  # fmt: skip
    for own in roles.listed(connection, views):
        found[own.role_id] = Role(own.role_id, own.title, own.gives, holders.get(own.role_id, ()))
    return beside, found


def _end_of(visit: Visit, given: str) -> tuple[int, bool]:
    """Of a day, in microseconds, 0 for now; and whether it cannot be read."""
    if not given:
        return 0, False
    try:
        after = date.fromisoformat(given.strip()) + DAY
        began = datetime(after.year, after.month, after.day, tzinfo=visit.context.dates.zone)
        return int(began.timestamp()) * SECOND, False
    except (ValueError, OverflowError):
        return 0, True


def _log(visit: Visit, connection: Connection, until: int) -> Log:
    database = visit.context.database
    upto = database.position_at(connection, until - 1) if until else database.head(connection)
    return Log(connection, database, visit.context.stream_ids, upto)
