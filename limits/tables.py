"""The tables of what is set by the owner and the servers' admins, of the audit, and of what is used.

A scope_id is 0 for the bot, else a guild's id.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, UniqueConstraint

from store.tables import AutoNumber, Text, metadata


def _id(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


# Grows with each change of a scope's rules, by which processes see that what they remember is old.
rule_versions = Table("rule_versions", metadata, _id("scope_id"), Column("version", BigInteger, nullable=False))

guild_settings = Table(
    "guild_settings",
    metadata,
    _id("guild_id"),
    Column("person_images", Integer),  # NULL: no cap
    Column("person_period", Text),
    Column("budget_images", Integer),  # NULL: no budget
    Column("budget_period", Text),
    Column("content", Text, nullable=False),
    Column("log_channel_id", BigInteger),
)

guild_channels = Table("guild_channels", metadata, _id("guild_id"), _id("channel_id"))  # none: all are allowed

guild_roles = Table("guild_roles", metadata, _id("guild_id"), _id("role_id"))  # none: everybody is allowed

blocked_words = Table(
    "blocked_words",
    metadata,
    _id("guild_id"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("name", Text, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    _id("scope_id"),
    _id("user_id"),
    Column("until_ms", BigInteger),  # NULL: without end
    Column("reason", Text, nullable=False),
    Column("by_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
Index("ix_blocks_user_id", blocks.c.user_id)

pauses = Table(
    "pauses",
    metadata,
    _id("scope_id"),
    Column("reason", Text, nullable=False),
    Column("by_id", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

tiers = Table("tiers", metadata, _id("guild_id"), _id("role_id"), Column("credits", BigInteger, nullable=False))

exemptions = Table("exemptions", metadata, _id("user_id"))

audit = Table(  # rows are only added
    "audit",
    metadata,
    Column("number", AutoNumber, primary_key=True),
    Column("id", Text, nullable=False),  # made of its cause, so that the same call twice is one change
    Column("scope_id", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("subject_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    UniqueConstraint("id"),
)
Index("ix_audit_scope_id", audit.c.scope_id, audit.c.number)

outbox = Table(  # messages that are still to be sent
    "outbox",
    metadata,
    Column("number", AutoNumber, primary_key=True),
    Column("channel_id", BigInteger),  # a server's log channel; NULL: direct messages to the bot's owners
    Column("change_number", BigInteger),  # of the audit, which a line is about; NULL: the message is *text*
    Column("text", Text, nullable=False),
    Column("told", Text, nullable=False),  # the ids of owners who have it, separated by spaces
    Column("at_ms", BigInteger, nullable=False),
    Column(
        "due_at_ms", BigInteger, nullable=False
    ),  # when to try again, or when a try that is under way counts as dead
)

# What was asked for on one day of the operator: by everybody (0, 0), in one server (guild, 0), by one person there
# (guild, person); a person's in direct messages are (0, person). Without constraints: a counter must not keep an image
# from its end.
usage = Table(
    "usage",
    metadata,
    _id("guild_id"),
    _id("user_id"),
    _id("day_ms"),
    Column("held", BigInteger, nullable=False),  # API credits of images that have not ended
    Column("charged", BigInteger, nullable=False),  # API credits that the service took
    Column("unknown", BigInteger, nullable=False),  # API credits that it may have taken
    Column("images", Integer, nullable=False),  # that caps count: not ended, made, or maybe made
    Column("made", Integer, nullable=False),
    Column("failed", Integer, nullable=False),  # without those that were cancelled
    Column("forget_at_ms", BigInteger),  # of a person who had everything deleted
)
Index("ix_usage_day_ms", usage.c.day_ms)
_forgotten = usage.c.forget_at_ms.is_not(None)
Index("ix_usage_forget", usage.c.forget_at_ms, postgresql_where=_forgotten, sqlite_where=_forgotten)
