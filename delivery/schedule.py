"""When a failed delivery is tried again: a durable schedule bounded by age, not by a count of tries."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from kanal.domain.channels import ChannelType

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

LATER_DELAYS: Final = (
    30 * SECOND,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    1 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
)

DELAYS: Final[dict[ChannelType, tuple[int, ...]]] = {
    "async": (5 * SECOND, *LATER_DELAYS),
    "sync": (1 * SECOND, 3 * SECOND, 10 * SECOND, *LATER_DELAYS),
}
"""Waits after the first, second, ... failure. People wait in a chat, so it is tried again sooner."""

LAST_DELAY: Final = 1 * DAY
"""The wait after every later failure: about 22 tries in all within the horizon."""

HORIZON: Final = 14 * DAY
"""How old a message may become before it is dead-lettered, unless the operator says otherwise."""

JITTER_LIMIT: Final = 0.2
"""At most a fifth is added, so that the channels of one dead host do not come back in step."""

RETRY_AFTER_LIMIT: Final = 12 * HOUR
"""A receiver's hint moves the next try at most this far: a mistaken year must not silence a channel."""

RETRY_AFTER_DIGITS: Final = 9
"""Seconds with more digits than this are beyond the limit anyway; int() of a long line is slow."""

DEADLINES: Final[dict[ChannelType, float]] = {"sync": 5.0, "async": 15.0}
"""Seconds for a whole attempt. Deadline and first delay together stay within seconds for a chat and
within tens of seconds for mail; Slack and Shopify give 3 and 5, Standard Webhooks advises 15 to 30."""

LONGEST_ATTEMPT: Final = max(DEADLINES.values())
"""Whatever a channel or the operator wishes: leases are made for it."""


def attempt_seconds(channel_type: ChannelType, own: int, installation: float) -> float:
    """How long an attempt may take. `own`: the channel's wish, 0 for none; `installation`: the operator's limit."""
    return min(own or DEADLINES[channel_type], installation, LONGEST_ATTEMPT)


def next_attempt_at(
    *,
    channel_type: ChannelType,
    failures: int,
    due_since: int,
    failed_at: int,
    jitter: float,
    retry_after: int | None = None,
    horizon: int = HORIZON,
) -> int | None:
    """The time of the next try, or None when it would fall beyond the horizon.

    `failures` counts this one (1 after the first). `due_since` is when the message first could have
    been sent: its enqueueing, or the end of a hold. `jitter` is the share added, 0 to 0.2; a try is
    never earlier than the schedule says. `retry_after` is the receiver's wish, counted from
    `failed_at`. All times are microseconds.
    """
    if failures < 1:
        raise ValueError("failures counts the failure just seen")
    if not 0 <= jitter <= JITTER_LIMIT:
        raise ValueError(f"jitter is a share from 0 to {JITTER_LIMIT}")
    delays = DELAYS[channel_type]
    scheduled = delays[failures - 1] if failures <= len(delays) else LAST_DELAY
    wished = min(retry_after or 0, RETRY_AFTER_LIMIT)
    delay = max(scheduled, wished)
    at = failed_at + delay + int(delay * jitter)
    return at if at <= due_since + horizon else None


def parse_retry_after(value: str, now: int) -> int | None:
    """The wait that a `Retry-After` header asks for (RFC 9110: seconds or a date), None if it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        if len(value.lstrip("0")) > RETRY_AFTER_DIGITS:
            return RETRY_AFTER_LIMIT
        return min(int(value) * SECOND, RETRY_AFTER_LIMIT)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        wait = int(moment.timestamp()) * SECOND - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0, min(wait, RETRY_AFTER_LIMIT))
