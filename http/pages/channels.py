"""/channels: custom channels with all that is decided of their delivery, a test, the log of deliveries, and code to begin with."""

from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.overview import AttemptRow, DeliveryRow, Filter, Sent, State
from kanal.delivery.ping import Exchange
from kanal.domain import channel_delivery
from kanal.domain import channels as domain
from kanal.domain.deliveries import retry as retry_delivery
from kanal.domain.errors import ChannelNotFound, DeliveryNotFound
from kanal.domain.roles import Right
from kanal.http.api.custom_channels import (
    ChannelFields,
    NewChannel,
    change_settings,
    make_channel,
    ping_channel,
)
from kanal.http.api.deliveries import ATTEMPTS_SHOWN, check_seen, decide, seen
from kanal.http.fields import Fields, Line
from kanal.http.ids import channel_id_in, channel_key
from kanal.http.pages import sidebar
from kanal.http.pages.samples import samples
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.projections import channels
from kanal.projections.channels import ChannelRow
from kanal.projections.read_model import Views

LOGGED: Final = 25
"""Deliveries that a channel's page shows."""


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


class ChannelQuery(Fields):
    state: State | None = None


class StateChange(Fields):
    action: Annotated[
        Literal["", "enable", "disable", "pause", "resume"], BeforeValidator(_word)
    ] = ""
    reason: Line = ""


class Shown(NamedTuple):
    channel: ChannelRow
    delivery: overview.ChannelRow
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
    return visit.page("channel_form.html", sidebar=await visit.read(_beside, visit), position=None)


async def create(visit: Visit) -> web.StreamResponse:
    made = await make_channel(visit, await visit.given(NewChannel))
    if not made.secret:
        return visit.see(f"/channels/{channel_key(made.channel_id)}")
    return await _page(visit, made.channel_id, secret=made.secret)


async def show(visit: Visit) -> web.StreamResponse:
    return await _page(visit, _channel_id(visit))


async def change(visit: Visit) -> web.StreamResponse:
    channel_id = _channel_id(visit)
    given = await visit.given(ChannelFields)
    await change_settings(visit, channel_id, given, visit.who.staff_id)
    return visit.see(f"/channels/{channel_key(channel_id)}", done="saved")


async def change_state(visit: Visit) -> web.StreamResponse:
    channel_id, given = _channel_id(visit), await visit.given(StateChange)
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
    channel_id = _channel_id(visit)
    return await _page(visit, channel_id, exchange=await ping_channel(visit, channel_id))


async def show_delivery(visit: Visit) -> web.StreamResponse:
    delivery_id = visit.path("delivery")

    def query(
        connection: Connection, views: Views
    ) -> tuple[DeliveryRow, Sent, list[AttemptRow], Sidebar]:
        check_seen(connection, views, delivery_id)
        found = overview.find(connection, delivery_id)
        if found is None:
            raise DeliveryNotFound(delivery_id)
        attempts = overview.attempts_of(connection, delivery_id, ATTEMPTS_SHOWN)
        return (*found, attempts, _beside(connection, views, visit))

    row, sent, attempts, beside = await visit.read(query)
    return visit.page(
        "delivery.html",
        delivery=row,
        text=bytes(sent.body).decode(),
        sent=sent,
        attempts=attempts,
        sidebar=beside,
        position=None,
    )


async def retry(visit: Visit) -> web.StreamResponse:
    """It really goes out once more, at once."""
    row = await decide(visit, visit.path("delivery"), retry_delivery)
    return visit.back(f"/deliveries/{row.delivery_id}", done="retried")


async def _page(
    visit: Visit, channel_id: int, *, secret: str = "", exchange: Exchange | None = None
) -> web.StreamResponse:
    asked = visit.asked(ChannelQuery)

    def query(connection: Connection, views: Views) -> Shown:
        row = channels.find(connection, views, channel_id)
        if row is None or row.deleted:
            raise ChannelNotFound(channel_key(channel_id))
        wanted = Filter(channel_id=channel_id, state=asked.state, within=seen(views))
        log = overview.listed(connection, wanted, LOGGED, 0)[0]
        return Shown(
            row,
            overview.of_channels(connection, [channel_id])[channel_id],
            log if visit.may_on(Right.SEE_DELIVERIES, channel_id) else [],
            _beside(connection, views, visit),
            visit.context.database.head(connection),
        )

    shown = await visit.read(query)
    return visit.page(
        "channel.html",
        channel=shown.channel,
        options=shown.channel.webhook,
        delivery=shown.delivery,
        log=shown.log,
        state=asked.state,
        secret=secret,
        exchange=exchange,
        samples=samples(visit.context.links.public_url, channel_key(channel_id)),
        # What a form led to is not asked for anew: it was shown once.
        position=None if secret or exchange else shown.position,
        sidebar=shown.sidebar,
    )


def _beside(connection: Connection, views: Views, visit: Visit) -> Sidebar:
    return sidebar.read(connection, views, visit.who.staff_id)


def _channel_id(visit: Visit) -> int:
    return channel_id_in(visit.path("channel"))
