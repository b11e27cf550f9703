"""Set-up and migration: done once whoever starts, and leading to the tables that the code knows."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from open_log import DEADLINE, database_of
from sqlalchemy import inspect, select, text

from kanal.delivery import kept_secrets
from kanal.delivery.tables import deliveries
from kanal.domain.links import CONTACTS
from kanal.eventlog.migrate import HEAD, migrate, upgrade
from kanal.eventlog.sqlite import DataDirectoryInUse, SqliteDatabase
from kanal.eventlog.tables import DERIVED, EVENTS_TABLE, METADATA, installation


def test_the_migrated_database_is_what_the_code_describes(
    bare_database_url: str, data_dir: Path
) -> None:
    database = database_of(bare_database_url, data_dir)
    migrate(database)
    with database.reading() as connection:

        def ours(name: str | None, kind: str, _: object) -> bool:
            return not (kind == "table" and name == EVENTS_TABLE)

        context = MigrationContext.configure(connection, opts={"include_name": ours})
        assert compare_metadata(context, METADATA) == []
        names = set(inspect(connection).get_table_names())
        assert names == {*METADATA.tables, EVENTS_TABLE, "alembic_version"}
    database.close()
    assert set(METADATA.tables) >= DERIVED


def test_the_newest_migration_is_the_one_that_a_start_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", "kanal.eventlog:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrating_again_changes_nothing(bare_database_url: str, data_dir: Path) -> None:
    database = database_of(bare_database_url, data_dir)
    first, second = migrate(database), migrate(database)
    assert first.of(CONTACTS, "x") == second.of(CONTACTS, "x")
    with database.reading() as connection:
        rows = connection.execute(select(installation.c.name)).all()
        assert sorted(name for (name,) in rows) == ["created_at", "secret"]
    database.close()


def test_each_installation_has_a_secret_of_its_own(tmp_path: Path) -> None:
    databases = [SqliteDatabase(tmp_path / name / "kanal.db") for name in ("one", "two")]
    one, two = (migrate(database) for database in databases)
    assert one.of(CONTACTS, "x") != two.of(CONTACTS, "x")
    for database in databases:
        database.close()


def test_one_process_owns_a_data_directory(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "kanal.db")
    with pytest.raises(DataDirectoryInUse, match="in use by another Kanal process"):
        SqliteDatabase(tmp_path / "kanal.db")
    database.close()
    SqliteDatabase(tmp_path / "kanal.db").close()


def test_a_killed_process_lets_go_of_its_data_directory(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from kanal.eventlog.sqlite import SqliteDatabase;"
        "database = SqliteDatabase(pathlib.Path(sys.argv[1])); print('mine', flush=True);"
        "sys.stdin.read()"
    )
    path = tmp_path / "kanal.db"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(DataDirectoryInUse):
            SqliteDatabase(path)
        process.kill()
        process.wait(DEADLINE)
    SqliteDatabase(path).close()


def test_deliveries_made_before_there_were_queues_stand_in_those_of_their_cases(
    bare_database_url: str, data_dir: Path
) -> None:
    database = database_of(bare_database_url, data_dir)
    with database.setting_up() as connection:
        upgrade(connection, "0003")
        names = [
            column.name
            for column in deliveries.columns
            if column.name
            not in ("kind", "queue", "turn", "replay_id", "was", "was_because", "variables")
        ]
        for number, state in enumerate(("delivered", "pending"), start=1):
            values = dict.fromkeys(names, number) | {"state": state, "case_id": 7, "body": b"x"}
            columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO deliveries ({columns}) VALUES ({marks})"), values)
        kept = "INSERT INTO channel_secrets VALUES (1, 1, 'whsec_a'), (2, 1, 'whsec_b')"
        connection.execute(text(kept))
    migrate(database)
    with database.reading() as connection:
        stood = select(deliveries.c.kind, deliveries.c.queue, deliveries.c.turn)
        rows = connection.execute(stood.order_by(deliveries.c.position)).all()
        secrets = kept_secrets.read(connection, [1, 2])
    assert [tuple(row) for row in rows] == [("message_new", 7, None), ("message_new", 7, 2)]
    # Each secret got a key of its own, and none expires.
    [one], [two] = secrets[1], secrets[2]
    assert (len(one.private_key), len(two.private_key)) == (32, 32)
    assert one.private_key != two.private_key
    assert (one.expires_at, two.expires_at) == (None, None)
    database.close()
