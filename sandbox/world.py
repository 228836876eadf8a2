"""The sandbox: local Discord, image API, page and panel on one port, and the real bot as a process beside them.

Used by `python -m sandbox` and by the end-to-end tests. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from sandbox.bot_process import BotProcess
from sandbox.clock import SandboxClock
from sandbox.guard import guard
from sandbox.image_api import API_PATH, ImageApi, attach_image_api
from sandbox.local_discord import LocalDiscord
from sandbox.page_files import attach_page
from sandbox.panel import Panel
from sandbox.shards import SHARD_COUNT, ProcessShards

HOST = "127.0.0.1"
BOT_SCRIPT = Path(__file__).resolve().parents[1] / "bot.py"
CLOCK_SHIM = Path(__file__).resolve().with_name("clock_shim")
CLOCK_FILE = "clock_offset_ms"  # in the data folder
LARGEST_REQUEST_BYTES = 32 * 1024 * 1024  # above Discord's 25 MiB, so that the local Discord itself refuses more
STOP_SECONDS = 5.0
MAX_CONCURRENCY = 2  # of several processes, so that the buckets of IDENTIFY are seen; Discord gives a small bot 1


class Sandbox:
    """An async context manager that listens while open. It does not start the bot: `await box.bot.start()`.

    *port* 0: any free port. *bot_settings* override the bot's other settings. *seed* decides all that is random.
    *seconds_per_image*: how long the image API takes. *data_dir*: the bot's database, its log and the clock.
    *processes*: several of the bot (`bots`; `bot` is the first) that divide the shards; these need a DATABASE_URL of
    PostgreSQL in *bot_settings*, and each has a folder of its own for its log.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        port: int = 0,
        bot_settings: Mapping[str, str] | None = None,
        seed: int = 0,
        seconds_per_image: tuple[float, float] = (6.0, 9.0),
        bot_script: Path = BOT_SCRIPT,
        processes: int = 1,
    ) -> None:
        data_dir = data_dir.resolve()
        data_dir.mkdir(parents=True, exist_ok=True)
        self.url = ""
        self._port = port
        self._data_dir = data_dir
        self._bot_settings = dict(bot_settings or {})
        self._clock_file = data_dir / CLOCK_FILE
        self.clock = SandboxClock(self._clock_file)
        self.discord = LocalDiscord(self.clock, rng=random.Random(f"{seed} discord"))
        self.images = ImageApi(self.clock, rng=random.Random(f"{seed} images"))
        self.images.seconds_per_image = seconds_per_image
        self.shards = [ProcessShards(self.discord.gateway, number, processes) for number in range(processes)]
        self.bots = [self._make_bot(bot_script, shards) for shards in self.shards]
        self.bot = self.bots[0]
        if processes > 1:
            self.discord.gateway.shards = SHARD_COUNT
            self.discord.gateway.max_concurrency = MAX_CONCURRENCY
        self._runner = web.AppRunner(self._build_app(), access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError when the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the bot first, while it can still finish its work, then the rest."""
        try:
            await asyncio.gather(*(bot.stop(STOP_SECONDS) for bot in self.bots))
        finally:
            await self.discord.close()
            await self._runner.cleanup()

    def _build_app(self) -> web.Application:
        app = web.Application(middlewares=[guard], client_max_size=LARGEST_REQUEST_BYTES)
        self.discord.attach(app, lambda: self.url)
        attach_image_api(app, self.images, lambda: self.url)
        Panel(bots=self.bots, shards=self.shards, images=self.images, discord=self.discord, clock=self.clock).attach(
            app
        )
        attach_page(app, lambda: self.url)
        return app

    def _make_bot(self, script: Path, shards: ProcessShards) -> BotProcess:
        data_dir = self._data_dir
        if len(self.shards) > 1:
            data_dir = data_dir / f"process-{shards.process}"
            data_dir.mkdir(exist_ok=True)
        return BotProcess(
            script,
            environment=lambda: {**self.bot_environment(), **shards.settings()},
            data_dir=data_dir,
            now_ms=self.clock.now_ms,
            is_connected=shards.are_connected,
        )

    def bot_environment(self) -> dict[str, str]:
        """Return a bot's environment without its shards: the settings of production, for this sandbox and its clock."""
        settings = {
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "QWEN_API_KEY": self.images.key,
            "QWEN_API_URL": f"{self.url}{API_PATH}",
            "QWEN_IMAGE_HOSTS": HOST,
            "DATABASE_URL": f"sqlite:///{self._data_dir / 'bot.sqlite3'}",
            "OWNER_IDS": str(self.discord.people["olga"].id),
        }
        return {
            **settings,
            **self._bot_settings,
            "PYTHONPATH": str(CLOCK_SHIM),
            "SANDBOX_CLOCK_FILE": str(self._clock_file),
        }
