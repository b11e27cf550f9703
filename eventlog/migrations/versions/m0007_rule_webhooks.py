"""Webhooks of rules have lanes: a method, the rule that they are of; and their deliveries what their address names."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("lanes", sa.Column("method", sa.Text, nullable=False, server_default="POST"))
    op.add_column("lanes", sa.Column("rule_id", sa.BigInteger))
    op.create_index("lanes_rule", "lanes", ["rule_id"])
    op.add_column("deliveries", sa.Column("variables", sa.Text))
