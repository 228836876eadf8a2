"""Cards that people have taken away, so that nothing links to them any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removed_cards",
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("removed_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name=op.f("fk_removed_cards_generation_id")),
        sa.PrimaryKeyConstraint("generation_id", name=op.f("pk_removed_cards")),
    )


def downgrade() -> None:
    op.drop_table("removed_cards")
