"""The aiohttp application: the table of routes, health, readiness and metrics behind one middleware."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Connection, update

from kanal.eventlog.tables import installation
from kanal.eventlog.writer import LogUnavailable
from kanal.http.answers import answer
from kanal.http.auth import Authentication
from kanal.http.context import CONTEXT, Call, Context, check, may
from kanal.http.delivery_metrics import DeliveryMetrics
from kanal.http.docs_page import add_documentation
from kanal.http.files import add_files
from kanal.http.logs import AccessLog, access_to_structlog
from kanal.http.metrics import Metrics, exposition
from kanal.http.middleware import WHO, surround
from kanal.http.pages.routes import add_pages
from kanal.http.pages.workspace import Workspace
from kanal.http.rate_limit import RateLimit
from kanal.http.routes import ROUTES, Route

SUFFIX = r"{suffix:(\.json)?/?}"
"""`.json`, nothing, a trailing slash: real clients send all of them, and a redirect would lose the body."""
SUFFIX_OF_TABLES = r"{suffix:(\.json|\.csv)?/?}"
NEAR_THE_HEAD = 10_000
"""Events that a followed read model may be behind while the process counts as ready: under a second of work."""
READY_SECONDS = 5
"""How long the log may take for a trial write."""


def make_app(
    context: Context,
    registry: CollectorRegistry,
    trusted_proxies: Iterable[str] = (),
    *,
    api: bool = True,
    access_log: AccessLog = access_to_structlog,
    rate_limit: RateLimit | None = None,
    deliveries: DeliveryMetrics | None = None,
    workspace: Workspace | None = None,
) -> web.Application:
    """`api`: false for a process that only delivers; it still answers for its health. `deliveries`: of one that delivers.

    `workspace`: of one that shows pages.
    """
    calls = rate_limit or RateLimit()
    app = web.Application(
        middlewares=[surround(Metrics(registry), trusted_proxies, access_log, calls)],
        client_max_size=0,  # body.py has the limits
    )
    app[CONTEXT] = context
    authentication = Authentication(context)
    for route in ROUTES if api else ():
        _add(app, authentication, calls, route)
    if api:
        add_documentation(app)
    if api:
        add_files(app)
    if workspace:
        add_pages(app, workspace)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)

    waiting = Gauge("kanal_log_waiting", "Commands that wait for the writer.", registry=registry)
    waiting.set_function(lambda: context.writer.waiting)
    position = Gauge("kanal_log_position", "Position of the last event.", registry=registry)
    position.set_function(lambda: context.writer.position)

    polling = Gauge(
        "kanal_outbox_calls_waiting", "Calls that wait for something to go out.", registry=registry
    )
    polling.set_function(lambda: context.arrivals.waiting)

    undecided = Gauge(
        "kanal_deliveries_undecided",
        "Deliveries that were lost and are held until `kanal recover-deliveries` is called.",
        registry=registry,
    )
    undecided.set_function(lambda: context.loss_watch.undecided)

    async def metrics(_: web.Request) -> web.Response:
        if deliveries:
            await deliveries.look(context.database)
        return exposition(registry)

    app.router.add_get("/metrics", metrics)
    return app


def _add(
    app: web.Application, authentication: Authentication, calls: RateLimit, route: Route
) -> None:
    operation, right = route.operation, route.right
    context = app[CONTEXT]

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await authentication.caller(request)
        request[WHO] = f"staff:{caller.staff_id}"
        # Not before: whoever has no key cannot use up the account's calls.
        calls.take(request.method)
        if not may(caller.scope, right, request.method):
            # What is remembered may be old. What it allows is asked again by each read and command.
            caller = await authentication.caller(request, anew=True)
            check(caller.scope, right, request.method)
        await authentication.note_use(caller)
        return await operation.handler(Call(request, context, caller, operation, right))

    path = route.path.replace("}", r":[^/.]+}")
    suffix = SUFFIX_OF_TABLES if operation.csv else SUFFIX
    app.router.add_route(route.method, f"/api/{path}{suffix}", handle)


async def _healthz(_: web.Request) -> web.Response:
    """The process is alive."""
    return answer({"status": "alive"})


async def _readyz(request: web.Request) -> web.Response:
    """The log takes writes, and the read models are near its head."""
    context = request.app[CONTEXT]
    problems = []
    try:
        async with asyncio.timeout(READY_SECONDS):
            await context.writer.run(_trial_write)
            lag = await context.follower.lag()
    except (LogUnavailable, TimeoutError) as error:
        problems.append(
            f"the log cannot be written: {context.writer.failing or type(error).__name__}"
        )
    else:
        if lag > NEAR_THE_HEAD:
            problems.append(f"read models are {lag} events behind the log")
    if problems:
        return answer({"status": "not ready", "problems": problems}, 503)
    # It serves, but somebody has to act.
    watch, warnings = context.loss_watch, []
    if watch.undecided:
        lost = f"{watch.undecided} deliveries were lost and are held: kanal recover-deliveries"
        warnings.append(lost)
    if watch.strays:
        warnings.append(
            "the log was rolled back behind its deliveries: kanal recover-deliveries --drop-strays"
        )
    ready: dict[str, Any] = {"status": "ready", "position": context.writer.position}
    if warnings:
        ready["warnings"] = warnings
    return answer(ready)


def _trial_write(connection: Connection) -> None:
    row = installation.c.name == "created_at"
    connection.execute(update(installation).where(row).values(value=installation.c.value))
