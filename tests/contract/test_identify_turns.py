"""IDENTIFYs of several processes: spaced over all of them, whichever dies, on both databases."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise

import pytest

from processes.identify_turns import SPACING_MS, TURN_MS, IdentifyTurns, StartLimit
from store.database import Database
from store.errors import DatabaseLost

START_MS = 1_800_000_000_000


class SteppingClock:
    """A clock that several processes share: sleep moves it."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        at_ms = self.ms + round(seconds * 1000)
        await asyncio.sleep(0)
        self.ms = max(self.ms, at_ms)


async def ended(*each: IdentifyTurns) -> None:
    """Wait until the ends of turns are stored, or they would be stored during the next test."""
    await asyncio.gather(*(ending for turns in each for ending in turns._ending))


async def test_shards_of_three_processes_identify_five_seconds_apart_in_each_bucket(
    database: Database, other_database: Database
) -> None:
    clock, limit, sent = SteppingClock(), StartLimit(concurrency=2, shards=6), defaultdict[int, list[int]](list)

    async def start(turns: IdentifyTurns, shard_id: int) -> None:
        async with turns.turn(shard_id, limit) as turn:
            await clock.sleep(0.3)  # to open the connection
            turn.was_sent = True
            await clock.sleep(0.7)  # until Discord has read it
            sent[limit.bucket(shard_id)].append(clock.ms)

    turns = [IdentifyTurns(used, clock) for used in (database, other_database, database)]
    await asyncio.gather(*(start(turns[shard_id // 2], shard_id) for shard_id in range(6)))
    await ended(*turns)
    assert [len(moments) for moments in sent.values()] == [3, 3]
    for moments in sent.values():
        assert min(later - sooner for sooner, later in pairwise(moments)) >= SPACING_MS


async def test_a_connection_that_failed_before_identify_costs_no_turn(database: Database) -> None:
    clock = SteppingClock()
    turns = IdentifyTurns(database, clock)
    with pytest.raises(ConnectionError):
        async with turns.turn(0, StartLimit()):
            raise ConnectionError
    async with turns.turn(0, StartLimit()):
        assert clock.ms == START_MS
    await ended(turns)


async def test_an_identify_that_discord_refused_counts_as_one(database: Database) -> None:
    clock = SteppingClock()
    turns = IdentifyTurns(database, clock)
    with pytest.raises(ConnectionError):
        async with turns.turn(0, StartLimit()) as turn:
            turn.was_sent = True
            raise ConnectionError
    async with turns.turn(0, StartLimit()):
        assert clock.ms >= START_MS + SPACING_MS
    await ended(turns)


async def test_the_turn_of_a_process_that_died_ends_by_itself(database: Database, other_database: Database) -> None:
    clock = SteppingClock()
    turn_of_the_dead = IdentifyTurns(database, clock).turn(0, StartLimit())  # named, or Python would end it
    await turn_of_the_dead.__aenter__()
    turns = IdentifyTurns(other_database, clock)
    async with turns.turn(1, StartLimit()):
        assert START_MS + TURN_MS <= clock.ms < START_MS + 2 * TURN_MS
    await ended(turns)


async def test_after_the_clock_was_set_back_by_a_day_nobody_waits_for_yesterday(database: Database) -> None:
    clock = SteppingClock()
    turns = IdentifyTurns(database, clock)
    async with turns.turn(0, StartLimit()) as turn:
        turn.was_sent = True
    clock.ms -= 86_400_000
    async with turns.turn(0, StartLimit()):
        assert clock.ms == START_MS - 86_400_000
    await ended(turns)


async def test_a_restarted_process_counts_the_identifies_of_the_one_before(database: Database) -> None:
    clock, limit = SteppingClock(), StartLimit(a_day=64)
    for _ in range(3):
        turns = IdentifyTurns(database, clock)
        async with turns.turn(0, limit) as turn:
            turn.was_sent = True
            last_ms = clock.ms
        await ended(turns)
    assert last_ms >= START_MS + 3_600_000, "two an hour"


async def test_a_session_that_began_is_kept_when_the_database_is_lost_before_it_is_counted(database: Database) -> None:
    class LostOnceTaken:
        runs = 0

        async def run(self, *args: object, **kwargs: object) -> object:
            self.runs += 1
            if self.runs > 1:
                raise DatabaseLost("away")
            return await database.run(*args, **kwargs)  # type: ignore[arg-type]

    lost: Database = LostOnceTaken()  # type: ignore[assignment]
    turns = IdentifyTurns(lost, SteppingClock())
    async with turns.turn(0, StartLimit()) as turn:
        turn.was_sent = True
    assert len(turns._ending) == 1
    await ended(turns)
