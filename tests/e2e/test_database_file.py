"""The SQLite file of a real bot process: refused at the start, locked by one process, deleted while the bot runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.bot_process import BotState
from sandbox.world import Sandbox
from tests.e2e.commands import LONGEST_SECONDS, NOWHERE, SECRETS, run_bot
from tests.e2e.running_bot import READY_SECONDS, RunningBot, open_bot, text

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("database")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(folder: Path) -> AsyncIterator[RunningBot]:
    async with open_bot(folder) as opened:
        opened.box.discord.gateway.identify_spacing_ms = 0
        yield opened


async def test_the_owner_gets_one_alert_for_a_bad_file_however_often_the_bot_is_started(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path) as box:
        settings = box.bot_environment()
        (tmp_path / "bot.sqlite3").write_text("shopping list\n" * 500, "utf-8")
        for _ in range(2):
            ended = await run_bot(tmp_path, **settings)
            assert ended.code == 1
            assert ended.said.count("\n") == 1, ended.said
            assert not [secret for secret in (box.discord.token, box.images.key) if secret in ended.said]
        olga = box.discord.actor("olga")
        (alert,) = await olga.wait_for(lambda: olga.messages("dm"), LONGEST_SECONDS)
        assert "bot.sqlite3 is not a SQLite database" in text(alert)
        assert not box.discord.is_connected


async def test_a_running_bot_locks_its_file_and_a_killed_one_releases_it_at_once(
    bot: RunningBot, tmp_path: Path
) -> None:
    address = {"DATABASE_URL": bot.box.bot_environment()["DATABASE_URL"]}
    for words in ((), ("migrate",)):
        ended = await run_bot(tmp_path, *words, **SECRETS, **NOWHERE, **address)
        assert ended.code == 1
        assert f"bot.sqlite3 is in use by process {bot.box.bot.pid}: " in ended.said
        assert ended.said.count("\n") == 1
    await bot.box.bot.kill()
    await bot.box.bot.start()
    await bot.box.bot.wait_ready(READY_SECONDS)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX lets an open file be deleted")
async def test_a_file_deleted_while_the_bot_runs_ends_it_with_exit_code_1_and_an_alert(
    bot: RunningBot, folder: Path
) -> None:
    (folder / "bot.sqlite3").unlink()
    olga = bot.box.discord.actor("olga")
    (alert,) = await olga.wait_for(lambda: olga.messages("dm"), LONGEST_SECONDS)
    assert "bot.sqlite3 was deleted or replaced while the bot was running" in text(alert)
    assert "goes on working" not in text(alert)
    async with asyncio.timeout(LONGEST_SECONDS):
        while bot.box.bot.state is not BotState.DIED:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)
    lines = list(bot.box.bot.log)
    assert lines[-1] == "[sandbox] ended with exit code 1"
    assert sum("was deleted or replaced" in line for line in lines) == 2  # in the log, and as the last line
    assert not any("Traceback" in line for line in lines)
    assert not (folder / "bot.sqlite3").exists()
