"""What the image service calls back on: one hashed token for each POST."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("heard_at_ms", sa.BigInteger()),
        sa.Column("claimed_task_id", sa.Text()),
        sa.ForeignKeyConstraint(
            ["generation_id", "position"],
            ["images.generation_id", "images.position"],
            name=op.f("fk_callbacks_generation_id"),
        ),
        sa.PrimaryKeyConstraint("generation_id", "position", name=op.f("pk_callbacks")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_callbacks_token_hash")),
    )


def downgrade() -> None:
    op.drop_table("callbacks")
