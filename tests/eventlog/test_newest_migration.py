"""The start's short cut knows which migration is the newest."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from kanal.eventlog.migrate import HEAD


def test_the_newest_migration_is_the_one_that_a_start_expects() -> None:
    config = Config()
    config.set_main_option("script_location", "kanal.eventlog:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
