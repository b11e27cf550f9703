"""Generations: folding beside the log, rebuilding beside writes, switching, following."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from folding import MODELS, engine_of, folded_at_once
from histories import beginning, play
from open_log import DEADLINE, OpenLog, in_one_batch, open_log, until
from sqlalchemy import Connection, delete, inspect, select, text, update

from kanal.domain.groups import create_group
from kanal.domain.stream import Recorded
from kanal.eventlog.follower import Follower
from kanal.eventlog.tables import generations
from kanal.projections import groups, history, runner
from kanal.projections.cases import find
from kanal.projections.registry import CORE, FOLLOWED
from kanal.projections.runner import Difference, Inline, Rebuild, build_missing, following, views

NAMES = [model.name for model in MODELS]


class Desk:
    """A log whose core models are applied inline, all of them built."""

    def __init__(self, log: OpenLog, inline: Inline, models: Any = MODELS) -> None:
        self.log = log
        self.inline = inline
        self.models = models
        for _ in self.build_missing():
            pass

    def build_missing(self) -> Iterator[runner.Progress]:
        return build_missing(
            self.log.database, self.log.writer.run_and_wait, self.models, self.inline
        )

    def rebuild(self, write: Callable[[runner.Task], Any] | None = None) -> Rebuild:
        write = write or self.log.writer.run_and_wait
        return Rebuild(self.log.database, write, self.models, self.inline)

    def follower(self) -> Follower:
        return Follower(
            self.log.database, self.log.writer, lambda connection: following(connection, FOLLOWED)
        )

    def generations(self) -> dict[str, list[tuple[int, bool]]]:
        """Model -> number of each generation and whether it is live."""
        found: dict[str, list[tuple[int, bool]]] = {}
        with self.log.database.reading() as connection:
            rows = connection.execute(select(generations).order_by(generations.c.generation))
            for row in rows:
                found.setdefault(row.name, []).append((row.generation, row.active))
        return found

    def tables(self) -> set[str]:
        with self.log.database.reading() as connection:
            return set(inspect(connection).get_table_names())

    def rows(self, number: int, names: Any = NAMES) -> dict[str, list[Any]]:
        """All that is stored in that generation."""
        with self.log.database.reading() as connection:
            return {
                f"{model.name}.{name}": sorted(map(tuple, connection.execute(table.select())))
                for model in self.models
                if model.name in names
                for name, table in model.tables(number).items()
            }

    def expected(self, names: Any = NAMES) -> dict[str, list[Any]]:
        """What the log says, folded at once into memory."""
        engine = engine_of("")
        with engine.connect() as connection:
            models = folded_at_once(connection, self.log.events())
            rows = models.rows()
            assert all(kept == counted for kept, counted in models.amounts().values())
        return {name: one for name, one in rows.items() if name.partition(".")[0] in names}


class Unlucky:
    """An inline projection that fails behind the others for groups called `bad`."""

    def apply(self, connection: Connection, events: Sequence[Recorded], *_: Any) -> None:
        if any(getattr(recorded.event, "title", "") == "bad" for recorded in events):
            raise ZeroDivisionError

    def committed(self, events: Sequence[Recorded]) -> None:
        pass


@contextmanager
def open_desk(
    database_url: str, data_dir: Path, models: Any = MODELS, followed: Sequence[str] = ("history",)
) -> Iterator[Desk]:
    inlines: list[Inline] = []

    def inline(database: Any) -> list[Any]:
        inlines.append(Inline([model for model in models if model.name not in followed], database))
        return [*inlines, Unlucky()]

    with open_log(database_url, data_dir, inline=inline) as log:
        yield Desk(log, inlines[0], models)


@pytest.fixture
def desk(database_url: str, data_dir: Path) -> Iterator[Desk]:
    with open_desk(database_url, data_dir) as desk:
        yield desk


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short history is many chunks."""
    monkeypatch.setattr(runner, "IDLE_CHUNK", 40)
    monkeypatch.setattr(runner, "BUSY_CHUNK", 10)
    monkeypatch.setattr(runner, "BUSY_PAUSE_SECONDS", 0)


CORE_NAMES = [model.name for model in CORE]


def test_inline_rows_are_the_fold_of_the_log(desk: Desk) -> None:
    play(desk.log.do, steps=40)
    assert desk.rows(1, CORE_NAMES) == desk.expected(CORE_NAMES)


@pytest.mark.parametrize("seed", [1, 2])
def test_rebuilt_rows_are_the_live_rows(database_url: str, data_dir: Path, seed: int) -> None:
    with open_desk(database_url, data_dir) as desk:
        play(desk.log.do, steps=140, seed=seed)
        live = desk.rows(1, CORE_NAMES)
        rebuild = desk.rebuild()
        steps = list(rebuild.run())
        assert desk.rows(2, CORE_NAMES) == live
        assert desk.rows(2) == desk.expected()
        assert rebuild.differences == []
        assert desk.generations() == {name: [(1, False), (2, True)] for name in NAMES}
        head = desk.log.events()[-1].position
        assert [step.position for step in steps] == sorted(step.position for step in steps)
        assert steps[-1] == (head, head)
        assert len(steps) > 3


def test_postgres_knows_how_full_large_tables_are_before_anybody_asks_them(
    postgres_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LARGE", 10)
    with open_desk(postgres_url, data_dir) as desk:
        play(desk.log.do, steps=30)
        list(desk.rebuild().run())
        query = text("SELECT reltuples, relallvisible FROM pg_class WHERE relname = 'cases_v2'")
        with desk.log.database.reading() as connection:
            tuples, all_visible = connection.execute(query).one()
        assert tuples == len(desk.rows(2, ["cases"])["cases.cases"]) > 0
        assert all_visible > 0


def test_the_generation_before_stays_until_the_next_rebuild(desk: Desk) -> None:
    play(desk.log.do, steps=10)
    for _ in range(2):
        list(desk.rebuild().run())
    assert desk.generations() == {name: [(2, False), (3, True)] for name in NAMES}
    for model in MODELS:
        for name in model.tables(1):
            assert f"{name}_v1" not in desk.tables()
            assert {f"{name}_v2", f"{name}_v3"} <= desk.tables()


def test_answers_come_from_the_new_generation_and_writes_go_there(desk: Desk) -> None:
    play(desk.log.do, steps=20)
    with desk.log.database.reading() as before:
        case = find(before, views(before, CORE), 1)
        list(desk.rebuild().run())
        # Who reads on sees one moment, however long it takes.
        assert find(before, views(before, CORE), 1) == case
    with desk.log.database.reading() as after:
        assert find(after, views(after, CORE), 1) == case
        assert views(after, CORE).cases["cases"].name == "cases_v2"
    old = desk.rows(1, ["groups"])
    desk.log.do(create_group, title="later")
    assert desk.rows(1, ["groups"]) == old
    assert desk.rows(2, CORE_NAMES) == desk.expected(CORE_NAMES)


def test_a_rebuild_misses_nothing_that_is_written_between_its_steps(desk: Desk) -> None:
    """Also just before the switch, and just after it."""
    play(desk.log.do, steps=40)

    def write(task: runner.Task) -> Any:
        desk.log.do(create_group, title="before a step")
        result = desk.log.writer.run_and_wait(task)
        desk.log.do(create_group, title="after a step")
        return result

    for _ in desk.rebuild(write).run():
        desk.log.do(create_group, title="between steps")
    assert desk.rows(2, CORE_NAMES) == desk.expected(CORE_NAMES)


def test_a_rebuild_beside_other_writes_ends_and_misses_nothing(desk: Desk) -> None:
    play(desk.log.do, steps=60)
    done = threading.Event()

    def write_on() -> None:
        while not done.is_set():
            desk.log.do(create_group, title="x")

    writers = [threading.Thread(target=write_on) for _ in range(2)]
    for writer in writers:
        writer.start()
    list(desk.rebuild().run())
    done.set()
    for writer in writers:
        writer.join(DEADLINE)
    assert desk.rows(2, CORE_NAMES) == desk.expected(CORE_NAMES)
    assert desk.generations()["groups"] == [(1, False), (2, True)]


async def test_a_step_that_is_rolled_back_for_a_neighbour_s_failure_is_done_again_whole(
    desk: Desk,
) -> None:
    loop = asyncio.get_running_loop()
    log = desk.log
    await asyncio.to_thread(play, log.do, 40)

    async def among_others(task: runner.Task) -> Any:
        first, result, last, failed = await in_one_batch(
            log.writer,
            log.submit(create_group, title="before"),
            log.writer.run(task),
            log.submit(create_group, title="after"),
            log.submit(create_group, title="bad"),
        )
        assert isinstance(failed, ZeroDivisionError)
        assert last.result == first.result + 1
        if isinstance(result, Exception):
            raise result
        return result

    def write(task: runner.Task) -> Any:
        return asyncio.run_coroutine_threadsafe(among_others(task), loop).result(DEADLINE)

    await asyncio.to_thread(lambda: list(desk.rebuild(write).run()))
    await log.submit(create_group, title="later")
    assert desk.rows(2, CORE_NAMES) == desk.expected(CORE_NAMES)
    assert desk.generations()["groups"] == [(1, False), (2, True)]


async def test_writes_of_the_batch_that_switches_go_to_the_new_tables(desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    log = desk.log
    await asyncio.to_thread(play, log.do, 40)

    async def among_others(task: runner.Task) -> Any:
        before, result, after = await in_one_batch(
            log.writer,
            log.submit(create_group, title="before"),
            log.writer.run(task),
            log.submit(create_group, title="after"),
        )
        assert after.result == before.result + 1
        return result

    def write(task: runner.Task) -> Any:
        return asyncio.run_coroutine_threadsafe(among_others(task), loop).result(DEADLINE)

    await asyncio.to_thread(lambda: list(desk.rebuild(write).run()))
    assert desk.rows(2, CORE_NAMES) == desk.expected(CORE_NAMES)


def test_an_unfinished_rebuild_is_begun_anew(desk: Desk) -> None:
    play(desk.log.do, steps=40)
    unfinished = desk.rebuild().run()
    next(unfinished)
    unfinished.close()
    assert desk.generations()["cases"] == [(1, True), (2, False)]
    desk.log.do(create_group, title="x")
    list(desk.rebuild().run())
    assert desk.rows(2) == desk.expected()
    assert desk.generations() == {name: [(1, False), (2, True)] for name in NAMES}


def test_a_rebuild_says_what_was_different_and_puts_it_right(desk: Desk) -> None:
    play(desk.log.do, steps=20)
    table = groups.PROJECTION.tables(1)["groups"]
    desk.log.writer.run_and_wait(lambda connection: connection.execute(delete(table)))
    rebuild = desk.rebuild()
    list(rebuild.run())
    assert rebuild.differences == [Difference("groups", 0, 1)]
    assert desk.rows(2) == desk.expected()


def test_only_some_models_can_be_rebuilt(desk: Desk) -> None:
    play(desk.log.do, steps=20)
    log = desk.log
    models = [groups.PROJECTION]
    list(Rebuild(log.database, log.writer.run_and_wait, models, desk.inline).run())
    assert desk.generations()["groups"] == [(1, False), (2, True)]
    assert desk.generations()["cases"] == [(1, True)]
    log.do(create_group, title="later")
    assert desk.rows(2, ["groups"]) == desk.expected(["groups"])


def test_two_rebuilds_at_once_come_one_after_the_other(desk: Desk) -> None:
    play(desk.log.do, steps=40)
    threads = [threading.Thread(target=lambda: list(desk.rebuild().run())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert desk.generations() == {name: [(2, False), (3, True)] for name in NAMES}
    assert desk.rows(3) == desk.expected()


def test_what_is_missing_is_built_at_the_start_and_only_that(
    bare_database_url: str, data_dir: Path
) -> None:
    with open_log(bare_database_url, data_dir) as log:
        play(log.do, steps=30)
    with open_desk(bare_database_url, data_dir) as desk:
        assert desk.rows(1) == desk.expected()
        assert list(desk.build_missing()) == []
    with open_desk(bare_database_url, data_dir) as desk:
        assert desk.generations() == {name: [(1, True)] for name in NAMES}


def test_a_model_that_is_behind_the_log_at_the_start_is_built_anew(
    database_url: str, data_dir: Path
) -> None:
    """Another version of Kanal wrote while this one did not run."""
    with open_desk(database_url, data_dir) as desk:
        play(desk.log.do, steps=30)
        behind = update(generations).where(generations.c.name == NAMES[0]).values(position=3)
        desk.log.writer.run_and_wait(lambda connection: connection.execute(behind))
    with open_desk(database_url, data_dir) as desk:
        assert desk.generations()[NAMES[0]] == [(1, False), (2, True)]


def newer(name: str) -> list[Any]:
    """All models, this one with a new version."""
    return [
        replace(model, version=model.version + 1) if model.name == name else model
        for model in MODELS
    ]


def test_a_new_version_of_a_model_is_built_beside_the_old_one(
    database_url: str, data_dir: Path
) -> None:
    with open_desk(database_url, data_dir) as desk:
        play(desk.log.do, steps=30)
    with open_desk(database_url, data_dir, newer("groups")) as desk:
        assert desk.generations()["groups"] == [(1, True), (2, True)]
        assert desk.generations()["cases"] == [(1, True)]
        old = desk.rows(1, ["groups"])
        desk.log.do(create_group, title="later")
        assert desk.rows(2, ["groups"]) == desk.expected(["groups"])
        assert desk.rows(1, ["groups"]) == old


def test_two_versions_write_side_by_side_and_each_keeps_up_its_own(
    postgres_url: str, data_dir: Path
) -> None:
    with ExitStack() as stack:
        old = stack.enter_context(open_desk(postgres_url, data_dir))
        new = stack.enter_context(open_desk(postgres_url, data_dir, newer("groups")))
        for number in range(3):
            old.log.do(create_group, title=f"old {number}")
            old.log.do(create_group, title=f"old {number} again")
            new.log.do(create_group, title=f"new {number}")
            assert new.rows(2, ["groups"]) == new.expected(["groups"])
        old.log.do(create_group, title="last")
        assert old.rows(1, ["groups"]) == old.expected(["groups"])
        assert len(old.rows(1, ["groups"])["groups.groups"]) == 10


# -- following -------------------------------------------------------------------------------------


async def test_a_followed_model_catches_up_with_all_that_was_written(desk: Desk) -> None:
    await asyncio.to_thread(play, desk.log.do, 40)
    follower = desk.follower()
    assert desk.rows(1, ["history"]) == {"history.history": []}
    assert await follower.lag() == desk.log.events()[-1].position
    await follower.catch_up()
    assert desk.rows(1, ["history"]) == desk.expected(["history"])
    assert await follower.lag() == 0
    await follower.catch_up()
    assert desk.rows(1, ["history"]) == desk.expected(["history"])


async def test_several_followers_of_one_model_fold_each_event_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.eventlog.follower.CHUNK", 7)
    await asyncio.to_thread(play, desk.log.do, 40)
    await asyncio.gather(*(desk.follower().catch_up() for _ in range(3)))
    assert desk.rows(1, ["history"]) == desk.expected(["history"])


async def test_figures_that_several_followers_read_ahead_are_stored_once(
    database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.eventlog.follower.CHUNK", 7)
    names = ["history", "statistics"]
    with open_desk(database_url, data_dir, followed=names) as desk:
        await asyncio.to_thread(play, desk.log.do, 40)
        await asyncio.gather(*(desk.follower().catch_up() for _ in range(3)))
        assert desk.rows(1, names) == desk.expected(names)


async def test_a_follower_rests_while_others_write_but_for_those_who_ask(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.eventlog.follower.CHUNK", 7)
    monkeypatch.setattr("kanal.eventlog.follower.PAUSE_SECONDS", 0)
    monkeypatch.setattr("kanal.eventlog.follower.REST", 1_000_000_000)
    monkeypatch.setattr("kanal.eventlog.follower.MOST_REST_SECONDS", 1_000_000_000)
    await asyncio.to_thread(play, desk.log.do, 40)
    writer = desk.log.writer

    class Busy:
        """The writer, with work of somebody else's before each order."""

        async def run(self, task: Any) -> Any:
            await writer.run(lambda _: None)
            return await writer.run(task)

        @property
        def carried_out(self) -> int:
            return writer.carried_out

    busy: Any = Busy()
    follower = Follower(desk.log.database, busy, lambda c: following(c, [history.PROJECTION]))
    follower.start()
    behind = await follower.lag() - 7
    await until(lambda: len(desk.rows(1, ["history"])["history.history"]) > 0)
    assert await follower.lag() == behind
    await follower.catch_up()
    assert await follower.lag() == 0
    await follower.close()


async def test_a_follower_follows_by_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kanal.eventlog.follower.PAUSE_SECONDS", 0)
    follower = desk.follower()
    follower.start()
    for command, arguments in beginning():
        await desk.log.submit(command, **arguments)
    expected = desk.expected(["history"])
    await until(lambda: desk.rows(1, ["history"]) == expected)
    await follower.close()


async def test_a_follower_that_failed_tries_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.eventlog.follower.PAUSE_SECONDS", 0)
    failures = [ZeroDivisionError(), ZeroDivisionError()]

    def live(connection: Connection) -> Any:
        if failures:
            raise failures.pop()
        return following(connection, FOLLOWED)

    follower = Follower(desk.log.database, desk.log.writer, live)
    for command, arguments in beginning():
        await desk.log.submit(command, **arguments)
    expected = desk.expected(["history"])
    follower.start()
    await until(lambda: desk.rows(1, ["history"]) == expected)
    assert failures == []
    await follower.close()


async def test_a_followed_model_is_followed_on_after_a_rebuild(desk: Desk) -> None:
    await asyncio.to_thread(play, desk.log.do, 20)
    follower = desk.follower()
    await asyncio.to_thread(lambda: list(desk.rebuild().run()))
    await asyncio.to_thread(play, desk.log.do, 20, seed=1)
    await follower.catch_up()
    assert desk.rows(2, ["history"]) == desk.expected(["history"])


async def test_a_step_of_a_follower_that_is_rolled_back_is_done_again_whole(desk: Desk) -> None:
    log = desk.log
    await asyncio.to_thread(play, log.do, 20)

    def fail(_: Connection) -> None:
        raise ZeroDivisionError

    class AmongOthers:
        """The writer, but with a neighbour that fails in each transaction."""

        async def run(self, task: Any) -> Any:
            result, _ = await in_one_batch(log.writer, log.writer.run(task), log.writer.run(fail))
            return result

    follower = Follower(
        log.database, AmongOthers(), lambda connection: following(connection, FOLLOWED)
    )
    await follower.catch_up()
    assert desk.rows(1, ["history"]) == desk.expected(["history"])
