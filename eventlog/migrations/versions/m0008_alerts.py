"""What tells a staff member of news while they look elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    column = sa.Column("alerts", sa.Text, nullable=False, server_default="sound title")
    op.add_column("preferences", column)
