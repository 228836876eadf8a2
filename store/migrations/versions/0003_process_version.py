"""Add the version to the rows of processes. Older processes write theirs without one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("processes", sa.Column("version", sa.Text()))
