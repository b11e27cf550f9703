"""Deliveries, the ledger of attempts, and the lanes of the channels."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("case_id", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("previous_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due_since", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("first_failed_at", sa.BigInteger),
        sa.Column("outcome_class", sa.Text),
        sa.Column("http_status", sa.Integer),
        sa.Column("sentence", sa.Text),
        sa.Column("outcome_at", sa.BigInteger),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("template_version", sa.Integer, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("deliveries_case", "deliveries", ["case_id", "sequence"], unique=True)
    op.create_index("deliveries_message", "deliveries", ["message_id"])
    op.create_index("deliveries_channel", "deliveries", ["channel_id", "message_id"])
    _partial_index("deliveries_due", "deliveries", ["channel_id", "due_at"], "due_at IS NOT NULL")
    _partial_index("deliveries_pending", "deliveries", ["channel_id"], "state = 'pending'")
    _partial_index("deliveries_dead", "deliveries", ["message_id"], "state = 'dead'")
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("outcome_class", sa.Text),
        sa.Column("http_status", sa.Integer),
        sa.Column("sentence", sa.Text),
        sa.Column("excerpt", sa.Text),
        sa.Column("address", sa.Text),
    )
    op.create_index("attempts_delivery", "attempts", ["delivery_id", "number"])
    _partial_index("attempts_open", "attempts", ["channel_id"], "ended_at IS NULL")
    op.create_table(
        "lanes",
        sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("webhook_url", sa.Text, nullable=False),
        sa.Column("channel_type", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("open_since", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("charged_at", sa.BigInteger, nullable=False),
        sa.Column("paused_until", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )
    op.create_index("lanes_due", "lanes", ["due_at"])


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
