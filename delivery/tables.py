"""The durable half of delivery: what is to be sent, every attempt at it, and who owns which channel's sending.

Kept tables: no rebuild touches them, every backup holds them. Times are microseconds since the epoch.
"""

from typing import Final, Literal

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    literal_column,
    text,
)

from kanal.eventlog.projection import ONCE
from kanal.eventlog.tables import METADATA

Kind = Literal[
    "message_new", "message_edited", "message_deleted", "case_status", "rule_webhook", "notice"
]
LaneState = Literal["active", "paused", "disabled", "deleted"]

NEVER: Final = 2**62
"""A time that does not come: a pause until somebody acts, a lease of the only process there is."""

PENDING: Final = literal_column("'pending'", Text)
DEAD: Final = literal_column("'dead'", Text)
MESSAGE_NEW: Final = literal_column("'message_new'", Text)
"""Spelled out in statements: SQLite uses a partial index only where it sees the index's own condition."""

deliveries = Table(
    "deliveries",
    METADATA,
    Column("delivery_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("case_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("previous_id", Text, nullable=False),
    Column("queue", BigInteger),
    Column("turn", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_since", BigInteger),
    Column("due_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("first_failed_at", BigInteger),
    Column("outcome_class", Text),
    Column("http_status", Integer),
    Column("sentence", Text),
    Column("outcome_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("reason", Text),
    Column("replay_id", BigInteger),
    Column("was", Text),
    Column("was_because", Text),
    Column("template_version", Integer, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("variables", Text),
    Column("body", LargeBinary, nullable=False),
    Index("deliveries_case", "case_id", "channel_id", "sequence", unique=True),
    Index("deliveries_message", "message_id"),
    Index("deliveries_position", "position"),
    Index("deliveries_channel", "channel_id", "position", unique=True),
    Index(
        "deliveries_queue",
        "queue",
        "turn",
        "position",
        sqlite_where=text("turn IS NOT NULL"),
        postgresql_where=text("turn IS NOT NULL"),
    ),
    Index(
        "deliveries_heads",
        "queue",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "deliveries_due",
        "channel_id",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "deliveries_open",
        "channel_id",
        "created_at",
        sqlite_where=text("turn IS NOT NULL"),
        postgresql_where=text("turn IS NOT NULL"),
    ),
    Index(
        "deliveries_replayed",
        "replay_id",
        sqlite_where=text("replay_id IS NOT NULL AND turn IS NOT NULL"),
        postgresql_where=text("replay_id IS NOT NULL AND turn IS NOT NULL"),
    ),
    Index(
        "deliveries_dead",
        "position",
        sqlite_where=text("state = 'dead'"),
        postgresql_where=text("state = 'dead'"),
    ),
    Index(
        "deliveries_kind",
        "kind",
        "position",
        sqlite_where=text("kind <> 'message_new'"),
        postgresql_where=text("kind <> 'message_new'"),
    ),
    info={ONCE: True},
)
"""One row for each event that goes out, of messages mostly; its key is the `webhook-id`, its bytes are made once.

`message_id` is 0 where `kind` tells of no message. `sequence` counts what goes out of one case, as the receiver sees it. What stands in one `queue` is sent one after
another: a case's, or all of a channel's, by its option; NULL waits for nothing. `turn` says in which order, beside the
position; it is NULL once the delivery has ended, and so an open one is pending or held. `due_at` is NULL unless the
delivery is the head of its queue; a queue has at most one. Another becomes due when the head ends, in the same
transaction, so nothing ever polls for its turn. What is held keeps those behind it waiting. Decided otherwise while an
attempt was under way, it keeps `turn` and `due_at` until that has ended, so that no two attempts of a queue overlap.
`due_since` is when it first could have been sent. `replay_id`: of the last replay that it went out in, `was` and
`was_because` its state and reason before that. `variables`: what the address of a rule's webhook may name, as JSON. `failures` are the attempts that count against it; what is Kanal's own
fault does not. `body` stands
last, so that reading the other columns of a long row does not read its overflow pages.
"""

OPEN: Final = deliveries.c.turn.is_not(None)

attempts = Table(
    "attempts",
    METADATA,
    Column("attempt_id", Text, primary_key=True),
    Column("delivery_id", Text, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("outcome_class", Text),
    Column("http_status", Integer),
    Column("sentence", Text),
    Column("excerpt", Text),
    Column("address", Text),
    Index("attempts_delivery", "delivery_id", "number"),
    Index(
        "attempts_open",
        "channel_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)
"""The ledger. A row is written before the POST, as its intent, and completed after it; one that has no end when the
channel's sending changes hands is an attempt whose outcome nobody knows."""

lanes = Table(
    "lanes",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("webhook_url", Text, nullable=False),
    Column("channel_type", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("open_since", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("charged_at", BigInteger, nullable=False),
    Column("paused_until", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("owner", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("state_since", BigInteger, nullable=False),
    Column("pause_reason", Text),
    Column("failing_since", BigInteger),
    Column("failed_id", Text),
    Column("warned", Integer, nullable=False),
    Column("notice_at", BigInteger),
    Column("polled_until", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("rule_id", BigInteger),
    Index("lanes_due", "due_at"),
    Index("lanes_notices", "notice_at"),
    Index("lanes_rule", "rule_id"),
)
"""One row for each custom channel and each webhook of a rule: where it sends, whether it may, and which process does.

`channel_id` is a webhook's number below 0, and 0 for the receiver of notices; so it is in the other tables. `method`: in which it
is called. `rule_id`: whose webhook it is, NULL for all else. `options`: the channel's `WebhookOptions`. `open_since`: nothing waits longer than since then, because the channel was disabled or its URL was another before.
`failures`: of the endpoint, in a row, and `charged_at` the end of the last of them. `due_at` counts only while nobody
owns the lane (`owner` is empty). `token` grows with every owner: whoever writes with an older one has lost the lane.
`state_since`: of the state, and of the last recovery. `pause_reason` is NULL unless the channel is paused, also while it is
disabled. `failing_since`: of the first failure since a message was last taken, and `failed_id` the delivery that failed last.
`notice_at`: when people have to be told of the lane, and `warned` how many steps of its trouble they were told of.
`polled_until`: so long other processes have to be told of all that is new, because somebody may wait for it there.
"""

replays = Table(
    "replays",
    METADATA,
    Column("replay_id", BigInteger, primary_key=True, autoincrement=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("channel_id", BigInteger),
    Column("case_id", BigInteger),
    Column("message_id", BigInteger),
    Column("delivery_id", Text),
    Column("since", BigInteger),
    Column("until", BigInteger),
    Column("after", BigInteger, nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("ended_as", Text, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("replays_state", "state", "next_at"),
)
"""One row for each replay: what is sent again, and how far that has come.

Of what the filter names, it is what stands in the log behind `after` and not behind `upto` and ended as `ended_as`
(`delivered`, `dead` or `any`). `cursor` is the position up to which it has been put into the queues again, `next_at` when
the next ones may be. `turn` is the position of the event: what is replayed comes after what waited then, in its own order.
"""
shadows = Table(
    "shadows",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("same", BigInteger, nullable=False),
    Column("better", BigInteger, nullable=False),
    Column("worse", BigInteger, nullable=False),
    Column("not_sent", BigInteger, nullable=False),
)
"""The second URL that a channel's POSTs are copied to, and how its answers compare."""

shadow_results = Table(
    "shadow_results",
    METADATA,
    Column("result_id", Text, primary_key=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("comparison", Text, nullable=False),
    Column("main_class", Text, nullable=False),
    Column("main_status", Integer),
    Column("main_milliseconds", BigInteger, nullable=False),
    Column("shadow_class", Text, nullable=False),
    Column("shadow_status", Integer),
    Column("shadow_milliseconds", BigInteger, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
    Index("shadow_results_channel", "channel_id", "result_id"),
)
"""The last of the answers beside those to the POSTs that were copied. Ids grow with time."""
