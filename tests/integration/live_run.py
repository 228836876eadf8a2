"""Run `doctor --live` in this process against the sandbox, and look at what it said and what it left behind."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discord.gateway import DiscordWebSocket
from discord.http import Route

from doctor.live.arguments import LiveOptions
from doctor.live.button_steps import LABEL
from doctor.live.run import Surroundings, run_live
from sandbox.__main__ import find_callback_settings
from sandbox.image_api import API_PATH
from sandbox.local_discord.rules.rate_limits import RateLimits
from sandbox.world import HOST, Sandbox
from tests.doubles import make_settings


@dataclass
class FastClock:
    """Real time, but a sleep of the doctor's own returns soon and moves the monotonic clock."""

    moved: float = 0.0
    longest: float = 60.0  # a longer sleep never ends: what it waits for comes

    def now_ms(self) -> int:
        return round(time.time() * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self.moved

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.01 if seconds <= self.longest else 3600)
        self.moved += seconds


class NoLimits(RateLimits):
    """Buckets that are never empty: discord.py would wait for seconds."""

    def take(self, bucket: str, resource: str, limit: Any) -> Any:
        self._windows.clear()
        return super().take(bucket, resource, limit)


@dataclass
class LiveRun:
    """What a run said, and what it left behind."""

    box: Sandbox
    folder: Path
    said: list[str] = field(default_factory=list)
    heard: Callable[[str], None] = lambda _: None
    clock: FastClock = field(default_factory=FastClock)

    async def run(self, channel: str = "gallery", *, settings: dict[str, str] | None = None, **options: Any) -> int:
        """Run the doctor in a channel of the sandbox."""
        box, named = self.box, settings or {}
        known = make_settings(
            discord_token=named.get("DISCORD_TOKEN", box.discord.token),
            discord_api_url=box.discord.api_url,
            discord_gateway_url=box.discord.gateway_url,
            qwen_api_key=box.images.key,
            qwen_api_url=f"{box.url}{API_PATH}",
            qwen_image_hosts=(HOST,),
            owner_ids=(box.discord.people["olga"].id,),
            public_url=named.get("PUBLIC_URL", ""),
            port=int(named.get("PORT", "8080")),
        )
        chosen = LiveOptions(self.box.discord.channels[channel].id, **{"with_button": False, **options})
        around = Surroundings(self.clock, random.Random(5), self._say)
        before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
        try:
            return await run_live(known, chosen, around)
        finally:
            Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before

    def press_by(self, person: str) -> None:
        """Have *person* press the button once it is asked for."""

        def press(line: str) -> None:
            if line.startswith("Press the button"):
                actor = self.box.discord.actor(person)
                asyncio.get_running_loop().create_task(actor.press(int(line.rpartition("/")[2]), LABEL))

        self.heard = press

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.heard(line)

    def surprises(self) -> list[str]:
        """The steps that were not as expected."""
        steps = [line[6:].partition(": Discord said")[0] for line in self.said if line.startswith(("warn", "FAIL"))]
        return [step.partition(": not tried")[0].partition(": nobody")[0].partition(": message")[0] for step in steps]

    def when(self, beginning: str, act: Callable[[], object]) -> None:
        """Call *act* at each line that begins so, before what was asked for earlier."""
        earlier = self.heard

        def hear(line: str) -> None:
            if line.startswith(beginning):
                act()
            earlier(line)

        self.heard = hear

    def places(self) -> dict[str, Any]:
        """The options that name places, with those of the sandbox."""
        names = {"private_thread_id": "night-watch", "without_files_id": "no-files", "without_bot_id": "slipway"}
        return {option: self.box.discord.channels[name].id for option, name in names.items()}

    def callback_settings(self) -> dict[str, str]:
        """Settings for callbacks on a port that is free."""
        return find_callback_settings()

    def line_of(self, step: str) -> str:
        """The line of one step."""
        [line] = [line for line in self.said if line[6:].startswith(f"{step}: ")]
        return line

    def advice_of(self, step: str) -> str:
        """The line below the line of one step: what takes care of it."""
        return self.said[self.said.index(self.line_of(step)) + 1]

    def command_names(self) -> list[str]:
        """The names of the application's global commands."""
        return [command["name"] for command in self.box.discord.commands]

    def left_behind(self) -> set[str]:
        """The ids of the bot's messages that are still there, and the names of the doctor's commands."""
        discord = self.box.discord
        return {
            message["id"]
            for person in ("olga", "mira")
            for channel in ("gallery", "night-watch", "no-files", "dm")
            for message in discord.actor(person).messages(channel)
            if int(message["author"]["id"]) == discord.application_id
        } | {name for name in self.command_names() if name.startswith("doctor-")}


@asynccontextmanager
async def open_live_run(folder: Path) -> AsyncIterator[LiveRun]:
    """Start a sandbox without rate limits."""
    async with Sandbox(data_dir=folder / "box", seconds_per_image=(0.01, 0.02)) as box:
        box.discord.rest.limits = NoLimits(box.clock)
        box.discord.gateway.identify_spacing_ms = 0
        yield LiveRun(box, folder)
