"""The table of the processes that share one database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table

from store.tables import Text, metadata

# One row for each process; it is deleted when the process ends, or by another one once it is dead.
processes = Table(
    "processes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("shard_count", Integer),  # of the whole bot; NULL: not known yet, or a role without a gateway
    Column("shard_ids", Text, nullable=False),  # of this process, such as 0-5; empty: none
    Column("shards_up", Integer, nullable=False),  # how many of them are connected
    Column("steps", Integer, nullable=False),  # generations that it works on at the moment
    Column("started_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("version", Text),  # of the program; NULL: one that did not write it yet
)
