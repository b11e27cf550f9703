"""Days of statistics are the account's, whichever zone it has had before."""

from datetime import date
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select
from story import person

from kanal.bootstrap import opened
from kanal.domain.channels import create_channel
from kanal.domain.conversation import open_case
from kanal.projections import runner
from kanal.settings import Settings

EVENING = 1_767_308_400 * 1_000_000
"""2026-01-01 23:00 UTC: in Tokyo it is the next day."""


def test_another_zone_sums_days_up_anew(data_dir: Path) -> None:
    with opened(Settings(data_dir=data_dir)) as store:
        made = partial(
            create_channel,
            title="App",
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )
        store.writer.submit_and_wait(made)
        case = partial(open_case, who=person("1"), content="x", created_at=EVENING)
        store.writer.submit_and_wait(case)
    tokyo = Settings(data_dir=data_dir, timezone=ZoneInfo("Asia/Tokyo"))
    with opened(tokyo) as store, store.database.reading() as connection:
        days = runner.views(connection, store.followed).statistics["stat_days"]
        assert connection.scalars(select(days.c.unit)).all() == [date(2026, 1, 2).toordinal()]
