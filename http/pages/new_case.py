"""/cases/new: staff begin a conversation with somebody they know, on a channel where that person is known."""

import secrets
from functools import partial
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.access import check_user
from kanal.domain.conversation import OpenedCase, open_case_with
from kanal.domain.errors import ChannelDeleted, ChannelDisabled, UserNotFound
from kanal.domain.roles import Right
from kanal.domain.work import Work
from kanal.http.answers import empty
from kanal.http.api.messages import Texts, require_content, said
from kanal.http.attachments import LIMITS, submit_with_files
from kanal.http.errors import ApiError, refusal
from kanal.http.fields import Fields, Id, Line, Text
from kanal.http.pages import drafts, people, sidebar
from kanal.http.pages.drafts import Begun, BegunCase
from kanal.http.pages.people import Matches
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.pages.ways_out import WayOut, ways_out
from kanal.projections import channels, links, users
from kanal.projections.read_model import Views
from kanal.projections.users import UserRow

CLOSED: tuple[WayOut, ...] = ("deleted", "disabled")
"""Channels on which no case begins."""


class NewCaseQuery(Fields):
    q: Text = ""
    user: Id = 0


class FirstWords(Texts):
    person: Id = 0
    """On whose page it was written."""
    user: Id = 0
    """The one of their profiles that it goes to."""
    subject: Line = ""


class Way(NamedTuple):
    """One of a person's profiles, and what becomes of what is sent there."""

    profile: UserRow
    way_out: WayOut

    @property
    def is_open(self) -> bool:
        return self.way_out not in CLOSED


class Shown(NamedTuple):
    name: str
    """Of who was chosen, "" for nobody yet."""
    ways: list[Way]
    matches: Matches
    begun: list[Begun]
    """What was begun and not sent, while nobody is chosen."""
    draft: BegunCase
    sidebar: Sidebar


async def form(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(NewCaseQuery)
    return await _page(visit, asked.q, asked.user)


async def begin(visit: Visit) -> web.StreamResponse:
    given = await visit.given(FirstWords)
    try:
        require_content(await visit.body(), given)
        command = partial(_opened, user_id=given.user, staff_id=visit.who.staff_id)
        command = partial(command, subject=given.subject, **await said(given))
        done = await submit_with_files(visit, given, command)
    except (ApiError, ChannelDisabled, ChannelDeleted) as error:
        refused = refusal(error)
        assert refused
        return await _page(visit, "", given.person or given.user, given, refused)
    person = given.person or given.user
    forget = partial(drafts.forget_beginning, staff_id=visit.who.staff_id, person=person)
    await visit.keep(forget)
    opened = msgspec.convert(done.result, OpenedCase) if done.repeated else done.result
    return visit.see(f"/cases/{opened.case_id}", done="begun")


async def keep_draft(visit: Visit) -> web.StreamResponse:
    given = await visit.given(BegunCase)
    drafts.check_length(given.content)
    if not await visit.read(users.of_ids, [given.person]):
        raise UserNotFound(given.person)
    staff_id = visit.who.staff_id
    await visit.keep(partial(drafts.keep_beginning, staff_id=staff_id, begun=given))
    return empty()


def _opened(work: Work, *, user_id: int, **said: Any) -> OpenedCase:
    check_user(work, user_id)
    return open_case_with(work, user_id=user_id, **said)


async def _page(
    visit: Visit,
    words: str,
    user_id: int,
    given: FirstWords | None = None,
    refused: ApiError | None = None,
) -> web.StreamResponse:
    shown = await visit.read(_shown, visit, words, user_id)
    return visit.page(
        "new_case.html",
        status=refused.status if refused else 200,
        shown=shown,
        words=words,
        user_id=user_id,
        given=given or shown.draft,
        refused=refused,
        limits=LIMITS,
        once=secrets.token_hex(16),
        sidebar=shown.sidebar,
        position=None,
    )


def _shown(connection: Connection, views: Views, visit: Visit, words: str, user_id: int) -> Shown:
    """Raises UserNotFound."""
    staff_id = visit.who.staff_id
    beside = sidebar.read(connection, views, staff_id)
    if not user_id:
        begun = drafts.begun_by(connection, views, staff_id)
        matches = people.look_for(connection, views, words)
        return Shown("", [], matches, begun, BegunCase(), beside)
    person = links.linked_users(connection, views, [user_id])[user_id] or [user_id]
    profiles = users.of_ids(connection, views, person)
    chosen = next((row for row in profiles if row.user_id == user_id), None)
    if chosen is None:
        raise UserNotFound(user_id)
    answered = [
        row for row in profiles if not row.deleted and visit.may_on(Right.ANSWER, row.channel_id)
    ]
    own = channels.of_ids(connection, views, {row.channel_id for row in answered} - {0})
    found = ways_out(connection, own)
    ways = [Way(row, found.get(row.channel_id, "no_channel")) for row in answered]
    ways.sort(key=lambda way: (not way.is_open, way.profile.user_id != user_id))
    draft = drafts.beginning(connection, staff_id, user_id)
    return Shown(chosen.full_name or chosen.identity, ways, Matches([], {}), [], draft, beside)
