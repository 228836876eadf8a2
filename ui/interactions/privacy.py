"""/privacy: send what is kept, send a copy of it, and delete it after a question. Must not know the database."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Sequence
from typing import Any, Self

import discord
from discord import ui

from generations.export import ExportFile, build_export
from generations.model import State
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import NOBODY, Refusal, defer
from ui.interactions.items import InteractionItem
from ui.interactions.responses import defer_if_slow, send_view
from ui.texts import privacy as texts
from ui.views.cards_privacy import build_confirmation, build_holdings, build_outcome

FILE_BYTES_MAX = 8 * 1024 * 1024  # the least limit of any channel (Discord docs: Uploading Files)
FILES_PER_MESSAGE = 3  # Discord takes 25 MiB in one request
FOLLOW_UPS_MAX = 4  # beside the response; a user-installed app may send five


async def send_holdings(interaction: discord.Interaction, services: InteractionServices) -> None:
    """Respond to `/privacy show`."""
    loading = asyncio.ensure_future(services.privacy.holdings(interaction.user.id))
    holdings = await defer_if_slow(interaction, loading, services.clock)
    await send_view(interaction, build_holdings(holdings, services.settings.privacy_url))


async def send_export(interaction: discord.Interaction, services: InteractionServices) -> None:
    """Respond to `/privacy export` with the files, privately."""
    await defer(interaction, private=True)
    user_id = interaction.user.id
    collected = await services.privacy.collect(user_id)
    files = await asyncio.to_thread(
        build_export,
        user_id,
        collected,
        exported_at_ms=services.clock.now_ms(),
        max_bytes=min(FILE_BYTES_MAX, interaction.filesize_limit),
    )
    batches = [files[start : start + FILES_PER_MESSAGE] for start in range(0, len(files), FILES_PER_MESSAGE)]
    first, *others = batches
    kept = any(image["state"] == State.UNDELIVERED for row in collected.generations for image in row["images"])
    await interaction.edit_original_response(
        content=texts.exported(len(files), kept=kept), attachments=_attached(first), allowed_mentions=NOBODY
    )
    for batch in others[:FOLLOW_UPS_MAX]:
        await interaction.followup.send(files=_attached(batch), ephemeral=True, allowed_mentions=NOBODY)
    if len(others) > FOLLOW_UPS_MAX:
        raise Refusal(texts.TOO_MUCH)


async def send_deletion_question(interaction: discord.Interaction) -> None:
    """Respond to `/privacy delete` with the question."""
    await send_view(interaction, build_confirmation([DeletionButton("delete"), DeletionButton("keep")]))


class DeletionButton(InteractionItem, ui.DynamicItem[ui.Button[Any]], template=r"privacy:(?P<choice>delete|keep)"):
    """Confirms or declines the deletion. It applies to whoever presses it, so its custom_id holds no user id."""

    def __init__(self, choice: str) -> None:
        is_delete = choice == "delete"
        super().__init__(
            ui.Button(
                label=texts.DELETE if is_delete else texts.KEEP,
                style=discord.ButtonStyle.danger if is_delete else discord.ButtonStyle.secondary,
                custom_id=f"privacy:{choice}",
            )
        )
        self.is_delete = is_delete

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["choice"])

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Delete or not, and replace the question by the outcome. Raises StillAtWork while images are being made."""
        if not self.is_delete:
            await send_view(interaction, build_outcome(texts.KEPT))
            return
        services = interaction.client.services
        erasing = asyncio.ensure_future(services.privacy.erase(interaction.user.id))
        erased = await defer_if_slow(interaction, erasing, services.clock)
        outcome = texts.deleted(erased.generations, erased.kept_credits, erased.forgotten_at_ms)
        await send_view(interaction, build_outcome(outcome))


def _attached(files: Sequence[ExportFile]) -> list[discord.File]:
    return [discord.File(io.BytesIO(file.data), file.name) for file in files]


# For Client.add_dynamic_items.
PRIVACY_ITEMS = (DeletionButton,)
