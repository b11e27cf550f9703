"""/api/groups: groups of staff, to which cases can be given."""

from functools import partial

from aiohttp import web
from msgspec import Struct

from kanal.domain.errors import GroupNotFound
from kanal.domain.groups import create_group
from kanal.http.answers import Date, answer, listing
from kanal.http.context import Call
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Content, Fields, Line, Paging
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import groups as read
from kanal.projections.groups import GroupRow


class NewGroup(Fields):
    group_title: Line
    group_from_name: Line = ""
    group_signature: Content = ""


class GroupAnswer(Struct):
    group_id: int
    group_title: str
    group_from_name: str
    group_signature: str
    active: bool
    created_at: Date
    updated_at: Date


@contract("List the groups", Listed("group", GroupAnswer), query=Paging)
async def list_groups(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    dates = call.context.dates
    return answer(listing("group", [shown(row, dates) for row in found.rows], found.total))


@contract("Show a group", One("group", GroupAnswer))
async def show(call: Call) -> web.Response:
    return answer({"group": await _read(call, id_in(call.path("group"), GroupNotFound))})


@contract("Make a group", One("group", GroupAnswer, 201), body=Takes("group", NewGroup, bare=True))
async def create(call: Call) -> web.Response:
    given = await call.given(NewGroup)
    command = partial(
        create_group,
        title=given.group_title,
        from_name=given.group_from_name,
        signature=given.group_signature,
    )
    done = await call.submit(command)
    return answer({"group": await _read(call, done.result)}, 201)


def shown(row: GroupRow, dates: Dates) -> GroupAnswer:
    return GroupAnswer(
        group_id=row.group_id,
        group_title=row.title,
        group_from_name=row.from_name,
        group_signature=row.signature,
        active=row.active,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
    )


async def _read(call: Call, group_id: int) -> GroupAnswer:
    row = await call.read(read.find, group_id)
    if row is None:
        raise GroupNotFound(group_id)
    return shown(row, call.context.dates)
