"""What all pages of one process share: the throttle of sign-in, the passwords' turn, what is live, what is being rebuilt."""

from dataclasses import dataclass

from aiohttp import web

from kanal.automation.agenda import Agenda
from kanal.delivery.typists import Typists
from kanal.http.pages.feed import Feed
from kanal.http.pages.passwords import Passwords
from kanal.http.pages.rebuilds import Rebuilds
from kanal.http.pages.throttle import Throttle


@dataclass(frozen=True)
class Workspace:
    feed: Feed
    viewers: Typists
    """Who has which case open."""
    throttle: Throttle
    passwords: Passwords
    rebuilds: Rebuilds
    inline: frozenset[str]
    """Read models that are kept up with each write."""
    agenda: Agenda | None
    """None where another process has it."""


WORKSPACE = web.AppKey("workspace", Workspace)
