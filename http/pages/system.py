"""/system: whether everything is well: the log, the read models behind it, what waits to go out; and read models are made anew."""

import platform
from typing import Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal import __version__
from kanal.delivery import overview
from kanal.domain.roles import Right
from kanal.http.api.deliveries import seen
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Line
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.pages.workspace import WORKSPACE
from kanal.projections import runner
from kanal.projections.read_model import Views

REBUILDS: Final = Right.MANAGE_STAFF
"""Whoever may this administers the account."""
ALL: Final = "all"


class RebuildAsked(Fields):
    model: Line = ""


class Model(NamedTuple):
    name: str
    version: int
    generation: int
    behind: int
    """Events that it has not folded yet."""
    inline: bool
    """Kept up with each write; the others follow a moment later."""
    percent: int | None
    """How far its next generation is; None if there is none."""


class Shown(NamedTuple):
    sidebar: Sidebar
    position: int
    models: list[Model]
    waiting: overview.Waiting
    """Of what its reader sees, as the next."""
    oldest_at: int | None
    size: int
    server: str


async def show(visit: Visit) -> web.StreamResponse:
    context, workspace = visit.context, visit.request.app[WORKSPACE]
    # Before the database is asked: what has ended is to be seen there.
    under_way, ended = workspace.rebuilds.under_way, workspace.rebuilds.last

    def query(connection: Connection, views: Views) -> Shown:
        head = context.database.head(connection)
        beside = sidebar.read(connection, views, visit.who.staff_id)
        own = [row.channel_id for row in beside.channels.values()]
        states = overview.of_channels(connection, own)
        return Shown(
            beside,
            head,
            [
                _model(each, head, workspace.inline)
                for each in runner.standings(connection, context.models)
            ],
            overview.waiting(connection, overview.Filter(within=seen(views))),
            min((row.oldest_at for row in states.values() if row.oldest_at), default=None),
            context.database.size(connection),
            context.database.server(connection),
        )

    shown = await visit.read(query)
    agenda = workspace.agenda
    return visit.page(
        "system.html",
        shown=shown,
        sidebar=shown.sidebar,
        # What goes on here is seldom an event: the page asks for itself while something does.
        position=shown.position,
        version=__version__,
        python=platform.python_version(),
        waiting=context.writer.waiting,
        failing=context.writer.failing,
        undecided=context.loss_watch.undecided,
        rebuild=under_way,
        ended=ended,
        may_rebuild=visit.may(REBUILDS),
        leads=agenda is not None and agenda.leads,
        several=context.database.shared,
        duties=agenda.standings() if agenda else [],
    )


async def rebuild(visit: Visit) -> web.StreamResponse:
    """It goes on when the page is left."""
    given = await visit.given(RebuildAsked)
    known = {model.name for model in visit.context.models}
    if given.model != ALL and given.model not in known:
        sentence = f"must be {ALL} or one of {', '.join(sorted(known))}"
        raise ApiError(400, INVALID, f"model {sentence}.", fields={"model": sentence})
    names = () if given.model == ALL else (given.model,)
    visit.request.app[WORKSPACE].rebuilds.begin(names)
    return visit.see("/system")


def _model(each: runner.Standing, head: int, inline: frozenset[str]) -> Model:
    made = None
    if each.next_generation is not None:
        made = 100 * each.next_position // max(1, head)
    return Model(
        each.name,
        each.version,
        each.generation,
        max(0, head - each.position),
        each.name in inline,
        made,
    )
