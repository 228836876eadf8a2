"""The buttons under a card. They work without end, also after a restart: discord.py finds them by their custom_id.

A custom_id is "imagine:<action>:<generation id>"; everything else is loaded when the button is pressed.
Must not know the database.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, ClassVar, Self

import discord
from discord import ui

from discord_api.errors import trying
from discord_api.snowflakes import ID_MAX
from generations.clock import done_within
from generations.errors import NotCancellable, NotThere
from generations.model import MADE, Ending, Generation, Request
from ui.interactions.client import ImagineClient
from ui.interactions.command_permissions import IMAGINE
from ui.interactions.errors import NOBODY, Refusal, defer
from ui.interactions.forms import send_form
from ui.interactions.items import InteractionItem
from ui.interactions.origin import pressed_in, requester_of
from ui.interactions.reports import open_form
from ui.interactions.requests import Options, repeat_request
from ui.interactions.responses import DEFER_AFTER_SECONDS
from ui.texts import buttons as texts_buttons
from ui.texts import reports as texts_reports
from ui.views.cards_details import build_details

FORM_TIMEOUT_SECONDS = 2.0  # a form can't follow a "thinking…"; Discord waits three seconds


class CardButton(InteractionItem, ui.DynamicItem[ui.Button[Any]], template=r"imagine:[a-z]+:[0-9]{1,20}"):
    """A button about one generation. Only the subclasses are registered with the client."""

    action: ClassVar[str] = ""
    label: ClassVar[str] = ""
    style: ClassVar[discord.ButtonStyle] = discord.ButtonStyle.secondary

    def __init__(self, generation_id: int) -> None:
        super().__init__(
            ui.Button(label=self.label, style=self.style, custom_id=f"imagine:{self.action}:{generation_id}")
        )
        self.generation_id = generation_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["id"]))

    async def find(self, interaction: discord.Interaction[ImagineClient]) -> Generation:
        """Load the generation of this button. Raises NotThere."""
        if self.generation_id > ID_MAX:
            raise NotThere
        return await interaction.client.services.generations.find(self.generation_id, user_id=interaction.user.id)

    async def find_allowed(self, interaction: discord.Interaction[ImagineClient]) -> Generation:
        """Do the same for who may use /imagine here. Raises CommandDenied too."""
        await interaction.client.services.command_permissions.check(interaction, IMAGINE)
        return await self.find(interaction)


class CancelButton(CardButton, template=r"imagine:cancel:(?P<id>[0-9]{1,20})"):
    """Cancels every image of a generation that still waits; its credits are returned."""

    action, label = "cancel", texts_buttons.CANCEL

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Cancel. The worker edits the card.

        Raises NotYours and NotCancellable, with nothing changed.
        """
        if self.generation_id > ID_MAX:
            raise NotCancellable
        services, permissions = interaction.client.services, interaction.permissions
        cancelling = asyncio.ensure_future(
            services.generations.cancel(
                self.generation_id,
                user_id=interaction.user.id,
                may_manage=permissions.manage_messages or permissions.administrator,
                pressed_in=pressed_in(interaction),
                message_id=None if interaction.message is None else interaction.message.id,
            )
        )
        if not await done_within(cancelling, DEFER_AFTER_SECONDS, services.clock):
            with trying(interaction.client):  # too late for a response, not too late to cancel
                await interaction.response.defer()
        await cancelling
        if not interaction.response.is_done():
            with trying(interaction.client):  # it is cancelled, and the worker edits its card
                await interaction.response.defer()


class AgainButton(CardButton, template=r"imagine:again:(?P<id>[0-9]{1,20})"):
    """Makes a request with the same prompt and options and a new seed, paid by whoever presses."""

    action, label = "again", texts_buttons.AGAIN

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        services = interaction.client.services

        async def find_request() -> Request:
            generation = await self.find_allowed(interaction)
            return repeat_request(interaction, services.rng, generation.request)

        await services.first_response.respond_when_found(interaction, find_request, private=_is_private(interaction))


class EditButton(CardButton, template=r"imagine:edit:(?P<id>[0-9]{1,20})"):
    """Opens the form with the options of this generation."""

    action, label = "edit", texts_buttons.EDIT

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        finding = asyncio.ensure_future(self.find_allowed(interaction))
        if not await done_within(finding, FORM_TIMEOUT_SECONDS, interaction.client.services.clock):
            finding.cancel()
            raise Refusal(texts_buttons.SLOW)
        await send_form(interaction, Options.from_request((await finding).request))


class DetailsButton(CardButton, template=r"imagine:details:(?P<id>[0-9]{1,20})"):
    """Sends privately what the card leaves out."""

    action, label = "details", texts_buttons.DETAILS

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        services = interaction.client.services
        finding = asyncio.ensure_future(self._find_details(interaction))
        if not await done_within(finding, DEFER_AFTER_SECONDS, services.clock):
            await defer(interaction, private=True)
        first, *others = await finding
        if interaction.response.is_done():
            await interaction.edit_original_response(view=first, allowed_mentions=NOBODY)
        else:
            await interaction.response.send_message(view=first, ephemeral=True, allowed_mentions=NOBODY)
        for view in others:
            await interaction.followup.send(view=view, ephemeral=True, allowed_mentions=NOBODY)

    async def _find_details(self, interaction: discord.Interaction[ImagineClient]) -> list[ui.LayoutView]:
        generation = await self.find(interaction)
        statement = await interaction.client.services.generations.statement(requester_of(interaction))
        made = any(image.state in MADE for image in generation.images)
        return build_details(generation, statement.balance, [ReportButton(generation.id)] if made else [])


class ReportButton(CardButton, template=r"imagine:report:(?P<id>[0-9]{1,20})"):
    """Opens the form of a report; under Details, which private images have too."""

    action, label = "report", texts_reports.BUTTON

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await open_form(interaction, self.generation_id)


class DeleteButton(CardButton, template=r"imagine:delete:(?P<id>[0-9]{1,20})"):
    """Asks the requester, or somebody with Manage Messages in the card's channel, whether to delete the card."""

    action, label = "delete", texts_buttons.DELETE

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await interaction.client.services.card_deletion.ask(
            interaction, min(self.generation_id, ID_MAX), confirmation_buttons
        )


class RemoveButton(CardButton, template=r"imagine:remove:(?P<id>[0-9]{1,20})"):
    """Confirms the deletion."""

    action, label, style = "remove", texts_buttons.DELETE, discord.ButtonStyle.danger

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await interaction.client.services.card_deletion.confirm(interaction, min(self.generation_id, ID_MAX))


class KeepButton(CardButton, template=r"imagine:keep:(?P<id>[0-9]{1,20})"):
    """Declines the deletion."""

    action, label = "keep", texts_buttons.KEEP

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await interaction.client.services.card_deletion.keep(interaction, self.generation_id)


def confirmation_buttons(generation_id: int) -> ui.ActionRow[Any]:
    """Build Delete and Keep for the private question, new each time: a view may be sent only once."""
    row: ui.ActionRow[Any] = ui.ActionRow()
    return row.add_item(RemoveButton(generation_id)).add_item(KeepButton(generation_id))


def _is_private(interaction: discord.Interaction[Any]) -> bool:
    return interaction.message is not None and interaction.message.flags.ephemeral


# For Client.add_dynamic_items: every button under a card.
DYNAMIC_ITEMS: tuple[type[CardButton], ...] = (
    CancelButton,
    AgainButton,
    EditButton,
    DetailsButton,
    ReportButton,
    DeleteButton,
    RemoveButton,
    KeepButton,
)

# Endings that the same prompt would have again.
_REFUSALS = frozenset({Ending.DECLINED, Ending.PROMPT_REFUSED})


def card_buttons(generation: Generation) -> list[ui.Item[Any]]:
    """Build the buttons under a card: Cancel while an image waits; the others once all images have ended."""
    if generation.cancellable:
        return [CancelButton(generation.id)]
    if not generation.finished:
        return []
    if any(image.state in MADE for image in generation.images):
        kinds = (AgainButton, EditButton, DetailsButton, DeleteButton)
    elif all(image.ending in _REFUSALS for image in generation.images):
        kinds = (EditButton,)
    else:
        kinds = (AgainButton, EditButton)
    return [kind(generation.id) for kind in kinds]
