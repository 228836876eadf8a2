"""Tell the other processes that share a PostgreSQL database that something happened, with NOTIFY and LISTEN.

A notification may be missed, so it only makes sooner what is found in the rows anyway.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import bindparam, text

from store.address import parse_database_url
from store.errors import DatabaseLost
from store.transactions import Transaction

PING_SECONDS = 10.0  # a connection that broke without a word is noticed within two of these

_NOTIFY = text("SELECT pg_notify(:channel, '')").bindparams(bindparam("channel"))


def notify(tx: Transaction, channel: str) -> None:
    """Notify the listeners of *channel* once *tx* is committed. Nothing is done on SQLite, which has one process."""
    if tx.dialect.name == "postgresql":
        tx.execute(_NOTIFY, {"channel": channel})


async def listen(
    address: str, channel: str, heard: Callable[[], None], *, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Call *heard* once from now on nothing is missed, and after each notification on *channel* of the database at
    *address*, over a connection of its own.

    Raises DatabaseLost when the connection breaks. Returns at once where nothing can be heard: on SQLite, and behind a
    pooler such as PgBouncer, whose sessions belong to nobody.
    """
    url = parse_database_url(address)
    if url.get_backend_name() == "sqlite":
        return

    def notified(*_: object) -> None:
        heard()

    from store.postgresql import CONNECTION_LOST, connect, is_pooled  # asyncpg, which SQLite needs not

    try:
        connection = await connect(url)
        try:
            if await is_pooled(connection):
                return
            await connection.add_listener(channel, notified)
            heard()
            while True:
                await sleep(PING_SECONDS)
                await connection.execute("SELECT 1", timeout=PING_SECONDS)
        finally:
            connection.terminate()
    except CONNECTION_LOST as error:
        raise DatabaseLost(f"notifications of other processes are not heard: {type(error).__name__}") from error
