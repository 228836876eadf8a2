"""A card on a Discord, a delivery that shows it, and a clock that stands still: what the delivery tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import discord

from discord_api.snowflakes import snowflake_at
from generations.delivery_result import DeliveryResult
from generations.model import Ending, Estimate, Generation, Image, Origin, Progress, Request, State
from qwen.images import DownloadedImage
from qwen.models import OutputFormat, Size
from tests.doubles import START_MS, ManualClock
from tests.integration.discord_rest import DiscordRest, a_discord
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons

CHANNEL, GUILD, USER, APPLICATION = 88, 99, 77, 500
TOKEN = "secret-interaction-token"
PROMPT = "a lighthouse @everyone in a storm"
CARD = snowflake_at(START_MS) + 1  # a message of now
GENERATION = snowflake_at(START_MS) + 7
BY_TOKEN = f"PATCH /webhooks/{APPLICATION}/{TOKEN}/messages/{CARD}"
AS_BOT = f"PATCH /channels/{CHANNEL}/messages/{CARD}"
POST = f"POST /channels/{CHANNEL}/messages"
FOLLOW_UP = f"POST /webhooks/{APPLICATION}/{TOKEN}"
DIRECT = ["POST /users/@me/channels", f"POST /channels/7{USER}/messages"]
NOTHING = Progress()
READY: dict[str, Any] = {"submitted_at_ms": START_MS, "ready_at_ms": START_MS, "image_url": "https://x.example/a.png"}


@dataclass
class Scene:
    rest: DiscordRest
    client: discord.Client
    clock: ManualClock
    delivery: DiscordDelivery

    async def publish(self, generation: Generation, *positions: int, size: int = 7) -> DeliveryResult:
        image_files = {position: image_file(position, size) for position in positions}
        return await self.delivery.publish(generation, NOTHING, image_files)

    async def settled(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(10):
            await asyncio.sleep(0.005)

    async def edited(self, times: int) -> None:
        """Wait until so many edits have come in."""
        async with asyncio.timeout(60):
            while len(self.rest.edits()) < times:
                self.rest.arrived.clear()
                await self.rest.arrived.wait()

    def card_names(self) -> list[str]:
        return list(self.rest.messages[CARD]["attachments"].values())


@asynccontextmanager
async def a_scene() -> AsyncIterator[Scene]:
    async with a_discord() as (rest, client):
        rest.add_message(CARD, CHANNEL)
        rest.asked_in = CHANNEL
        clock = ManualClock()
        yield Scene(rest, client, clock, DiscordDelivery(client, clock, buttons=card_buttons))


def image_file(position: int = 0, size: int = 7) -> DownloadedImage:
    return DownloadedImage(f"image {position}".encode().ljust(size, b"."), OutputFormat.PNG, 1024, 1024)


def generation(*images: Image, origin: Mapping[str, Any] | None = None, **options: Any) -> Generation:
    facts = {"revision": options.pop("revision", 1), "message_id": options.pop("message_id", CARD)}
    request = Request(PROMPT, Size.SQUARE, 42, OutputFormat.PNG, len(images), **options)
    place = replace(Origin(GENERATION, APPLICATION, USER, CHANNEL, GUILD, TOKEN, 10 << 20), **(origin or {}))
    return Generation(GENERATION, request, place, START_MS, images, **facts)


def image(state: State, position: int = 0, **facts: Any) -> Image:
    return Image(GENERATION, position, 42 + position, state, **facts)


def ready(count: int = 1, **options: Any) -> Generation:
    return generation(*(image(State.SUCCEEDED, position, **READY) for position in range(count)), **options)


def declined(**options: Any) -> Generation:
    return generation(image(State.FAILED, ending=Ending.DECLINED), **options)


def painting(share: float = 0.5, **options: Any) -> tuple[Generation, Progress]:
    return generation(image(State.RUNNING), **options), Progress(None, Estimate(0, share, (12, 18), None))
