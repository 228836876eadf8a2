"""What the buttons and lists of a person's own pages stand on: /history, /settings, /privacy.

They are found by their custom_id alone, so they work for ever, also after a restart. Must not know the database.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import discord
from discord import ui

from credits.ledger import Ledger
from generations.archive import Archive
from generations.clock import Clock, done_within
from generations.ports import ImageStore
from generations.privacy import Privacy
from generations.token_only_channels import TokenOnlyChannels
from images.image_memory import ImageMemory
from people.service import People
from store.database import Database
from ui.delivery.cards import DiscordDelivery
from ui.delivery.image_urls import Thumbnails
from ui.interactions.errors import NOBODY, Refusal, answering, defer
from ui.texts import history as texts_history

T = TypeVar("T")
DEFER_AFTER_SECONDS = 1.0  # as long as this an answer may take before the person is told that one is coming
NO_DEFER_SECONDS = 2.0  # where nothing may be shown before it is known what; Discord waits three


@dataclass(frozen=True, slots=True)
class Desk:
    """What these need of the rest."""

    archive: Archive
    people: People
    privacy: Privacy
    thumbnails: Thumbnails
    delivery: DiscordDelivery
    token_only: TokenOnlyChannels
    clock: Clock


class BotWithDesk(Protocol):
    """What is needed of the bot; bot.ImagineBot is it. A pressed item is born without a constructor of ours."""

    @property
    def desk(self) -> Desk: ...


class Furnished(Protocol):
    """What a desk is made of, as far as the bot has it."""

    @property
    def delivery(self) -> DiscordDelivery: ...

    @property
    def token_only(self) -> TokenOnlyChannels: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def rng(self) -> random.Random: ...


def open_desk(
    bot: Any,
    database: Database,
    ledger: Ledger,
    store: ImageStore,
    *,
    owner: str,
    retention_days: int,
    images: ImageMemory | None = None,
) -> Desk:
    """Join the parts. *bot*: a discord.Client that is Furnished; *store*: where kept images are fetched again, within
    the budget of *images*."""
    furnished = cast("Furnished", bot)
    clock = furnished.clock
    return Desk(
        Archive(database, ledger, clock, store, owner=owner, images=images),
        People(database),
        Privacy(database, ledger, clock, furnished.rng, retention_days=retention_days),
        Thumbnails(cast("discord.Client", bot), clock),
        furnished.delivery,
        furnished.token_only,
        clock,
    )


def desk_of(interaction: discord.Interaction[Any]) -> Desk:
    """The desk of the bot that got *interaction*."""
    return cast("BotWithDesk", interaction.client).desk


class Answered:
    """Comes before DynamicItem: discord.py 2.7.1 only logs what a dynamic item raises (ui/view.py), so it is answered
    here."""

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await answering(interaction, self.press(interaction))

    async def press(self, interaction: discord.Interaction[Any]) -> None:
        """Do what it says. Errors are answered by the caller."""
        raise NotImplementedError


async def defer_if_slow(interaction: discord.Interaction[Any], looking: asyncio.Future[T], clock: Clock) -> T:
    """What *looking* finds. After a second the person is told, privately, that an answer is coming."""
    if not await done_within(looking, DEFER_AFTER_SECONDS, clock):
        if interaction.type is discord.InteractionType.application_command:
            await defer(interaction, private=True)
        else:
            await interaction.response.defer()
    return await looking


async def in_time(looking: asyncio.Future[T], clock: Clock, seconds: float = NO_DEFER_SECONDS) -> T:
    """What *looking* finds, if it finds it before Discord stops waiting. Raises Refusal."""
    if not await done_within(looking, seconds, clock):
        looking.add_done_callback(_ignore)
        raise Refusal(texts_history.SLOW)
    return await looking


async def show(interaction: discord.Interaction[Any], view: ui.LayoutView) -> None:
    """Answer a command with *view*, for the person alone; or put it in place of the page whose button was pressed."""
    response = interaction.response
    if not response.is_done():
        if interaction.type is discord.InteractionType.application_command:
            await response.send_message(view=view, ephemeral=True, allowed_mentions=NOBODY)
            return
        # Not edit_message: what discord.py 2.7.1 sends for it has a key (tts) that Discord's document does not name.
        await response.defer()
    await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


def _ignore(looking: asyncio.Future[Any]) -> None:
    if not looking.cancelled():
        looking.exception()
