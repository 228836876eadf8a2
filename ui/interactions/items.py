"""The base of all buttons and lists that work after a restart: discord.py finds their class by the custom_id."""

from __future__ import annotations

from typing import Any

import discord

from ui.interactions.client import ImagineClient
from ui.interactions.errors import handle_errors


class InteractionItem:
    """Comes before ui.DynamicItem in the bases of a class.

    discord.py 2.7.1 only logs what a dynamic item raises (ui/view.py), so the person gets their answer from here.
    """

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Called by discord.py."""
        await handle_errors(interaction, self.respond(interaction))

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Do what the item says. What it raises becomes an answer in words."""
        raise NotImplementedError
