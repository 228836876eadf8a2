"""Create the tables of reports, and find a message beside a card by its id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reports",
        _id("id"),
        *(_number(name, nullable=True) for name in ("image_of", "person_id", "reporter_id", "guild_id")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("reason", "text")),
        _number("at_ms"),
        *(_number(name, nullable=True) for name in ("due_at_ms", "told_at_ms", "forget_at_ms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
    )
    op.create_index("uq_reports_reporter", "reports", ["reporter_id", "image_of"], unique=True)
    op.create_index("ix_reports_person_id", "reports", ["person_id"])
    _create_partial_index("ix_reports_due", "reports", "due_at_ms", "due_at_ms IS NOT NULL")
    _create_partial_index("ix_reports_forget", "reports", "forget_at_ms", "forget_at_ms IS NOT NULL")
    _create_partial_index("ix_reports_text", "reports", "at_ms", "text != ''")
    op.create_table(
        "report_decisions",
        *(_id("report_id"), _id("scope_id"), sa.Column("decision", sa.Text(), nullable=False)),
        *(_number("by_id"), _number("at_ms")),
        sa.PrimaryKeyConstraint("report_id", "scope_id", "decision", name=op.f("pk_report_decisions")),
        _of_a_report("report_decisions"),
    )
    op.create_table(
        "report_notices",
        *(_id("report_id"), _id("recipient_id"), _number("scope_id"), _number("channel_id"), _number("message_id")),
        sa.PrimaryKeyConstraint("report_id", "recipient_id", name=op.f("pk_report_notices")),
        _of_a_report("report_notices"),
    )
    _create_partial_index("ix_images_separate", "images", "separate_message_id", "separate_message_id IS NOT NULL")


def _id(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _of_a_report(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f(f"fk_{table}_report_id"))


def _create_partial_index(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], postgresql_where=where, sqlite_where=where)
