"""When a message by an interaction's token was begun whose outcome is not written yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("follow_up_begun_at_ms", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("generations", "follow_up_begun_at_ms")
