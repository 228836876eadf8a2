"""The tables of generations and their images, and the conditions of their partial indexes.

The database itself refuses two images with one task, and a state that State does not name.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    literal_column,
    or_,
)

from generations.model import MAX_COUNT, State
from store.tables import Text, metadata, one_of

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
    Column("lease_holder", Text),  # a process, for people who look
    Column("lease_until_ms", BigInteger),
    Column("due_at_ms", BigInteger),  # the earliest of its images', or of a publish that is due
    Column("message_id", BigInteger),
    Column("card_channel_id", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("published_revision", BigInteger, nullable=False),
    Column("follow_up_begun_at_ms", BigInteger),  # NULL again once its outcome is written
    Column("usage_day_ms", BigInteger),  # under which its images are counted (limits.tables.usage); NULL: they are not
    Column("usage_guild_id", BigInteger),  # as guild_id when it was asked for, 0 in direct messages
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

# Tokens in the addresses that the image API calls back, until the image needs no call any more.
callbacks = Table(
    "callbacks",
    metadata,
    Column("generation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("token_hash", Text, nullable=False),  # SHA-256 in hex; the token itself is written nowhere
    Column("called_at_ms", BigInteger),
    Column("claimed_task_id", Text),  # the task that a callback named; to be checked
    ForeignKeyConstraint(["generation_id", "position"], ["images.generation_id", "images.position"]),
    UniqueConstraint("token_hash"),
)

removed_cards = Table(  # nothing links to them any more; a row is deleted when a new card is posted
    "removed_cards",
    metadata,
    Column("generation_id", BigInteger, ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("removed_at_ms", BigInteger, nullable=False),
)

# Generations for which it was decided, once, whether to ping the person.
pings = Table(
    "pings",
    metadata,
    Column("generation_id", BigInteger, ForeignKey("generations.id"), primary_key=True, autoincrement=False),
    Column("decided_at_ms", BigInteger, nullable=False),
)

# The index of /history's search: the beginning of each word of a prompt (generations.search_words). Without a foreign
# key, which PostgreSQL would check for each word.
prompt_words = Table(
    "prompt_words",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("word", LargeBinary, primary_key=True),  # UTF-8, which both databases order by its bytes
    Column("generation_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    # Searches read the index alone, which PostgreSQL can for rows alone that VACUUM has seen: docs/decisions/0023.
    postgresql_with={"autovacuum_vacuum_insert_scale_factor": 0, "autovacuum_vacuum_insert_threshold": 50_000},
)
Index("ix_prompt_words_generation_id", prompt_words.c.generation_id)  # for deletion

# Conditions of the worker's frequent queries. Of a million rows a few thousand match, and only those are indexed.
is_due = generations.c.due_at_ms.is_not(None)
is_leased = generations.c.lease_until_ms.is_not(None)
has_token = generations.c.token != literal_column("''")
is_separate = images.c.separate_message_id.is_not(None)
is_waiting = one_of(images.c.state, State.REQUESTED) & images.c.admitted_at_ms.is_(None)
is_in_flight = or_(
    one_of(images.c.state, State.SUBMITTING, State.RUNNING),
    one_of(images.c.state, State.REQUESTED) & images.c.admitted_at_ms.is_not(None),
)
Index("ix_generations_user_id", generations.c.user_id, generations.c.id)  # a person's own in order of time
Index("ix_generations_due", generations.c.due_at_ms, postgresql_where=is_due, sqlite_where=is_due)
Index("ix_generations_lease", generations.c.lease_until_ms, postgresql_where=is_leased, sqlite_where=is_leased)
Index("ix_generations_token", generations.c.id, postgresql_where=has_token, sqlite_where=has_token)
Index("ix_images_waiting", images.c.user_id, postgresql_where=is_waiting, sqlite_where=is_waiting)
Index("ix_images_in_flight", images.c.user_id, postgresql_where=is_in_flight, sqlite_where=is_in_flight)
Index("ix_images_separate", images.c.separate_message_id, postgresql_where=is_separate, sqlite_where=is_separate)
