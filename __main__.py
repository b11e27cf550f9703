"""The `kanal` command."""

import asyncio
import gc
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from eventsourcing.persistence import MapperDeserialisationError, PersistenceError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from sqlalchemy.exc import DBAPIError

from kanal import __version__
from kanal.bootstrap import (
    CONTROL_SOCKET,
    DATABASE_FILE,
    FirstAdministrator,
    Role,
    appoint_first_administrator,
    open_database,
    opened,
    running,
)
from kanal.delivery.recovery import WrongWatermark, recovering
from kanal.eventlog import backup
from kanal.eventlog.database import driver_error
from kanal.eventlog.migrate import migrate
from kanal.eventlog.sqlite import DataDirectoryInUse
from kanal.http import control, delivery_tables, logs, openapi
from kanal.http.answers import encode
from kanal.projections.registry import CORE, FOLLOWED
from kanal.settings import Settings, SettingsError

SWITCH_SECONDS = 0.0005
"""The interpreter's turn of one thread. The writer gives the lock back with each statement and each sync, and would wait the
usual 5 ms to get it again while requests come in."""
MODELS = tuple(model.name for model in CORE + FOLLOWED)

console = Console(stderr=True)


class NoInstallation(Exception):
    """What was asked for needs one."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kanal")
@click.pass_context
def main(context: click.Context) -> None:
    """Kanal: a help desk for custom communication channels.

    Settings are KANAL_... variables of the environment; docs/settings.md lists them.
    """
    os.umask(0o077)  # whatever is written holds customers' data or secrets
    try:
        context.obj = Settings.load()
    except SettingsError as error:
        _fail(str(error))


@main.command()
@click.option(
    "--role",
    type=click.Choice(["all", "api", "worker"]),
    default="all",
    show_default=True,
    help="api answers requests, worker delivers webhooks; on SQLite one process does both.",
)
@click.pass_obj
def serve(settings: Settings, role: Role) -> None:
    """Serve the workspace and the API, and deliver webhooks.

    Ctrl-C or SIGTERM ends it, once the work in hand is done.
    """
    if role != "all" and not settings.database_url:
        _fail("With SQLite one process does everything: leave --role out, or use PostgreSQL.")
    sys.setswitchinterval(SWITCH_SECONDS)
    logs.configure(console=settings.log_format == "console", level=settings.log_level.upper())
    with _readable_failures(), ExitStack() as stack:
        with _bar("Building read models") as bar:
            store = stack.enter_context(opened(settings, bar))
        first = appoint_first_administrator(store)

        async def until_told() -> None:
            told = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, told.set)
            async with running(store, role) as kanal:
                # What is here now stays: a full collection would look at all of it again, tens of milliseconds each time.
                gc.collect()
                gc.freeze()
                _announce(kanal.address, first)
                await told.wait()

        _run(until_told())


@main.command()
@click.argument("models", nargs=-1, type=click.Choice(MODELS))
@click.pass_obj
def rebuild(settings: Settings, models: tuple[str, ...]) -> None:
    """Rebuild read models from the log and switch to them.

    All of them unless named, beside the live ones.
    Works whether `kanal serve` runs or not. No webhook is sent again.
    """
    with _readable_failures(), _bar("Rebuilding") as bar:
        differences: list[dict[str, Any]] = []
        for step in _asked(settings, "rebuild", {"names": models}) or _rebuilt(settings, models):
            differences += step.get("differences", [])
            bar(step)
    for each in differences:
        click.echo(
            f"{each['table']}: {each['live_rows']} rows before, {each['rebuilt_rows']} rebuilt",
            err=True,
        )
    click.echo(f"Rebuilt {', '.join(models or MODELS)}.")


@main.command("migrate")
@click.pass_obj
def migrate_(settings: Settings) -> None:
    """Make or change the tables. `kanal serve` does it on its own at start."""
    with _readable_failures():
        database = open_database(settings)
        try:
            migrate(database)
        finally:
            database.close()
    click.echo("The tables are up to date.")


@main.command("recover-deliveries")
@click.option(
    "--since",
    required=True,
    metavar="TIME|POSITION|now",
    help="What was written from there on is sent; a time as in RFC 3339, or a position of the log.",
)
@click.option("--dry-run", is_flag=True, help="Only count; what is missing is made again and held.")
@click.option(
    "--drop-strays",
    is_flag=True,
    help="Remove deliveries that the log does not know, because it alone was rolled back.",
)
@click.pass_obj
def recover_deliveries_(settings: Settings, since: str, dry_run: bool, drop_strays: bool) -> None:
    """Decide about deliveries that were lost.

    What is missing is sent, or dead-lettered as not known.
    Works whether `kanal serve` runs or not. What is not missing is never touched.
    """
    arguments = {"since": since, "dry_run": dry_run, "drop_strays": drop_strays}
    counts: dict[str, int] = {}
    with _readable_failures(), _bar("Recovering") as bar:
        steps = _asked(settings, "recover-deliveries", arguments) or _recovered(
            settings, **arguments
        )
        for step in steps:
            counts = step.get("counts", counts)
            bar(step)
    would = "would be" if dry_run else "are"
    click.echo(
        f"{counts['pending']} {would} sent, "
        f"{counts['dead']} {would} dead-lettered: it is not known whether they were delivered."
    )
    if counts["strays"]:
        removed = "removed" if drop_strays else "removed with --drop-strays"
        be = would if drop_strays else "would be"
        click.echo(f"{counts['strays']} are of nothing that the log has and {be} {removed}.")


@main.command("openapi")
def openapi_() -> None:
    """Print the OpenAPI document.

    docs/openapi.json is the same, and so is what /api/openapi.json serves.
    """
    click.echo(openapi.text(), nl=False)


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def backup_(settings: Settings, file: Path) -> None:
    """Write a backup into one zip FILE.

    It holds all that cannot be rebuilt, secrets included; `kanal serve` may run.
    """
    target = file.absolute()
    with _readable_failures(), _bar("Backing up") as bar:
        for step in _asked(settings, "backup", {"file": str(target)}) or _backed_up(
            settings, target
        ):
            bar(step)
    click.echo(f"Wrote {file}. It holds secrets: keep it as you keep passwords.")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def restore(settings: Settings, file: Path) -> None:
    """Fill a new installation from a backup FILE.

    Of SQLite or of PostgreSQL; the read models are built anew.
    """
    with _readable_failures():
        database = open_database(settings)
        try:
            migrate(database)
            with _bar("Restoring") as bar:
                for step in backup.restore(database, file):
                    bar({"done": step.done, "of": step.of})
        finally:
            database.close()
        with _bar("Building read models") as bar, opened(settings, bar):
            pass
    click.echo(f"Restored {file}. `kanal serve` starts it.")


@main.group("staff")
def staff_() -> None:
    """Help staff who cannot help themselves.

    `kanal serve` may run.
    """


@staff_.command("reset-password")
@click.argument("email")
@click.option(
    "--turn-off-second-step",
    is_flag=True,
    help="Also take away their authenticator, which else is asked for beside the new password.",
)
@click.pass_obj
def reset_password_(settings: Settings, email: str, turn_off_second_step: bool) -> None:
    """Print a new password for a staff member.

    EMAIL is that of somebody active; their sessions end.
    """
    asked: dict[str, Any] = {"email": email, "second_factor_too": turn_off_second_step}
    with _readable_failures():
        for step in _asked(settings, "reset-password", asked) or _reset(settings, **asked):
            if "refused" in step:
                _fail(step["refused"])
            if "password" in step:
                click.echo(f"New password of {email}, shown this once: {step['password']}")


@staff_.command("new-key")
@click.argument("email")
@click.pass_obj
def new_key_(settings: Settings, email: str) -> None:
    """Print a new API key for a staff member.

    EMAIL is that of somebody active; their other keys go on until they are revoked.
    """
    with _readable_failures():
        for step in _asked(settings, "new-key", {"email": email}) or _made_key(settings, email):
            if "refused" in step:
                _fail(step["refused"])
            if "answer" in step:
                click.echo(step["answer"]["key"])


@main.group("deliveries")
def deliveries_() -> None:
    """Look at webhooks that go out, and decide about them.

    `kanal serve` may run.
    DELIVERY is a webhook-id, such as msg_hg5gjufkhyoayiv63rswuwm7bs. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
REASON = click.option("--reason", help="Why; it stands in the log.")
CHANNEL = click.option("--channel", help="Of this channel, cch1 or 1.")
CASE = click.option("--case", "case_id", help="Of this case, its id or number.")
MESSAGE = click.option("--message", "message_id", help="Of this message.")


@deliveries_.command("list")
@CHANNEL
@CASE
@MESSAGE
@click.option("--state", type=click.Choice(["pending", "held", "delivered", "dead"]))
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--page", type=click.IntRange(1), default=1)
@AS_JSON
@click.pass_obj
def list_(settings: Settings, /, as_json: bool, **asked: Any) -> None:
    """List deliveries, the newest first."""
    _print(_dispatched(settings, "list", asked), as_json)


@deliveries_.command("show")
@click.argument("delivery")
@AS_JSON
@click.pass_obj
def show_(settings: Settings, delivery: str, as_json: bool) -> None:
    """Show a delivery with its attempts."""
    _print(_dispatched(settings, "show", {"delivery": delivery}), as_json)


def _decision(name: str, about: str) -> None:
    @deliveries_.command(name, help=about)
    @click.argument("delivery", nargs=-1, required=True)
    @REASON
    @AS_JSON
    @click.pass_obj
    def decide(
        settings: Settings, delivery: tuple[str, ...], reason: str | None, as_json: bool
    ) -> None:
        for each in delivery:
            _print(_dispatched(settings, name, {"delivery": each, "reason": reason}), as_json)


_decision("hold", "Hold deliveries; what stands behind them in their queues waits.")
_decision("release", "Release held deliveries: they go out in their turn.")
_decision("skip", "Dead-letter deliveries; their queues go on.")
_decision("retry", "Send deliveries now, also held and dead-lettered ones.")


@deliveries_.command("replay")
@click.argument("delivery", required=False)
@CHANNEL
@CASE
@MESSAGE
@click.option("--since", help="Only what was written from then on.")
@click.option("--until", help="Only what was written until then.")
@click.option(
    "--ended-as",
    type=click.Choice(["any", "delivered", "dead"]),
    default="any",
    show_default=True,
    help="What is sent again.",
)
@click.option("--per-minute", type=int, help="How many at most; 600 unless given.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@REASON
@AS_JSON
@click.pass_obj
def replay_(settings: Settings, /, as_json: bool, **asked: Any) -> None:
    """Send again what went out.

    One DELIVERY, or those of a channel, a case or a message.

    It is worked off by `kanal serve`, little by little.
    """
    _print(_dispatched(settings, "replay", asked), as_json)


@deliveries_.command("replays")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@AS_JSON
@click.pass_obj
def replays_(settings: Settings, as_json: bool, limit: int) -> None:
    """List replays and how far they have come, the newest first."""
    _print(_dispatched(settings, "replays", {"limit": limit}), as_json)


@deliveries_.command("cancel")
@click.argument("replay", type=int)
@REASON
@AS_JSON
@click.pass_obj
def cancel_(settings: Settings, /, as_json: bool, **asked: Any) -> None:
    """Cancel a replay; what it has not sent yet stays as it was."""
    _print(_dispatched(settings, "cancel", asked), as_json)


def _made_key(settings: Settings, email: str) -> Iterator[dict[str, Any]]:
    _require_installation(settings)
    with opened(settings) as store:
        yield from store.lost_keys().steps(email)


def _require_installation(settings: Settings) -> None:
    """Raises NoInstallation."""
    if not settings.database_url and not (settings.data_dir / DATABASE_FILE).exists():
        raise NoInstallation(f"there is no installation in {settings.data_dir.absolute()}.")


def _dispatched(settings: Settings, call: str, asked: dict[str, Any]) -> dict[str, Any]:
    arguments = {name: value for name, value in asked.items() if value is not None}
    given = {"call": call, "arguments": arguments}
    answer: dict[str, Any] = {}
    with _readable_failures():
        for step in _asked(settings, "deliveries", given) or _carried_out(settings, given):
            if "refused" in step:
                _fail(step["refused"])
            answer = step.get("answer", answer)
    return answer


def _carried_out(settings: Settings, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    _require_installation(settings)
    with opened(settings) as store:
        yield from store.dispatch().steps(given["call"], given["arguments"])


def _reset(settings: Settings, email: str, second_factor_too: bool) -> Iterator[dict[str, Any]]:
    _require_installation(settings)
    with opened(settings) as store:
        yield from store.reset_password(email, second_factor_too)


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(encode(answer).decode())
    else:
        delivery_tables.show(answer)


def _rebuilt(settings: Settings, models: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    with opened(settings) as store:
        work = store.rebuild(models)
        for step in work.run():
            yield {"done": step.position, "of": step.head}
        yield {"differences": [each._asdict() for each in work.differences]}


def _recovered(settings: Settings, **given: Any) -> Iterator[dict[str, Any]]:
    with opened(settings) as store:
        yield from recovering(store.recovery(), **given)


def _backed_up(settings: Settings, target: Path) -> Iterator[dict[str, Any]]:
    _require_installation(settings)
    database = open_database(settings)
    try:
        for step in backup.write(database, target):
            yield {"done": step.done, "of": step.of}
    finally:
        database.close()


def _asked(
    settings: Settings, command: str, arguments: dict[str, Any]
) -> Iterator[dict[str, Any]] | None:
    """The steps of a command that the serving process carries out; None if none serves on SQLite."""
    path = settings.data_dir / CONTROL_SOCKET
    if settings.database_url or not path.exists():
        return None
    connection = http.client.HTTPConnection("kanal")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        with control.short_address(path) as address:
            connection.sock.connect(address)
    except ConnectionRefusedError:  # left behind by a process that was killed
        connection.close()
        return None
    connection.request("POST", f"/{command}", json.dumps(arguments))
    return _steps(connection)


def _steps(connection: http.client.HTTPConnection) -> Iterator[dict[str, Any]]:
    ended = False
    with closing(connection), connection.getresponse() as lines:
        for line in lines:
            step = json.loads(line)
            if "failed" in step:
                _fail(step["failed"])
            ended = ended or "ended" in step
            yield step
    if not ended:
        _fail("The serving process ended before the work was done.")


@contextmanager
def _bar(title: str) -> Iterator[Any]:
    """A progress bar on a terminal, appearing with the first step."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = None

        def show(step: Any) -> None:
            nonlocal task
            done, of = (step.get("done"), step.get("of")) if isinstance(step, dict) else step
            if done is not None:
                task = task if task is not None else progress.add_task(title)
                progress.update(task, completed=done, total=of)

        yield show


def _announce(address: str, first: FirstAdministrator | None) -> None:
    if first:
        click.echo("The first administrator, shown this once:")
        click.echo(f"  e-mail:   {first.email}")
        click.echo(f"  password: {first.password}")
        click.echo(f"  API key:  {first.api_key}")
    click.echo(f"Kanal {__version__} listens on {address}")
    sys.stdout.flush()


def _run(serving: Any) -> None:
    if sys.platform == "win32":
        asyncio.run(serving)
    else:
        import uvloop

        uvloop.run(serving)


@contextmanager
def _readable_failures() -> Iterator[None]:
    """What an operator can mend is one sentence, not a traceback."""
    try:
        yield
    except (
        DataDirectoryInUse,
        NoInstallation,
        SettingsError,
        WrongWatermark,
        backup.BackupError,
    ) as error:
        _fail(str(error))
    except MapperDeserialisationError as error:
        _fail(str(error))
    except (DBAPIError, PersistenceError) as error:
        _fail(f"the database refuses: {driver_error(error)}")
    except OSError as error:
        _fail(f"{error.strerror or error} ({error.filename})" if error.filename else str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"kanal: {message}", err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
