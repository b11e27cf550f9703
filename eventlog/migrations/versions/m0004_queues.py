"""Deliveries of several kinds stand in queues; lanes know their channel's options; secrets expire and have a key beside them."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "deliveries", sa.Column("kind", sa.Text, nullable=False, server_default="message_new")
    )
    op.add_column("deliveries", sa.Column("queue", sa.BigInteger))
    op.add_column("deliveries", sa.Column("turn", sa.BigInteger))
    op.execute("UPDATE deliveries SET queue = case_id")
    op.execute("UPDATE deliveries SET turn = position WHERE state = 'pending'")
    op.drop_index("deliveries_case", "deliveries")
    op.create_index(
        "deliveries_case", "deliveries", ["case_id", "channel_id", "sequence"], unique=True
    )
    _partial_index("deliveries_queue", ["queue", "turn", "position"], "turn IS NOT NULL")
    op.drop_index("deliveries_pending", "deliveries")
    op.add_column("deliveries", sa.Column("replay_id", sa.BigInteger))
    op.add_column("deliveries", sa.Column("was", sa.Text))
    op.add_column("deliveries", sa.Column("was_because", sa.Text))
    again = "replay_id IS NOT NULL AND turn IS NOT NULL"
    _partial_index("deliveries_replayed", ["replay_id"], again)
    _partial_index("deliveries_open", ["channel_id", "created_at"], "turn IS NOT NULL")
    _partial_index("deliveries_heads", ["queue"], "due_at IS NOT NULL")
    op.create_index("deliveries_position", "deliveries", ["position"])
    op.drop_index("deliveries_channel", "deliveries")
    op.create_index("deliveries_channel", "deliveries", ["channel_id", "position"], unique=True)
    op.drop_index("deliveries_dead", "deliveries")
    _partial_index("deliveries_dead", ["position"], "state = 'dead'")
    _partial_index("deliveries_kind", ["kind", "position"], "kind <> 'message_new'")
    op.add_column("lanes", sa.Column("options", sa.Text, nullable=False, server_default="{}"))
    op.add_column(
        "lanes", sa.Column("state_since", sa.BigInteger, nullable=False, server_default="0")
    )
    op.execute("UPDATE lanes SET state_since = open_since")
    op.add_column("lanes", sa.Column("pause_reason", sa.Text))
    op.add_column("lanes", sa.Column("failing_since", sa.BigInteger))
    op.add_column("lanes", sa.Column("failed_id", sa.Text))
    op.add_column("lanes", sa.Column("warned", sa.Integer, nullable=False, server_default="0"))
    op.add_column("lanes", sa.Column("notice_at", sa.BigInteger))
    op.create_index("lanes_notices", "lanes", ["notice_at"])
    op.add_column(
        "lanes", sa.Column("polled_until", sa.BigInteger, nullable=False, server_default="0")
    )
    _secrets()
    op.create_table(
        "channel_headers",
        sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _replays()
    _shadows()


def _secrets() -> None:
    op.add_column("channel_secrets", sa.Column("expires_at", sa.BigInteger))
    op.add_column(
        "channel_secrets",
        sa.Column("private_key", sa.LargeBinary, nullable=False, server_default=sa.text("''")),
    )
    kept = sa.table(
        "channel_secrets", sa.column("secret", sa.Text), sa.column("private_key", sa.LargeBinary)
    )
    connection = op.get_bind()
    for secret in connection.scalars(sa.select(kept.c.secret)).all():
        own = sa.update(kept).where(kept.c.secret == secret)
        connection.execute(own.values(private_key=secrets.token_bytes(32)))


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("replay_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("channel_id", sa.BigInteger),
        sa.Column("case_id", sa.BigInteger),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("delivery_id", sa.Text),
        sa.Column("since", sa.BigInteger),
        sa.Column("until", sa.BigInteger),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.Column("ended_as", sa.Text, nullable=False),
        sa.Column("per_minute", sa.Integer, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("queued", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("replays_state", "replays", ["state", "next_at"])


def _shadows() -> None:
    op.create_table(
        "shadows",
        sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("same", sa.BigInteger, nullable=False),
        sa.Column("better", sa.BigInteger, nullable=False),
        sa.Column("worse", sa.BigInteger, nullable=False),
        sa.Column("not_sent", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "shadow_results",
        sa.Column("result_id", sa.Text, primary_key=True),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("delivery_id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("comparison", sa.Text, nullable=False),
        sa.Column("main_class", sa.Text, nullable=False),
        sa.Column("main_status", sa.Integer),
        sa.Column("main_milliseconds", sa.BigInteger, nullable=False),
        sa.Column("shadow_class", sa.Text, nullable=False),
        sa.Column("shadow_status", sa.Integer),
        sa.Column("shadow_milliseconds", sa.BigInteger, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("excerpt", sa.Text, nullable=False),
    )
    op.create_index("shadow_results_channel", "shadow_results", ["channel_id", "result_id"])


def _partial_index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "deliveries", columns, sqlite_where=condition, postgresql_where=condition)
