"""The turns of IDENTIFYs, over all processes of one database: Discord limits how often a bot may start a session.

A turn is taken, then the connection is opened and IDENTIFY is sent, and when Discord has answered it the turn ends: so
Discord reads the next IDENTIFY no sooner, however long this one was on its way. No lock is held meanwhile: the last
hour's IDENTIFYs are one value of store.key_values, which a transaction reads and replaces.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from generations.clock import Clock
from store.database import Database
from store.errors import DatabaseLost
from store.key_values import load_value, save_value
from store.statements import serialize
from store.transactions import Transaction

KEY = "identifies:v1"
SPACING_MS = 5_000  # Discord docs: Gateway, "Rate Limiting": one IDENTIFY of a bucket in 5 s
TURN_MS = 15_000  # a turn that was neither used nor given back ends after so long: its process has died
ASK_AGAIN_MS = 500  # while another process has the turn
HOUR_MS = 3_600_000
SHARES_OF_A_DAY = 32  # an hour's share: 24 of them, and some left for restarts


@dataclass(frozen=True, slots=True)
class StartLimit:
    """How often sessions may be started: `session_start_limit` of Discord's GET /gateway/bot.

    *a_day*: IDENTIFYs in 24 hours; beyond that Discord ends every session and resets the bot's token. *concurrency*:
    the buckets (`max_concurrency`); a shard is in that of its id's remainder. *shards*: how many the bot has in all.
    """

    a_day: int = 1000
    concurrency: int = 1
    shards: int = 1

    def bucket(self, shard_id: int) -> int:
        return shard_id % self.concurrency

    @property
    def an_hour(self) -> int:
        """How many may be sent in an hour: its share of a day, but always enough to start all shards twice."""
        return max(self.a_day // SHARES_OF_A_DAY, 2 * self.shards)


class Identify(NamedTuple):
    """One IDENTIFY. *at_ms*: when its turn ended, or when it was taken if it is not known to be *sent*."""

    shard_id: int
    at_ms: int
    sent: bool


@dataclass(slots=True)
class Turn:
    """*was_sent*: whether IDENTIFY was sent in it. Whoever sends it sets it."""

    was_sent: bool = False


def wait_ms(known: Sequence[Identify], shard_id: int, limit: StartLimit, now_ms: int) -> int:
    """Return the milliseconds until *shard_id* may ask again for its turn; 0: it may take it now. *known*: those of the
    last hour, in order."""
    at_ms = now_ms
    for identify in known:
        if limit.bucket(identify.shard_id) == limit.bucket(shard_id):
            if identify.sent:
                at_ms = max(at_ms, identify.at_ms + SPACING_MS)
            elif identify.at_ms + TURN_MS > now_ms:
                at_ms = max(at_ms, now_ms + ASK_AGAIN_MS)
    if len(known) >= limit.an_hour:
        at_ms = max(at_ms, known[-limit.an_hour].at_ms + HOUR_MS)
    return at_ms - now_ms


class IdentifyTurns:
    """The turns of this process. Within it, shards of one bucket take turns in the order in which they ask."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._asking: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ending = set[asyncio.Task[None]]()

    @asynccontextmanager
    async def turn(self, shard_id: int, limit: StartLimit) -> AsyncGenerator[Turn]:
        """Wait for the turn of *shard_id*. The block opens a connection, sends IDENTIFY, notes that, and waits for the
        answer. Raises DatabaseLost.

        The caller does not wait until the end of the turn is stored: a close frame that is read late has lost its code
        (aiohttp 3.14, client_ws.py, `close`, when the other side has closed the connection by then).
        """
        async with self._asking[limit.bucket(shard_id)]:
            if self._ending:
                await asyncio.wait(self._ending)
            while isinstance(taken := await self._database.run(self._take, shard_id, limit), int):
                await self._clock.sleep(taken / 1000)
            turn = Turn()
            try:
                yield turn
            finally:
                sent = Identify(shard_id, self._clock.now_ms(), sent=True) if turn.was_sent else None
                ending = asyncio.create_task(self._end(taken, sent), name="end of a turn")
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def _end(self, taken: Identify, sent: Identify | None) -> None:
        with suppress(DatabaseLost):  # the turn then ends by itself
            await self._database.run(self._replace, taken, sent)

    def _take(self, tx: Transaction, shard_id: int, limit: StartLimit) -> Identify | int:
        """Take the turn, or return the milliseconds after which to ask again."""
        known = self._load(tx)
        now_ms = self._clock.now_ms()  # read now: the transaction may have waited for another one
        if wait := wait_ms(known, shard_id, limit, now_ms):
            return wait
        taken = Identify(shard_id, now_ms, sent=False)
        save_value(tx, KEY, json.dumps([*known, taken]))
        return taken

    def _replace(self, tx: Transaction, taken: Identify, sent: Identify | None) -> None:
        others = [identify for identify in self._load(tx) if identify != taken]
        save_value(tx, KEY, json.dumps([*others, *([] if sent is None else [sent])]))

    def _load(self, tx: Transaction) -> list[Identify]:
        """Return the IDENTIFYs of the last hour. Those of the future are forgotten: the clock was set back."""
        serialize(tx, KEY)
        now_ms = self._clock.now_ms()
        known = [Identify(*identify) for identify in json.loads(load_value(tx, KEY) or "[]")]
        return [identify for identify in known if now_ms - HOUR_MS < identify.at_ms <= now_ms + TURN_MS]
