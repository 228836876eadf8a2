"""Messages that wait for Discord: taken by one process at a time, in order, on both databases."""

from __future__ import annotations

import asyncio

from limits.model import Actor
from limits.outbox import RETRY_MIN_MS, TRY_MS, Outbox
from limits.outbox_records import WAITING_MAX, add_news
from limits.service import Limits
from store.database import Database
from tests.contract.harness import GUILD, MIRA, NOON_MS, MovableClock

LOG = 2**53 + 1
OWNER = 2**62 + 1


async def test_of_processes_that_look_at_once_one_gets_each_message(
    database: Database, other_database: Database
) -> None:
    clock = MovableClock()
    processes = [Outbox(each, clock) for each in (database, other_database) * 4]
    for round_number in range(5):
        await database.run(add_news, str(round_number), NOON_MS)
        changed = await Limits(database, clock).set_log_channel(
            Actor(MIRA, round_number, GUILD), LOG + round_number, expected_version=round_number
        )
        assert changed.change is not None
        news = [each for each in await asyncio.gather(*(one.begin_news() for one in processes)) if each]
        taken = await asyncio.gather(*(one.begin_lines(changed.change.number) for one in processes))
        lines = [line for each in taken for line in each]
        assert [each.text for each in news] == [str(round_number)]
        channels = [LOG + round_number, *([LOG + round_number - 1] if round_number else [])]
        assert sorted(line.channel_id for line in lines) == sorted(channels)
        assert {line.change for line in lines} == {changed.change}
        for message in (*news, *lines):
            await processes[0].end(message)


async def test_a_message_that_waits_holds_back_those_after_it_and_keeps_who_was_told(database: Database) -> None:
    clock = MovableClock()
    outbox = Outbox(database, clock)
    for text in ("one", "two"):
        await database.run(add_news, text, clock.at_ms)
    first = await outbox.begin_news()
    assert first is not None and await outbox.begin_news() is None
    await outbox.put_off(first, {OWNER, 5})
    assert await outbox.begin_news() is None
    clock.at_ms += RETRY_MIN_MS
    again = await outbox.begin_news()
    assert again is not None and (again.text, again.told) == ("one", {OWNER, 5})
    clock.at_ms += TRY_MS
    assert await outbox.begin_news() == again
    await outbox.end(again)
    second = await outbox.begin_news()
    assert second is not None and (second.text, second.told) == ("two", frozenset())


async def test_the_newest_messages_are_kept(database: Database) -> None:
    for number in range(WAITING_MAX + 2):
        await database.run(add_news, str(number), NOON_MS)
    oldest = await Outbox(database, MovableClock()).begin_news()
    assert oldest is not None and oldest.text == "2"
