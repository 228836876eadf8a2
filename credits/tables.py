"""The tables of the ledger.

The database itself refuses an account below zero, an entry whose numbers don't fit its kind, and a second end of the
same hold.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint

from credits.model import EntryKind
from store.tables import AutoNumber, Text, metadata, one_of

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("available", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("refilled_from_ms", BigInteger),  # start of the period the last refill was for
    Column("created_at_ms", BigInteger, nullable=False),
    Column(  # the part of available that does not expire
        "bonus",
        BigInteger,
        CheckConstraint("bonus BETWEEN 0 AND available", "bonus"),
        nullable=False,
        server_default="0",
    ),
    Column(  # the part of held that is bonus
        "held_bonus",
        BigInteger,
        CheckConstraint("held_bonus BETWEEN 0 AND held", "held_bonus"),
        nullable=False,
        server_default="0",
    ),
    Column("allowance", BigInteger),  # what this period was filled to; NULL: the common allowance
    Column("source", Text),  # what gave that allowance, opaque; NULL: the common allowance
    CheckConstraint("available >= 0", "available"),
    CheckConstraint("held >= 0", "held"),
)

refills = Table(  # only those at which something was held: docs/decisions/0002-refill-across-a-hold.md
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
    Column("number", AutoNumber, primary_key=True),  # the order in which one account's entries were made
    Column("id", Text, nullable=False),
    Column("user_id", BigInteger, ForeignKey("accounts.user_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("available_delta", BigInteger, nullable=False),
    Column("held_delta", BigInteger, nullable=False),
    Column("image_id", Text),
    Column("reason", Text, nullable=False),
    Column("refilled_from_ms", BigInteger),  # the account's, when this was written: which period's credits moved
    Column("created_at_ms", BigInteger, nullable=False),
    Column("bonus_delta", BigInteger, nullable=False, server_default="0"),  # the part of available_delta that is bonus
    Column("held_bonus_delta", BigInteger, nullable=False, server_default="0"),  # the part of held_delta that is bonus
    Column("actor_id", BigInteger),  # who gave or took by hand
    UniqueConstraint("id"),
    CheckConstraint(
        "(kind = 'grant' AND available_delta > 0 AND held_delta = 0)"
        " OR (kind = 'hold' AND held_delta > 0 AND available_delta = -held_delta)"
        " OR (kind = 'settle' AND held_delta < 0 AND available_delta BETWEEN 0 AND -held_delta)"
        " OR (kind = 'release' AND held_delta < 0 AND available_delta = -held_delta)"
        " OR (kind = 'refund' AND available_delta > 0 AND held_delta = 0)"
        " OR (kind = 'take' AND available_delta < 0 AND held_delta = 0)",
        "deltas",
    ),
    CheckConstraint(
        "(kind IN ('grant', 'refund') AND bonus_delta BETWEEN 0 AND available_delta AND held_bonus_delta = 0)"
        " OR (kind = 'hold' AND bonus_delta BETWEEN available_delta AND 0 AND held_bonus_delta = -bonus_delta)"
        " OR (kind = 'settle' AND held_bonus_delta BETWEEN held_delta AND 0"
        " AND bonus_delta BETWEEN 0 AND -held_bonus_delta"
        " AND available_delta - bonus_delta BETWEEN 0 AND held_bonus_delta - held_delta)"
        " OR (kind = 'release' AND bonus_delta BETWEEN 0 AND available_delta AND held_bonus_delta = -bonus_delta)"
        " OR (kind = 'take' AND bonus_delta BETWEEN available_delta AND 0 AND held_bonus_delta = 0)",
        "bonus",
    ),
    CheckConstraint("kind IN ('grant', 'take') OR image_id IS NOT NULL", "image"),
)
Index("ix_entries_user_id", entries.c.user_id, entries.c.number)
_closings = one_of(entries.c.kind, EntryKind.SETTLE, EntryKind.RELEASE)
Index(
    "uq_entries_closing", entries.c.image_id, unique=True, postgresql_where=_closings, sqlite_where=_closings
)  # a hold ends once
