"""When an API key was used last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "api_keys", sa.Column("last_used_at", sa.BigInteger, nullable=False, server_default="0")
    )
