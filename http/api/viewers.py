"""/api/cases/.../viewers: who can see a case, or could at an earlier moment. Kanal's own."""

from aiohttp import web
from msgspec import Struct
from sqlalchemy import Connection

from kanal.domain.errors import CaseNotFound
from kanal.domain.roles import Level
from kanal.http.answers import answer, listing
from kanal.http.as_of import AsOf, position_of
from kanal.http.context import Call
from kanal.http.contract import Listed, contract
from kanal.http.fields import Paging
from kanal.http.ids import case_id_in
from kanal.projections import cases
from kanal.projections.read_model import Views
from kanal.projections.viewers import Log, Viewer, viewers


class ViewersQuery(Paging, AsOf):
    pass


class ViewerAnswer(Struct):
    staff_id: int
    staff_full_name: str
    """As the next ones: at that moment."""
    role_id: int
    role_title: str
    level: Level
    """On the case's channel."""


@contract("List who can see a case", Listed("viewer", ViewerAnswer), query=ViewersQuery)
async def list_viewers(call: Call) -> web.Response:
    """All active staff whose role lets them see it, by staff_id."""
    case_id = case_id_in(call.path("case"))
    asked = call.asked(ViewersQuery)
    context = call.context

    def query(connection: Connection, views: Views) -> list[Viewer]:
        if cases.find(connection, views, case_id) is None:
            raise CaseNotFound(case_id)
        upto = position_of(connection, context, asked.as_of)
        found = viewers(views, Log(connection, context.database, context.stream_ids, upto), case_id)
        if found is None:
            raise CaseNotFound(case_id)
        return found

    found = await call.read(query)
    page = found[asked.offset : asked.offset + asked.rows]
    return answer(listing("viewer", [ViewerAnswer(*each) for each in page], len(found)))
