"""The real bot process in a sandbox, and the few words in which the end-to-end tests speak of it."""

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

Json = dict[str, Any]
IMAGE_SECONDS = (1.0, 2.0)  # the first look comes after 5 s, so nothing is gained by drawing faster
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
    """All that is written on a card."""
    return "\n".join([message["content"], *(part["content"] for part in parts(message) if part["type"] == 10)])


def gallery(message: Json) -> list[Json]:
    return [item for part in parts(message) if part["type"] == 12 for item in part["items"]]


def buttons(message: Json) -> list[str]:
    return [part["label"] for part in parts(message) if part["type"] == 2]


@dataclass
class Trial:
    """One sandbox with its bot."""

    box: Sandbox

    async def imagine(self, person: str, channel: str = "gallery", **options: Any) -> int:
        """Type /imagine; the interaction's id."""
        return await self.box.discord.actor(person).command(channel, "imagine", **options)

    async def answer(self, person: str, interaction_id: int) -> Json:
        """The first answer, as soon as it is there."""
        actor = self.box.discord.actor(person)
        return await actor.wait_for(lambda: actor.answer(interaction_id))

    async def card(
        self, person: str, interaction_id: int, *, image_files: int = 1, seconds: float = LONG_SECONDS
    ) -> Json:
        """The card once it shows so many pictures."""
        actor = self.box.discord.actor(person)

        def ready() -> Json | None:
            card = actor.answer(interaction_id)
            return card if card is not None and len(gallery(card)) == image_files else None

        return await actor.wait_for(ready, seconds)

    async def card_saying(self, person: str, interaction_id: int, words: str, *, seconds: float = LONG_SECONDS) -> Json:
        """The card once it says *words*."""
        actor = self.box.discord.actor(person)

        def says() -> Json | None:
            card = actor.answer(interaction_id)
            return card if card is not None and words in text(card) else None

        return await actor.wait_for(says, seconds)

    async def credits(self, person: str) -> str:
        """What /credits says to a person."""
        interaction_id = await self.box.discord.actor(person).command("gallery", "credits")
        return text(await self.answer(person, interaction_id))

    async def image_file(self, item: Json) -> Image.Image:
        """The image behind an entry of a gallery, as Discord serves it."""
        async with aiohttp.ClientSession() as session, session.get(item["media"]["url"]) as answer:
            assert answer.status == 200
            return Image.open(io.BytesIO(await answer.read()))

    def closest_polls_seconds(self) -> float:
        """The least distance between two looks at one task without a call between them, as the image service saw it."""
        images = self.box.images
        gaps = [
            late - early
            for task_id, polls in images.polls.items()
            for early, late in itertools.pairwise(polls)
            if not any(early <= called <= late for called in images.calls.get(task_id, []))
        ]
        return min(gaps, default=1e9) / 1000

    def edits(self, message_id: int) -> list[Any]:
        """Every request that changed this message after its first answer, in order."""
        return [
            request
            for request in self.box.discord.requests
            if request.method == "PATCH" and request.path.endswith((f"/messages/{message_id}", "/messages/@original"))
        ]

    def assert_nobody_was_wronged(self, *, posts: int) -> None:
        """What must hold at the end of every story."""
        assert [str(violation) for violation in self.box.discord.violations] == []
        assert len(self.box.images.posts) == posts
        assert self.closest_polls_seconds() >= 5.0


@asynccontextmanager
async def open_trial(folder: Path, **settings: str) -> AsyncIterator[Trial]:
    """A fresh world with a running, connected bot that has told Discord its commands.

    One person of a test may ask for more than people do in a minute, unless *settings* say otherwise.
    """
    settings = {"REQUESTS_PER_MINUTE": "0", **settings}
    async with Sandbox(data_dir=folder, bot_settings=settings, seconds_per_image=IMAGE_SECONDS) as box:
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        yield Trial(box)
        if document_is_named():
            faults = faults_in(box.discord.requests)
            assert not faults, "\n".join(sorted(faults))
