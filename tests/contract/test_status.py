"""What /owner status reads, and the daily check of the ledger, on both databases."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import text

from credits.daily_check import CHECK_MS, DailyCheck, KeptCheck, load_check
from credits.records import account_sums, account_sums_after
from generations import records
from generations.circuit import CLOSED, Circuit, StopReason
from generations.model import State
from generations.records.delays import load_delays_ms
from limits import usage
from limits.model import BOT, Pause
from limits.records import save_pause
from limits.request_limits import RequestLimits
from limits.usage import SpendLimits, Spent
from processes.model import Presence, Process, Role
from processes.records import note_process
from processes.status import ApiHealth, BotStatus, StatusReader, ThisProcess
from store.database import Database
from store.schema import NEWEST_REVISION
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, MIRA, OTTO, YUKI, Harness
from version import VERSION

HEALTHY = ApiHealth(4, 20, 0.0, 0.0, None)


def reader(harness: Harness, *, is_shared: bool) -> StatusReader:
    presence = Presence(Role.BOT, 6, "0-5", {0, 1}, started_at_ms=harness.clock.at_ms - 5000)
    return StatusReader(
        harness.database,
        harness.clock,
        ThisProcess("me", presence, lambda: 3, is_shared),
        RequestLimits(harness.database, ZoneInfo("UTC"), SpendLimits(100, 1000)),
        api=lambda: HEALTHY,
    )


async def status_of(harness: Harness, *, is_shared: bool = False) -> BotStatus:
    return await reader(harness, is_shared=is_shared).read()


async def test_a_process_that_is_alone_tells_of_itself(harness: Harness) -> None:
    status = await status_of(harness)
    now_ms = harness.clock.at_ms
    assert status.processes == (Process("me", Role.BOT, 6, "0-5", 2, 3, now_ms - 5000, now_ms, VERSION),)
    assert (status.me, status.api, status.counts.check, status.delays_ms) == ("me", HEALTHY, None, [])


async def test_of_several_processes_those_that_are_alive_are_told(harness: Harness) -> None:
    now_ms = harness.clock.at_ms
    for name, seen_at_ms in (("one", now_ms), ("two", now_ms - 19_000), ("dead", now_ms - 21_000)):
        row = Process(name, Role.WORKER, None, "", 0, 1, now_ms, seen_at_ms, "1.0")
        await harness.database.run(note_process, row)
    assert {each.name for each in (await status_of(harness, is_shared=True)).processes} == {"one", "two"}


async def test_the_line_is_counted_and_its_oldest_work_named(harness: Harness) -> None:
    await harness.ask(1, count=2)
    await harness.ask(2, OTTO)
    await harness.admit(max_in_flight=1)
    status = await status_of(harness)
    assert (status.counts.waiting, status.counts.in_flight) == (2, 1)
    assert status.counts.oldest_due_ms == harness.clock.at_ms


async def test_what_is_spent_is_counted_by_day_and_month(harness: Harness) -> None:
    await harness.ask(1, count=2)
    harness.clock.at_ms += DAY_MS
    await harness.ask(2, OTTO)
    key = harness.generations._limits.calendar.key(800, OTTO, harness.clock.at_ms)
    await harness.database.run(usage.count_made, key, price=5, charged=4, is_late=False)
    counts = (await status_of(harness)).counts
    assert (counts.today, counts.month) == (Spent(0, 4, 0), Spent(10, 4, 0))
    assert (counts.month.total, counts.spend) == (14, SpendLimits(100, 1000))


async def test_a_pause_of_the_whole_bot_is_told_and_one_of_a_server_is_not(harness: Harness) -> None:
    await harness.database.run(save_pause, 800, Pause("too loud", MIRA, 1))
    assert (await status_of(harness)).pause is None
    paused = Pause("the account is being filled", OTTO, 2)
    await harness.database.run(save_pause, BOT, paused)
    assert (await status_of(harness)).pause == paused


async def test_what_stops_all_images_is_told_as_the_rows_say_it(harness: Harness) -> None:
    stopped = Circuit(StopReason.KEY_REFUSED, 1, harness.clock.at_ms)
    assert (await status_of(harness)).counts.circuit == CLOSED
    await harness.database.run(records.save_circuit, stopped)
    assert (await status_of(harness)).counts.circuit == stopped


async def test_the_database_says_what_it_is(harness: Harness) -> None:
    facts = (await status_of(harness)).database
    assert facts.kind == ("PostgreSQL" if harness.database.is_postgresql else "SQLite")
    assert facts.revision == NEWEST_REVISION and facts.bytes > 100_000 and facts.version[0].isdigit()


async def test_delays_are_those_of_the_newest_requests_that_came_to_an_image(harness: Harness) -> None:
    for generation_id in (1, 2, 3):
        generation = await harness.ask(generation_id, (MIRA, OTTO, YUKI)[generation_id - 1])
        await harness.admit()
        (claimed,) = [each for each in await harness.claim() if each.id == generation_id]
        (image,) = generation.images
        running = await harness.move(image, State.SUBMITTING, State.RUNNING, fence=claimed.fence)

        def finish(tx: Transaction, image: object, fence: int, delay_ms: int) -> None:
            ready_at_ms = harness.clock.at_ms
            made = records.move(tx, image, State.SUCCEEDED, fence=fence, ready_at_ms=ready_at_ms)  # type: ignore[arg-type]
            records.move(tx, made, State.DELIVERED, fence=fence)
            records.decide_ping(tx, made.generation_id, ready_at_ms + delay_ms)

        await harness.database.run(finish, running, claimed.fence, 100 * generation_id)
    assert sorted(await harness.database.read(load_delays_ms, 200)) == [100, 200, 300]
    assert sorted(await harness.database.read(load_delays_ms, 2)) == [200, 300]


def check_of(harness: Harness, told: list[str]) -> DailyCheck:
    return DailyCheck(harness.database, harness.clock.now_ms, told.append)


async def test_the_ledger_is_checked_once_a_day_and_the_result_kept(harness: Harness) -> None:
    told: list[str] = []
    for user_id in (MIRA, OTTO):
        await harness.balance(user_id)
    await check_of(harness, told).run_maintenance()
    first = KeptCheck(harness.clock.at_ms, 2, 0)
    assert await harness.database.read(load_check) == first
    await harness.balance(YUKI)
    harness.clock.at_ms += CHECK_MS - 1
    await check_of(harness, told).run_maintenance()
    assert await harness.database.read(load_check) == first
    harness.clock.at_ms += 1
    await check_of(harness, told).run_maintenance()
    assert (await status_of(harness)).counts.check == KeptCheck(harness.clock.at_ms, 3, 0)
    assert told == []


async def test_an_account_that_differs_from_its_entries_is_reported(harness: Harness) -> None:
    told: list[str] = []
    for user_id in (MIRA, OTTO):
        await harness.balance(user_id)
    await harness.database.run(lambda tx: tx.execute(text(f"UPDATE accounts SET held = 7 WHERE user_id = {OTTO}")))
    await check_of(harness, told).run_maintenance()
    assert told == ["1 of 2 accounts differ from the sum of their entries: run `ledger check`."]
    assert await harness.database.read(load_check) == KeptCheck(harness.clock.at_ms, 2, 1)


async def test_accounts_are_read_in_batches_by_id(database: Database, harness: Harness) -> None:
    for user_id in (OTTO, MIRA, YUKI, 2**60, 5):
        await harness.balance(user_id)
    whole = await database.read(lambda tx: list(account_sums(tx)))
    first = await database.read(account_sums_after, None, 2)
    rest = await database.read(account_sums_after, first[-1][0], 3)
    assert [*first, *rest] == whole and len(rest) == 3
    assert await database.read(account_sums_after, 2**60, 2) == []
