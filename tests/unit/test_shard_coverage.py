"""What is wrong with how the live processes divide the shards."""

from __future__ import annotations

import pytest

from processes.model import Process, Role
from processes.shard_coverage import GAP, MIXED_COUNTS, OVERLAP, shard_faults


def processes(*texts: str) -> list[Process]:
    """Return a process for each text, such as "0-2 of 6"; "" is a worker."""
    made = list[Process]()
    for text in texts:
        ids, _, count = text.partition(" of ")
        role = Role.BOT if text else Role.WORKER
        made.append(Process(str(len(made)), role, int(count) if count.isdigit() else None, ids, 0, 0, 0, 0))
    return made


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        (["0-2 of 6", "3-5 of 6", ""], []),
        ([""], []),
        ([], []),
        (["0-5 of 6", "0-5 of 6"], []),
        (["0-2 of 6", "0-2 of 6", "3-5 of 6"], []),
        (["0-2 of 6", "3-5 of ?"], [GAP.format("3-5", 6)]),
        (["0-2 of 6"], [GAP.format("3-5", 6)]),
        (["1 of 6", "4 of 6"], [GAP.format("0, 2-3, 5", 6)]),
        (["0-2 of 6", "0-2 of 6"], [GAP.format("3-5", 6)]),
        (["0-3 of 6", "3-5 of 6"], [OVERLAP.format("3", 6)]),
        (["0-5 of 6", "2-3 of 6", "0 of 6"], [OVERLAP.format("0, 2-3", 6)]),
        (["0-3 of 7", "2-5 of 7"], [GAP.format("6", 7), OVERLAP.format("2-3", 7)]),
        (["0-2 of 6", "3-9 of 10"], [MIXED_COUNTS.format("6, 10")]),
        (["0-2 of 6", "of a newer form of 6"], []),
    ],
)
def test_gaps_overlaps_and_different_counts_are_faults_and_a_process_that_stands_by_is_none(
    texts: list[str], faults: list[str]
) -> None:
    assert shard_faults(processes(*texts)) == faults
