"""The SQLite file of a real bot process: refused at the start, used by one process at a time, lost under the bot."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from sandbox.bot_process import BotState
from sandbox.world import Sandbox
from tests.e2e.test_command_line import BOT, DEFER_AFTER_SECONDS, NOWHERE, SECRETS, run_bot
from tests.e2e.trial import open_trial, text

HOLDER = """
import sys, time
from store.sole_use import sole_use
with sole_use(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("words", [(), ("migrate",)])
async def test_a_file_that_is_no_database_ends_the_start_with_one_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "imagine.db").write_text("shopping list\n" * 500, "utf-8")
    ended = await run_bot(tmp_path, *words, **SECRETS, **NOWHERE)
    assert ended.code == 1
    assert re.fullmatch(r"data/imagine\.db is not a SQLite database: .*DATABASE_URL\n", ended.said)


async def test_the_owner_is_told_of_it_once_however_often_it_is_started(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path) as box:
        settings = box.bot_environment()
        (tmp_path / "bot.sqlite3").write_text("shopping list\n" * 500, "utf-8")
        for _ in range(2):
            ended = await run_bot(tmp_path, **settings)
            assert ended.code == 1
            assert ended.said.count("\n") == 1, ended.said
        olga = box.discord.actor("olga")
        (told,) = await olga.wait_for(lambda: olga.messages("dm"), DEFER_AFTER_SECONDS)
        assert "bot.sqlite3 is not a SQLite database" in text(told)
        assert not box.discord.is_connected


async def test_a_second_process_is_refused_with_the_file_and_the_process_that_has_it_until_that_is_killed(
    tmp_path: Path,
) -> None:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, "sqlite:///data/imagine.db"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(BOT.parent)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        async with asyncio.timeout(DEFER_AFTER_SECONDS):
            assert await holder.stdout.readline() == b"held\n"
        for words in ((), ("migrate",)):
            ended = await run_bot(tmp_path, *words, **SECRETS, **NOWHERE)
            assert ended.code == 1
            assert ended.said.startswith(f"data/imagine.db is in use by process {holder.pid}: ")
            assert ended.said.count("\n") == 1
    finally:
        holder.kill()
        await holder.wait()
    ended = await run_bot(tmp_path, "migrate", **SECRETS)
    assert ended.code == 0, ended.said


async def test_a_running_bot_keeps_other_processes_out_and_a_killed_one_lets_them_in_at_once(tmp_path: Path) -> None:
    async with open_trial(tmp_path) as trial:
        address = {"DATABASE_URL": trial.box.bot_environment()["DATABASE_URL"]}
        ended = await run_bot(tmp_path, "migrate", **SECRETS, **address)
        assert ended.code == 1
        assert f"is in use by process {trial.box.bot.pid}: " in ended.said
        await trial.box.bot.kill()
        ended = await run_bot(tmp_path, "migrate", **SECRETS, **address)
        assert ended.code == 0, ended.said


@pytest.mark.skipif(os.name != "posix", reason="only POSIX lets an open file be deleted")
async def test_a_file_that_is_deleted_under_the_bot_ends_it_with_exit_code_1_and_the_owner_is_told(
    tmp_path: Path,
) -> None:
    async with open_trial(tmp_path) as trial:
        (tmp_path / "bot.sqlite3").unlink()
        olga = trial.box.discord.actor("olga")
        (told,) = await olga.wait_for(lambda: olga.messages("dm"), DEFER_AFTER_SECONDS)
        assert "bot.sqlite3 was deleted or replaced while the bot was running" in text(told)
        assert "goes on working" not in text(told)
        async with asyncio.timeout(DEFER_AFTER_SECONDS):
            while trial.box.bot.state is not BotState.DIED:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.05)
        lines = list(trial.box.bot.log)
        assert lines[-1] == "[sandbox] ended with exit code 1"
        assert sum("was deleted or replaced" in line for line in lines) == 2  # in the log, and as the last word
        assert not any("Traceback" in line for line in lines)
        assert not (tmp_path / "bot.sqlite3").exists()
