"""/settings: showing the lists, and keeping what is picked. A list carries the name of its preference and nothing else.

Must not know the database.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, Self

import discord
from discord import ui

from people.model import Preferences, parse_change
from ui.interactions.errors import Refusal
from ui.interactions.responses import Answered, defer_if_slow, desk_of, in_time, show
from ui.texts import settings as texts_settings
from ui.views.cards_settings import Question, build_settings

DEFAULTS_SECONDS = 1.5  # of Discord's three; the rest is for the request


async def open_settings(interaction: discord.Interaction[Any]) -> None:
    """Answer the command with all lists."""
    desk = desk_of(interaction)
    await _show(interaction, desk.people.defaults_for(interaction.user.id))


async def defaults_for(interaction: discord.Interaction[Any]) -> Preferences:
    """What /imagine takes for the options that the person left out. Raises Refusal where nobody can say in time:
    who wants to be alone with their images must not be shown to all because the database is slow."""
    desk = desk_of(interaction)
    looking = asyncio.ensure_future(desk.people.defaults_for(interaction.user.id))
    return await in_time(looking, desk.clock, DEFAULTS_SECONDS)


class PreferenceList(
    Answered, ui.DynamicItem[ui.Select[Any]], template=r"settings:(?P<name>size|format|private|ping|language)"
):
    """Sets one preference."""

    def __init__(self, question: Question) -> None:
        # One option is always picked, so nobody sees the placeholder, but a screen reader says it.
        placeholder = question.title or None
        super().__init__(
            ui.Select(custom_id=f"settings:{question.name}", placeholder=placeholder, options=list(question.options))
        )
        self.name = question.name

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        options = item.options if isinstance(item, ui.Select) else []
        return cls(Question(match["name"], "", options))

    async def press(self, interaction: discord.Interaction[Any]) -> None:
        """Keep what was picked, and show all lists as they are then. Raises Refusal, with nothing changed."""
        desk = desk_of(interaction)
        picked = self.item.values[0] if self.item.values else ""
        try:
            change = parse_change(self.name, picked)
        except ValueError:
            raise Refusal(texts_settings.NOT_ON_OFFER) from None
        await _show(interaction, desk.people.change(interaction.user.id, **change))


async def _show(interaction: discord.Interaction[Any], looking: Coroutine[Any, Any, Preferences]) -> None:
    desk = desk_of(interaction)
    preferences = await defer_if_slow(interaction, asyncio.ensure_future(looking), desk.clock)
    await show(interaction, build_settings(preferences, PreferenceList))


# For Client.add_dynamic_items.
PREFERENCE_ITEMS = (PreferenceList,)
