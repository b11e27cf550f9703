"""Chats that wait or are active: who has them, to whom they are offered, and which time of theirs runs out when.

A completed chat has no row, so that what is asked all the time stays small.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    MetaData,
    Select,
    Table,
    and_,
    func,
    or_,
    select,
    tuple_,
)

from kanal.domain.case_events import CaseDeleted, MessageAdded
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatOffered,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
    LiveState,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Row, Tables
from kanal.projections.access import about_cases_seen
from kanal.projections.keyset import After, Listed, ids_at
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    found,
    number,
    one,
    text,
)
from kanal.projections.staff_statuses import taking_chats

MINUTE = 60 * 1_000_000


class ChatRow(NamedTuple):
    case_id: int
    user_id: int
    channel_id: int
    state: LiveState
    staff_id: int
    """0 while it waits."""
    since: int
    """When it began to wait, or was accepted; a transfer changes nothing."""
    active_at: int
    """When the user or staff did something in it last."""
    activity: int
    """Version of the case then."""
    offered_to: int
    """To whom it was offered last while it waits, else 0."""
    offer_until: int
    offers: str
    """To whom it was offered since it began to wait: "1 2 3"."""


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    chats = name("chats")
    yield Table(
        chats,
        metadata,
        number("case_id", key=True),
        number("user_id"),
        number("channel_id"),
        text("state"),
        number("staff_id"),
        number("since"),
        number("active_at"),
        number("activity"),
        number("offered_to"),
        number("offer_until"),
        text("offers"),
        Index(f"{chats}_idle", "channel_id", "state", "active_at"),
        Index(f"{chats}_offers", "state", "offer_until", "since", "case_id"),
        Index(f"{chats}_staff", "state", "staff_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    chats, event, at = tables["chats"], recorded.event, recorded.envelope.at
    active: Row = {"active_at": at, "activity": recorded.version}
    unoffered: Row = {"offered_to": 0, "offer_until": 0, "offers": ""}
    match event:
        case MessageAdded():
            speaks = event.kind in ("user_message", "staff_reply")
            if speaks and event.chat in ("waiting", "active"):
                changes.update(chats, (event.case_id,), active)
        case ChatStarted() | ChatReopened():
            row = {
                "case_id": event.case_id,
                "user_id": event.user_id,
                "channel_id": event.channel_id,
                "state": event.state,
                "staff_id": event.staff_id,
                "since": at,
            }
            changes.insert(chats, row | active | unoffered)
        case ChatOffered():
            offer = {
                "offered_to": event.staff_id,
                "offer_until": event.until,
                "offers": " ".join(map(str, (*event.passed, event.staff_id))),
            }
            changes.update(chats, (event.case_id,), offer)
        case ChatAccepted():
            taken = {"state": "active", "staff_id": event.staff_id, "since": at}
            changes.update(chats, (event.case_id,), taken | active | unoffered)
        case ChatTransferred():
            changes.update(chats, (event.case_id,), {"staff_id": event.new} | active)
        case ChatReturned():
            back = {"state": "waiting", "staff_id": 0, "since": at}
            changes.update(chats, (event.case_id,), back | active | unoffered)
        case ChatCompleted() | CaseDeleted():
            changes.delete(chats, (event.case_id,))


PROJECTION = ReadModel(
    name="chats",
    version=2,
    handles=dict.fromkeys(
        (
            MessageAdded,
            ChatStarted,
            ChatReopened,
            ChatOffered,
            ChatAccepted,
            ChatTransferred,
            ChatReturned,
            ChatCompleted,
            CaseDeleted,
        ),
        fold,
    ),
    define=define,
)


class ChatFilter(NamedTuple):
    """An empty field does not filter."""

    state: Sequence[str] = ()
    staff_id: Sequence[int] = ()
    offered_to: Sequence[int] = ()
    """Whose offer is live at `now`."""
    now: int = 0


def listed(connection: Connection, views: Views, wanted: ChatFilter, page: Page) -> Found[ChatRow]:
    """Those that have been waiting, or active, the longest first."""
    chats = views.chats["chats"]
    query = columns_of(chats, ChatRow)
    if wanted.state:
        query = query.where(chats.c.state.in_(wanted.state))
    if wanted.staff_id:
        query = query.where(chats.c.staff_id.in_(wanted.staff_id))
    if wanted.offered_to:
        query = query.where(
            chats.c.state == "waiting",
            chats.c.offer_until > wanted.now,
            chats.c.offered_to.in_(wanted.offered_to),
        )
    query = query.where(*about_cases_seen(views, chats.c.channel_id, chats.c.case_id))
    query = query.order_by(chats.c.since, chats.c.case_id)
    return found(connection, query, page, ChatRow._make)


def longest(
    connection: Connection, views: Views, limit: int, after: After | None = None
) -> Listed[int]:
    """Ids of their cases, in the order of `listed`, of those that the views' scope sees; on from where the page before ended."""
    chats = views.chats["chats"].c
    seen = about_cases_seen(views, chats.channel_id, chats.case_id)
    query = select(chats.since, chats.case_id).where(*seen)
    if after:
        query = query.where(tuple_(chats.since, chats.case_id) > tuple_(*after))
    rows = connection.execute(query.order_by(chats.since, chats.case_id).limit(limit + 1))
    places = [After(*row) for row in rows]
    return ids_at(places, limit, after, partial(amount, connection, views))


def amount(connection: Connection, views: Views) -> int:
    """How many wait or are active, of those that the views' scope sees."""
    chats = views.chats["chats"]
    seen = about_cases_seen(views, chats.c.channel_id, chats.c.case_id)
    return connection.scalar(select(func.count()).select_from(chats).where(*seen)) or 0


def find(connection: Connection, views: Views, case_id: int) -> ChatRow | None:
    """None for a chat that is completed, too."""
    chats = views.chats["chats"]
    return one(
        connection, columns_of(chats, ChatRow).where(chats.c.case_id == case_id), ChatRow._make
    )


class IdleChat(NamedTuple):
    case_id: int
    activity: int
    """Version of the case after which nothing was done."""


def idle(connection: Connection, views: Views, now: int, limit: int) -> list[IdleChat]:
    """Active chats in which nothing was done for as long as their channel allows."""
    chats, channels = views.chats["chats"].c, views.channels["channels"].c
    query = (
        select(chats.case_id, chats.activity)
        .join_from(
            views.channels["channels"],
            views.chats["chats"],
            and_(
                chats.channel_id == channels.channel_id,
                chats.state == "active",
                chats.active_at <= now - channels.chat_idle_minutes * MINUTE,
            ),
        )
        .where(channels.chat_idle_minutes > 0)
        .limit(limit)
    )
    return [IdleChat._make(row) for row in connection.execute(query)]


class WaitingChat(NamedTuple):
    """A chat without a live offer."""

    case_id: int
    channel_id: int
    group_id: int
    staff_id: int
    """Whose case it is, 0 for nobody's."""
    chat_limit: int
    """Of its channel."""
    offers: str
    since: int


class OfferPlace(NamedTuple):
    """Where a chat stands among those that wait: by the end of its last offer, 0 if it never had one."""

    offer_until: int = 0
    since: int = 0
    case_id: int = 0


def unoffered(
    connection: Connection, views: Views, after: OfferPlace, upto: int, limit: int
) -> tuple[list[WaitingChat], OfferPlace | None]:
    """Chats behind that place that wait and whose last offer ended until `upto`, and where to go on; None: there are no more.

    Up to `limit` are looked at; those in the trash or in spam are left out.
    """
    chats, cases = views.chats["chats"].c, views.cases["cases"].c
    channels = views.channels["channels"].c
    place = tuple_(chats.offer_until, chats.since, chats.case_id)
    looked_at = (
        select(*(chats[name] for name in (*OfferPlace._fields, "channel_id", "offers")))
        .where(chats.state == "waiting", chats.offer_until <= upto, place > tuple_(*after))
        .order_by(chats.offer_until, chats.since, chats.case_id)
        .limit(limit)
    ).subquery()
    query = (
        select(
            looked_at.c.case_id,
            cases.channel_id,
            cases.group_id,
            cases.staff_id,
            channels.chat_limit,
            looked_at.c.offers,
            looked_at.c.since,
            looked_at.c.offer_until,
            or_(cases.deleted, cases.spam),
        )
        .join_from(looked_at, views.cases["cases"], cases.case_id == looked_at.c.case_id)
        .join(views.channels["channels"], channels.channel_id == looked_at.c.channel_id)
        .order_by(*(looked_at.c[name] for name in OfferPlace._fields))
    )
    rows = connection.execute(query).all()
    waiting = [WaitingChat(*chat) for *chat, _, hidden in rows if not hidden]
    if len(rows) < limit:
        return waiting, None
    last = rows[-1]
    return waiting, OfferPlace(last.offer_until, last.since, last.case_id)


def burdens(connection: Connection, views: Views, now: int) -> dict[int, int]:
    """For each staff member who takes chats now: how many they have, live offers included."""
    amounts: dict[int, int] = dict.fromkeys(connection.scalars(taking_chats(views)), 0)
    if not amounts:
        return amounts
    chats = views.chats["chats"].c
    for query in (
        _amounts(chats.staff_id, chats.state == "active"),
        _amounts(chats.offered_to, and_(chats.state == "waiting", chats.offer_until > now)),
    ):
        for staff_id, amount in connection.execute(query):
            if staff_id in amounts:
                amounts[staff_id] += amount
    return amounts


def _amounts(whose: ColumnElement[int], which: ColumnElement[bool]) -> Select[int, int]:
    return select(whose, func.count()).where(which).group_by(whose)
