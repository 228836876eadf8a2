"""Two bots with a shard each and a worker, on one PostgreSQL database: real processes against the local Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.bot_process import BotProcess
from sandbox.world import BOT_SCRIPT, Sandbox
from tests.databases import PostgresqlMaker
from tests.e2e.running_bot import IMAGE_SECONDS, LONG_SECONDS, READY_SECONDS, RunningBot, text
from version import VERSION

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

SHARDS = 2
CHANNELS = ("gallery", "pier")  # of two servers, one of each shard
COMMANDS = 8


@dataclass
class Processes:
    """The bots, of which each has the shard of its place, and the worker, which is none of them."""

    running: RunningBot
    bots: list[BotProcess]
    worker: BotProcess

    async def until(self, happened: Callable[[], object], seconds: float = LONG_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not happened():  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.05)

    async def know_each_other(self) -> None:
        for process in (*self.bots, self.worker):
            await self.until(lambda process=process: any(names_everybody(line) for line in process.log))


def names_everybody(line: str) -> bool:
    """Whether a line of the log names all three processes with their roles and shards."""
    roles = (f"(bot {VERSION}, shards 0 of 2,", f"(bot {VERSION}, shards 1 of 2,", f"(worker {VERSION}, ")
    return all(words in line for words in roles)


def make_process(box: Sandbox, folder: Path, settings: Mapping[str, str], *arguments: str) -> BotProcess:
    folder.mkdir()
    return BotProcess(
        BOT_SCRIPT,
        environment=lambda: {**box.bot_environment(), **settings},
        data_dir=folder,
        now_ms=box.clock.now_ms,
        arguments=arguments,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(
    postgresql_maker: PostgresqlMaker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Processes]:
    folder = tmp_path_factory.mktemp("processes")
    address = await postgresql_maker.create(empty=True)
    everybody = {"DATABASE_URL": address, "CREDITS_PER_PERIOD": "1000", "MAX_IMAGES_PER_USER": "20"}
    async with Sandbox(
        data_dir=folder,
        bot_settings={**everybody, "REQUESTS_PER_MINUTE": "0"},
        seconds_per_image=IMAGE_SECONDS,
    ) as box:
        bots = [
            make_process(
                *(box, folder / f"bot-{number}"),
                {"SHARD_COUNT": str(SHARDS), "SHARD_PROCESS": str(number), "SHARD_PROCESSES": str(SHARDS)},
            )
            for number in range(SHARDS)
        ]
        worker = make_process(box, folder / "worker", {}, "worker")
        try:
            await asyncio.gather(*(process.start() for process in (*bots, worker)))
            await asyncio.gather(*(process.wait_ready(READY_SECONDS) for process in (*bots, worker)))
            yield Processes(RunningBot(box), bots, worker)
        finally:
            await asyncio.gather(*(process.stop(5) for process in (*bots, worker)))
    await postgresql_maker.drop(address)


async def test_each_process_starts_its_own_shards_and_one_sends_the_command_list(processes: Processes) -> None:
    box = processes.running.box
    gateway = box.discord.gateway
    assert sorted(str(session.shard) for session in gateway._sessions.values()) == ["(0, 2)", "(1, 2)"]
    assert gateway.identifies == 2, "the local Discord refuses a second one within 5 s"
    for number, bot in enumerate(processes.bots):
        assert any(f"ready: shard {number} of 2" in line for line in bot.log)
    assert any("ready: no shards" in line for line in processes.worker.log)
    assert [request.path for request in box.discord.requests if request.method == "PUT"][1:] == []
    assert sum("the command list was sent" in line for bot in processes.bots for line in bot.log) == 1


async def test_a_command_of_each_server_gets_its_image_while_its_bot_is_stopped(processes: Processes) -> None:
    """What Discord delivered before the end of a session is answered, and never refused because of the restart."""
    running = processes.running
    await processes.know_each_other()
    for bot, channel in zip(processes.bots, CHANNELS, strict=True):
        asked = await asyncio.gather(*(running.imagine("mira", channel, prompt="a kite") for _ in range(COMMANDS)))
        await bot.stop()
        for interaction_id in asked:
            answer = await running.answer("mira", interaction_id)
            assert "restarting" not in text(answer)
        assert not [line for line in bot.log if "cut off" in line or "Traceback" in line]
    assert not running.box.discord.is_connected, "the worker has no gateway"
    asked_last = asked[-1]
    await running.card("mira", asked_last)


async def test_at_the_end_no_rule_of_discord_was_broken(processes: Processes) -> None:
    running = processes.running
    for bot in processes.bots:
        await bot.start()
        await bot.wait_ready(READY_SECONDS)
    assert "credits" in await running.credits("mira")
    await processes.until(lambda: len(running.box.images.posts) == SHARDS * COMMANDS)
    assert [str(violation) for violation in running.box.discord.violations] == []
