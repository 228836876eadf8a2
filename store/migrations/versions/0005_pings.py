"""Of which generations it was decided whether their person is told with a ping."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pings",
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("decided_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name=op.f("fk_pings_generation_id")),
        sa.PrimaryKeyConstraint("generation_id", name=op.f("pk_pings")),
    )


def downgrade() -> None:
    op.drop_table("pings")
