"""The real bot, one process or two, in a sandbox; and the hands that carry out a plan there.

Knows how to hurt and how to ask, and writes down when it did; judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sandbox.bot_process import BotProcess, BotState
from sandbox.image_api import Mood, Post
from sandbox.local_discord.people.command_checks import Refused
from sandbox.world import Sandbox
from tests.chaos.bots import find_ports, folder_of, make_bot
from tests.chaos.diary import Diary
from tests.chaos.plan import (
    AskCredits,
    Deed,
    DiscordTrouble,
    Event,
    Imagine,
    Kill,
    RestartDatabase,
    SetMood,
    Stop,
    StopPoster,
)
from tests.chaos.postgres import Postgres, open_postgres

READY_SECONDS = 60.0
SECONDS_PER_IMAGE = (1.0, 5.0)
ANSWER_SECONDS = (0.05, 0.5)  # as over a real network, so that a kill can fall into a request
DUEL_ANSWER_SECONDS = (2.0, 3.0)  # so that a busy machine too can stop a process before its answer comes
POSTER_SECONDS = 10.0  # so long a POST is waited for; people ask more often
NO_DATABASE = "the database can't be opened"
PORTS = range(
    12_000, 30_000
)  # below those that the system gives to connections, so that a killed bot finds its own free
SETTINGS = {
    "QWEN_MAX_TASKS": "16",
    "MAX_IMAGES_PER_USER": "5",
    "MAX_QUEUE": "40",
    "REQUESTS_PER_MINUTE": "0",
    "CREDITS_PER_PERIOD": "5000",
    "TASK_DEADLINE_SECONDS": "40",  # short, so that deadlines and late images happen too
    "LOG_LEVEL": "INFO",
}


@dataclass
class Arena:
    """One world for one run. `counts`: what was done to it and what was asked of it."""

    folder: Path
    box: Sandbox
    bots: list[BotProcess]
    address: str
    postgres: Postgres | None
    ports: list[int]  # where each bot is called back; none without callbacks
    diary: Diary
    counts: Counter[str] = field(default_factory=Counter)
    asked: dict[int, Imagine] = field(default_factory=dict)  # by interaction id
    cancels: dict[int, int] = field(default_factory=dict)  # the press's interaction id to that of the request
    ends_of_its_own: list[str] = field(default_factory=list)
    _keeping: bool = True
    _held_down: set[int] = field(default_factory=set)

    def poster_of(self, post: Post) -> int | None:
        """Which process sent it, by the address where it wants to be called back. None: nobody can say."""
        if len(self.bots) == 1:
            return 0
        url = str(post.body.get("callback_url")) if isinstance(post.body, dict) else ""
        return next((number for number, port in enumerate(self.ports) if f":{port}/" in url), None)

    def log_of(self, process: int) -> list[str]:
        """Every line that this bot has written, over all its starts."""
        log = folder_of(self.folder, process) / "bot.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []

    async def carry_out(self, plan: list[Event]) -> None:
        """Do everything in its time; returns when all of it is done."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.diary.begin()
        async with asyncio.TaskGroup() as deeds:
            for event in plan:
                await asyncio.sleep(max(0.0, began + event.at_seconds - loop.time()))
                deeds.create_task(self.do(event.deed))

    async def do(self, deed: Deed) -> None:
        match deed:
            case Kill():
                await self._kill(deed)
            case Stop():
                await self._stop(deed)
            case StopPoster():
                await self._stop_poster(deed)
            case RestartDatabase():
                await self._restart_database(deed)
            case SetMood(mood):
                self.diary.note(f"mood {mood.value}", mood=mood)
                self.box.images.set_mood(mood)
            case DiscordTrouble(kind):
                self._trouble_discord(kind)
            case Imagine():
                await self._imagine(deed)
            case AskCredits(person):
                await self._ask_credits(person)

    def make_peace(self) -> None:
        """No fault lasts."""
        self.diary.note("peace", mood=Mood.NORMAL)
        self.box.images.set_mood(Mood.NORMAL)
        self.box.discord.faults.clear()

    async def keep_running(self) -> None:
        """What a host does: start again whatever ended. Until the arena closes."""
        while self._keeping:
            for number, bot in enumerate(self.bots):
                if number not in self._held_down and bot.state in (BotState.DIED, BotState.STOPPED):
                    self._note_end(number, list(bot.log)[-4:])
                    await bot.start()
            await asyncio.sleep(1.0)

    def _note_end(self, number: int, last_lines: list[str]) -> None:
        """A bot may end with a sentence when it is started while no database is there; it may not end otherwise."""
        if self.postgres is not None and any(NO_DATABASE in line for line in last_lines):
            self.counts["starts without a database"] += 1
        else:
            self.ends_of_its_own.append(f"process {number}: {' | '.join(last_lines)}")

    # -- blows -------------------------------------------------------------------------------------------------

    async def _kill(self, deed: Kill) -> None:
        bot = self.bots[deed.process]
        self._held_down.add(deed.process)
        self.diary.note(f"kill -9 of process {deed.process}", killed=deed.process)
        await bot.kill()
        self.counts["kills"] += 1
        await asyncio.sleep(deed.down_seconds)
        self.diary.note(f"start of process {deed.process}")
        await bot.start()
        self._held_down.discard(deed.process)

    async def _stop(self, deed: Stop) -> None:
        group = self.bots[deed.process].pid
        if group is None:
            return
        self.counts["stops"] += 1
        self.diary.note(f"SIGSTOP of process {deed.process}")
        self._signal(group, signal.SIGSTOP)
        try:
            await asyncio.sleep(deed.seconds)
        finally:
            self.diary.note(f"SIGCONT of process {deed.process}", woke=True)
            self._signal(group, signal.SIGCONT)

    async def _stop_poster(self, deed: StopPoster) -> None:
        self.box.images.answer_seconds = DUEL_ANSWER_SECONDS
        try:
            poster = await self._next_poster()
        finally:
            self.box.images.answer_seconds = ANSWER_SECONDS
        if poster is not None:
            self.counts["stops within a POST"] += 1
            await self._stop(Stop(poster, deed.seconds))

    async def _next_poster(self) -> int | None:
        """Whose POST is taken next; None: there was none in time."""
        posts = self.box.images.posts
        seen, until = len(posts), asyncio.get_running_loop().time() + POSTER_SECONDS
        while asyncio.get_running_loop().time() < until:
            posters = (self.poster_of(post) for post in posts[seen:] if post.status == 200)
            if (poster := next((each for each in posters if each is not None), None)) is not None:
                return poster
            seen = len(posts)
            await asyncio.sleep(0.005)
        return None

    @staticmethod
    def _signal(group: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

    async def _restart_database(self, deed: RestartDatabase) -> None:
        assert self.postgres is not None
        self.counts["database restarts"] += 1
        self.diary.note("PostgreSQL ends")
        await self.postgres.end_without_goodbye()
        await asyncio.sleep(deed.down_seconds)
        await self.postgres.start()
        self.diary.note("PostgreSQL is back")

    def _trouble_discord(self, kind: str) -> None:
        faults = self.box.discord.faults
        edits, answers = r"/messages/", r"/callback"
        troubles: dict[str, Callable[[], object]] = {
            "reconnect": faults.gateway_reconnect,
            "cut": partial(faults.gateway_close, 4000),
            "drop": partial(faults.gateway_close, 1006),
            "edits_fail": partial(faults.rest, "PATCH", edits, times=4, status=503),
            "edits_unheard": partial(faults.rest, "PATCH", edits, times=2, drop="after"),
            "answers_unheard": partial(faults.rest, "POST", answers, times=1, drop="after"),
            "event_twice": partial(faults.gateway_repeat, times=2),
        }
        self.counts["troubles of Discord"] += 1
        self.diary.note(f"Discord: {kind}")
        troubles[kind]()

    # -- people --------------------------------------------------------------------------------------------------

    async def _imagine(self, deed: Imagine) -> None:
        actor = self.box.discord.actor(deed.person)
        interaction_id = await actor.command(deed.channel, "imagine", **deed.options)
        self.asked[interaction_id] = deed
        self.counts["requests"] += 1
        if deed.cancel_after_seconds is None:
            return
        await asyncio.sleep(deed.cancel_after_seconds)
        card = actor.answer(interaction_id)
        if card is None:
            return
        with contextlib.suppress(Refused):  # nothing waits any more
            self.cancels[await actor.press(int(card["id"]), "Cancel")] = interaction_id
            self.counts["cancels"] += 1

    async def _ask_credits(self, person: str) -> None:
        await self.box.discord.actor(person).command("gallery", "credits")
        self.counts["looks at credits"] += 1

    async def close(self) -> None:
        """End the bots in order, while the database still answers."""
        self._keeping = False
        await asyncio.gather(*(bot.stop(25) for bot in self.bots))


@contextlib.asynccontextmanager
async def open_arena(
    folder: Path, *, processes: int, postgresql: bool, callbacks: bool, seed: int, bot_script: Path
) -> AsyncIterator[Arena]:
    """A fresh world whose bots are ready and have told Discord their commands. *callbacks*: each can be called back."""
    async with contextlib.AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(open_postgres()) if postgresql else None
        address = postgres.address if postgres else f"sqlite:///{folder / 'bot.sqlite3'}"
        settings = {**SETTINGS, "DATABASE_URL": address}
        box = await stack.enter_async_context(
            Sandbox(data_dir=folder, bot_settings=settings, seed=seed, seconds_per_image=SECONDS_PER_IMAGE)
        )
        box.images.answer_seconds = ANSWER_SECONDS
        ports = find_ports(processes) if callbacks else []
        bots = [make_bot(box, bot_script, folder_of(folder, number), ports[number:]) for number in range(processes)]
        arena = Arena(folder, box, bots, address, postgres, ports, Diary(box.images.now_ms, box.clock.now_ms))
        stack.push_async_callback(arena.close)
        for bot in bots:
            await bot.start()
            await bot.wait_ready(READY_SECONDS)
        keeper = asyncio.create_task(arena.keep_running())
        stack.callback(keeper.cancel)
        yield arena
