"""Set-up and migration: one step under a lock, run by `serve` on its own at start and by `kanal migrate`."""

import secrets
import time

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, select

from kanal.eventlog.database import Database
from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import installation

SECRET_BYTES = 32


def migrate(database: Database) -> StreamIds:
    """Make or change the tables that are not rebuilt, and the installation's secret if there is none yet."""
    with database.setting_up() as connection:
        config = Config()
        config.set_main_option("script_location", "kanal.eventlog:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return StreamIds(_installation_secret(connection))


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
