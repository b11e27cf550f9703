"""/channels/<channel>/settings: all that is decided of a channel: what goes out, how, to whom, and what signs it."""

from functools import partial
from typing import Annotated, Any, Final, NamedTuple

from aiohttp import web
from pydantic import Field
from sqlalchemy import Connection

from kanal.delivery import shadow
from kanal.delivery.schedule import DELAYS, SECOND, attempt_seconds
from kanal.domain import channels as domain
from kanal.domain.roles import Right
from kanal.http.api.channel_secrets import live_secrets, make_secret, revoke_secret
from kanal.http.api.custom_channels import ANY, ChannelFields, change_settings
from kanal.http.api.shadow import DIFFERENCES
from kanal.http.fields import Fields, Flag, Text
from kanal.http.ids import channel_key
from kanal.http.pages import sidebar
from kanal.http.pages.channels import channel_of, existing
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.webhook_secrets import NewSecret
from kanal.projections import roles
from kanal.projections.channels import ChannelRow
from kanal.projections.read_model import Views

ICONS: Final = {
    "fa-question-circle": "help",
    "fa-comments": "chat",
    "fa-envelope": "mail",
    "fa-mobile": "phone",
    "fa-user": "person",
    "fa-users": "people",
    "fa-paper-plane": "send",
    "fa-building": "building",
    "fa-shopping-cart": "cart",
    "fa-globe": "globe",
}
"""Names of icons that integrations know, and ours for them."""
GRACES: Final = (0, 1, 24, 72, 168)
"""Hours for which the secrets before a new one go on signing."""
DROPPED: Final = frozenset({"webhook_url", "webhook_shadow_url"})
"""Fields that are emptied by what would mean "not given" in the API."""


class HeadersGiven(Fields):
    headers: Text = ""
    """`Name: value`, one a line; as they are, if there is nothing."""
    headers_off: Flag = False


class Revoked(Fields):
    secret: Text = ""


class ShadowChange(Fields):
    action: Annotated[str, Field(pattern="^(switch|drop)?$")] = ""


class Deleted(Fields):
    sure: Flag = False


class Shown(NamedTuple):
    channel: ChannelRow
    restricted: bool
    shadow: shadow.Seen | None
    sidebar: Sidebar


async def show(visit: Visit) -> web.StreamResponse:
    return await _page(visit)


async def change(visit: Visit) -> web.StreamResponse:
    channel_id = channel_of(visit)
    fields = (await visit.body()).fields
    with Faults() as faults:
        given = ChannelFields.read(_as_given(fields), visit.context)
        emptied = {name: "" for name in DROPPED & fields.keys() if not fields[name]}
        await change_settings(
            visit, channel_id, given.model_copy(update=emptied), visit.who.staff_id
        )
    if faults:
        return await _page(visit, faults)
    return visit.see(f"/channels/{channel_key(channel_id)}/settings", done="saved")


async def rotate(visit: Visit) -> web.StreamResponse:
    """Shown this once."""
    with Faults() as faults:
        given = await visit.given(NewSecret)
        secret = (await make_secret(visit, channel_of(visit), given)).secret
    if faults:
        return await _page(visit, faults)
    return await _page(visit, secret=secret)


async def revoke(visit: Visit) -> web.StreamResponse:
    given, channel_id = await visit.given(Revoked), channel_of(visit)
    await revoke_secret(visit, channel_id, given.secret)
    return visit.see(f"/channels/{channel_key(channel_id)}/settings", done="saved")


async def change_shadow(visit: Visit) -> web.StreamResponse:
    given, channel_id = await visit.given(ShadowChange), channel_of(visit)
    if given.action:
        command = domain.switch_to_shadow if given.action == "switch" else domain.drop_shadow
        await visit.submit(partial(command, channel_id=channel_id))
    return visit.see(f"/channels/{channel_key(channel_id)}/settings", done="saved")


async def delete(visit: Visit) -> web.StreamResponse:
    channel_id = channel_of(visit)
    if not (await visit.given(Deleted)).sure:
        return visit.see(f"/channels/{channel_key(channel_id)}/settings")
    await visit.submit(partial(domain.delete_channel, channel_id=channel_id))
    return visit.see("/channels", done="deleted")


def _as_given(fields: dict[str, Any]) -> dict[str, Any]:
    """The form as the API takes it: headers as an object, an emptied list of networks as `any`. Raises ApiError."""
    given = {**fields}
    if "webhook_networks" in given:
        networks = str(given["webhook_networks"]).replace("\n", ",").split(",")
        given["webhook_networks"] = [each.strip() for each in networks if each.strip()] or ANY
    asked = HeadersGiven.read(fields)
    lines = [line.partition(":") for line in asked.headers.splitlines() if line.strip()]
    if asked.headers_off:
        given["webhook_headers"] = {}
    elif lines:
        given["webhook_headers"] = {name.strip(): value.strip() for name, _, value in lines}
    return given


async def _page(
    visit: Visit, faults: Faults = NO_FAULTS, *, secret: str = ""
) -> web.StreamResponse:
    channel_id = channel_of(visit)

    def query(connection: Connection, views: Views) -> Shown:
        return Shown(
            existing(connection, views, channel_id),
            channel_id in roles.restricted(connection, views),
            shadow.look(connection, channel_id, DIFFERENCES),
            sidebar.read(connection, views, visit.who.staff_id),
        )

    shown = await visit.read(query)
    channel = shown.channel
    typed = (await visit.body()).fields if faults else {}
    return visit.page(
        "channel_settings.html",
        status=400 if faults else 200,
        channel=channel,
        options=channel.webhook,
        restricted=shown.restricted,
        shadow=shown.shadow,
        secrets=await live_secrets(visit, channel_id),
        secret=secret,
        graces=GRACES,
        icons=ICONS,
        waits=[delay // SECOND for delay in DELAYS[channel.channel_type]],
        longest=int(attempt_seconds("async", 0, visit.context.pinger.timeout)),
        own=int(attempt_seconds(channel.channel_type, 0, visit.context.pinger.timeout)),
        may_manage_all=visit.may(Right.MANAGE_CHANNELS),
        faults=faults,
        typed=typed,
        position=None,
        sidebar=shown.sidebar,
    )
