"""When each kept image is to be looked for again: those of before are due at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A kept image has state 'undelivered'. No table changes; due is what was made in the past.
    op.execute(
        sa.text(
            "UPDATE images SET due_at_ms = coalesce(ready_at_ms, 0), failures = 0 "
            "WHERE state = 'undelivered' AND due_at_ms IS NULL"
        )
    )
    op.execute(
        sa.text(
            "UPDATE generations SET due_at_ms = (SELECT min(images.due_at_ms) FROM images "
            "WHERE images.generation_id = generations.id) WHERE due_at_ms IS NULL AND id IN "
            "(SELECT generation_id FROM images WHERE state = 'undelivered')"
        )
    )


def downgrade() -> None:
    # The bot before this knows no step for a kept image that is due.
    op.execute(sa.text("UPDATE images SET due_at_ms = NULL WHERE state = 'undelivered'"))
    op.execute(
        sa.text(
            "UPDATE generations SET due_at_ms = (SELECT min(images.due_at_ms) FROM images "
            "WHERE images.generation_id = generations.id) WHERE published_revision >= revision AND id IN "
            "(SELECT generation_id FROM images WHERE state = 'undelivered')"
        )
    )
