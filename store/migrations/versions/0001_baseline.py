"""Create every table as it is in the first release.

A migration repeats the tables as they were in its time and imports none of them: they change later, and it does not.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DELTAS = (
    "(kind = 'grant' AND available_delta > 0 AND held_delta = 0)"
    " OR (kind = 'hold' AND held_delta > 0 AND available_delta = -held_delta)"
    " OR (kind = 'settle' AND held_delta < 0 AND available_delta BETWEEN 0 AND -held_delta)"
    " OR (kind = 'release' AND held_delta < 0 AND available_delta = -held_delta)"
    " OR (kind = 'refund' AND available_delta > 0 AND held_delta = 0)"
)
STATES = (
    "state IN ('requested', 'submitting', 'running', 'succeeded', 'delivered', 'undelivered',"
    " 'failed', 'expired', 'unknown', 'cancelled')"
)
WAITING = "state = 'requested' AND admitted_at_ms IS NULL"
IN_FLIGHT = "state IN ('submitting', 'running') OR state = 'requested' AND admitted_at_ms IS NOT NULL"


def upgrade() -> None:
    _create_accounts()
    _create_entries()
    _create_generations()
    _create_images()
    _create_callbacks()
    for table, at_ms in (("removed_cards", "removed_at_ms"), ("pings", "decided_at_ms")):
        op.create_table(
            table,
            sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column(at_ms, sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("generation_id", name=op.f(f"pk_{table}")),
            sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name=op.f(f"fk_{table}_generation_id")),
        )
    op.create_table(
        "prompt_words",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("word", sa.LargeBinary(), nullable=False),
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "word", "generation_id", name=op.f("pk_prompt_words")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_prompt_words_generation_id", "prompt_words", ["generation_id"])
    _create_people()
    op.create_table(
        "key_values",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_key_values")),
    )


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("refilled_from_ms", sa.BigInteger()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("available >= 0", name=op.f("ck_accounts_available")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_accounts_held")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "refills",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("starts_at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("surplus", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("surplus >= 0", name=op.f("ck_refills_surplus")),
        sa.ForeignKeyConstraint(["user_id"], ["accounts.user_id"], name=op.f("fk_refills_user_id")),
        sa.PrimaryKeyConstraint("user_id", "starts_at_ms", name=op.f("pk_refills")),
    )


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("available_delta", sa.BigInteger(), nullable=False),
        sa.Column("held_delta", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refilled_from_ms", sa.BigInteger()),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(DELTAS, name=op.f("ck_entries_deltas")),
        sa.CheckConstraint("kind = 'grant' OR image_id IS NOT NULL", name=op.f("ck_entries_image")),
        sa.ForeignKeyConstraint(["user_id"], ["accounts.user_id"], name=op.f("fk_entries_user_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_entries_id")),
    )
    op.create_index("ix_entries_user_id", "entries", ["user_id", "number"])
    _create_partial_index("uq_entries_closing", "entries", "image_id", "kind IN ('settle', 'release')", unique=True)


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("spoiler", sa.Boolean(), nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("attachment_size_limit", sa.BigInteger(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("bot_in_channel", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_holder", sa.Text()),
        sa.Column("lease_until_ms", sa.BigInteger()),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.Column("message_id", sa.BigInteger()),
        sa.Column("card_channel_id", sa.BigInteger()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("published_revision", sa.BigInteger(), nullable=False),
        sa.Column("follow_up_begun_at_ms", sa.BigInteger()),
        sa.CheckConstraint("count BETWEEN 1 AND 4", name=op.f("ck_generations_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generations")),
    )
    op.create_index("ix_generations_user_id", "generations", ["user_id", "id"])
    _create_partial_index("ix_generations_due", "generations", "due_at_ms", "due_at_ms IS NOT NULL")
    _create_partial_index("ix_generations_lease", "generations", "lease_until_ms", "lease_until_ms IS NOT NULL")
    _create_partial_index("ix_generations_token", "generations", "id", "token != ''")


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.Column("admitted_at_ms", sa.BigInteger()),
        sa.Column("submitted_at_ms", sa.BigInteger()),
        sa.Column("task_id", sa.Text()),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("last_poll_at_ms", sa.BigInteger()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("ready_at_ms", sa.BigInteger()),
        sa.Column("consumed_credits", sa.BigInteger()),
        sa.Column("image_url", sa.Text()),
        sa.Column("ending", sa.Text()),
        sa.Column("ending_detail", sa.Text()),
        sa.Column("attachment_id", sa.BigInteger()),
        sa.Column("separate_channel_id", sa.BigInteger()),
        sa.Column("separate_message_id", sa.BigInteger()),
        sa.Column("file_name", sa.Text()),
        sa.CheckConstraint(STATES, name=op.f("ck_images_state")),
        sa.CheckConstraint("position BETWEEN 0 AND 3", name=op.f("ck_images_position")),
        sa.ForeignKeyConstraint(["generation_id"], ["generations.id"], name=op.f("fk_images_generation_id")),
        sa.PrimaryKeyConstraint("generation_id", "position", name=op.f("pk_images")),
        sa.UniqueConstraint("task_id", name=op.f("uq_images_task_id")),
    )
    _create_partial_index("ix_images_waiting", "images", "user_id", WAITING)
    _create_partial_index("ix_images_in_flight", "images", "user_id", IN_FLIGHT)


def _create_callbacks() -> None:
    op.create_table(
        "callbacks",
        sa.Column("generation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("called_at_ms", sa.BigInteger()),
        sa.Column("claimed_task_id", sa.Text()),
        sa.ForeignKeyConstraint(
            ["generation_id", "position"],
            ["images.generation_id", "images.position"],
            name=op.f("fk_callbacks_generation_id"),
        ),
        sa.PrimaryKeyConstraint("generation_id", "position", name=op.f("pk_callbacks")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_callbacks_token_hash")),
    )


def _create_people() -> None:
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("ping", sa.Text(), nullable=False),
        sa.Column("language", sa.Text()),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_preferences")),
    )
    op.create_table(
        "departures",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_departures")),
    )
    op.create_index("ix_departures_due_at_ms", "departures", ["due_at_ms"])


def _create_partial_index(name: str, table: str, column: str, where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, [column], unique=unique, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
