"""What every handler works with: the log to write to, the read models to ask, and one call's caller and body."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from aiohttp import web
from sqlalchemy import Connection

from kanal.automation.reading_process import ReadingProcesses
from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.arrivals import Arrivals
from kanal.delivery.ping import Pinger
from kanal.delivery.recovery import LossWatch
from kanal.delivery.typing_webhook import TypingWebhook
from kanal.delivery.typists import Typists
from kanal.domain.access import Scope, check_user, guarded
from kanal.domain.errors import KeyIsReadOnly, KeyRevoked, NoRight, UserNotFound
from kanal.domain.roles import Right
from kanal.domain.staff import check_key
from kanal.domain.work import Work
from kanal.eventlog.database import Database
from kanal.eventlog.files import FileLinks
from kanal.eventlog.follower import Follower
from kanal.eventlog.projection import Projection
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.writer import Done, LogUnavailable, Receipt, Writer
from kanal.http.body import Body, Limits, read_body
from kanal.http.contract import Operation
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, read_query
from kanal.http.ids import channel_id_in, id_in
from kanal.http.keys import Holder, scope_now
from kanal.http.middleware import REQUEST_ID
from kanal.projections import runner
from kanal.projections.read_model import Views

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Fields)

MAX_KEY = 255
"""Characters of an Idempotency-Key; clients send UUIDs."""


@dataclass(frozen=True)
class Context:
    """The parts that handlers use; bootstrap makes it."""

    database: Database
    writer: Writer
    stream_ids: StreamIds
    models: Sequence[Projection]
    follower: Follower
    guard: AddressGuard
    pinger: Pinger
    typists: Typists
    typing_webhook: TypingWebhook
    arrivals: Arrivals
    loss_watch: LossWatch
    reading_processes: ReadingProcesses
    dates: Dates
    phone_region: str
    uploads: Path
    links: FileLinks
    restrict_new_channels: bool = False
    """Unless the call that makes one says otherwise."""
    require_second_step: bool = False
    """Of whoever uses the pages."""

    async def read(
        self,
        query: Callable[Concatenate[Connection, Views, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """One moment of the read models, on a reader's thread. Raises LogUnavailable."""

        def work(connection: Connection) -> R:
            return query(connection, runner.views(connection, self.models), *args, **kwargs)

        try:
            return await self.database.read(work)
        except Exception as error:
            if not self.database.is_storage_failure(error):
                raise
            raise LogUnavailable("The database does not answer. Try again in a moment.") from error


CONTEXT = web.AppKey("context", Context)


def may(scope: Scope, right: Right, method: str) -> bool:
    return right in scope.rights and (method == "GET" or not scope.key.read_only)


def check(scope: Scope, right: Right, method: str) -> None:
    """Raises NoRight, KeyIsReadOnly."""
    if right not in scope.rights:
        raise NoRight(right.value)
    if not may(scope, right, method):
        raise KeyIsReadOnly


class Caller(Protocol):
    """Whoever asks and writes, over the API or on a page: what both share works with this."""

    @property
    def context(self) -> Context: ...

    async def body(self) -> Body: ...

    async def read(
        self,
        query: Callable[Concatenate[Connection, Views, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    async def submit(
        self,
        command: Callable[[Work], R],
        *,
        beside: Callable[[Connection, R], None] | None = None,
    ) -> Done[R]: ...


def check_named_channel(request: web.Request, scope: Scope, right: Right) -> None:
    """Of the channel in the path, if there is one. Raises ChannelNotFound, NoRightOnChannel."""
    if "channel" in request.match_info:
        scope.check(right, channel_id_in(request.match_info["channel"]))


def check_named_user(request: web.Request, work: Work) -> None:
    """Of the user in the path, if there is one. Raises UserNotFound, NoRightOnChannel."""
    if "user" in request.match_info:
        check_user(work, id_in(request.match_info["user"], UserNotFound))


async def read_made(
    call: Caller,
    done: Done[Any],
    query: Callable[Concatenate[Connection, Views, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """What a command has made, shown to who made it even where they may not see it; of an earlier call's, only what they see."""
    read = call.read if done.repeated else call.context.read
    return await read(query, *args, **kwargs)


class Call:
    """One authenticated call to the API. What its caller reads and does is within their scope at that very moment."""

    def __init__(
        self,
        request: web.Request,
        context: Context,
        caller: Holder,
        operation: Operation,
        right: Right,
    ) -> None:
        self.request = request
        self._right = right
        self.context = context
        self.caller = caller
        self._operation = operation
        self._body: Body | None = None

    def path(self, name: str) -> str:
        """A part of the path, as the route's pattern names it."""
        return self.request.match_info[name]

    def asked(self, model: type[F]) -> F:
        """The query, read by the model that the call's contract names. Raises ApiError."""
        if self._operation.query is not model:
            raise TypeError(f"the contract does not ask for {model.__name__}")
        # `sort[]=...` is `sort=...`; what takes several values takes one as well.
        query = {
            name: value[0] if type(value) is list and len(value) == 1 else value
            for name, value in read_query(self.request).items()
        }
        return model.read(query, self.context)

    async def given(self, model: type[F]) -> F:
        """The body's fields, read by the model that the call's contract names. Raises ApiError."""
        takes = self._operation.body
        if takes is None or takes.model is not model:
            raise TypeError(f"the contract does not take {model.__name__}")
        return model.read(takes.fields_in((await self.body()).fields), self.context)

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
        """As Context.read, within what a key reaches that is live at that very moment.

        Raises KeyRevoked, NoRight, KeyIsReadOnly, ChannelNotFound, NoRightOnChannel.
        """

        def checked(connection: Connection, views: Views) -> R:
            scope = scope_now(connection, views, self.caller)
            if scope is None:
                raise KeyRevoked
            self._check(scope)
            return query(connection, views.within(scope), *args, **kwargs)

        return await self.context.read(checked)

    async def submit(
        self,
        command: Callable[[Work], R],
        *,
        beside: Callable[[Connection, R], None] | None = None,
    ) -> Done[R]:
        """Carry out a command for this caller, once for each Idempotency-Key.

        Key and scope are asked again at the command's own place in the log: what was revoked or taken away fails, and
        gets no answer of an earlier call either.
        Raises what `read` raises, UserNotFound, CaseNotFound, the command's DomainError, IdempotencyKeyReused.
        """
        caller = self.caller

        def admit(work: Work) -> Work:
            staff, limits = check_key(
                work, staff_id=caller.staff_id, key_id=caller.key_id, email=caller.email
            )
            within = guarded(work, staff, self._right, limits)
            self._check(within.scope)
            check_named_user(self.request, within)
            return within

        return await self.context.writer.submit(
            command,
            who=f"staff:{caller.staff_id}",
            origin="api",
            request=self.request[REQUEST_ID],
            receipt=await self._receipt(),
            beside=beside,
            admit=admit,
        )

    def _check(self, scope: Scope) -> None:
        check(scope, self._right, self.request.method)
        check_named_channel(self.request, scope, self._right)

    async def _receipt(self) -> Receipt | None:
        key = self.request.headers.get("Idempotency-Key")
        if key is None or self.request.method != "POST":
            return None
        if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
            raise ApiError(
                400,
                "invalid_idempotency_key",
                f"Idempotency-Key must have 1 to {MAX_KEY} printable ASCII characters; a UUID is usual.",
            )
        body = await self.body()
        request = b"\n".join(
            [self.request.method.encode(), self.request.path.encode(), body.canonical()]
        )
        hashed = self.context.stream_ids.keyed_hash(request).hex()
        return Receipt(f"{self.caller.staff_id}/{key}", hashed)
