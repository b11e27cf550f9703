"""Set-up and migration: one step under a lock, run by `serve` on its own at start and by `kanal migrate`."""

import secrets
import time

from sqlalchemy import Connection, insert, inspect, select, text

from kanal.eventlog.database import Database
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import installation

SECRET_BYTES = 32
HEAD = "0011"
"""The newest migration: a start that finds it needs no alembic, whose import takes a third of a second."""


def migrate(database: Database) -> StreamIds:
    """Make or change the tables that are not rebuilt, and the installation's secret if there is none yet."""
    with database.reading() as connection:
        if _revision(connection) == HEAD:
            return StreamIds(_installation_secret(connection))
    with database.setting_up() as connection:
        upgrade(connection)
        return StreamIds(_installation_secret(connection))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def upgrade(connection: Connection, revision: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "kanal.eventlog:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _installation_secret(connection: Connection) -> bytes:
    found = connection.scalar(select(installation.c.value).where(installation.c.name == "secret"))
    if found is None:
        found = secrets.token_hex(SECRET_BYTES)
        connection.execute(
            insert(installation),
            [
                {"name": "secret", "value": found},
                {"name": "created_at", "value": str(time.time_ns() // 1000)},
            ],
        )
    return bytes.fromhex(found)
