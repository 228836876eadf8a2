"""The buttons on a card. They are found by their custom_id alone, so they work for ever, also after a restart.

Must not know the database. A button's errors are answered from the same table as a command's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any, Protocol, Self, cast

import discord

from generations.clock import Clock
from generations.errors import NotCancellable
from generations.service import Generations
from ui.answers import answering
from ui.patience import PATIENCE_SECONDS, done_within

ID_MAX = 2**63 - 1  # what the database can hold; Discord's snowflakes stay below


class ButtonClient(Protocol):
    """What a pressed button needs of the bot; bot.ImagineBot is it. A button is born without a constructor of ours."""

    @property
    def generations(self) -> Generations: ...

    @property
    def clock(self) -> Clock: ...


class Pressable(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"imagine:[a-z]+:\d{1,20}"):
    """A button of ours. discord.py 2.7.1 only logs what a dynamic item raises (ui/view.py), so it is answered here.

    Only the subclasses are registered with the client.
    """

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await answering(interaction, self.press(interaction))

    async def press(self, interaction: discord.Interaction[Any]) -> None:
        """Do what the button says. Errors are answered by the caller."""
        raise NotImplementedError


class CancelButton(Pressable, template=r"imagine:cancel:(?P<id>\d{1,20})"):
    """Takes every image of a generation that still waits out of the line; its credits go back."""

    def __init__(self, generation_id: int) -> None:
        super().__init__(
            discord.ui.Button(
                label="Cancel", style=discord.ButtonStyle.secondary, custom_id=f"imagine:cancel:{generation_id}"
            )
        )
        self.generation_id = generation_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["id"]))

    async def press(self, interaction: discord.Interaction[Any]) -> None:
        """Cancel, and leave showing it to the worker: it owns the card.

        Raises NotYours and NotCancellable, with nothing changed.
        """
        if self.generation_id > ID_MAX:
            raise NotCancellable
        client = cast("ButtonClient", interaction.client)
        permissions = interaction.permissions
        cancelling = asyncio.ensure_future(
            client.generations.cancel(
                self.generation_id,
                user_id=interaction.user.id,
                may_manage=permissions.manage_messages or permissions.administrator,
            )
        )
        if not await done_within(cancelling, PATIENCE_SECONDS, client.clock):
            with contextlib.suppress(discord.HTTPException):  # too late to be answered, not too late to cancel
                await interaction.response.defer()
        await cancelling
        if not interaction.response.is_done():
            await interaction.response.defer()


def cancel_button(generation_id: int) -> CancelButton:
    """The Cancel button of a generation's card; a new one for every message (a view may be sent only once)."""
    return CancelButton(generation_id)


# For Client.add_dynamic_items: every button that may stand on a card.
DYNAMIC_ITEMS: tuple[type[Pressable], ...] = (CancelButton,)
