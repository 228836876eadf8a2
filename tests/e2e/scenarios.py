"""Runs many scenarios with one bot at the same time, since each mostly waits, and reads the bot's database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.image_api import Post
from sandbox.image_api.moods import Mood
from sandbox.image_api.tasks import Task
from sandbox.local_discord.faults import RestFault
from tests.e2e.running_bot import LONG_SECONDS, Json, RunningBot

CALLBACK = r"^/interactions/\d+/[^/]+/callback$"

HELD = ("hold", -5, 5)
PAID = [HELD, ("settle", 0, -5)]
RETURNED = [HELD, ("release", 5, -5)]


@dataclass
class BotDatabase:
    """The bot's SQLite file, read while the bot writes it."""

    path: Path

    def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def states(self, generation_id: int) -> list[str]:
        """The states of its images, by position."""
        return [row[0] for row in self._read("SELECT state FROM images WHERE generation_id = ?", generation_id)]

    def count(self, state: str) -> int:
        """How many images of all people are in this state."""
        return self._read("SELECT COUNT(*) FROM images WHERE state = ?", state)[0][0]

    def entries(self, generation_id: int) -> list[tuple[str, int, int]]:
        """The ledger's entries for its images: (kind, change of available, change of held), in order."""
        return self._read(
            "SELECT kind, available_delta, held_delta FROM entries WHERE image_id LIKE ? ORDER BY number",
            f"{generation_id}-%",
        )

    def channel(self, generation_id: int) -> int:
        """The id of the channel where it was asked for."""
        return self._read("SELECT channel_id FROM generations WHERE id = ?", generation_id)[0][0]

    def assert_balanced(self) -> None:
        """Assert that nothing is held and that every account is the sum of its entries."""
        sums = "SELECT user_id, SUM(available_delta), SUM(held_delta) FROM entries GROUP BY user_id ORDER BY user_id"
        accounts = self._read("SELECT user_id, available, held FROM accounts ORDER BY user_id")
        assert accounts == self._read(sums)
        assert [account for account in accounts if account[2]] == []


@dataclass
class SharedBot:
    """A bot on which scenarios run at once. A mood holds for one scenario's image only. One /imagine is typed at a
    time, since a fault of the first response would hit whichever comes next."""

    bot: RunningBot
    rows: BotDatabase
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    prompts: dict[int, str] = field(default_factory=dict[int, str])  # interaction id -> prompt, of all requests
    quiet: asyncio.Event = field(default_factory=asyncio.Event)  # set when only scenarios that move the clock are left
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(
        self,
        person: str,
        channel: str = "gallery",
        *,
        callback: Mapping[str, Any] | None = None,
        mood: Mood | None = None,
        taken: bool = True,
        before: Callable[[], object] | None = None,
    ) -> int:
        """Type /imagine, wait for the first response and the POST, and return the interaction's id.

        *callback*: a fault of the first response; *taken*: whether the image is POSTed in spite of it; *mood*: of this
        image's task; *before*: called just before /imagine is typed.
        """
        box = self.bot.box
        async with self.asking:
            fault = box.discord.faults.rest("POST", CALLBACK, **callback) if callback else None
            prompt = f"scenario {len(self.prompts)} of {person}"
            if mood is not None:
                box.images.aim_mood(prompt, mood)
            if before is not None:
                before()
            asked = await self.bot.imagine(person, channel, prompt=prompt, size="768*1024")
            self.prompts[asked] = prompt
            if fault is not None:
                await self.until(lambda: fault.left == 0)
            if taken:
                await self.until(lambda: self.posts_of(asked))
        return asked

    def posts_of(self, asked: int) -> list[Post]:
        """The POSTs that were made for this request."""
        return [post for post in self.bot.box.images.posts if self.prompts[asked] in str(post.body)]

    async def painting(self, person: str, channel: str = "gallery") -> tuple[int, Json]:
        """Type /imagine and wait until the card says "Painting"; return the interaction's id and the card."""
        asked = await self.ask(person, channel)
        return asked, await self.bot.card_saying(person, asked, "Painting")

    def fault_of(self, person: str, asked: int, **fault: Any) -> RestFault:
        """Make the edits by this interaction's token fail."""
        token = self.bot.box.discord.actor(person).interaction(asked).token
        return self.bot.box.discord.faults.rest("PATCH", f"/{token}/", **fault)

    def own_faults(self) -> list[str]:
        """The lines of the bot's whole log that report a fault of the bot itself."""
        log = self.rows.path.with_name("bot.log").read_text("utf-8")
        return [line for line in log.splitlines() if "Traceback" in line or "fault of our own" in line]

    def task_of(self, asked: int) -> Task:
        """The image API's task for this request."""
        [task_id] = [post.task_id for post in self.posts_of(asked) if post.task_id]
        return self.bot.box.images.tasks[task_id]

    @asynccontextmanager
    async def move_clock(self) -> AsyncGenerator[None]:
        """Let one scenario move the clock, after all scenarios that do not move it: a jump over leases and deadlines
        affects every image in flight."""
        await self.quiet.wait()
        async with self.moving:
            yield

    async def state(self, asked: int, state: str, *, seconds: float = LONG_SECONDS) -> None:
        """Wait until its only image is in this state."""
        await self.until(lambda: self.rows.states(asked) == [state], seconds)

    async def until(self, happened: Callable[[], object], seconds: float = LONG_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not happened():  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.1)


Scenario = Callable[[SharedBot], Awaitable[None]]


async def run_scenarios(
    shared: SharedBot, scenarios: Mapping[str, Scenario], clock_scenarios: Mapping[str, Scenario] | None = None
) -> dict[str, BaseException | None]:
    """Run all scenarios at once; *clock_scenarios* use move_clock(). Return each one's exception, or None."""
    moving = asyncio.gather(
        *(scenario(shared) for scenario in (clock_scenarios or {}).values()), return_exceptions=True
    )
    ended = await asyncio.gather(*(scenario(shared) for scenario in scenarios.values()), return_exceptions=True)
    shared.quiet.set()
    return dict(zip([*scenarios, *(clock_scenarios or {})], [*ended, *await moving], strict=True))
