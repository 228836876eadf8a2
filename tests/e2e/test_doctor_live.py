"""`python bot.py doctor --live` as a process of its own, beside a bot that runs."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from doctor.live.button_steps import LABEL
from doctor.live.command_steps import build_command
from sandbox.bot_process import BotState
from sandbox.local_discord import Actor
from sandbox.world import BOT_SCRIPT
from tests.e2e.running_bot import LONG_SECONDS, RunningBot

PLACES = {
    "--live": "gallery",
    "--private-thread": "night-watch",
    "--without-files": "no-files",
    "--without-bot": "slipway",
}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Doctor:
    """The process, and the lines that it has printed."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list[str])

    async def until(self, beginning: str) -> str:
        """Read lines until one begins so, and return it; at the end of the output an empty one."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LONG_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                self.said.append(line.rstrip("\n"))
                if line.startswith(beginning):
                    return self.said[-1]
        return ""

    async def end(self) -> int:
        """Read the rest, and return the exit code."""
        await self.until("\0")
        async with asyncio.timeout(LONG_SECONDS):
            return await self.process.wait()


async def start(folder: Path, environment: Mapping[str, str], *words: str) -> Doctor:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BOT_SCRIPT), "doctor", *words),
        cwd=folder,
        env={"LOG_LEVEL": "WARNING", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    return Doctor(process)


def of_the_doctor(actor: Actor, application_id: int) -> list[str]:
    """The ids of the messages of the bot that a person sees."""
    seen = [message for channel in ("gallery", "no-files", "dm") for message in actor.messages(channel)]
    return [message["id"] for message in seen if int(message["author"]["id"]) == application_id]


async def test_beside_a_running_bot_all_is_as_expected_and_the_bot_leaves_the_press_alone(
    bot: RunningBot, tmp_path: Path
) -> None:
    local, olga = bot.box.discord, bot.box.discord.actor("olga")
    commands, words = local.commands, ["--report", "report.md"]
    for option, channel in PLACES.items():
        words += [option, str(local.channels[channel].id)]
    doctor = await start(tmp_path, bot.box.bot_environment(), *words)
    lines, pressed = list(bot.box.bot.log), list[int]()
    for _ in range(2):
        asked = await doctor.until("Press the button within 120 s: https://discord.com/channels/")
        pressed.append(await olga.press(int(asked.rpartition("/")[2]), LABEL))
    assert await doctor.end() == 0, "\n".join(doctor.said)
    assert [line for line in doctor.said if line.startswith(("warn", "FAIL"))] == [], doctor.said
    assert "ok    button: upload into the deferred response" in "\n".join(doctor.said)
    assert doctor.said[-1] == "written: report.md"
    answers = [each for each in local.requests if each.path.startswith("/interactions/")]
    assert [each.status for each in answers] == [200, 200], "one answer to each press: the doctor's"
    news = [line for line in bot.box.bot.log if line not in lines]
    assert [line for line in news if "INFO" not in line or any(str(each) in line for each in pressed)] == []
    assert bot.box.bot.state is BotState.RUNNING
    assert of_the_doctor(olga, local.application_id) == []
    assert bot.box.images.posts == []
    assert local.commands == commands
    imagine = next(command for command in commands if command["name"] == "imagine")
    asked_for = {key: build_command("doctor")[key] for key in ("integration_types", "contexts")}
    assert asked_for == {key: imagine[key] for key in asked_for}, "as the bot asks for its own"


async def test_sigterm_removes_what_was_made_and_wrong_words_get_the_usage(bot: RunningBot, tmp_path: Path) -> None:
    local, channel_id = bot.box.discord, str(bot.box.discord.channels["gallery"].id)
    doctor = await start(tmp_path, bot.box.bot_environment(), "--live", channel_id)
    await doctor.until("ok    edit: the first picture")
    assert of_the_doctor(local.actor("olga"), local.application_id) != []
    doctor.process.send_signal(signal.SIGTERM)
    assert await doctor.end() == 130
    assert of_the_doctor(local.actor("olga"), local.application_id) == []
    wrong = await start(tmp_path, bot.box.bot_environment(), "--live", "gallery")
    assert await wrong.end() == 64
    assert wrong.said[-1].endswith("'gallery' is no id of Discord's (Developer Mode, then Copy Channel ID)")
