"""A bot with a PORT, as a monitor sees it."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from observability.metrics import PREFIX
from sandbox.__main__ import find_callback_settings
from tests.e2e.running_bot import LONG_SECONDS, RunningBot, open_bot, text
from tests.e2e.test_command_line import run_bot

EPHEMERAL = 1 << 6  # Discord docs: Message Flags
WELL, READY = (200, "well\n"), (200, "ready\n")


@dataclass
class Monitored:
    """A bot whose pages are at *base*. *folder*: of the sandbox, with the bot's log."""

    bot: RunningBot
    folder: Path
    base: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.base + path) as answer:
            return answer.status, await answer.text()

    async def until(self, path: str, holds: Callable[[int, str], bool]) -> str:
        """Ask until an answer *holds*, and return its text."""
        async with asyncio.timeout(LONG_SECONDS):
            while True:
                try:
                    status, said = await self.get(path)
                except aiohttp.ClientError:
                    status, said = 0, ""
                if holds(status, said):
                    return said
                await asyncio.sleep(0.2)

    async def metrics(self) -> dict[str, float]:
        """The series of /metrics by name with labels, without the prefix."""
        status, said = await self.get("/metrics")
        assert status == 200
        lines = re.findall(rf"^{PREFIX}(\S+?(?:{{.*}})?) (\S+)$", said, re.MULTILINE)
        return {name: float(value) for name, value in lines}

    async def until_the_database_is_down(self) -> dict[str, float]:
        """Wait until health and readiness say that the database does not answer, and return what metrics say then."""
        for path in ("/healthz", "/readyz"):
            await self.until(path, lambda status, said: status == 503 and "the database does not answer" in said)
        return await self.metrics()

    async def until_the_database_is_up(self) -> None:
        """Wait until health, readiness and metrics say so."""
        await self.until("/healthz", lambda status, _: status == 200)
        await self.until("/readyz", lambda status, _: status == 200)
        await self.until("/metrics", lambda _, said: f"\n{PREFIX}database_up 1.0\n" in said)

    async def refused(self, person: str) -> tuple[int, str]:
        """Type /imagine. Return the interaction's id and the sentence that this person alone reads."""
        asked = await self.bot.imagine(person, prompt="a boat that nobody can note down")
        said = await self.bot.answer(person, asked)
        assert said["flags"] & EPHEMERAL
        return asked, text(said)

    async def alert(self) -> str:
        """The first direct message to the owner."""
        olga = self.bot.box.discord.actor("olga")
        return text((await olga.wait_for(lambda: olga.messages("dm"), LONG_SECONDS))[0])

    def log(self) -> str:
        """The whole log of the bot."""
        return (self.folder / "bot.log").read_text("utf-8")

    async def entries(self, *asked: int) -> list[list[tuple[str, int, int]]]:
        """For each of these requests the ledger's entries for its images: (kind, change of available, change of held).

        Asserts that the ledger has no fault.
        """
        settings = self.bot.box.bot_environment()
        checked = await run_bot(self.folder, "ledger", "check", **settings)
        assert (checked.code, checked.written) == (0, "The ledger has no fault.\n"), checked.said
        exported = await run_bot(self.folder, "ledger", "export", **settings)
        rows = list(csv.DictReader(exported.written.splitlines()))
        return [
            [
                (row["kind"], int(row["available_delta"]), int(row["held_delta"]))
                for row in rows
                if row["image_id"].startswith(f"{each}-")
            ]
            for each in asked
        ]


@asynccontextmanager
async def open_monitored(folder: Path, **settings: str) -> AsyncIterator[Monitored]:
    """Start a bot with these settings and a PORT, and wait until it is connected."""
    port = find_callback_settings()["PORT"]
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        open_bot(folder, PORT=port, **settings) as bot,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield Monitored(bot, folder, f"http://127.0.0.1:{port}", session)
