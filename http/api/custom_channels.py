"""/api/custom_channels: Omnidesk lists them; making and changing them is Kanal's own, Omnidesk does it in its pages."""

import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import asdict
from pydantic import Field, PlainValidator, WithJsonSchema
from sqlalchemy import Connection

from kanal.delivery import kept_headers, kept_secrets, overview
from kanal.delivery.address_guard import literal
from kanal.delivery.extra_headers import MAX_HEADERS, MAX_VALUE, problems
from kanal.delivery.ledger import Claimed, read_lanes
from kanal.delivery.networks import MAX_NETWORKS, network, networks_of, outside
from kanal.delivery.overview import ChannelState
from kanal.delivery.ping import Exchange
from kanal.delivery.schedule import LONGEST_ATTEMPT
from kanal.delivery.signing import new_secret
from kanal.domain import channel_delivery, channels
from kanal.domain.access import check_right
from kanal.domain.channels import ChannelType
from kanal.domain.errors import ChannelNotFound
from kanal.domain.roles import Right
from kanal.domain.webhook_options import (
    Format,
    Header,
    OnExhausted,
    Order,
    Signature,
    WebhookOptions,
)
from kanal.domain.work import Work
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.context import Call, Caller, Context
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Flag, Id, Line, Paging, Text, as_text, wrong
from kanal.http.ids import channel_id_in, channel_key
from kanal.projections import channels as read
from kanal.projections import roles
from kanal.projections.read_model import Views

MAX_COUNT = 1_000_000
"""Minutes or chats: two years, and more than anybody has."""
MAX_OFFER_SECONDS = 3600
MAX_UNDO_SECONDS = 60
"""Whoever thinks for longer writes a draft."""
MAX_RATE = 60_000
"""In a minute: more than one process sends."""

OPTION = "webhook_"
URLS = ("webhook_url", "webhook_shadow_url")
OPTIONS = frozenset(WebhookOptions.__struct_fields__)

Count = Annotated[Id, Field(le=MAX_COUNT)]
Seconds = Annotated[Id, Field(ge=1, le=MAX_OFFER_SECONDS)]
UndoSeconds = Annotated[Id, Field(le=MAX_UNDO_SECONDS)]


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong("must be an object of names and values")
    headers = {str(name): "" if each is None else as_text(each) for name, each in value.items()}
    if found := problems(headers):
        raise wrong("; ".join(found))
    return headers


Headers = Annotated[
    dict[str, str],
    PlainValidator(_headers),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_HEADERS,
            "additionalProperties": {"type": "string", "maxLength": MAX_VALUE},
        }
    ),
]


ANY: Final = "any"
"""No networks of its own: an empty list means that none were given."""


def _networks(value: object) -> tuple[str, ...]:
    """A list, or a text with commas between."""
    if value == ANY:
        return ()
    given = value if isinstance(value, list) else as_text(value).split(",")
    found, problems = [], []
    for each in given:
        try:
            found.append(str(network(as_text(each))))
        except ValueError as error:
            problems.append(str(error))
    if len(given) > MAX_NETWORKS:
        problems.append(f"there may be up to {MAX_NETWORKS}")
    if problems:
        raise wrong("; ".join(problems))
    return tuple(dict.fromkeys(found))


Networks = Annotated[
    tuple[str, ...],
    PlainValidator(_networks),
    WithJsonSchema(
        {"type": ["array", "string"], "items": {"type": "string"}, "maxItems": MAX_NETWORKS}
    ),
]
Timeout = Annotated[Id, Field(le=int(LONGEST_ATTEMPT))]
RateLimit = Annotated[Id, Field(le=MAX_RATE)]


class ChannelFields(Fields):
    title: Line | None = None
    webhook_url: Text | None = None
    channel_type: Literal["async", "sync"] | None = None
    icon: Line | None = None
    chat_idle_minutes: Count | None = None
    chat_offer_seconds: Seconds | None = None
    chat_limit: Count | None = None
    undo_seconds: UndoSeconds | None = None
    webhook_typing: Flag | None = None
    webhook_order: Order | None = None
    webhook_replies: Flag | None = None
    webhook_notes: Flag | None = None
    webhook_rule_messages: Flag | None = None
    webhook_format: Format | None = None
    webhook_on_exhausted: OnExhausted | None = None
    webhook_signature: Signature | None = None
    webhook_headers: Headers | None = None
    webhook_timeout: Timeout | None = None
    webhook_rate_limit: RateLimit | None = None
    webhook_networks: Networks | None = None
    webhook_edits: Flag | None = None
    webhook_deletions: Flag | None = None
    webhook_statuses: Flag | None = None
    webhook_polling: Flag | None = None
    webhook_shadow_url: Text | None = None
    restricted: Flag | None = None
    """Given to nobody but administrators and roles that name it."""

    def settings(self, context: Context) -> dict[str, Any]:
        """What was given, the options of the webhook together; of headers what may be in an event."""
        given = self.given()
        given.pop("restricted", None)
        names = [
            name for name in given if name.startswith(OPTION) and name[len(OPTION) :] in OPTIONS
        ]
        webhook = {name.removeprefix(OPTION): given.pop(name) for name in names}
        if self.webhook_headers is not None:
            webhook["headers"] = tuple(
                Header(name, context.stream_ids.fingerprint(value))
                for name, value in sorted(self.webhook_headers.items())
            )
        return {**given, "webhook": webhook}


class NewChannel(ChannelFields):
    title: Line
    webhook_url: Text = ""
    channel_type: Literal["async", "sync"]


class Reason(Fields):
    reason: Line = ""


class ChannelDeliveryAnswer(Struct):
    state: ChannelState
    since: Date
    reason: str | None
    """Why it is paused or disabled."""
    consecutive_failures: int
    next_probe_at: Date | None
    """null also while only a new Webhook URL can help."""
    waiting: int
    """How many messages."""
    oldest_waiting_since: Date | None
    oldest_waiting_seconds: int | None


class ChannelAnswer(Struct):
    channel_id: int
    channel_api_key: str
    title: str
    channel_type: ChannelType
    icon: str
    webhook_url: str
    active: bool
    delivery: ChannelDeliveryAnswer
    """Kanal's own: whether what is written goes out, and what waits."""
    chat_idle_minutes: int
    """Kanal's own, as the next three (domain/channels.py)."""
    chat_offer_seconds: int
    chat_limit: int
    undo_seconds: int
    """Kanal's own: how long a reply that is written in the workspace can be taken back."""
    webhook_typing: bool
    """Kanal's own, as all that begin so (domain/webhook_options.py)."""
    webhook_order: Order
    webhook_replies: bool
    webhook_notes: bool
    webhook_rule_messages: bool
    webhook_format: Format
    webhook_on_exhausted: OnExhausted
    webhook_signature: Signature
    webhook_headers: list[str]
    """Their names: values are never shown."""
    webhook_timeout: int
    """0: as long as the channel's type allows."""
    webhook_rate_limit: int
    """0: no limit."""
    webhook_networks: list[str]
    webhook_edits: bool
    webhook_deletions: bool
    webhook_statuses: bool
    webhook_polling: bool
    webhook_shadow_url: str
    restricted: bool
    """Kanal's own: only administrators have it, and those whose role names it."""
    secret: str | UnsetType = UNSET
    """Only in the answer to the creation."""


@contract("List the custom channels", Listed("custom_channel", ChannelAnswer), query=Paging)
async def list_channels(call: Call) -> web.Response:
    """All of them, as Omnidesk answers; pages only for who asks for them."""
    asked = call.asked(Paging)

    def query(connection: Connection, views: Views) -> tuple[list[ChannelAnswer], int]:
        rows = read.listed(connection, views)
        page = rows[asked.offset : asked.offset + asked.rows] if asked.given() else rows
        whole = len(page) == len(rows)
        wanted = None if whole else [row.channel_id for row in page]
        found = overview.of_channels(connection, wanted)
        restricted = roles.restricted(connection, views)
        answers = [
            shown(row, found[row.channel_id], row.channel_id in restricted, call.context.dates)
            for row in page
        ]
        return answers, len(rows)

    page, total = await call.read(query)
    return answer(listing("custom_channel", page, total))


@contract("Show a custom channel", One("custom_channel", ChannelAnswer))
async def show(call: Call) -> web.Response:
    return answer({"custom_channel": await _channel(call, _channel_id(call))})


@contract(
    "Make a custom channel",
    One("custom_channel", ChannelAnswer, 201),
    body=Takes("custom_channel", NewChannel, bare=True),
)
async def create(call: Call) -> web.Response:
    made = await make_channel(call, await call.given(NewChannel))
    # A new one also to whom it is not given.
    read = call.context.read if made.secret else call.read
    channel = await read(_shown, made.channel_id, call.context.dates)
    if made.secret:
        channel.secret = made.secret
    return answer({"custom_channel": channel}, 201)


class MadeChannel(NamedTuple):
    channel_id: int
    secret: str
    """"" if the request had made the channel before."""


async def make_channel(call: Caller, given: NewChannel) -> MadeChannel:
    """Raises ApiError."""
    _check_reach(call.context, given, given.webhook_url or "", given.webhook_networks or ())
    secret = new_secret()
    fingerprint = call.context.stream_ids.fingerprint(secret)

    def keep(connection: Connection, channel_id: int) -> None:
        kept_secrets.keep(connection, channel_id, secret, at=call.context.writer.clock())
        kept_headers.keep(connection, channel_id, given.webhook_headers or {})

    done = await call.submit(
        partial(
            channels.create_channel,
            **given.settings(call.context),
            secret_fingerprint=fingerprint,
            restricted=call.context.restrict_new_channels
            if given.restricted is None
            else given.restricted,
        ),
        beside=keep,
    )
    return MadeChannel(done.result, "" if done.repeated else secret)


@contract(
    "Change a custom channel",
    One("custom_channel", ChannelAnswer),
    body=Takes("custom_channel", ChannelFields, bare=True),
)
async def change(call: Call) -> web.Response:
    channel_id = _channel_id(call)
    await change_settings(call, channel_id, await call.given(ChannelFields), call.caller.staff_id)
    return answer({"custom_channel": await _channel(call, channel_id)})


async def change_settings(
    call: Caller, channel_id: int, given: ChannelFields, staff_id: int
) -> None:
    """`staff_id`: who does it. Raises ApiError."""
    await _check_change(call, channel_id, given)

    def keep(connection: Connection, _: int) -> None:
        if given.webhook_headers is not None:
            kept_headers.keep(connection, channel_id, given.webhook_headers)

    settings = given.settings(call.context)

    def command(work: Work) -> int:
        if given.restricted is not None:
            check_right(work, staff_id, Right.MANAGE_CHANNELS)
            channels.restrict_channel(work, channel_id=channel_id, restricted=given.restricted)
        return channels.change_channel(work, channel_id=channel_id, **settings)

    await call.submit(command, beside=keep)


@contract("Disable a custom channel", One("custom_channel", ChannelAnswer))
async def disable(call: Call) -> web.Response:
    return await submit_change(call, channels.disable_channel)


@contract("Enable a custom channel", One("custom_channel", ChannelAnswer))
async def enable(call: Call) -> web.Response:
    return await submit_change(call, channels.enable_channel)


@contract(
    "Pause a custom channel's delivery",
    One("custom_channel", ChannelAnswer),
    body=Takes("custom_channel", Reason, bare=True),
)
async def pause(call: Call) -> web.Response:
    given = await call.given(Reason)
    return await submit_change(call, partial(channel_delivery.pause_delivery, reason=given.reason))


@contract(
    "Resume a custom channel's delivery",
    One("custom_channel", ChannelAnswer),
    body=Takes("custom_channel", Reason, bare=True),
)
async def resume(call: Call) -> web.Response:
    given = await call.given(Reason)
    return await submit_change(call, partial(channel_delivery.resume_delivery, reason=given.reason))


@contract("Delete a custom channel", Empty())
async def delete(call: Call) -> web.Response:
    command = partial(channels.delete_channel, channel_id=_channel_id(call))
    await call.submit(command)
    return empty()


class PingRequest(Struct):
    url: str
    headers: dict[str, str]
    body: str


class PingAnswer(Struct):
    succeeded: bool
    kind: str = field(name="class")
    http_status: int | None
    sentence: str
    excerpt: str
    """The first part of what the receiver answered."""
    address: str | None
    """The numeric address that was called."""
    milliseconds: int
    request: PingRequest


@contract("Send a test to the Webhook URL", One("ping", PingAnswer))
async def ping(call: Call) -> web.Response:
    exchange = await ping_channel(call, _channel_id(call))
    return answer({"ping": shown_ping(exchange)})


def shown_ping(exchange: Exchange) -> PingAnswer:
    outcome = exchange.outcome
    return PingAnswer(
        succeeded=outcome.succeeded,
        kind=str(outcome.outcome_class),
        http_status=outcome.http_status,
        sentence=outcome.sentence,
        excerpt=outcome.excerpt,
        address=outcome.address,
        milliseconds=(outcome.ended_at - outcome.started_at) // 1000,
        request=PingRequest(exchange.url, exchange.headers, exchange.body.decode()),
    )


async def ping_channel(call: Caller, channel_id: int) -> Exchange:
    """Raises ChannelNotFound."""

    def query(connection: Connection, views: Views) -> Claimed:
        row = read.find(connection, views, channel_id)
        if row is None or row.deleted:
            raise ChannelNotFound(channel_key(channel_id))
        return read_lanes(connection, [channel_id])[0]

    return await call.context.pinger.ping(await call.read(query))


def shown(
    row: read.ChannelRow, delivery: overview.ChannelRow, restricted: bool, dates: Dates
) -> ChannelAnswer:
    options = asdict(row.webhook)
    options["networks"] = list(row.webhook.networks)
    options["headers"] = [header.name for header in row.webhook.headers]
    return ChannelAnswer(
        channel_id=row.channel_id,
        channel_api_key=channel_key(row.channel_id),
        title=row.title,
        channel_type=row.channel_type,
        icon=row.icon,
        webhook_url=row.webhook_url,
        active=row.active,
        delivery=shown_delivery(delivery, dates),
        chat_idle_minutes=row.chat_idle_minutes,
        chat_offer_seconds=row.chat_offer_seconds,
        chat_limit=row.chat_limit,
        undo_seconds=row.undo_seconds,
        restricted=restricted,
        **{f"{OPTION}{name}": value for name, value in options.items()},
    )


def shown_delivery(row: overview.ChannelRow, dates: Dates) -> ChannelDeliveryAnswer:
    age = None if row.oldest_at is None else time.time_ns() // 1000 - row.oldest_at
    return ChannelDeliveryAnswer(
        state=row.state,
        since=dates.render(row.since),
        reason=row.reason,
        consecutive_failures=row.failures,
        next_probe_at=dates.moment(row.next_probe_at),
        waiting=row.waiting,
        oldest_waiting_since=dates.moment(row.oldest_at),
        oldest_waiting_seconds=None if age is None else max(0, age // 1_000_000),
    )


async def submit_change(
    call: Call,
    command: Callable[..., int],
    beside: Callable[[Connection, int], None] | None = None,
) -> web.Response:
    done = await call.submit(partial(command, channel_id=_channel_id(call)), beside=beside)
    return answer({"custom_channel": await _channel(call, done.result)})


async def _channel(call: Call, channel_id: int) -> ChannelAnswer:
    return await call.read(_shown, channel_id, call.context.dates)


def _shown(connection: Connection, views: Views, channel_id: int, dates: Dates) -> ChannelAnswer:
    row = read.find(connection, views, channel_id)
    if row is None or row.deleted:
        raise ChannelNotFound(channel_key(channel_id))
    delivery = overview.of_channels(connection, [channel_id])[channel_id]
    restricted = channel_id in roles.restricted(connection, views)
    return shown(row, delivery, restricted, dates)


def _channel_id(call: Call) -> int:
    return channel_id_in(call.path("channel"))


async def _check_change(call: Caller, channel_id: int, given: ChannelFields) -> None:
    """What is not given stays as it is. A channel that changes meanwhile is still watched at the socket."""
    url, networks = given.webhook_url, given.webhook_networks
    if (url is None) != (networks is None):
        row = await call.read(read.find, channel_id)
        if row is not None:
            url = row.webhook_url if url is None else url
            networks = row.webhook.networks if networks is None else networks
    _check_reach(call.context, given, url or "", networks or ())


def _check_reach(
    context: Context, given: ChannelFields, url: str, networks: tuple[str, ...]
) -> None:
    """That what is given could be called. Raises ApiError that names all that could not."""
    fields: dict[str, str] = {}
    refused = {
        name: found.sentence
        for name in URLS
        if (given_url := getattr(given, name)) and (found := context.guard.check_url(given_url))
    }
    fields |= refused
    vain = [
        f"{each} is {reason}, which KANAL_WEBHOOK_ALLOW does not name"
        for each in networks
        if (reason := context.guard.check_network(ip_network(each)))
    ]
    if vain and given.webhook_networks:
        fields["webhook_networks"] = "; ".join(vain)
    elif (
        "webhook_url" not in refused
        and (address := _address_in(url))
        and _is_outside(networks, address)
    ):
        name = "webhook_networks" if given.webhook_networks else "webhook_url"
        fields[name] = f"{address} of the Webhook URL lies in none of webhook_networks"
    if (given.webhook_timeout or 0) > context.pinger.timeout:
        fields["webhook_timeout"] = (
            f"must be at most {context.pinger.timeout:g} in this installation"
        )
    if refused:
        sentence = next(iter(refused.values()))
        raise ApiError(400, "webhook_url_refused", sentence, fields=fields)
    if fields:
        sentence = "; ".join(f"{name} {words}" for name, words in fields.items())
        raise ApiError(400, INVALID, f"{sentence}.", fields=fields)


def _address_in(url: str) -> str:
    """The address that a URL spells; "" for a name."""
    address = literal(urlsplit(url).hostname or "")
    return "" if address is None else str(address)


def _is_outside(networks: tuple[str, ...], address: str) -> bool:
    return bool(networks) and outside(networks_of(networks), address)
