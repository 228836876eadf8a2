"""What is wrong with how the live processes divide the shards. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from discord_api.shards import parse_shard_ids
from processes.model import Process

MIXED_COUNTS = "processes have different numbers of shards ({}): SHARD_COUNT must be the same in all of them"
GAP = "no process has shards {} of {}, so that their servers get no answer"
OVERLAP = "shards {} of {} are in different ranges of several processes"


def shard_faults(alive: Iterable[Process]) -> list[str]:
    """Return a sentence for each fault. The same range in two processes is none: one of them may stand by."""
    ranges = {(each.shard_count, each.shard_ids) for each in alive if each.shard_count and each.shard_ids}
    counts = sorted({count for count, _ in ranges if count})
    if len(counts) != 1:
        return [MIXED_COUNTS.format(", ".join(map(str, counts)))] if counts else []
    (count,) = counts
    try:
        taken = Counter(shard for _, text in ranges for shard in parse_shard_ids(text))
    except ValueError:  # a newer version may write them in another form
        return []
    missing = [shard for shard in range(count) if shard not in taken]
    shared = sorted(shard for shard, times in taken.items() if times > 1)
    return [sentence.format(_ranges_text(ids), count) for sentence, ids in ((GAP, missing), (OVERLAP, shared)) if ids]


def _ranges_text(ids: list[int]) -> str:
    """The ids in order, such as `0, 2-4`."""
    runs = [[shard for _, shard in run] for _, run in groupby(enumerate(ids), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
