"""The heartbeat of this process: its row, the database's clock, and who else is alive.

Knows no Discord, no gateway and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from generations.clock import DatabaseClock
from observability.repeats import REPEATS
from processes import records
from processes.model import Presence, Process
from processes.shard_coverage import shard_faults
from store.database import Database
from store.database_time import load_database_time_ms
from store.errors import DatabaseLost, PermissionMissing
from store.transactions import Transaction
from version import VERSION

log = logging.getLogger("qwen_imagine.processes")

BEAT_SECONDS = 5.0
FAULTY_SECONDS = 120.0  # a process that is restarted leaves a gap no longer than this


class Processes:
    """Beat every BEAT_SECONDS, and listen to the other processes, from start() to stop().

    *steps*: how many generations this process works on. *oldest_due_ms*: since when the longest waiting work has been
    due. *listen*: see processes.wakeups.
    """

    def __init__(
        self,
        database: Database,
        clock: DatabaseClock,
        name: str,
        presence: Presence,
        *,
        steps: Callable[[], int],
        oldest_due_ms: Callable[[Transaction], int | None],
        listen: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._presence = presence
        self._steps = steps
        self._oldest_due_ms = oldest_due_ms
        self._listen = listen
        self._started_at_ms: int | None = None
        self._faulty_since: dict[str, float] = {}  # the faults of processes.shard_coverage, in monotonic seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()  # a beat that is under way must not write the row again after stop()
        self.alive: tuple[Process, ...] = ()  # after the last beat, this one too; empty before the first one

    @property
    def are_others(self) -> bool:
        """Whether another process was alive at the last beat."""
        return any(process.name != self._name for process in self.alive)

    async def start(self) -> None:
        """Beat once, so that the clock is right from now on, and then regularly. Raises PermissionMissing."""
        await self.beat()
        self._tasks = [
            asyncio.create_task(self._beat_regularly(), name="heartbeat"),
            asyncio.create_task(self._listen(), name="notifications"),
        ]

    async def stop(self) -> None:
        """Stop beating, and delete the row. Does nothing where start() was not called, or a second time."""
        if not self._tasks:
            return
        async with self._turn:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            with contextlib.suppress(DatabaseLost):  # the others find it dead
                await self._database.run(records.delete_process, self._name)

    async def beat(self) -> None:
        """Write this process' row, read the database's clock and the rows of the others, and log who came and went
        and how the shards are divided wrongly.

        While the database is away that changes nothing. Raises PermissionMissing.
        """
        try:
            async with self._turn:
                alive, now_ms, due_ms = await self._database.run(self._beat)
        except PermissionMissing:
            raise
        except DatabaseLost as lost:
            log.warning("%s; the next heartbeat comes in %.0f s", lost, BEAT_SECONDS, extra=REPEATS)
            return
        before, self.alive = self.alive, alive
        self._log_changes(before, 0.0 if due_ms is None else max(0, now_ms - due_ms) / 1000)
        self._log_lasting_faults(self._clock.monotonic())

    async def _beat_regularly(self) -> None:
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            try:
                await self.beat()
            except PermissionMissing as missing:  # it may be granted again
                log.error("%s; the next heartbeat comes in %.0f s", missing, BEAT_SECONDS, extra=REPEATS)

    def _beat(self, tx: Transaction) -> tuple[tuple[Process, ...], int, int | None]:
        """Return who is alive, the time, and since when the longest waiting work has been due."""
        asked_at = self._clock.monotonic()
        time_ms = load_database_time_ms(tx)
        if time_ms is not None:
            self._clock.read(time_ms, asked_at, self._clock.monotonic())
        now_ms, presence = self._clock.now_ms(), self._presence
        self._started_at_ms = self._started_at_ms or now_ms
        records.note_process(
            tx,
            Process(
                self._name,
                presence.role,
                presence.shard_count,
                presence.shard_ids,
                len(presence.shards_up),
                self._steps(),
                self._started_at_ms,
                now_ms,
                VERSION,
            ),
        )
        records.delete_dead(tx, now_ms)
        return records.load_alive(tx, now_ms), now_ms, self._oldest_due_ms(tx)

    def _log_lasting_faults(self, now: float) -> None:
        """Warn of gaps and overlaps of the shards that have been there for FAULTY_SECONDS."""
        self._faulty_since = {fault: self._faulty_since.get(fault, now) for fault in shard_faults(self.alive)}
        lasting = [fault for fault, since in self._faulty_since.items() if now - since >= FAULTY_SECONDS]
        if lasting:
            said = "%s; see SHARD_COUNT and SHARD_IDS, or SHARD_PROCESS, of each process"
            log.warning(said, "; ".join(lasting), extra=REPEATS)

    def _log_changes(self, before: tuple[Process, ...], overdue_seconds: float) -> None:
        """Log who came and went since the last beat, and then all who are alive."""
        names, names_before = ({process.name for process in some} for some in (self.alive, before))
        for process in before:
            if process.name not in names:
                log.info("process %s is gone", process)
        if names != names_before:
            everybody = "; ".join(map(str, self.alive))
            log.info("alive: %s; the oldest work has been due for %.1f s", everybody, overdue_seconds)
