"""Periods of statistics, as Omnidesk names them, in the account's zone."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final, Literal, get_args

from kanal.http.dates import SECOND, Dates

PeriodName = Literal[
    "last_24_hours",
    "last_7_days",
    "last_14_days",
    "last_30_days",
    "today",
    "yesterday",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "month_2",
    "month_3",
    "month_4",
    "month_5",
    "month_6",
    "3_previous_months",
    "6_previous_months",
    "this_year",
    "last_year",
    "custom",
]
"""`month_2` is the month before the last one; `custom`, or none, goes from `from_time` to `to_time`."""
DAYS_BACK: Final[Mapping[str, int]] = {
    "last_24_hours": 1,
    "last_7_days": 7,
    "last_14_days": 14,
    "last_30_days": 30,
}
"""Of 24 hours each, up to this moment."""

Days = tuple[date, date]
"""The second one is not part of it."""
TOMORROW: Final = timedelta(1)
WEEK: Final = timedelta(7)


def _months(today: date, first: int, last: int) -> Days:
    """From so many months ago until before so many."""
    month = today.year * 12 + today.month - 1
    since, until = (date((month - ago) // 12, (month - ago) % 12 + 1, 1) for ago in (first, last))
    return since, until


def _week(today: date) -> date:
    """Its Monday."""
    return today - timedelta(today.weekday())


CALENDAR: Final[Mapping[str, Callable[[date], Days]]] = {
    "today": lambda today: (today, today + TOMORROW),
    "yesterday": lambda today: (today - TOMORROW, today),
    "this_week": lambda today: (_week(today), _week(today) + WEEK),
    "last_week": lambda today: (_week(today) - WEEK, _week(today)),
    "this_month": lambda today: _months(today, 0, -1),
    "last_month": lambda today: _months(today, 1, 0),
    **{f"month_{n}": partial(_months, first=n, last=n - 1) for n in range(2, 7)},
    "3_previous_months": lambda today: _months(today, 3, 0),
    "6_previous_months": lambda today: _months(today, 6, 0),
    "this_year": lambda today: (date(today.year, 1, 1), date(today.year + 1, 1, 1)),
    "last_year": lambda today: (date(today.year - 1, 1, 1), date(today.year, 1, 1)),
}
assert {*DAYS_BACK, *CALENDAR, "custom"} == set(get_args(PeriodName))


def period(name: PeriodName, now: int, dates: Dates) -> tuple[int, int]:
    """Microseconds; for any name but `custom`."""
    if name in DAYS_BACK:
        return now - DAYS_BACK[name] * 86_400 * SECOND, now
    today = datetime.fromtimestamp(now // SECOND, dates.zone).date()
    since, until = (
        int(datetime(day.year, day.month, day.day, tzinfo=dates.zone).timestamp()) * SECOND
        for day in CALENDAR[name](today)
    )
    return since, until
