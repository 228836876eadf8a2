"""Keep bonus credits apart, note what each account's period was filled to, and who gave or took by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DELTAS = (
    "(kind = 'grant' AND available_delta > 0 AND held_delta = 0)"
    " OR (kind = 'hold' AND held_delta > 0 AND available_delta = -held_delta)"
    " OR (kind = 'settle' AND held_delta < 0 AND available_delta BETWEEN 0 AND -held_delta)"
    " OR (kind = 'release' AND held_delta < 0 AND available_delta = -held_delta)"
    " OR (kind = 'refund' AND available_delta > 0 AND held_delta = 0)"
    " OR (kind = 'take' AND available_delta < 0 AND held_delta = 0)"
)
BONUS = (
    "(kind IN ('grant', 'refund') AND bonus_delta BETWEEN 0 AND available_delta AND held_bonus_delta = 0)"
    " OR (kind = 'hold' AND bonus_delta BETWEEN available_delta AND 0 AND held_bonus_delta = -bonus_delta)"
    " OR (kind = 'settle' AND held_bonus_delta BETWEEN held_delta AND 0"
    " AND bonus_delta BETWEEN 0 AND -held_bonus_delta"
    " AND available_delta - bonus_delta BETWEEN 0 AND held_bonus_delta - held_delta)"
    " OR (kind = 'release' AND bonus_delta BETWEEN 0 AND available_delta AND held_bonus_delta = -bonus_delta)"
    " OR (kind = 'take' AND bonus_delta BETWEEN available_delta AND 0 AND held_bonus_delta = 0)"
)
IMAGE = "kind IN ('grant', 'take') OR image_id IS NOT NULL"
CHECKS = {"ck_entries_deltas": DELTAS, "ck_entries_bonus": BONUS, "ck_entries_image": IMAGE}
OLD_COLUMNS = (
    *("number", "id", "user_id", "kind", "available_delta", "held_delta", "image_id", "reason"),
    *("refilled_from_ms", "created_at_ms"),
)
widens = {*CHECKS, "ck_accounts_bonus", "ck_accounts_held_bonus"}  # all hold where a row names no bonus
CLOSING = "kind IN ('settle', 'release')"


def upgrade() -> None:
    for name, whole in (("bonus", "available"), ("held_bonus", "held")):  # SQLite takes a CHECK with a new column
        op.execute(
            f"ALTER TABLE accounts ADD COLUMN {name} BIGINT DEFAULT '0' NOT NULL"
            f" CONSTRAINT ck_accounts_{name} CHECK ({name} BETWEEN 0 AND {whole})"
        )
    op.add_column("accounts", sa.Column("allowance", sa.BigInteger()))
    op.add_column("accounts", sa.Column("source", sa.Text()))
    if op.get_context().dialect.name == "sqlite":
        _make_entries_anew()
        return
    for column in _new_columns():
        op.add_column("entries", column)
    op.drop_constraint("ck_entries_deltas", "entries")
    op.drop_constraint("ck_entries_image", "entries")
    for name, rule in CHECKS.items():
        op.create_check_constraint(op.f(name), "entries", rule)


def _new_columns() -> list[sa.Column[int]]:
    return [
        sa.Column("bonus_delta", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("held_bonus_delta", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("actor_id", sa.BigInteger()),
    ]


def _make_entries_anew() -> None:
    """SQLite can't change a CHECK: copy the rows into a new table. No other table refers to them."""
    op.rename_table("entries", "old_entries")
    op.create_table(
        "entries",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("available_delta", sa.BigInteger(), nullable=False),
        sa.Column("held_delta", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refilled_from_ms", sa.BigInteger()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        *_new_columns(),
        *(sa.CheckConstraint(rule, name=op.f(name)) for name, rule in CHECKS.items()),
        sa.ForeignKeyConstraint(["user_id"], ["accounts.user_id"], name=op.f("fk_entries_user_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_entries_id")),
    )
    old, new = (sa.table(name, *map(sa.column, OLD_COLUMNS)) for name in ("old_entries", "entries"))
    op.execute(new.insert().from_select(OLD_COLUMNS, old.select().order_by(old.c.number)))
    op.drop_table("old_entries")
    op.create_index("ix_entries_user_id", "entries", ["user_id", "number"])
    op.create_index("uq_entries_closing", "entries", ["image_id"], unique=True, sqlite_where=sa.text(CLOSING))
