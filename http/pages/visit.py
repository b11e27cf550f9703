"""One request of whoever is signed in: what page handlers read, write and answer with, as Call is for the API."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.access import Scope, guarded
from kanal.domain.errors import NoRight
from kanal.domain.roles import BY_CHANNEL, Right
from kanal.domain.staff import active_staff
from kanal.domain.work import Work
from kanal.eventlog.writer import Done, Receipt
from kanal.http import sessions
from kanal.http.body import Body, Limits, read_body
from kanal.http.context import Context, check_named_channel, check_named_user
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, read_query
from kanal.http.middleware import REMOTE, REQUEST_ID, SCHEME
from kanal.http.pages import rendering, settings_index, wording
from kanal.http.sessions import SEEN_EVERY, SignedIn
from kanal.projections.read_model import Views

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Fields)

TOKEN_FIELD: Final = "token"
"""Of every form: nobody else's page knows it."""
ONCE_FIELD: Final = "once"
"""Of a form that must not be carried out twice, however often its button is pressed."""
MAX_ONCE: Final = 64
HIDDEN_STEPS: Final = "kanal_steps"
"""The cookie of who has hidden the first steps."""
WITHOUT_SECOND_STEP: Final = ("/account", "/sign-out")
"""Where one sets it up, or goes."""


class SignedOut(ApiError):
    """No session, or one that has ended."""

    def __init__(self) -> None:
        super().__init__(401, "signed_out", "Sign in.")


class NoSecondStep(ApiError):
    """Everybody here needs one, and this one has none yet."""

    def __init__(self) -> None:
        super().__init__(403, "second_step_required", "Set up the second step of signing in.")


class NotEntered(Exception):
    """Nothing was read yet, so nobody knows whose browser it is."""


class Visit:
    """What is read and done is within the scope of whoever is signed in, at that very moment.

    Each reading finds out who that is, in the same moment of the database as all that it reads.
    """

    def __init__(
        self, request: web.Request, context: Context, session_id: str, right: Right
    ) -> None:
        """`session_id`: "" without a session."""
        self.request = request
        self.context = context
        self._session_id = session_id
        self._right = right
        self._who: SignedIn | None = None
        self.root = root_of(context)
        self._body: Body | None = None

    @property
    def entered(self) -> bool:
        """Whether it is known whose browser it is."""
        return self._who is not None

    @property
    def who(self) -> SignedIn:
        """Known inside of the first reading and from then on. Raises NotEntered, which the gate answers."""
        if self._who is None:
            raise NotEntered
        return self._who

    @property
    def language(self) -> str:
        return wording.chosen(self.who.language, self.request.headers.get("Accept-Language", ""))

    # -- reading -------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    def asked(self, model: type[F]) -> F:
        """The query. Raises ApiError."""
        return model.read(read_query(self.request), self.context)

    async def given(self, model: type[F]) -> F:
        """The form. Raises ApiError."""
        return model.read((await self.body()).fields, self.context)

    async def changed(self, model: type[F], *, emptied: Iterable[str] = ()) -> F:
        """The form, without what is as the page showed it: its fields `was[...]` say what that was. So a page that is some
        minutes old takes back nothing of what others changed meanwhile.

        `emptied`: fields that count as given when nothing is in them any more. Of custom fields those that were emptied are
        `delete_custom_fields`. Raises ApiError.
        """
        fields = dict((await self.body()).fields)
        was = fields.pop("was", None)
        was = was if isinstance(was, dict) else {}
        kept = {name: value for name, value in fields.items() if was.get(name) != value}
        values, before = fields.get("custom_fields"), was.get("custom_fields")
        if isinstance(values, dict):
            before = before if isinstance(before, dict) else {}
            new = {key: value for key, value in values.items() if before.get(key) != value}
            kept["custom_fields"] = {key: value for key, value in new.items() if value != ""}
            kept["delete_custom_fields"] = [key for key, value in new.items() if value == ""]
        given = model.read(kept, self.context)
        none_left = {name: "" for name in emptied if kept.get(name) == ""}
        return given.model_copy(update=none_left) if none_left else given

    async def body(self) -> Body:
        """Raises ApiError."""
        if self._body is None:
            self._body = await read_body(self.request, Limits(self.context.uploads))
        return self._body

    async def read(
        self,
        query: Callable[Concatenate[Connection, Views, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Raises SignedOut, NoSecondStep, NoRight, ChannelNotFound, NoRightOnChannel."""
        if not self._session_id:
            raise SignedOut
        first = not self.entered

        def within(connection: Connection, views: Views) -> R:
            who = sessions.find(connection, views, self._session_id, now())
            if who is None:
                raise SignedOut
            self._who = who
            sets_up = self.request.path.startswith(WITHOUT_SECOND_STEP)
            if self._needs_second_step(who) and not sets_up:
                raise NoSecondStep
            self._check(who.scope)
            return query(connection, views.within(who.scope), *args, **kwargs)

        found = await self.context.read(within)
        if first and now() - self.who.seen_at > SEEN_EVERY:
            await self.keep(self._note_seen)
        return found

    async def read_own(
        self,
        query: Callable[Concatenate[Connection, Views, int, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As `read`, of a query that takes whose visit it is (staff_id), which is known only inside."""

        def own(connection: Connection, views: Views) -> R:
            return query(connection, views, self.who.staff_id, *args, **kwargs)

        return await self.read(own)

    async def enter(self) -> SignedIn:
        """For what has to know who asks and reads nothing before. Raises what `read` raises."""
        await self.read(lambda _, __: None)
        return self.who

    def _needs_second_step(self, who: SignedIn) -> bool:
        return self.context.require_second_step and not who.second_factor

    def _note_seen(self, connection: Connection) -> None:
        address = self.request[REMOTE]
        sessions.seen(connection, self._session_id, now=now(), address=address)

    def may(self, right: Right) -> bool:
        """On some channel, or of the account."""
        return right in self.who.scope.rights

    def may_on(self, right: Right, channel_id: int) -> bool:
        """`channel_id`: 0 for the standard channels."""
        level = BY_CHANNEL.get(right, "see")
        return self.may(right) and self.who.scope.reaches(channel_id, level)

    def _check(self, scope: Scope) -> None:
        if self._right not in scope.rights:
            raise NoRight(self._right.value)
        check_named_channel(self.request, scope, self._right)

    # -- writing -------------------------------------------------------------------------------

    async def submit(
        self,
        command: Callable[[Work], R],
        *,
        beside: Callable[[Connection, R], None] | None = None,
    ) -> Done[R]:
        """Carry out a command for whoever is signed in; scope and right are asked again at its own place in the log.

        Raises NoRight, ChannelNotFound, NoRightOnChannel, StaffNotActive, UserNotFound, CaseNotFound, and the command's DomainError.
        """
        staff_id = self.who.staff_id

        def admit(work: Work) -> Work:
            within = guarded(work, active_staff(work, staff_id), self._right)
            self._check(within.scope)
            check_named_user(self.request, within)
            return within

        return await self.context.writer.submit(
            command,
            who=f"staff:{staff_id}",
            origin="page",
            request=self.request[REQUEST_ID],
            receipt=await self._receipt(),
            beside=beside,
            admit=admit,
        )

    async def keep(self, task: Callable[[Connection], R]) -> R:
        """Write kept rows, which are no events."""
        return await self.context.writer.run(task)

    async def _receipt(self) -> Receipt | None:
        """A form that was sent twice is carried out once; the same form with other contents is another."""
        body = await self.body()
        once = body.fields.get(ONCE_FIELD)
        if not isinstance(once, str) or not 0 < len(once) <= MAX_ONCE:
            return None
        hashed = self.context.stream_ids.keyed_hash(body.canonical()).hex()
        return Receipt(f"{self.who.staff_id}/page/{once}/{hashed[:16]}", hashed)

    # -- answering -----------------------------------------------------------------------------

    def page(
        self,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] = {},
        **values: Any,
    ) -> web.Response:
        return rendering.page(
            template,
            {**self.shared(), **values},
            language=self.language,
            status=status,
            headers=headers,
        )

    def shared(self) -> dict[str, Any]:
        """What every template may name."""
        return {
            "root": self.root,
            "who": self.who,
            "theme": self.who.theme,
            "zone": rendering.zone_of(self.request, self.context.dates.zone),
            "csrf": csrf_token(self.context, self._session_id),
            "may": self.may,
            "may_on": self.may_on,
            "Right": Right,
            "path": self.request.path,
            "in_settings": settings_index.is_beneath(self.request.path),
            "done": self.request.query.get("done", ""),
            "steps_hidden": HIDDEN_STEPS in self.request.cookies,
            "needs_second_step": self._needs_second_step(self.who),
        }

    def see(self, path: str, **query: str) -> web.Response:
        """Where a form leads: another page, asked for anew."""
        asked = f"?{urlencode(query)}" if query else ""
        return redirect(f"{self.root}{path}{asked}")

    def back(self, otherwise: str, **query: str) -> web.Response:
        """To the page that the form stood on."""
        came_from = str(self.request.headers.get("Referer", ""))
        parts = urlsplit(came_from)
        inside = parts.path.removeprefix(self.root)
        ours = parts.path.startswith(f"{self.root}/") and not inside.startswith("//")
        if parts.netloc == self.request.host and ours:
            kept = [
                pair for pair in parts.query.split("&") if pair and not pair.startswith("done=")
            ]
            kept += [urlencode(query)] if query else []
            return redirect(f"{self.root}{inside}{'?' if kept else ''}{'&'.join(kept)}")
        return self.see(otherwise, **query)


def redirect(address: str) -> web.Response:
    return web.Response(status=303, headers={**rendering.HEADERS, "Location": address})


def root_of(context: Context) -> str:
    """What stands before every path, if a proxy shows Kanal under one: the path of KANAL_PUBLIC_URL."""
    return urlsplit(context.links.public_url).path.rstrip("/")


def csrf_token(context: Context, session_id: str) -> str:
    return context.stream_ids.keyed_hash(f"csrf/{session_id}").hex()


def is_secure(request: web.Request) -> bool:
    return request[SCHEME] == "https"


def now() -> int:
    return time.time_ns() // 1000
