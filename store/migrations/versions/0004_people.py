"""What people set for themselves, who left, and a person's own images in the order of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("ping", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text()),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_preferences")),
    )
    op.create_table(
        "departures",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_departures")),
    )
    op.create_index("ix_departures_due_at_ms", "departures", ["due_at_ms"])
    op.create_index("ix_generations_user_id", "generations", ["user_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_generations_user_id", "generations")
    op.drop_table("departures")
    op.drop_table("preferences")
