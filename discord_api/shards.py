"""Which shards of the gateway this process takes, and what is wrong with the settings that say so. Pure.

Discord docs: Gateway, "Sharding": each server belongs to one shard, and direct messages to shard 0.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

SHARD_COUNT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of this process, *ids*, of *count* over all processes. *ids* has no gap and at least one shard."""

    count: int
    ids: range

    @property
    def range_text(self) -> str:
        """The ids, such as `0-3`."""
        return str(self.ids[0]) if len(self.ids) == 1 else f"{self.ids[0]}-{self.ids[-1]}"

    def __str__(self) -> str:
        return f"shard{'' if len(self.ids) == 1 else 's'} {self.range_text} of {self.count}"


def parse_shard_ids(text: str) -> tuple[int, ...]:
    """Return the ids in a text such as `0-3`, in order. Raises ValueError with a sentence.

    Several ranges, separated by commas, are one if they follow each other.
    """
    ids: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:-\s*([0-9]{1,6})\s*)?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if first > last or last >= SHARD_COUNT_MAX:
            raise ValueError("must be a range of shards, such as 0-3")
        ids.extend(range(first, last + 1))
    ids.sort()
    for sooner, later in itertools.pairwise(ids):
        if sooner == later:
            raise ValueError(f"names shard {later} twice")
        if sooner + 1 < later:
            raise ValueError(f"has a gap between {sooner} and {later}: a process takes one range, such as 0-3")
    return tuple(ids)


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """The settings that divide the gateway among processes. Either *ids*, or *process* of *processes*, or neither."""

    count: int | None
    ids: tuple[int, ...]
    process: int | None
    processes: int | None

    @property
    def several_processes(self) -> bool:
        """Whether other processes take other shards."""
        return (self.processes or 1) > 1 or bool(self.ids and self.count and len(self.ids) < self.count)

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each fault."""
        count, process, processes = self.count, self.process, self.processes
        if self.ids and (process, processes) != (None, None):
            yield "SHARD_IDS and SHARD_PROCESS say the same in two ways: set one of them."
        if count is None and (self.ids or (process, processes) != (None, None)):
            yield "SHARD_COUNT is missing: it is the number of shards over all processes, the same in each of them."
        if count is not None and self.ids and self.ids[-1] >= count:
            yield f"SHARD_IDS must end at {count - 1} or before, since SHARD_COUNT is {count}."
        if process is not None and processes is None:
            yield "SHARD_PROCESSES is missing: SHARD_PROCESS is one of so many."
        if process is None and processes is not None:
            yield f"SHARD_PROCESS is missing: the number of this process, from 0 to {processes - 1}."
        if process is not None and processes is not None and process >= processes:
            yield f"SHARD_PROCESS must be at most {processes - 1}, since SHARD_PROCESSES is {processes}."
        if count is not None and processes is not None and processes > count:
            yield (
                f"SHARD_PROCESSES must be at most {count}, since SHARD_COUNT is {count}; "
                "`python bot.py worker` starts a process without shards."
            )

    def chosen(self) -> Shards | None:
        """Return the shards of this process; None: all, and as many as Discord recommends. Only without faults()."""
        if self.count is None:
            return None
        if self.ids:
            return Shards(self.count, range(self.ids[0], self.ids[-1] + 1))
        process, processes = self.process or 0, self.processes or 1
        return Shards(self.count, range(self.count * process // processes, self.count * (process + 1) // processes))
