"""The real bot process in a sandbox, and what the end-to-end tests do with it."""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from sandbox.world import Sandbox
from tests.e2e.discord_document import document_is_named, faults_in
from version import VERSION

Json = dict[str, Any]
IMAGE_SECONDS = (1.0, 2.0)  # the first poll comes after 5 s, so faster images would gain nothing
# For what has to happen, however busy the machine is.
READY_SECONDS = 120.0
LONG_SECONDS = 180.0


def parts(message: Json) -> Iterator[Json]:
    """Every component of a message, nested ones included."""
    todo = list(message["components"])
    while todo:
        part = todo.pop(0)
        yield part
        todo = [*part.get("components", []), *todo]


def text(message: Json) -> str:
    """All text of a message."""
    return "\n".join([message["content"], *(part["content"] for part in parts(message) if part["type"] == 10)])


def gallery(message: Json) -> list[Json]:
    return [item for part in parts(message) if part["type"] == 12 for item in part["items"]]


def buttons(message: Json) -> list[str]:
    return [part["label"] for part in parts(message) if part["type"] == 2]


@dataclass
class RunningBot:
    """One sandbox with its bot process."""

    box: Sandbox

    async def imagine(self, person: str, channel: str = "gallery", **options: Any) -> int:
        """Type /imagine and return the interaction's id."""
        return await self.box.discord.actor(person).command(channel, "imagine", **options)

    async def answer(self, person: str, interaction_id: int) -> Json:
        """Wait for the first response and return it."""
        actor = self.box.discord.actor(person)
        return await actor.wait_for(lambda: actor.answer(interaction_id))

    async def card(
        self, person: str, interaction_id: int, *, image_files: int = 1, seconds: float = LONG_SECONDS
    ) -> Json:
        """Wait until the card shows so many images, and return it."""
        actor = self.box.discord.actor(person)

        def ready() -> Json | None:
            card = actor.answer(interaction_id)
            return card if card is not None and len(gallery(card)) == image_files else None

        return await actor.wait_for(ready, seconds)

    async def card_saying(self, person: str, interaction_id: int, words: str, *, seconds: float = LONG_SECONDS) -> Json:
        """Wait until the card contains *words*, and return it."""
        actor = self.box.discord.actor(person)

        def says() -> Json | None:
            card = actor.answer(interaction_id)
            return card if card is not None and words in text(card) else None

        return await actor.wait_for(says, seconds)

    async def credits(self, person: str) -> str:
        """The text of /credits for a person."""
        interaction_id = await self.box.discord.actor(person).command("gallery", "credits")
        return text(await self.answer(person, interaction_id))

    async def image_file(self, item: Json) -> Image.Image:
        """The image behind an entry of a gallery, as Discord serves it."""
        async with aiohttp.ClientSession() as session, session.get(item["media"]["url"]) as answer:
            assert answer.status == 200
            return Image.open(io.BytesIO(await answer.read()))

    def closest_polls_seconds(self) -> float:
        """The shortest time between two polls of one task without a call between them, by the image API's clock."""
        images = self.box.images
        gaps = [
            late - early
            for task_id, polls in images.polls.items()
            for early, late in itertools.pairwise(polls)
            if not any(early <= called <= late for called in images.calls.get(task_id, []))
        ]
        return min(gaps, default=1e9) / 1000

    def edits(self, message_id: int) -> list[Any]:
        """Every request that edited this message after the first response, in order."""
        return [
            request
            for request in self.box.discord.requests
            if request.method == "PATCH" and request.path.endswith((f"/messages/{message_id}", "/messages/@original"))
        ]

    def assert_rules_kept(self, *, posts: int) -> None:
        """Assert that no rule of Discord was broken, that *posts* POSTs were made, and that polls were 5 s apart."""
        agents = {request.user_agent for request in self.box.discord.requests}
        assert all(each.startswith("DiscordBot (") and each.endswith(f" qwen-imagine/{VERSION}") for each in agents)
        assert [str(violation) for violation in self.box.discord.violations] == []
        assert len(self.box.images.posts) == posts
        assert self.closest_polls_seconds() >= 5.0


@asynccontextmanager
async def open_bot(folder: Path, **settings: str) -> AsyncIterator[RunningBot]:
    """Start a sandbox and a bot, and wait until the bot is connected and Discord has its commands.

    There is no limit of requests per minute unless *settings* have one.
    """
    settings = {"REQUESTS_PER_MINUTE": "0", **settings}
    async with Sandbox(data_dir=folder, bot_settings=settings, seconds_per_image=IMAGE_SECONDS) as box:
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        yield RunningBot(box)
        if document_is_named():
            faults = faults_in(box.discord.requests)
            assert not faults, "\n".join(sorted(faults))
