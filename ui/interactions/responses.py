"""Respond to an interaction, at once or after a deferral."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import discord
from discord import ui

from generations.clock import Clock, done_within
from ui.interactions.errors import NOBODY, Refusal, defer, with_mentions
from ui.texts import history as texts_history

T = TypeVar("T")
DEFER_AFTER_SECONDS = 1.0  # a response that takes longer is preceded by "thinking…"
NO_DEFER_SECONDS = 2.0  # where no "thinking…" is possible; Discord waits three


async def defer_if_slow(interaction: discord.Interaction, loading: asyncio.Future[T], clock: Clock) -> T:
    """Return the result of *loading*. Defer the response privately if it takes longer than DEFER_AFTER_SECONDS."""
    if not await done_within(loading, DEFER_AFTER_SECONDS, clock):
        if interaction.type is discord.InteractionType.application_command:
            await defer(interaction, private=True)
        else:
            await interaction.response.defer()
    return await loading


async def in_time(loading: asyncio.Future[T], clock: Clock, seconds: float = NO_DEFER_SECONDS) -> T:
    """Return the result of *loading* if it comes within *seconds*. Raises Refusal."""
    if not await done_within(loading, seconds, clock):
        loading.add_done_callback(_ignore)
        raise Refusal(texts_history.SLOW)
    return await loading


async def send_view(interaction: discord.Interaction, view: ui.LayoutView) -> None:
    """Send *view* privately as the response to a command, or put it in place of the page whose button was pressed.

    The commands that its texts name become mentions.
    """
    for item in view.walk_children():
        if isinstance(item, ui.TextDisplay):
            item.content = with_mentions(interaction, item.content)
    response = interaction.response
    if not response.is_done():
        if interaction.type is discord.InteractionType.application_command:
            await response.send_message(view=view, ephemeral=True, allowed_mentions=NOBODY)
            return
        # Not edit_message: what discord.py 2.7.1 sends for it has a key (tts) that Discord's document does not name.
        await response.defer()
    await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


def _ignore(loading: asyncio.Future[Any]) -> None:
    """Read the exception, or asyncio would log that nobody did."""
    if not loading.cancelled():
        loading.exception()
