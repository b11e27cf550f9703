"""/api/groups: groups of staff, to which cases can be given."""

from collections.abc import Callable
from functools import partial

from aiohttp import web
from msgspec import Struct

from kanal.domain import groups
from kanal.domain.errors import GroupNotFound
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.context import Call, Caller
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import Content, Fields, Id, Line, Paging
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import groups as read
from kanal.projections.cases import unclosed
from kanal.projections.groups import GroupRow


class NewGroup(Fields):
    group_title: Line
    group_from_name: Line = ""
    group_signature: Content = ""


class GroupChanges(Fields):
    group_title: Line | None = None
    group_from_name: Line | None = None
    group_signature: Content | None = None


class GroupReplacement(Fields):
    replace_group_id: Id = 0
    """Which group gets the cases that are not closed, 0 for none."""


class GroupAnswer(Struct):
    group_id: int
    group_title: str
    group_from_name: str
    group_signature: str
    active: bool
    replace_group_id: int
    """Which group has its cases since it was disabled; 0: it keeps them."""
    handing_over: bool
    """Some of its cases may still have to be handed over."""
    created_at: Date
    updated_at: Date


@contract("List the groups", Listed("group", GroupAnswer), query=Paging)
async def list_groups(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    dates = call.context.dates
    return answer(listing("group", [shown(row, dates) for row in found.rows], found.total))


@contract("Show a group", One("group", GroupAnswer))
async def show(call: Call) -> web.Response:
    return answer({"group": await _read(call, _group_id(call))})


@contract("Make a group", One("group", GroupAnswer, 201), body=Takes("group", NewGroup, bare=True))
async def create(call: Call) -> web.Response:
    given = await call.given(NewGroup)
    command = partial(
        groups.create_group,
        title=given.group_title,
        from_name=given.group_from_name,
        signature=given.group_signature,
    )
    done = await call.submit(command)
    return answer({"group": await _read(call, done.result)}, 201)


@contract("Change a group", One("group", GroupAnswer), body=Takes("group", GroupChanges, bare=True))
async def change(call: Call) -> web.Response:
    given = (await call.given(GroupChanges)).given()
    changes = {name.removeprefix("group_"): value for name, value in given.items()}
    return await _submit(call, partial(groups.change_group, **changes))


@contract(
    "Disable a group", One("group", GroupAnswer), body=Takes("group", GroupReplacement, bare=True)
)
async def disable(call: Call) -> web.Response:
    given = await call.given(GroupReplacement)
    command = partial(groups.disable_group, replace_group_id=given.replace_group_id)
    return await _submit(call, command)


@contract("Enable a group", One("group", GroupAnswer))
async def enable(call: Call) -> web.Response:
    return await _submit(call, groups.enable_group)


@contract(
    "Delete a group",
    Empty(),
    query=GroupReplacement,
    body=Takes("group", GroupReplacement, bare=True),
)
async def delete(call: Call) -> web.Response:
    """Not every client can send a body with DELETE, so the query may name the replacement as well.

    A case that comes into the group between the look and the command ends without a group; nothing is lost by that.
    """
    group_id = _group_id(call)
    given, asked = await call.given(GroupReplacement), call.asked(GroupReplacement)
    replacement = given.replace_group_id or asked.replace_group_id
    await _read(call, group_id)
    await check_replacement(call, group_id, replacement)
    await call.submit(partial(groups.delete_group, group_id=group_id, replace_group_id=replacement))
    return empty()


async def check_replacement(caller: Caller, group_id: int, replace_group_id: int) -> None:
    """Raises ApiError if there are cases for which a group has to be named."""
    in_use = await caller.read(unclosed, group_id=group_id, limit=1)
    if in_use and not replace_group_id:
        raise ApiError(
            400,
            "replacement_required",
            "There are cases in this group that are not closed: name the group that gets them as replace_group_id.",
            fields={"replace_group_id": "is required"},
        )


def shown(row: GroupRow, dates: Dates) -> GroupAnswer:
    return GroupAnswer(
        group_id=row.group_id,
        group_title=row.title,
        group_from_name=row.from_name,
        group_signature=row.signature,
        active=row.active,
        replace_group_id=row.replace_group_id,
        handing_over=row.hand_over_id > 0,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
    )


async def _submit(call: Call, command: Callable[..., int]) -> web.Response:
    done = await call.submit(partial(command, group_id=_group_id(call)))
    return answer({"group": await _read(call, done.result)})


def _group_id(call: Call) -> int:
    return id_in(call.path("group"), GroupNotFound)


async def _read(call: Call, group_id: int) -> GroupAnswer:
    row = await call.read(read.find, group_id)
    if row is None:
        raise GroupNotFound(group_id)
    return shown(row, call.context.dates)
