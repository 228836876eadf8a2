"""/settings: send the lists, and save what is picked. A list's custom_id holds the name of its preference.

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
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import Refusal
from ui.interactions.items import InteractionItem
from ui.interactions.responses import defer_if_slow, in_time, send_view
from ui.texts import settings as texts_settings
from ui.views.cards_settings import Question, build_settings

DEFAULTS_SECONDS = 1.5  # of the three that Discord waits; the rest is for the request


async def send_settings(interaction: discord.Interaction, services: InteractionServices) -> None:
    """Send all lists as the response to the command."""
    await _send_lists(interaction, services, services.people.defaults_for(interaction.user.id))


async def defaults_for(user_id: int, services: InteractionServices) -> Preferences:
    """Load what /imagine takes for options that were left out. Raises Refusal if it takes longer than
    DEFAULTS_SECONDS: an image that should be private must not be posted publicly because the database is slow."""
    loading = asyncio.ensure_future(services.people.defaults_for(user_id))
    return await in_time(loading, services.clock, DEFAULTS_SECONDS)


class PreferenceList(
    InteractionItem, ui.DynamicItem[ui.Select[Any]], template=r"settings:(?P<name>size|format|private|ping|language)"
):
    """The list for one preference."""

    def __init__(self, question: Question) -> None:
        # One option is always picked, so the placeholder is not visible, but a screen reader reads it out.
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

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Save what was picked and send all lists anew. Raises Refusal, with nothing changed."""
        services = interaction.client.services
        picked = self.item.values[0] if self.item.values else ""
        try:
            change = parse_change(self.name, picked)
        except ValueError:
            raise Refusal(texts_settings.NOT_ON_OFFER) from None
        await _send_lists(interaction, services, services.people.change(interaction.user.id, **change))


async def _send_lists(
    interaction: discord.Interaction, services: InteractionServices, loading: Coroutine[Any, Any, Preferences]
) -> None:
    preferences = await defer_if_slow(interaction, asyncio.ensure_future(loading), services.clock)
    await send_view(interaction, build_settings(preferences, PreferenceList))


# For Client.add_dynamic_items.
PREFERENCE_ITEMS = (PreferenceList,)
