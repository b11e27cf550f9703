"""/channels: custom channels, how well what goes out arrives, a test with its whole exchange, and code to begin with."""

from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.delivery import health, overview
from kanal.delivery.health import Recent
from kanal.delivery.overview import DeliveryRow, Filter
from kanal.delivery.ping import Exchange
from kanal.domain import channel_delivery
from kanal.domain import channels as domain
from kanal.domain.errors import ChannelNotFound
from kanal.domain.roles import Right
from kanal.http.api.custom_channels import NewChannel, make_channel, ping_channel
from kanal.http.api.deliveries import seen
from kanal.http.fields import Fields, Line
from kanal.http.ids import channel_id_in, channel_key
from kanal.http.pages import sidebar
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word
from kanal.http.pages.samples import samples
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections import channels
from kanal.projections.channels import ChannelRow
from kanal.projections.read_model import Views

LOGGED: Final = 8
"""Deliveries that a channel's page shows; the log has all."""


class StateChange(Fields):
    action: Annotated[
        Literal["", "enable", "disable", "pause", "resume"], BeforeValidator(word)
    ] = ""
    reason: Line = ""


class Shown(NamedTuple):
    channel: ChannelRow
    delivery: overview.ChannelRow
    recent: Recent
    log: list[DeliveryRow]
    sidebar: Sidebar
    position: int


async def show_all(visit: Visit) -> web.StreamResponse:
    def query(
        connection: Connection, views: Views
    ) -> tuple[Sidebar, dict[int, overview.ChannelRow], int]:
        beside = sidebar.read(connection, views, visit.who.staff_id)
        return (
            beside,
            overview.of_channels(connection, [row.channel_id for row in beside.channels.values()]),
            visit.context.database.head(connection),
        )

    beside, states, position = await visit.read(query)
    return visit.page("channels.html", sidebar=beside, states=states, position=position)


async def form(visit: Visit) -> web.StreamResponse:
    return await _form(visit)


async def create(visit: Visit) -> web.StreamResponse:
    with Faults() as faults:
        made = await make_channel(visit, await visit.given(NewChannel))
    if faults:
        return await _form(visit, faults)
    if not made.secret:
        return visit.see(f"/channels/{channel_key(made.channel_id)}")
    return await page(visit, made.channel_id, secret=made.secret)


async def show(visit: Visit) -> web.StreamResponse:
    return await page(visit, channel_of(visit))


async def change_state(visit: Visit) -> web.StreamResponse:
    channel_id, given = channel_of(visit), await visit.given(StateChange)
    match given.action:
        case "enable":
            command: Any = domain.enable_channel
        case "disable":
            command = domain.disable_channel
        case "pause":
            command = partial(channel_delivery.pause_delivery, reason=given.reason)
        case "resume":
            command = partial(channel_delivery.resume_delivery, reason=given.reason)
        case _:
            return visit.see(f"/channels/{channel_key(channel_id)}")
    await visit.submit(partial(command, channel_id=channel_id))
    return visit.see(f"/channels/{channel_key(channel_id)}", done="saved")


async def test(visit: Visit) -> web.StreamResponse:
    """The whole exchange is shown, and recorded nowhere."""
    channel_id = channel_of(visit)
    return await page(visit, channel_id, exchange=await ping_channel(visit, channel_id))


async def page(
    visit: Visit, channel_id: int, *, secret: str = "", exchange: Exchange | None = None
) -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> Shown:
        wanted = Filter(channel_id=channel_id, within=seen(views))
        may_see = visit.may_on(Right.SEE_DELIVERIES, channel_id)
        newest = overview.newest(connection, wanted, LOGGED) if may_see else []
        return Shown(
            existing(connection, views, channel_id),
            overview.of_channels(connection, [channel_id])[channel_id],
            health.recent(connection, channel_id),
            [row for _, row in newest],
            sidebar.read(connection, views, visit.who.staff_id),
            visit.context.database.head(connection),
        )

    shown = await visit.read(query)
    key = channel_key(channel_id)
    return visit.page(
        "channel.html",
        channel=shown.channel,
        delivery=shown.delivery,
        recent=shown.recent,
        strip=strip(shown.recent),
        log=shown.log,
        secret=secret,
        exchange=exchange,
        samples=samples(visit.context.links.public_url, key, shown.channel),
        # What a form led to is not asked for anew: it was shown once.
        position=None if secret or exchange else shown.position,
        sidebar=shown.sidebar,
    )


class Bar(NamedTuple):
    """Of a drawing that is STRIP_HEIGHT high: the longer a delivery took, the higher it is."""

    height: int
    state: str
    created_at: int
    milliseconds: int | None


STRIP_HEIGHT: Final = 32
SHORTEST_BAR: Final = 3
DOUBLINGS: Final = 14
"""Milliseconds beyond 2 ** this (16 seconds) make no bar higher."""


def strip(recent: Recent) -> list[Bar]:
    bars = []
    for each in recent.strip:
        doublings = DOUBLINGS
        if each.milliseconds is not None:
            doublings = min(DOUBLINGS, each.milliseconds.bit_length())
        height = SHORTEST_BAR + (STRIP_HEIGHT - SHORTEST_BAR) * doublings // DOUBLINGS
        bars.append(Bar(height, each.state, each.created_at, each.milliseconds))
    return bars


def existing(connection: Connection, views: Views, channel_id: int) -> ChannelRow:
    """Raises ChannelNotFound."""
    row = channels.find(connection, views, channel_id)
    if row is None or row.deleted:
        raise ChannelNotFound(channel_key(channel_id))
    return row


def channel_of(visit: Visit) -> int:
    return channel_id_in(visit.path("channel"))


async def _form(visit: Visit, faults: Faults = NO_FAULTS) -> web.StreamResponse:
    typed = (await visit.body()).fields if faults else {}
    return visit.page(
        "channel_form.html",
        status=400 if faults else 200,
        sidebar=await visit.read_own(sidebar.read),
        faults=faults,
        typed=typed,
        position=None,
    )
