"""The tables. Ids are Discord's snowflakes (BIGINT), times unix milliseconds (BIGINT), enums their values (TEXT).

What the database itself refuses: an account below zero, an entry whose two numbers don't fit its kind, a hold that is
settled and released, two images with one task, a state nobody knows. Migrations must make exactly these tables; a
test compares them on both databases.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    or_,
)
from sqlalchemy import Text as BareText
from sqlalchemy.engine import Dialect

from credits.model import EntryKind
from generations.model import MAX_COUNT, State
from store.statements import storable

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class Text(TypeDecorator[str]):
    """Text as every database takes it: what a person, Discord or the image API sent may hold what none stores."""

    impl = BareText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


GrowingNumber = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up by itself there


def one_of(column: Column[str], *values: StrEnum) -> ColumnElement[bool]:
    """Whether *column* is one of *values*, spelt out: only so the planner can tell that a partial index fits."""
    spelt = [literal_column(f"'{value.value}'", Text) for value in values]
    return column == spelt[0] if len(spelt) == 1 else column.in_(spelt)


accounts = Table(
    "accounts",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("available", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("refilled_from_ms", BigInteger),  # start of the period the last refill was for
    Column("created_at_ms", BigInteger, nullable=False),
    CheckConstraint("available >= 0", "available"),
    CheckConstraint("held >= 0", "held"),
)

refills = Table(  # only those that found something held: docs/decisions/0002-refill-across-a-hold.md
    "refills",
    metadata,
    Column("user_id", BigInteger, ForeignKey("accounts.user_id"), primary_key=True, autoincrement=False),
    Column("starts_at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("surplus", BigInteger, nullable=False),  # what earlier holds may still cost before it is made good
    CheckConstraint("surplus >= 0", "surplus"),
)

entries = Table(
    "entries",
    metadata,
    Column("number", GrowingNumber, primary_key=True),  # the order in which one account's entries were made
    Column("id", Text, nullable=False),
    Column("user_id", BigInteger, ForeignKey("accounts.user_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("available_delta", BigInteger, nullable=False),
    Column("held_delta", BigInteger, nullable=False),
    Column("image_id", Text),
    Column("reason", Text, nullable=False),
    Column("refilled_from_ms", BigInteger),  # the account's, when this was written: which period's credits moved
    Column("created_at_ms", BigInteger, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint(
        "(kind = 'grant' AND available_delta > 0 AND held_delta = 0)"
        " OR (kind = 'hold' AND held_delta > 0 AND available_delta = -held_delta)"
        " OR (kind = 'settle' AND held_delta < 0 AND available_delta BETWEEN 0 AND -held_delta)"
        " OR (kind = 'release' AND held_delta < 0 AND available_delta = -held_delta)"
        " OR (kind = 'refund' AND available_delta > 0 AND held_delta = 0)",
        "deltas",
    ),
    CheckConstraint("kind = 'grant' OR image_id IS NOT NULL", "image"),
)
Index("ix_entries_user_id", entries.c.user_id, entries.c.number)
_closings = one_of(entries.c.kind, EntryKind.SETTLE, EntryKind.RELEASE)
Index(
    "uq_entries_closing", entries.c.image_id, unique=True, postgresql_where=_closings, sqlite_where=_closings
)  # a hold ends once

generations = Table(
    "generations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("format", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("spoiler", Boolean, nullable=False),
    Column("application_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("guild_id", BigInteger),
    Column("token", Text, nullable=False),
    Column("attachment_size_limit", BigInteger, nullable=False),
    Column("locale", Text, nullable=False),
    Column("bot_in_channel", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("owner", Text),  # the worker that holds the lease, for people who look
    Column("lease_until_ms", BigInteger),
    Column("due_at_ms", BigInteger),  # the least of its images' and of a show that is owed
    Column("message_id", BigInteger),
    Column("card_channel_id", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("published_revision", BigInteger, nullable=False),
    Column("follow_up_begun_at_ms", BigInteger),  # NULL again once its outcome is written
    CheckConstraint(f"count BETWEEN 1 AND {MAX_COUNT}", "count"),
)

images = Table(
    "images",
    metadata,
    Column("generation_id", BigInteger, ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),  # the generation's, so that the line is counted without a join
    Column("seed", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at_ms", BigInteger),
    Column("admitted_at_ms", BigInteger),
    Column("submitted_at_ms", BigInteger),
    Column("task_id", Text),
    Column("polls", Integer, nullable=False),
    Column("last_poll_at_ms", BigInteger),
    Column("failures", Integer, nullable=False),
    Column("ready_at_ms", BigInteger),
    Column("consumed_credits", BigInteger),
    Column("image_url", Text),
    Column("ending", Text),
    Column("ending_detail", Text),
    Column("attachment_id", BigInteger),
    Column("separate_channel_id", BigInteger),  # a message of its own beside the card
    Column("separate_message_id", BigInteger),
    Column("file_name", Text),
    UniqueConstraint("task_id"),
    CheckConstraint(f"state IN ({', '.join(repr(state.value) for state in State)})", "state"),
    CheckConstraint(f"position BETWEEN 0 AND {MAX_COUNT - 1}", "position"),
)

# What the image service was given to call back on, as long as the image is of interest to anybody.
callbacks = Table(
    "callbacks",
    metadata,
    Column("generation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("token_hash", Text, nullable=False),  # SHA-256 in hex; the token itself is written nowhere
    Column("heard_at_ms", BigInteger),
    Column("claimed_task_id", Text),  # what a callback said its task is; nothing is believed of it
    ForeignKeyConstraint(["generation_id", "position"], ["images.generation_id", "images.position"]),
    UniqueConstraint("token_hash"),
)

removed_cards = Table(  # taken away by somebody: there is nothing to link to. A row goes when a new card is shown
    "removed_cards",
    metadata,
    Column("generation_id", BigInteger, ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("removed_at_ms", BigInteger, nullable=False),
)

# Of which generations it was decided whether their person is pinged: once, whatever was decided.
pings = Table(
    "pings",
    metadata,
    Column("generation_id", BigInteger, ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("decided_at_ms", BigInteger, nullable=False),
)

# What each person set for themselves; who set nothing has no row.
preferences = Table(
    "preferences",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("size", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("ping", Text, nullable=False),
    Column("locale", Text),  # NULL: as Discord is set
)

# Who had everything deleted, until their account may be forgotten too: docs/decisions/0012-leaving.md.
departures = Table(
    "departures",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("due_at_ms", BigInteger, index=True),  # NULL: never, since credits are given once
)

memory = Table(
    "memory",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What the worker asks for again and again. Of a million rows a few thousand match, and only those are indexed.
is_due = generations.c.due_at_ms.is_not(None)
is_leased = generations.c.lease_until_ms.is_not(None)
has_token = generations.c.token != literal_column("''")
is_waiting = one_of(images.c.state, State.REQUESTED) & images.c.admitted_at_ms.is_(None)
is_in_flight = or_(
    one_of(images.c.state, State.SUBMITTING, State.RUNNING),
    one_of(images.c.state, State.REQUESTED) & images.c.admitted_at_ms.is_not(None),
)
Index("ix_generations_user_id", generations.c.user_id, generations.c.id)  # a person's own, in the order of time
Index("ix_generations_due", generations.c.due_at_ms, postgresql_where=is_due, sqlite_where=is_due)
Index("ix_generations_lease", generations.c.lease_until_ms, postgresql_where=is_leased, sqlite_where=is_leased)
Index("ix_generations_token", generations.c.id, postgresql_where=has_token, sqlite_where=has_token)
Index("ix_images_waiting", images.c.user_id, postgresql_where=is_waiting, sqlite_where=is_waiting)
Index("ix_images_in_flight", images.c.user_id, postgresql_where=is_in_flight, sqlite_where=is_in_flight)
