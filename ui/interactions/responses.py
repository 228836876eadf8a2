"""Answers to an interaction: at once, or after Discord was told that one is coming."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import discord
from discord import ui

from generations.clock import Clock, done_within
from ui.interactions.errors import NOBODY, Refusal, defer
from ui.texts import history as texts_history

T = TypeVar("T")
DEFER_AFTER_SECONDS = 1.0  # as long as this an answer may take before the person is told that one is coming
NO_DEFER_SECONDS = 2.0  # where nothing may be shown before it is known what; Discord waits three


async def defer_if_slow(interaction: discord.Interaction, looking: asyncio.Future[T], clock: Clock) -> T:
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


async def send_view(interaction: discord.Interaction, view: ui.LayoutView) -> None:
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
