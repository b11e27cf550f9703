"""Dates at the edge: RFC 2822 in the account's zone outwards, whatever clients send inwards.

Inside Kanal a time is an int, microseconds since the epoch in UTC.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

SECOND = 1_000_000

EARLIEST = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""Filters like from_time=1970-01-01 mean `everything`; before 1900 it is a slip."""
LATEST = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp()) * SECOND
"""Two days before Python's calendar ends, so that it can be shown in every zone."""

MAX_LENGTH = 64
"""Twice the longest of the accepted forms; what is longer is not looked at."""

CACHED = 8192
"""A page of 100 cases shows up to 400 dates; new messages share a few seconds."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(r"\d{1,12}(?:\.\d{1,6})?")
# `+` arrives as a blank when a client forgets to encode it in a query.
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|[+\- ]?\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_RFC_2822 = re.compile(
    r"(?:[A-Z]{3},\s*)?(\d{1,2})\s+([A-Z]{3})\s+(\d{4})\s+(\d\d):(\d\d)(?::(\d\d))?"
    r"\s+(GMT|UTC|UT|Z|[+-]?\d{4})",
    re.ASCII | re.IGNORECASE,
)


class Dates:
    """Renders and reads dates in one account's zone."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        # Bound to the instance: its lifetime is the application's.
        self._render_second = lru_cache(CACHED)(self._render_second_uncached)

    def render(self, at: int) -> str:
        """`Thu, 26 Apr 2018 20:17:10 +0300`; the part below a second is not shown."""
        return self._render_second(at // SECOND)

    def moment(self, at: int | None) -> str | None:
        """As `render`, for what may not have happened."""
        return None if at is None else self.render(at)

    def _render_second_uncached(self, second: int) -> str:
        t = datetime.fromtimestamp(second, self.zone)
        offset = t.utcoffset() or timedelta()
        minutes = offset.days * 1440 + offset.seconds // 60
        sign = "-" if minutes < 0 else "+"
        hours, minutes = divmod(abs(minutes), 60)
        return (
            f"{DAYS[t.weekday()]}, {t.day:02} {MONTHS[t.month - 1]} {t.year:04} "
            f"{t.hour:02}:{t.minute:02}:{t.second:02} {sign}{hours:02}{minutes:02}"
        )

    def parse(self, given: object) -> int:
        """A Unix timestamp (number or digits), an ISO 8601 or an RFC 2822 date, in microseconds.

        Without an offset it is in the account's zone. Raises ValueError with a sentence.
        """
        at = self._parse(given)
        if not EARLIEST <= at < LATEST + 2 * 86400 * SECOND:
            raise ValueError("must be a time between 1900 and 9999; timestamps are in seconds")
        return min(at, LATEST)

    def day(self, given: object) -> str:
        """`2021-12-01`, `01.12.2021`, or the day of a time in any form of `parse`, in the account's zone: `2021-12-01`.

        Raises ValueError with a sentence.
        """
        text = given.strip() if isinstance(given, str) else ""
        try:
            if found := _DAY_MONTH_YEAR.fullmatch(text):
                return date(int(found[3]), int(found[2]), int(found[1])).isoformat()
            if _DAY.fullmatch(text):
                return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError("must be a date of the calendar") from None
        try:
            at = self.parse(given)
        except ValueError:
            raise ValueError("must be a date such as 2021-12-01") from None
        return datetime.fromtimestamp(at // SECOND, self.zone).date().isoformat()

    def _parse(self, given: object) -> int:
        if type(given) is int:
            return given * SECOND
        if type(given) is float and abs(given) < LATEST:
            # A clock as most languages give it, `Date.now() / 1000`.
            return round(given * SECOND)
        if isinstance(given, str) and len(given) <= MAX_LENGTH:
            text = given.strip()
            if _TIMESTAMP.fullmatch(text):
                seconds, _, part = text.partition(".")
                return int(seconds) * SECOND + int(part.ljust(6, "0"))
            try:
                if found := _ISO.fullmatch(text):
                    return self._from_iso(found)
                if found := _RFC_2822.fullmatch(text):
                    return self._from_rfc_2822(found)
            except ValueError:
                raise ValueError("must be a date of the calendar") from None
        raise ValueError(
            "must be a Unix timestamp in seconds, `2021-12-01 00:00:00`, ISO 8601 or RFC 2822"
        )

    def _from_iso(self, found: re.Match[str]) -> int:
        year, month, day, hour, minute, second, part, offset = found.groups()
        micro = int((part or "")[:6].ljust(6, "0"))
        return self._at(year, int(month), day, hour or 0, minute or 0, second or 0, micro, offset)

    def _from_rfc_2822(self, found: re.Match[str]) -> int:
        day, month, year, hour, minute, second, offset = found.groups()
        number = MONTHS.index(month.title()) + 1
        return self._at(year, number, day, hour, minute, second or 0, 0, offset)

    def _at(
        self,
        year: str,
        month: int,
        day: str,
        hour: str | int,
        minute: str | int,
        second: str | int,
        micro: int,
        offset: str | None,
    ) -> int:
        zone = _zone(offset) if offset else self.zone
        t = datetime(
            int(year), month, int(day), int(hour), int(minute), int(second), micro, tzinfo=zone
        )
        return (t - _EPOCH) // timedelta(microseconds=1)


def _zone(offset: str) -> tzinfo:
    if offset[0].isalpha():
        return UTC
    digits = offset.lstrip("+- ").replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
