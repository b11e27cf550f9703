"""/api/groups: groups of staff, to which cases can be given."""

from functools import partial
from typing import Any

from aiohttp import web

from kanal.domain.errors import GroupNotFound
from kanal.domain.groups import create_group
from kanal.http.answers import answer, listing
from kanal.http.context import Call
from kanal.http.dates import Dates
from kanal.http.fields import Content, Fields, Line, Paging, section
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import groups as read
from kanal.projections.groups import GroupRow


class NewGroup(Fields):
    group_title: Line
    group_from_name: Line = ""
    group_signature: Content = ""


async def list_groups(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(Paging.read(call.query())))
    dates = call.context.dates
    return answer(listing("group", [shown(row, dates) for row in found.rows], found.total))


async def show(call: Call) -> web.Response:
    return answer({"group": await _read(call, id_in(call.path("group"), GroupNotFound))})


async def create(call: Call) -> web.Response:
    given = NewGroup.read(section((await call.body()).fields, "group", bare=True))
    command = partial(
        create_group,
        title=given.group_title,
        from_name=given.group_from_name,
        signature=given.group_signature,
    )
    done = await call.submit(command)
    return answer({"group": await _read(call, done.result)}, 201)


def shown(row: GroupRow, dates: Dates) -> dict[str, Any]:
    return {
        "group_id": row.group_id,
        "group_title": row.title,
        "group_from_name": row.from_name,
        "group_signature": row.signature,
        "active": row.active,
        "created_at": dates.render(row.created_at),
        "updated_at": dates.render(row.updated_at),
    }


async def _read(call: Call, group_id: int) -> dict[str, Any]:
    row = await call.read(read.find, group_id)
    if row is None:
        raise GroupNotFound(group_id)
    return shown(row, call.context.dates)
