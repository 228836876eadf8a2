"""Create the table of messages that are sent after the transaction that they tell of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("channel_id", "change_number")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("text", "told")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("at_ms", "due_at_ms")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
    )
