"""What waits in the outbox over real HTTP and real rows: nothing is lost and nothing is said twice, whatever dies.

Real: OwnerAlerts, GuildLog, rows. A process that dies is one whose outbox raises where it would note the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from limits.model import Actor, LogLine, News
from limits.outbox import AGE_MAX_MS, RETRY_MIN_MS, TRY_MS, Outbox
from limits.outbox_records import WAITING_MAX, add_news
from limits.service import Limits
from limits.tables import outbox as table
from store.database import Database
from store.errors import DatabaseLost
from store.transactions import Transaction
from tests.integration.delivery_scene import Scene, a_scene
from ui.delivery.channel_lookup import ChannelLookup
from ui.delivery.guild_log import LATE_MS, GuildLog
from ui.delivery.owner_alerts import OwnerAlerts

GUILD, LOG, OTHER_LOG, SARA = 2**53 + 1, 81, 82, 7
TO_OWNER, TO_LOG = "POST /channels/741/messages", f"POST /channels/{LOG}/messages"


class DyingOutbox(Outbox):
    """The outbox of a process that dies between Discord's answer and its note."""

    async def end(self, message: News | LogLine) -> None:
        raise DatabaseLost("dead")


@dataclass
class Process:
    """One process: what sends to the owners, and to log channels."""

    owner_alerts: OwnerAlerts
    guild_log: GuildLog

    async def run_due(self) -> None:
        """Do what the maintenance does, and wait for what it has begun."""
        await self.owner_alerts.run_due()
        await self.guild_log.run_due()
        tasks = {*self.owner_alerts._telling, *([self.guild_log._posting] if self.guild_log._posting else [])}
        await asyncio.gather(*tasks)


@dataclass
class World:
    scene: Scene
    database: Database

    def process(self, *owner_ids: int, dies: bool = False) -> Process:
        client, clock = self.scene.client, self.scene.clock
        outbox = (DyingOutbox if dies else Outbox)(self.database, clock)
        owner_alerts = OwnerAlerts(client, clock, owner_ids or (41,), None, outbox)
        return Process(owner_alerts, GuildLog(client, ChannelLookup(client, clock), outbox, clock))

    async def add(self, *texts: str) -> None:
        for text in texts:
            await self.database.run(add_news, text, self.scene.clock.now_ms())

    async def change(self, number: int, log_channel: int | None = LOG) -> int:
        """Have an admin set the log channel by interaction *number*. Return the number of the change."""
        limits, actor = Limits(self.database, self.scene.clock), Actor(SARA, number, GUILD)
        changed = await limits.set_log_channel(actor, log_channel, expected_version=number - 1)
        assert changed.change is not None
        return changed.change.number

    async def waiting(self) -> int:
        def count(tx: Transaction) -> int:
            return len(tx.execute(table.select()).all())

        return await self.database.read(count)

    def sent(self, call: str) -> list[dict[str, Any]]:
        return [each.body for each in self.scene.rest.calls if f"{each.method} {each.path}" == call]

    def said(self) -> list[str]:
        """Return the last word of each message to the first owner."""
        return [body["content"].rpartition(" ")[2] for body in self.sent(TO_OWNER)]


@pytest.fixture
async def world(empty_sqlite: Database) -> AsyncIterator[World]:
    async with a_scene() as scene:
        for channel in (LOG, OTHER_LOG):
            body = {"id": str(channel), "type": 0, "guild_id": str(GUILD)}
            scene.rest.fault(f"GET /channels/{channel}$", 200, body=body, times=99)
        yield World(scene, empty_sqlite)


# ---- the owners -----------------------------------------------------------------------------------------------------


async def test_news_are_sent_once_to_every_owner_in_order_and_the_log_has_them(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    process, other = world.process(41, 43), world.process(41, 43)
    await world.add("One.", "Two.")
    process.owner_alerts.tell_change("account_empty", "One.")
    process.owner_alerts.tell_change("images_back", "Two.")
    await asyncio.gather(process.run_due(), other.run_due())
    assert world.said() == ["One.", "Two."]
    assert [body["content"] for body in world.sent("POST /channels/743/messages")] == [
        "News of your image bot: One.",
        "News of your image bot: Two.",
    ]
    assert all(body["allowed_mentions"] == {"parse": []} for body in world.sent(TO_OWNER))
    assert "account_empty: One." in caplog.text and await world.waiting() == 0


async def test_an_alert_about_a_matter_that_changed_is_left_out(world: World) -> None:
    process = world.process()
    process.owner_alerts.tell_change("key_refused", "One.")
    process.owner_alerts.tell("key_refused", "Two.")
    await process.owner_alerts.drain()
    assert world.sent(TO_OWNER) == []


async def test_news_whose_process_died_before_it_sent_them_are_sent_by_another(world: World) -> None:
    await world.add("One.")
    await world.process().run_due()
    assert world.said() == ["One."]


async def test_news_whose_process_died_after_it_sent_them_come_again_with_the_same_nonce(world: World) -> None:
    await world.add("One.", "Two.")
    await world.process(dies=True).run_due()
    world.scene.clock.advance((TRY_MS - 1) / 1000)
    await world.process().run_due()
    assert world.said() == ["One."], "its try may still be under way"
    world.scene.clock.advance(0.001)
    await world.process().run_due()
    assert world.said() == ["One.", "One.", "Two."] and await world.waiting() == 0
    nonces = [body["nonce"] for body in world.sent(TO_OWNER)]
    assert nonces[0] == nonces[1] != nonces[2] and all(body["enforce_nonce"] for body in world.sent(TO_OWNER))
    assert all(len(nonce) <= 25 for nonce in nonces)


async def test_a_number_that_comes_again_has_another_nonce(world: World) -> None:
    for text in ("One.", "Two."):
        await world.add(text)
        await world.process().run_due()
        world.scene.clock.advance(1)
    assert len({body["nonce"] for body in world.sent(TO_OWNER)}) == 2


@pytest.mark.parametrize(
    "fault", [{"status": 403, "code": 40003}, {"status": 503}, {"status": 500, "drop": True}, {"status": 403}]
)
@pytest.mark.parametrize("path", ["POST /users/@me/channels", "POST /channels/741/"])
async def test_while_discord_is_away_news_wait_in_order_and_who_has_them_gets_them_once(
    world: World, path: str, fault: dict[str, Any]
) -> None:
    world.scene.rest.fault(path, **fault)
    await world.add("One.", "Two.")
    await world.process(41, 43).run_due()
    await world.process(41, 43).run_due()
    failed = len(world.said())
    world.scene.clock.advance(RETRY_MIN_MS / 1000)
    await world.process(41, 43).run_due()
    assert world.said()[failed:] == ["One.", "Two."]
    assert len(world.sent("POST /channels/743/messages")) == 2 and await world.waiting() == 0


async def test_an_owner_who_takes_no_messages_holds_nothing_up(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.scene.rest.fault("POST /channels/741/", 403, 50007, times=9)
    await world.add("One.", "Two.")
    await world.process(41, 43).run_due()
    assert len(world.sent("POST /channels/743/messages")) == 2 and await world.waiting() == 0
    assert "the owner 41 can't be told" in caplog.text


async def test_news_that_cannot_be_sent_for_a_day_are_dropped_after_few_tries(world: World) -> None:
    world.scene.rest.fault("POST", 503, times=10**6)
    await world.add("One.")
    for _ in range(48):
        assert await world.waiting() == 1
        await world.process().run_due()
        world.scene.clock.advance(AGE_MAX_MS / 48 / 1000)
    await world.process().run_due()
    assert await world.waiting() == 0
    assert len(world.sent("POST /users/@me/channels")) < 20


async def test_of_too_many_messages_the_newest_are_kept_and_other_queues_lose_nothing(world: World) -> None:
    await world.change(1)
    await world.add(*(f"{number}." for number in range(WAITING_MAX + 3)))
    assert await world.waiting() == WAITING_MAX + 1
    await world.process().run_due()
    assert world.said() == [f"{number}." for number in range(3, WAITING_MAX + 3)]
    assert len(world.sent(TO_LOG)) == 1


async def test_a_database_that_fails_ends_no_process(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.add("One.")
    await world.change(1)
    await world.process(dies=True).run_due()
    assert "what waits for the owner can't be sent now" in caplog.text
    assert "the log channels can't be told now" in caplog.text


async def test_after_a_drain_nothing_is_begun_and_nothing_is_lost(world: World) -> None:
    process = world.process()
    await process.owner_alerts.drain()
    await process.guild_log.drain()
    await world.add("One.")
    await world.change(1)
    process.owner_alerts.tell_change("account_empty", "One.")
    await process.run_due()
    assert world.said() == [] and world.sent(TO_LOG) == [] and await world.waiting() == 2
    await world.process().run_due()
    assert await world.waiting() == 0


# ---- log channels ---------------------------------------------------------------------------------------------------


async def test_a_change_is_told_at_once_by_who_made_it_and_by_nobody_again(world: World) -> None:
    process = world.process()
    assert await process.guild_log.tell(await world.change(1)) == []
    await process.run_due()
    (told,) = world.sent(TO_LOG)
    assert told["content"] == f"**Image settings** · <@{SARA}> · log channel: none → <#{LOG}>"
    assert told["allowed_mentions"] == {"parse": []}


async def test_a_change_whose_process_died_before_it_told_it_is_told_by_another_with_its_time(world: World) -> None:
    at_ms = world.scene.clock.now_ms()
    await world.change(1)
    await world.change(2, OTHER_LOG)
    world.scene.clock.advance((LATE_MS + 1) / 1000)
    await asyncio.gather(*(world.process().run_due() for _ in range(3)))
    own = [body["content"].rpartition(" · ")[2] for body in world.sent(TO_LOG)]
    assert own == [f"<t:{at_ms // 1000}:f>"] * 2 and len(world.sent("POST /channels/82/messages")) == 1


async def test_a_change_whose_process_died_after_it_told_it_comes_again_with_the_same_nonce(world: World) -> None:
    number = await world.change(1)
    with pytest.raises(DatabaseLost):
        await world.process(dies=True).guild_log.tell(number)
    await world.process().run_due()
    assert len(world.sent(TO_LOG)) == 1, "its try may still be under way"
    world.scene.clock.advance(TRY_MS / 1000)
    await world.process().run_due()
    assert len({body["nonce"] for body in world.sent(TO_LOG)}) == 1 and len(world.sent(TO_LOG)) == 2


@pytest.mark.parametrize(("status", "code", "comes"), [(403, 50013, False), (404, 10003, False), (503, 0, True)])
async def test_a_line_that_discord_refuses_is_dropped_and_one_that_it_could_not_take_comes_later(
    world: World, status: int, code: int, comes: bool
) -> None:
    world.scene.rest.fault(TO_LOG, status, code)
    process = world.process()
    assert await process.guild_log.tell(await world.change(1)) == [LOG]
    tried = len(world.sent(TO_LOG))
    world.scene.clock.advance(RETRY_MIN_MS / 1000)
    await process.run_due()
    assert len(world.sent(TO_LOG)) == tried + comes and await world.waiting() == 0


async def test_a_channel_that_discord_does_not_describe_now_is_told_later(world: World) -> None:
    world.scene.rest.faults.clear()
    world.scene.rest.fault(f"GET /channels/{LOG}$", 503)
    body = {"id": str(LOG), "type": 0, "guild_id": str(GUILD)}
    world.scene.rest.fault(f"GET /channels/{LOG}$", 200, body=body)
    process = world.process()
    assert await process.guild_log.tell(await world.change(1)) == [LOG] and world.sent(TO_LOG) == []
    world.scene.clock.advance(RETRY_MIN_MS / 1000)
    await process.run_due()
    assert len(world.sent(TO_LOG)) == 1


async def test_a_channel_of_another_server_is_never_posted_in(world: World) -> None:
    world.scene.rest.faults.clear()
    world.scene.rest.fault(f"GET /channels/{LOG}$", 200, body={"id": str(LOG), "type": 0, "guild_id": "5"})
    assert await world.process().guild_log.tell(await world.change(1)) == [LOG]
    assert world.sent(TO_LOG) == [] and await world.waiting() == 0
