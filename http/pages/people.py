"""/people: what staff decide of a person beside their conversation."""

from functools import partial

from aiohttp import web

from kanal.domain.errors import UserNotFound
from kanal.domain.users import block_user, restore_user
from kanal.http.ids import id_in
from kanal.http.pages.visit import Visit


async def block(visit: Visit) -> web.StreamResponse:
    """Later cases of theirs are spam."""
    await visit.submit(partial(block_user, user_id=_user_id(visit)))
    return visit.back("/inbox", done="saved")


async def restore(visit: Visit) -> web.StreamResponse:
    await visit.submit(partial(restore_user, user_id=_user_id(visit)))
    return visit.back("/inbox", done="saved")


def _user_id(visit: Visit) -> int:
    return id_in(visit.path("user"), UserNotFound)
