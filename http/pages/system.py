"""/system: whether everything is well: the log, the read models behind it, what waits to go out."""

from typing import NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal import __version__
from kanal.delivery import overview
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections import runner
from kanal.projections.read_model import Views


class Model(NamedTuple):
    name: str
    generation: int
    behind: int
    """Events that it has not folded yet."""


class Shown(NamedTuple):
    sidebar: Sidebar
    position: int
    models: list[Model]
    channels: dict[int, overview.ChannelRow]


async def show(visit: Visit) -> web.StreamResponse:
    context = visit.context

    def query(connection: Connection, views: Views) -> Shown:
        head = context.database.head(connection)
        live = runner.active_generations(connection, context.models)
        beside = sidebar.read(connection, views, visit.who.staff_id)
        return Shown(
            beside,
            head,
            [Model(each.model.name, each.number, max(0, head - each.position)) for each in live],
            overview.of_channels(connection, [row.channel_id for row in beside.channels.values()]),
        )

    shown = await visit.read(query)
    return visit.page(
        "system.html",
        shown=shown,
        sidebar=shown.sidebar,
        position=shown.position,
        version=__version__,
        database="PostgreSQL" if context.database.shared else "SQLite",
        waiting=context.writer.waiting,
        undecided=context.loss_watch.undecided,
    )
