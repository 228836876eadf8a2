"""ReportNotices over real HTTP and real rows: nobody is told twice, and no report is lost, whatever fails or dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from images.image_memory import ImageMemory
from limits.model import BOT, Actor
from limits.request_limits import RequestLimits
from limits.service import Limits
from reports.model import Decision, Notice, Reason, Report
from reports.service import TRY_MS, Reports
from store.database import Database
from tests.contract.harness import DAY_MS, GUILD, OTTO, Harness, make_harness
from tests.contract.test_history import Store, make
from tests.integration.delivery_scene import Scene, a_scene
from ui.delivery.report_notices import ReportNotices
from ui.interactions.report_decisions import report_buttons

REPORT, LOG = 50, 81
GET_LOG = f"GET /channels/{LOG}$"
TO_OWNER, TO_SECOND, TO_LOG = ("POST /channels/741/messages", "POST /channels/743/messages", "POST /channels/81/")


class DyingReports(Reports):
    """A process that dies before it notes a message (*at* note_told) or that all were told (*at* end_telling)."""

    at = ""

    async def note_told(self, report_id: int, notice: Notice) -> None:
        await self._die("note_told")
        await super().note_told(report_id, notice)

    async def end_telling(self, report: Report, *, is_told: bool) -> None:
        await self._die("end_telling")
        await super().end_telling(report, is_told=is_told)

    async def _die(self, here: str) -> None:
        if self.at == here:
            raise asyncio.CancelledError


@dataclass
class World:
    """A report that was stored, and processes that may tell of it."""

    scene: Scene
    harness: Harness

    def process(self, *owner_ids: int, dies: str = "") -> ReportNotices:
        database = self.harness.database
        service = DyingReports(database, self.harness.clock, Store(), ImageMemory())
        service.at = dies

        async def owners() -> frozenset[int]:
            return frozenset(owner_ids or (41,))

        return ReportNotices(
            self.scene.client, service, RequestLimits(database, ZoneInfo("UTC")), owners, report_buttons
        )

    async def run(self, process: ReportNotices, *, later_ms: int = 0) -> None:
        """Have a process tell of what is due *later_ms* from now, and wait for it."""
        self.harness.clock.at_ms += later_ms
        await process.run_due()
        await asyncio.gather(*process._working, return_exceptions=True)

    def posted(self) -> list[str]:
        return [call.path for call in self.scene.rest.calls if call.path.endswith("/messages")]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [call.body for call in self.scene.rest.calls if call.path == path]

    @property
    def reports(self) -> Reports:
        return Reports(self.harness.database, self.harness.clock, Store(), ImageMemory())

    async def is_told(self) -> bool:
        return (await self.reports.load(REPORT)).report.told_at_ms is not None


@pytest.fixture
async def world(empty_sqlite: Database) -> AsyncIterator[World]:
    async with a_scene() as scene:
        harness = make_harness(empty_sqlite)
        await make(harness, 1, prompt="a lighthouse @everyone")
        await Limits(empty_sqlite, harness.clock).set_log_channel(Actor(1, 1, GUILD), LOG, expected_version=0)
        scene.rest.fault(GET_LOG, 200, body={"id": str(LOG), "type": 0, "guild_id": str(GUILD)}, times=99)
        world = World(scene, harness)
        await world.reports.file(REPORT, OTTO, 1, Reason.HATEFUL, "it mocks @here")
        yield world


async def test_every_owner_and_the_log_channel_are_told_once_by_one_of_several_processes(world: World) -> None:
    first, second = world.process(41, 43), world.process(41, 43)
    first.tell(REPORT)
    second.tell(REPORT)
    await world.run(first)
    await world.run(second)
    await world.run(second, later_ms=DAY_MS)
    assert sorted(world.posted()) == ["/channels/741/messages", "/channels/743/messages", "/channels/81/messages"]
    for body in world.bodies("/channels/741/messages"):
        assert body["allowed_mentions"] == {"parse": []} and "＠everyone" in str(body) and "＠here" in str(body)
    assert await world.is_told()


@pytest.mark.parametrize("fault", [{"status": 403, "code": 40003}, {"status": 503}, {"status": 500, "drop": True}])
async def test_an_owner_whom_discord_could_not_reach_is_told_later_and_the_others_not_again(
    world: World, fault: dict[str, Any]
) -> None:
    world.scene.rest.fault(TO_OWNER, **fault)
    await world.run(world.process(41, 43))
    assert not await world.is_told()
    await world.run(world.process(41, 43), later_ms=TRY_MS - 1)
    failed = world.posted().count("/channels/741/messages")
    await world.run(world.process(41, 43), later_ms=1)
    assert world.posted().count("/channels/741/messages") == failed + 1
    assert [world.posted().count(f"/channels/{channel}/messages") for channel in (743, LOG)] == [1, 1]
    assert await world.is_told()


async def test_a_report_that_no_owner_takes_is_tried_for_ever(world: World) -> None:
    world.scene.rest.fault(TO_OWNER, status=403, code=50007, times=30)
    for _ in range(30):
        await world.run(world.process(), later_ms=DAY_MS)
    assert not await world.is_told()
    await world.run(world.process(), later_ms=DAY_MS)
    assert await world.is_told() and world.posted().count("/channels/81/messages") == 1


async def test_a_log_channel_that_refuses_the_bot_holds_nobody_up(world: World) -> None:
    world.scene.rest.fault(TO_LOG, status=403, code=50001)
    await world.run(world.process())
    assert await world.is_told() and world.posted().count("/channels/741/messages") == 1


@pytest.mark.parametrize("server", [{"guild_id": str(GUILD + 1)}, {}])
async def test_a_log_channel_of_another_server_is_never_told_of_a_report(world: World, server: dict[str, str]) -> None:
    world.scene.rest.faults.clear()
    world.scene.rest.fault(GET_LOG, 200, body={"id": str(LOG), "type": 0, **server}, times=99)
    await world.run(world.process())
    await world.run(world.process(), later_ms=DAY_MS)
    assert world.posted() == ["/channels/741/messages"] and await world.is_told()


@pytest.mark.parametrize(("dies", "messages"), [("note_told", 2), ("end_telling", 1)])
async def test_a_process_that_dies_while_it_tells_is_followed_by_another(
    world: World, dies: str, messages: int
) -> None:
    """One that died between a message and its note sends it again, with the nonce by which Discord makes them one."""
    await world.run(world.process(dies=dies))
    await world.run(world.process(), later_ms=TRY_MS - 1)
    assert not await world.is_told()
    await world.run(world.process(), later_ms=1)
    assert await world.is_told()
    told = world.bodies("/channels/81/messages")
    assert len(told) == messages and len({body["nonce"] for body in told}) == 1
    assert all(body["enforce_nonce"] and len(body["nonce"]) <= 25 for body in told)


async def test_a_decision_is_shown_on_every_other_message(world: World) -> None:
    process = world.process(41, 43)
    await world.run(process)
    notices = {notice.recipient_id: notice for notice in (await world.reports.load(REPORT)).notices}
    decided = await world.reports.decide(REPORT, Decision.DISMISSED, BOT, Actor(41, 9, None))
    process.refresh(decided, but=notices[41].message_id)
    await asyncio.gather(*process._working)
    edits = [call.path for call in world.scene.rest.edits()]
    assert edits == [
        f"/channels/{each.channel_id}/messages/{each.message_id}"
        for each in sorted((notices[43], notices[LOG]), key=lambda each: each.message_id)
    ]
    assert all("dismissed the report" in str(call.body) for call in world.scene.rest.edits())


async def test_a_stop_does_not_wait_for_a_discord_that_is_away(world: World) -> None:
    world.scene.rest.gate.clear()
    process = world.process()
    process.tell(REPORT)
    await process.drain(0.05)
    assert world.posted() in ([], ["/channels/81/messages"]) and not await world.is_told()
    world.scene.rest.gate.set()
    await process.drain()
    assert await world.is_told()
