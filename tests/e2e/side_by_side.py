"""Many stories with one bot at the same time, since most of each is waiting; and what its own books say of them."""

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
from tests.e2e.trial import LONG_SECONDS, Json, Trial

CALLBACK = r"^/interactions/\d+/[^/]+/callback$"

HELD = ("hold", -5, 5)
PAID = [HELD, ("settle", 0, -5)]
RETURNED = [HELD, ("release", 5, -5)]


@dataclass
class Books:
    """The bot's SQLite file, read while the bot writes it."""

    path: Path

    def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def states(self, generation_id: int) -> list[str]:
        """The states of its images."""
        return [row[0] for row in self._read("SELECT state FROM images WHERE generation_id = ?", generation_id)]

    def count(self, state: str) -> int:
        """Images in this state, of everybody."""
        return self._read("SELECT COUNT(*) FROM images WHERE state = ?", state)[0][0]

    def money(self, generation_id: int) -> list[tuple[str, int, int]]:
        """What the ledger holds of its images: (kind, change of available, change of held), in order."""
        return self._read(
            "SELECT kind, available_delta, held_delta FROM entries WHERE image_id LIKE ? ORDER BY number",
            f"{generation_id}-%",
        )

    def channel(self, generation_id: int) -> int:
        """Where it was asked for."""
        return self._read("SELECT channel_id FROM generations WHERE id = ?", generation_id)[0][0]

    def assert_sound(self) -> None:
        """Nothing is held at the end, and every account is the sum of its entries."""
        sums = "SELECT user_id, SUM(available_delta), SUM(held_delta) FROM entries GROUP BY user_id ORDER BY user_id"
        accounts = self._read("SELECT user_id, available, held FROM accounts ORDER BY user_id")
        assert accounts == self._read(sums)
        assert [account for account in accounts if account[2]] == []


@dataclass
class Stage:
    """A trial on which stories are told. A mood strikes its own image only. Asking is one at a time, since a fault of
    the first answer strikes whichever comes next."""

    trial: Trial
    books: Books
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    prompts: dict[int, str] = field(default_factory=dict[int, str])  # of all that was asked for
    quiet: asyncio.Event = field(default_factory=asyncio.Event)  # only stories that move the clock are left
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
        """/imagine, and wait for what becomes of the first answer and of the POST.

        *callback*: the fault that strikes the first answer, *taken*: and whether an image is asked for in spite of it;
        *mood*: the mood in which the task lives; *before*: done at the very moment before it is typed.
        """
        box = self.trial.box
        async with self.asking:
            fault = box.discord.faults.rest("POST", CALLBACK, **callback) if callback else None
            prompt = f"story {len(self.prompts)} of {person}"
            if mood is not None:
                box.images.aim_mood(prompt, mood)
            if before is not None:
                before()
            asked = await self.trial.imagine(person, channel, prompt=prompt, size="768*1024")
            self.prompts[asked] = prompt
            if fault is not None:
                await self.until(lambda: fault.left == 0)
            if taken:
                await self.until(lambda: self.posts_of(asked))
        return asked

    def posts_of(self, asked: int) -> list[Post]:
        """The POSTs that were made for it."""
        return [post for post in self.trial.box.images.posts if self.prompts[asked] in str(post.body)]

    async def painting(self, person: str, channel: str = "gallery") -> tuple[int, Json]:
        """/imagine, until the card says that it is being made."""
        asked = await self.ask(person, channel)
        return asked, await self.trial.card_saying(person, asked, "Painting")

    def fault_of(self, person: str, asked: int, **fault: Any) -> RestFault:
        """A fault of the edits by this interaction's token."""
        token = self.trial.box.discord.actor(person).interaction(asked).token
        return self.trial.box.discord.faults.rest("PATCH", f"/{token}/", **fault)

    def faults_of_our_own(self) -> list[str]:
        """Lines of the bot's whole log that no bad day of others explains."""
        log = self.books.path.with_name("bot.log").read_text("utf-8")
        return [line for line in log.splitlines() if "Traceback" in line or "fault of our own" in line]

    def task_of(self, asked: int) -> Task:
        """The task that the image service made of it."""
        [task_id] = [post.task_id for post in self.posts_of(asked) if post.task_id]
        return self.trial.box.images.tasks[task_id]

    @asynccontextmanager
    async def the_clock(self) -> AsyncGenerator[None]:
        """Time jumps for everybody, over leases and deadlines: so nobody else's image may be under way, but those of
        stories that move the clock themselves, each in its turn."""
        await self.quiet.wait()
        async with self.moving:
            yield

    async def state(self, asked: int, state: str, *, seconds: float = LONG_SECONDS) -> None:
        """Wait until the books say so."""
        await self.until(lambda: self.books.states(asked) == [state], seconds)

    async def until(self, happened: Callable[[], object], seconds: float = LONG_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not happened():  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.02)


Story = Callable[[Stage], Awaitable[None]]


async def tell(
    stage: Stage, stories: Mapping[str, Story], movers: Mapping[str, Story] | None = None
) -> dict[str, BaseException | None]:
    """Tell them all at once; *movers* are those that use the_clock(). What each one ended with: None is well."""
    moving = asyncio.gather(*(story(stage) for story in (movers or {}).values()), return_exceptions=True)
    told = await asyncio.gather(*(story(stage) for story in stories.values()), return_exceptions=True)
    stage.quiet.set()
    return dict(zip([*stories, *(movers or {})], [*told, *await moving], strict=True))
