"""The SQLite file of a real bot process: refused at the start, locked by one process, deleted while the bot runs."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from sandbox.bot_process import BotState
from sandbox.world import Sandbox
from tests.e2e.running_bot import open_bot, text
from tests.e2e.test_command_line import LONGEST_SECONDS, NOWHERE, SECRETS, run_bot


async def test_a_file_that_is_no_database_ends_migrate_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "imagine.db").write_text("shopping list\n" * 500, "utf-8")
    ended = await run_bot(tmp_path, "migrate", **SECRETS, **NOWHERE)
    assert ended.code == 1
    assert re.fullmatch(r"data/imagine\.db is not a SQLite database: .*DATABASE_URL\n", ended.said)


async def test_the_owner_gets_one_alert_for_a_bad_file_however_often_the_bot_is_started(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path) as box:
        settings = box.bot_environment()
        (tmp_path / "bot.sqlite3").write_text("shopping list\n" * 500, "utf-8")
        for _ in range(2):
            ended = await run_bot(tmp_path, **settings)
            assert ended.code == 1
            assert ended.said.count("\n") == 1, ended.said
        olga = box.discord.actor("olga")
        (alert,) = await olga.wait_for(lambda: olga.messages("dm"), LONGEST_SECONDS)
        assert "bot.sqlite3 is not a SQLite database" in text(alert)
        assert not box.discord.is_connected


async def test_a_running_bot_locks_its_file_and_a_killed_one_releases_it_at_once(tmp_path: Path) -> None:
    async with open_bot(tmp_path) as bot:
        address = {"DATABASE_URL": bot.box.bot_environment()["DATABASE_URL"]}
        for words in ((), ("migrate",)):
            ended = await run_bot(tmp_path, *words, **SECRETS, **NOWHERE, **address)
            assert ended.code == 1
            assert f"bot.sqlite3 is in use by process {bot.box.bot.pid}: " in ended.said
            assert ended.said.count("\n") == 1
        await bot.box.bot.kill()
        ended = await run_bot(tmp_path, "migrate", **SECRETS, **address)
        assert ended.code == 0, ended.said


@pytest.mark.skipif(os.name != "posix", reason="only POSIX lets an open file be deleted")
async def test_a_file_deleted_while_the_bot_runs_ends_it_with_exit_code_1_and_an_alert(
    tmp_path: Path,
) -> None:
    async with open_bot(tmp_path) as bot:
        (tmp_path / "bot.sqlite3").unlink()
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
        assert not (tmp_path / "bot.sqlite3").exists()
