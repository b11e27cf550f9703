"""How often passwords and codes were tried in vain, whichever process was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "guesses",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("staff_id", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
    )
    op.create_index("guesses_until", "guesses", ["until"])
