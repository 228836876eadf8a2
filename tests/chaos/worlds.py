"""The set-ups of a run: how many processes, on which database, and who gets which events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """*processes*: those with a gateway; with *shards* they divide so many between them, else each gets every event.
    *workers*: those without. *callbacks*: the image API calls each of them back. *commands_per_second*: of a crowd; 0:
    each person types once in a few seconds."""

    name: str
    processes: int
    postgresql: bool
    callbacks: bool
    shards: int = 0
    workers: int = 0
    commands_per_second: float = 0.0

    @property
    def places(self) -> int:
        """How many processes run at once."""
        return self.processes + self.workers

    def process_of(self, shard_id: int) -> int:
        """Return the number of the process that takes a shard: an even share in a row."""
        return next(n for n in range(self.processes) if shard_id < (n + 1) * self.shards // self.processes)

    def settings_of(self, process: int) -> dict[str, str]:
        """Return the settings that say which shards a process takes."""
        if not self.shards or process >= self.processes:
            return {}
        return {
            "SHARD_COUNT": str(self.shards),
            "SHARD_PROCESS": str(process),
            "SHARD_PROCESSES": str(self.processes),
        }


WORLDS = {
    "sqlite": World("one process on SQLite", 1, postgresql=False, callbacks=False),
    "postgresql": World("two processes on PostgreSQL", 2, postgresql=True, callbacks=True),
    "shards": World(
        "three processes with six shards and a worker on PostgreSQL",
        *(3, True, True),
        shards=6,
        workers=1,
        commands_per_second=20.0,
    ),
}
