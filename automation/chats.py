"""Chats that wait are offered to staff, one at a time; active ones that are silent for too long are completed."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from kanal.automation.agenda import Hand
from kanal.domain.access import Scope, scope_in
from kanal.domain.cases import CASES
from kanal.domain.chats import complete_idle_chat, offer_chat
from kanal.domain.staff import STAFF
from kanal.domain.work import Work
from kanal.projections import chats
from kanal.projections.access import scopes_of
from kanal.projections.chats import IdleChat, OfferPlace, WaitingChat
from kanal.projections.read_model import Views

LOOKED_AT = 250
"""Chats that nobody was asked for yet, and as many whose offer has ended, in one turn; where more wait, the next turn looks at
the next ones.
"""
OFFERED = 100
COMPLETED = 100
"""In one turn; what is left comes with the next, half a second later."""


class Offer(NamedTuple):
    case_id: int
    staff_id: int
    offers: int
    """How many were made before."""


class ChatOffers:
    """A duty of the agenda: each chat that waits is offered to whoever has its case, else to the one with the fewest chats
    (live offers count, the lowest id among equals), to each once, and to nobody who may not answer it.
    """

    name = "chat_offers"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._never_offered = _Round(OfferPlace())
        self._offered = _Round(OfferPlace(offer_until=1))

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[Offer]:
        burdens = chats.burdens(connection, views, now)
        if not burdens:
            return []
        waiting = self._never_offered.next(connection, views, upto=0)
        waiting += self._offered.next(connection, views, upto=now)
        if not waiting:
            return []
        scopes = scopes_of(connection, views, burdens)
        offers = []
        for chat in waiting:
            offered = {int(staff_id) for staff_id in chat.offers.split()}
            staff_id = _next_one(chat, offered, burdens, scopes)
            if staff_id:
                burdens[staff_id] += 1
                offers.append(Offer(chat.case_id, staff_id, len(offered)))
        return offers[:OFFERED]

    async def act(self, item: Offer) -> None:
        await self._hand.submit(partial(_offer, item))


class _Round:
    """Goes through the chats that wait, again and again, the longest waiting of each turn first: what nobody is left for must
    not hide what somebody could take.
    """

    def __init__(self, start: OfferPlace) -> None:
        self._start = self._after = start

    def next(self, connection: Connection, views: Views, *, upto: int) -> list[WaitingChat]:
        waiting, end = chats.unoffered(connection, views, self._after, upto, LOOKED_AT)
        self._after = end or self._start
        return sorted(waiting, key=lambda chat: (chat.since, chat.case_id))


class SilentChats:
    """A duty of the agenda."""

    name = "silent_chats"

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def due(self, connection: Connection, views: Views, now: int) -> Sequence[IdleChat]:
        return chats.idle(connection, views, now, COMPLETED)

    async def act(self, item: IdleChat) -> None:
        await self._hand.submit(partial(complete_idle_chat, **item._asdict()))


def _offer(item: Offer, work: Work) -> None:
    """To whoever may answer it at this place of the log."""
    staff, case = work.load(STAFF, item.staff_id), work.load(CASES, item.case_id)
    if scope_in(work, staff).answers(case):
        offer_chat(work, **item._asdict())


def _next_one(
    chat: WaitingChat, offered: set[int], burdens: dict[int, int], scopes: Mapping[int, Scope]
) -> int:
    """Of those who may answer it; 0 if there is nobody left to ask now."""
    free = [
        (burden, staff_id)
        for staff_id, burden in burdens.items()
        if staff_id not in offered
        and (not chat.chat_limit or burden < chat.chat_limit)
        and staff_id in scopes
        and scopes[staff_id].answers(chat)
    ]
    if any(staff_id == chat.staff_id for _, staff_id in free):
        return chat.staff_id
    return min(free)[1] if free else 0
