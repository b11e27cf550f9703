"""/api/roles: what staff may see and do, channel by channel and of the account. Omnidesk has them in its pages only."""

from functools import partial
from typing import Annotated, Any

from aiohttp import web
from msgspec import Struct
from pydantic import PlainValidator, WithJsonSchema

from kanal.domain import access, roles
from kanal.domain.errors import ChannelNotFound, RoleNotFound
from kanal.domain.roles import (
    ADMINISTERING,
    BUILT_IN,
    OF_THE_ACCOUNT,
    RANK,
    Cases,
    ChannelLevel,
    Grants,
    Level,
)
from kanal.domain.work import Work
from kanal.http.answers import NEVER, DateOrNever, answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Flag, Id, Line, Many, Paging, wrong
from kanal.http.ids import channel_id_in, channel_key, id_in
from kanal.projections import roles as read
from kanal.projections.roles import RoleRow

MAX_NAMED = 1000
"""Channels that one role may name: each scope is made of them anew."""


def levels_given(value: object) -> tuple[ChannelLevel, ...]:
    """{"cch1": "answer"}; `5` is as good as `cch5`."""
    if not isinstance(value, dict):
        raise wrong("must be an object of channels and levels")
    problems, found = [], []
    for name, level in value.items():
        try:
            channel_id = channel_id_in(str(name))
        except ChannelNotFound:
            problems.append(f"{name} is no channel_api_key such as cch1")
            continue
        if level not in RANK:
            problems.append(f"the level of {name} must be one of {', '.join(RANK)}")
        else:
            found.append(ChannelLevel(channel_id, level))
    if len(found) > MAX_NAMED:
        problems.append(f"there may be up to {MAX_NAMED}")
    if problems:
        raise wrong("; ".join(problems))
    return tuple(found)


def _rights(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list) else str(value).split(",")
    unknown = [str(each) for each in given if each not in OF_THE_ACCOUNT]
    if unknown:
        raise wrong(f"{', '.join(unknown)}: must be among {', '.join(sorted(OF_THE_ACCOUNT))}")
    return tuple(given)


Channels = Annotated[
    tuple[ChannelLevel, ...],
    PlainValidator(levels_given),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_NAMED,
            "additionalProperties": {"enum": list(RANK)},
        }
    ),
]
Rights = Annotated[
    tuple[str, ...],
    PlainValidator(_rights),
    WithJsonSchema({"type": "array", "items": {"enum": sorted(OF_THE_ACCOUNT)}}),
]


class RoleFields(Fields):
    title: Line | None = None
    custom_channels: Level | None = None
    standard_channels: Level | None = None
    channels: Channels | None = None
    """All of them anew."""
    groups: Annotated[tuple[Id, ...], Many] | None = None
    """Whose cases are seen, 0 for cases of no group; `all_groups` takes it back."""
    all_groups: Flag | None = None
    cases: Cases | None = None
    rights: Rights | None = None

    def grants(self) -> dict[str, Any]:
        given = self.given()
        given.pop("title", None)
        if self.groups is not None and self.all_groups is None:
            given["all_groups"] = False
        return {name: value for name, value in given.items() if value is not None}


class NewRole(RoleFields):
    title: Line


class GivenRoleAnswer(Struct):
    role_id: int
    title: str
    built_in: bool
    custom_channels: Level
    """On the custom channels that are not named, unless they are restricted."""
    standard_channels: Level
    channels: dict[str, Level]
    all_groups: bool
    groups: list[int]
    cases: Cases
    rights: list[str]
    restricted_channels: bool
    """Whether it has restricted channels that it does not name."""
    created_at: DateOrNever
    updated_at: DateOrNever


@contract("List the roles with what they give", Listed("role", GivenRoleAnswer), query=Paging)
async def list_roles(call: Call) -> web.Response:
    """Those that are built in first."""
    asked, dates = call.asked(Paging), call.context.dates
    own = await call.read(read.listed)
    shown_roles = [*map(_built_in, BUILT_IN), *(shown(row, dates) for row in own)]
    page = shown_roles[asked.offset : asked.offset + asked.rows]
    return answer(listing("role", page, len(shown_roles)))


@contract("Show a role", One("role", GivenRoleAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _role_id(call))


@contract("Make a role", One("role", GivenRoleAnswer, 201), body=Takes("role", NewRole, bare=True))
async def create(call: Call) -> web.Response:
    given = await call.given(NewRole)
    done = await call.submit(partial(make, title=given.title, gives=Grants(**given.grants())))
    return await _answer(call, done.result, 201)


@contract("Change a role", One("role", GivenRoleAnswer), body=Takes("role", RoleFields, bare=True))
async def change(call: Call) -> web.Response:
    """It holds for everybody who has the role, from the next call on."""
    given, role_id = await call.given(RoleFields), _role_id(call)
    command = partial(make_otherwise, role_id=role_id, title=given.title, **given.grants())
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete a role", Empty())
async def delete(call: Call) -> web.Response:
    """Not while somebody has it."""
    role_id = _role_id(call)

    def command(work: Work) -> int:
        roles.own_role(work, role_id)
        access.check_role(work, role_id)
        return roles.delete_role(work, role_id=role_id)

    await call.submit(command)
    return empty()


def make(work: Work, *, title: str, gives: Grants) -> int:
    """Raises ChannelNotFound, GroupNotFound, BeyondOwnRights."""
    role_id = roles.create_role(work, title=title, gives=gives)
    access.check_role(work, role_id)
    return role_id


def make_otherwise(work: Work, *, role_id: int, title: str | None, **gives: Any) -> int:
    """Raises RoleNotFound, RoleFixed, ChannelNotFound, GroupNotFound, BeyondOwnRights."""
    roles.own_role(work, role_id)
    access.check_role(work, role_id)
    roles.change_role(work, role_id=role_id, title=title, **gives)
    access.check_role(work, role_id)
    return role_id


def shown(row: RoleRow, dates: Dates) -> GivenRoleAnswer:
    created_at, updated_at = dates.render(row.created_at), dates.render(row.updated_at)
    return _shown(row.role_id, row.title, row.gives, created_at, updated_at)


def _built_in(role_id: int) -> GivenRoleAnswer:
    role = BUILT_IN[role_id]
    return _shown(role_id, role.title, role.gives, NEVER, NEVER)


def _shown(
    role_id: int, title: str, gives: Grants, created_at: DateOrNever, updated_at: DateOrNever
) -> GivenRoleAnswer:
    return GivenRoleAnswer(
        role_id=role_id,
        title=title,
        built_in=role_id in BUILT_IN,
        custom_channels=gives.custom_channels,
        standard_channels=gives.standard_channels,
        channels={channel_key(each.channel_id): each.level for each in gives.channels},
        all_groups=gives.all_groups,
        groups=list(gives.groups),
        cases=gives.cases,
        rights=list(gives.rights),
        restricted_channels=role_id in ADMINISTERING,
        created_at=created_at,
        updated_at=updated_at,
    )


def _role_id(call: Call) -> int:
    return id_in(call.path("role"), RoleNotFound)


async def _answer(call: Call, role_id: int, status: int = 200) -> web.Response:
    row = await call.read(read.find, role_id)
    if row is None and role_id not in BUILT_IN:
        raise RoleNotFound(role_id)
    role = shown(row, call.context.dates) if row else _built_in(role_id)
    return answer({"role": role}, status)
