"""Periods of statistics under Omnidesk's names."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from kanal.http.dates import SECOND, Dates
from kanal.http.periods import PeriodName, period

BERLIN = ZoneInfo("Europe/Berlin")
NOW = "2026-03-31T12:30"
"""A Tuesday, two days after the clock was put forward."""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("name", "since", "until"),
    [
        ("last_24_hours", "2026-03-30T12:30", NOW),
        ("last_7_days", "2026-03-24T11:30", NOW),
        ("today", "2026-03-31", "2026-04-01"),
        ("yesterday", "2026-03-30", "2026-03-31"),
        ("this_week", "2026-03-30", "2026-04-06"),
        ("last_week", "2026-03-23", "2026-03-30"),
        ("this_month", "2026-03-01", "2026-04-01"),
        ("last_month", "2026-02-01", "2026-03-01"),
        ("month_2", "2026-01-01", "2026-02-01"),
        ("month_6", "2025-09-01", "2025-10-01"),
        ("3_previous_months", "2025-12-01", "2026-03-01"),
        ("6_previous_months", "2025-09-01", "2026-03-01"),
        ("this_year", "2026-01-01", "2027-01-01"),
        ("last_year", "2025-01-01", "2026-01-01"),
    ],
)
def test_a_period_by_its_name(name: PeriodName, since: str, until: str) -> None:
    assert period(name, at(NOW), Dates(BERLIN)) == (at(since), at(until))
