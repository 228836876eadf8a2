"""`python bot.py doctor` as its own process: beside a running bot, with faults, and with settings that are wrong."""

from __future__ import annotations

import os
from pathlib import Path

from sandbox.__main__ import find_callback_settings
from sandbox.world import Sandbox
from tests.e2e.commands import Ended, run_bot
from tests.e2e.running_bot import READY_SECONDS

DEPENDS_ON_THE_MACHINE = {"disk", "free space"}


def levels(ended: Ended) -> dict[str, set[str]]:
    """The levels of each check, by the words of the table."""
    found: dict[str, set[str]] = {}
    for line in ended.written.splitlines():
        if line.startswith(("ok  ", "warn", "FAIL")):
            found.setdefault(line[6:].split("  ")[0], set()).add(line[:4].strip())
    return {check: words for check, words in found.items() if check not in DEPENDS_ON_THE_MACHINE}


async def test_beside_a_running_bot_all_is_well_and_each_fault_made_on_purpose_is_found(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path / "data", bot_settings=find_callback_settings()) as box:
        (tmp_path / "elsewhere").mkdir()
        environment = box.bot_environment()
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        files = sorted(os.listdir(tmp_path / "data"))
        well = await run_bot(tmp_path / "elsewhere", "doctor", **environment)
        assert sorted(os.listdir(tmp_path / "data")) == files
        checks = ("token", "clock", "application", "installs", "invite link", "servers", "commands", "API key")
        expected = {check: {"ok"} for check in ("settings", *checks, "database", "migrations", "PUBLIC_URL")}
        assert levels(well) == {**expected, "links": {"warn"}}, well.written
        assert (well.code, well.said) == (0, "")
        assert "It answers as the bot does, which runs here." in well.written

        box.clock.advance(3600)  # the bot's clock and not that of the HTTP server
        broken = await run_bot(
            tmp_path / "elsewhere", "doctor", **{**environment, "DISCORD_TOKEN": "canary.token", "PUBLIC_URL": box.url}
        )
        assert {check for check, words in levels(broken).items() if "FAIL" in words} == {"token", "clock", "PUBLIC_URL"}
        assert broken.code == 1
        assert "canary" not in broken.written + broken.said and "\x1b" not in broken.written
        assert box.discord.violations == []
        assert os.listdir(tmp_path / "elsewhere") == []


async def test_wrong_settings_are_findings_as_many_as_there_are_and_exit_code_78(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, "doctor", PORT="x", CREDIT_PERIOD="canary", QWEN_API_KEY="sk-canary", QWEN_FOO="1")
    assert (ended.code, ended.said) == (78, "")
    rows = [line for line in ended.written.splitlines() if line[:4] in ("FAIL", "warn")]
    assert [row.split()[:3] for row in rows] == [
        ["FAIL", "settings", "DISCORD_TOKEN"],
        ["FAIL", "settings", "CREDIT_PERIOD"],
        ["FAIL", "settings", "PORT"],
        ["warn", "settings", "QWEN_FOO"],
    ]
    assert "canary" not in ended.written
    assert ended.written.endswith("\n3 FAIL, 1 warn, 0 ok\n")


async def test_a_fault_between_settings_is_told_beside_the_other_checks(tmp_path: Path) -> None:
    here = "http://127.0.0.1:9"
    ended = await run_bot(
        *(tmp_path, "doctor"),
        **{"DISCORD_TOKEN": "a.b.c", "QWEN_API_KEY": "sk-canary", "DYNO": "worker.1"},
        **{"DISCORD_API_URL": f"{here}/api/v10", "QWEN_API_URL": f"{here}/api", "SHARD_PROCESS": "1"},
    )
    assert ended.code == 78
    found = levels(ended)
    assert (found["settings"], found["token"], found["API key"], found["database"]) == (
        *({"FAIL"}, {"FAIL"}, {"FAIL"}, {"warn"}),
    )
    assert os.listdir(tmp_path) == []
