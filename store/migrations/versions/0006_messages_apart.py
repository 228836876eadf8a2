"""Where a picture stands that could not be put on its card."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("separate_channel_id", sa.BigInteger()))
    op.add_column("images", sa.Column("separate_message_id", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("images", "separate_message_id")
    op.drop_column("images", "separate_channel_id")
