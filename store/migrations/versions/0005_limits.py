"""Create the tables of limits: what is set by the owner and the servers' admins, its audit, and what is used."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_guild_tables()
    _create_tables_of_scopes()
    _create_audit()
    _create_usage()
    op.add_column("generations", sa.Column("usage_day_ms", sa.BigInteger()))
    op.add_column("generations", sa.Column("usage_guild_id", sa.BigInteger()))


def _id(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _create(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")))


def _create_guild_tables() -> None:
    _create(
        "guild_settings",
        _id("guild_id"),
        sa.Column("person_images", sa.Integer()),
        _text("person_period", nullable=True),
        sa.Column("budget_images", sa.Integer()),
        _text("budget_period", nullable=True),
        _text("content"),
        _number("log_channel_id", nullable=True),
        key=("guild_id",),
    )
    for name, column in (("guild_channels", "channel_id"), ("guild_roles", "role_id")):
        _create(name, _id("guild_id"), _id(column), key=("guild_id", column))
    _create(
        "blocked_words",
        _id("guild_id"),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        *(_text("kind"), _text("text"), _text("name")),
        key=("guild_id", "number"),
    )


def _create_tables_of_scopes() -> None:
    _create("rule_versions", _id("scope_id"), _number("version"), key=("scope_id",))
    _create(
        "blocks",
        *(_id("scope_id"), _id("user_id"), _number("until_ms", nullable=True)),
        *(_text("reason"), _number("by_id"), _number("at_ms")),
        key=("scope_id", "user_id"),
    )
    op.create_index("ix_blocks_user_id", "blocks", ["user_id"])
    _create("pauses", _id("scope_id"), _text("reason"), _number("by_id"), _number("at_ms"), key=("scope_id",))
    _create("tiers", _id("guild_id"), _id("role_id"), _number("credits"), key=("guild_id", "role_id"))
    _create("exemptions", _id("user_id"), key=("user_id",))


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(_text("id"), _number("scope_id"), _text("action"), _number("actor_id"), _number("subject_id", nullable=True)),
        *(_text("reason"), _text("before"), _text("after"), _number("at_ms")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_id")),
    )
    op.create_index("ix_audit_scope_id", "audit", ["scope_id", "number"])


def _create_usage() -> None:
    _create(
        "usage",
        *(_id("guild_id"), _id("user_id"), _id("day_ms")),
        *(_number("held"), _number("charged"), _number("unknown")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("images", "made", "failed")),
        _number("forget_at_ms", nullable=True),
        key=("guild_id", "user_id", "day_ms"),
    )
    op.create_index("ix_usage_day_ms", "usage", ["day_ms"])
    forgotten = sa.text("forget_at_ms IS NOT NULL")
    op.create_index("ix_usage_forget", "usage", ["forget_at_ms"], postgresql_where=forgotten, sqlite_where=forgotten)
