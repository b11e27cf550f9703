"""/start: from an empty system to a channel that works, step by step. How far somebody is, the state itself says."""

from functools import partial
from typing import Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow
from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification
from kanal.http.api.custom_channels import NewChannel, make_channel, ping_channel
from kanal.http.fields import Fields, Text
from kanal.http.ids import channel_id_in, channel_key
from kanal.http.pages import sidebar, wording
from kanal.http.pages.channels import existing
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.rendering import YEAR
from kanal.http.pages.samples import samples
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import HIDDEN_STEPS, Visit, is_secure
from kanal.http.pages.wording import N_
from kanal.projections import cases
from kanal.projections.cases import CaseFilter, CaseRow
from kanal.projections.channels import ChannelRow
from kanal.projections.read_model import Page, Views

TEST_ID: Final = "test-customer"
"""What the customer of the guide is called on the channel."""
TEST_NAME: Final = N_("Test customer")
TEST_SUBJECT: Final = N_("Trying it out")
TEST_CONTENT: Final = N_("Hello! This is a test. Can you read me?")
NEWEST: Final = Page(limit=1)


class StartQuery(Fields):
    channel: Text = ""


class Shown(NamedTuple):
    channel: ChannelRow | None
    case: CaseRow | None
    """The newest of the channel."""
    delivery: DeliveryRow | None
    """The newest that went out of that case."""
    sidebar: Sidebar
    position: int


async def show(visit: Visit) -> web.StreamResponse:
    return await _page(visit)


async def make(visit: Visit) -> web.StreamResponse:
    with Faults() as faults:
        made = await make_channel(visit, await visit.given(NewChannel))
    if faults:
        return await _page(visit, faults=faults)
    return await _page(visit, channel=made.channel_id, secret=made.secret)


async def write(visit: Visit) -> web.StreamResponse:
    """As a customer's first message comes in."""
    channel_id = channel_id_in((await visit.given(StartQuery)).channel)
    said = wording.translations(visit.language).gettext
    who = Identification(
        channel_id=channel_id, external_id=TEST_ID, details={"full_name": said(TEST_NAME)}
    )
    command = partial(open_case, who=who, subject=said(TEST_SUBJECT), content=said(TEST_CONTENT))
    with Faults() as faults:
        await visit.submit(command)
    if faults:
        return await _page(visit, channel=channel_id, faults=faults)
    return visit.see("/start", channel=channel_key(channel_id))


async def ping(visit: Visit) -> web.StreamResponse:
    channel_id = channel_id_in((await visit.given(StartQuery)).channel)
    visit.who.scope.check_deliveries(channel_id)
    outcome = (await ping_channel(visit, channel_id)).outcome
    return await _page(visit, channel=channel_id, tested=outcome)


async def hide(visit: Visit) -> web.StreamResponse:
    answer = visit.see("/inbox")
    answer.set_cookie(
        HIDDEN_STEPS,
        "1",
        max_age=YEAR,
        path="/",
        samesite="Lax",
        httponly=True,
        secure=is_secure(visit.request),
    )
    return answer


async def _page(
    visit: Visit,
    *,
    channel: int = 0,
    secret: str = "",
    faults: Faults = NO_FAULTS,
    tested: object = None,
) -> web.StreamResponse:
    asked = visit.asked(StartQuery)
    named = channel or (channel_id_in(asked.channel) if asked.channel else 0)

    def query(connection: Connection, views: Views) -> Shown:
        beside = sidebar.read(connection, views, visit.who.staff_id)
        row = (
            existing(connection, views, named)
            if named
            else next(iter(beside.channels.values()), None)
        )
        case = delivery = None
        if row is not None:
            wanted = CaseFilter(channel=(channel_key(row.channel_id),), show_active_chats=True)
            case = next(iter(cases.listed(connection, views, wanted, NEWEST).rows), None)
        if case is not None:
            sent = overview.Filter(case_id=case.case_id, kind="message_new")
            delivery = next((row for _, row in overview.newest(connection, sent, 1)), None)
        return Shown(row, case, delivery, beside, visit.context.database.head(connection))

    shown = await visit.read(query)
    key = channel_key(shown.channel.channel_id) if shown.channel else ""
    return visit.page(
        "start.html",
        status=400 if faults else 200,
        channel=shown.channel,
        key=key,
        case=shown.case,
        delivery=shown.delivery,
        samples=samples(visit.context.links.public_url, key, shown.channel)
        if shown.channel
        else (),
        secret=secret,
        tested=tested,
        faults=faults,
        typed=(await visit.body()).fields if faults else {},
        sidebar=shown.sidebar,
        position=None if secret or tested else shown.position,
    )
