"""/api/staff_statuses and /api/staff/.../status: who is at work. Omnidesk lists the statuses; the rest is in its pages."""

from functools import partial

from aiohttp import web
from msgspec import Struct

from kanal.domain import staff_statuses
from kanal.domain.access import check_colleague, check_right
from kanal.domain.errors import StaffNotFound, StaffStatusNotFound
from kanal.domain.roles import Right
from kanal.domain.staff import existing_staff
from kanal.domain.work import Work
from kanal.http.answers import answer, empty
from kanal.http.api import staff
from kanal.http.api.staff import StaffAnswer
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.fields import Fields, Flag, Id, Line
from kanal.http.ids import id_in
from kanal.projections import staff_statuses as read
from kanal.projections.staff_statuses import StatusRow


class StatusFields(Fields):
    status: Line | None = None
    takes_chats: Flag | None = None
    active: Flag | None = None


class NewStatus(Fields):
    status: Line
    takes_chats: Flag = False


class Chosen(Fields):
    status_id: Id


class StaffStatusAnswer(Struct):
    status_id: int
    status: str
    active: bool
    takes_chats: bool


@contract("List the staff statuses", Listed("staff_statuses", StaffStatusAnswer, total="count"))
async def list_statuses(call: Call) -> web.Response:
    """All of them, counted under `count` as Omnidesk does here."""
    rows = await call.read(read.listed)
    listed: dict[str, object] = {
        str(at): {"staff_statuses": shown(row)} for at, row in enumerate(rows)
    }
    return answer({**listed, "count": len(rows)})


@contract(
    "Make a staff status",
    One("staff_status", StaffStatusAnswer, 201),
    body=Takes("staff_status", NewStatus, others=("staff_statuses",), bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewStatus)
    command = partial(
        staff_statuses.create_status, title=given.status, takes_chats=given.takes_chats
    )
    done = await call.submit(command)
    return answer({"staff_status": await _read(call, done.result)}, 201)


@contract(
    "Change a staff status",
    One("staff_status", StaffStatusAnswer),
    body=Takes("staff_status", StatusFields, others=("staff_statuses",), bare=True),
)
async def change(call: Call) -> web.Response:
    given = (await call.given(StatusFields)).given()
    if "status" in given:
        given["title"] = given.pop("status")
    done = await call.submit(
        partial(staff_statuses.change_status, status_id=_status_id(call), **given)
    )
    return answer({"staff_status": await _read(call, done.result)})


@contract("Delete a staff status", Empty())
async def delete(call: Call) -> web.Response:
    """Whoever has it keeps it, so it stays in the list."""
    command = partial(staff_statuses.change_status, status_id=_status_id(call), active=False)
    await call.submit(command)
    return empty()


@contract(
    "Choose a staff member's status",
    One("staff", StaffAnswer),
    body=Takes("staff", Chosen, bare=True),
)
async def choose(call: Call) -> web.Response:
    """One's own; that of others needs the right to manage staff."""
    staff_id = id_in(call.path("staff"), StaffNotFound)
    given = await call.given(Chosen)
    command = partial(staff_statuses.set_staff_status, staff_id=staff_id, status_id=given.status_id)

    def permitted(work: Work) -> int:
        existing_staff(work, staff_id)
        if staff_id != call.caller.staff_id:
            check_right(work, call.caller.staff_id, Right.MANAGE_STAFF)
            check_colleague(work, staff_id)
        return command(work)

    await call.submit(permitted)
    return answer({"staff": await call.read(staff.with_keys, staff_id, call.context.dates)})


def shown(row: StatusRow) -> StaffStatusAnswer:
    return StaffStatusAnswer(row.status_id, row.title, row.active, row.takes_chats)


def _status_id(call: Call) -> int:
    return id_in(call.path("status"), StaffStatusNotFound)


async def _read(call: Call, status_id: int) -> StaffStatusAnswer:
    row = await call.read(read.find, status_id)
    if row is None:
        raise StaffStatusNotFound(status_id)
    return shown(row)
