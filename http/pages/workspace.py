"""What all pages of one process share: the throttle of sign-in, the passwords' turn, what is live."""

from dataclasses import dataclass

from aiohttp import web

from kanal.delivery.typists import Typists
from kanal.http.pages.feed import Feed
from kanal.http.pages.passwords import Passwords
from kanal.http.pages.throttle import Throttle


@dataclass(frozen=True)
class Workspace:
    feed: Feed
    viewers: Typists
    """Who has which case open."""
    throttle: Throttle
    passwords: Passwords


WORKSPACE = web.AppKey("workspace", Workspace)
