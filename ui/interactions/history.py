"""/history: send a page, turn it, and post kept images in the channel where the button is pressed.

A button's custom_id holds the action, an id and the words of the search; nothing is kept in memory. Must not know the
database.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Container, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Self

import discord
from discord import ui

from discord_api.errors import trying
from discord_api.snowflakes import ID_MAX
from generations.delivery_result import Place
from generations.errors import DeliveryDelayed, LostClaim, NotThere
from generations.history import Page, clean_words, kept_images
from generations.model import Generation, Origin, Progress, State
from images.image_memory import Reservation
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import NOBODY, Refusal, defer
from ui.interactions.items import InteractionItem
from ui.interactions.origin import channel_without_history, may_bot_post, missing_permissions, origin_of
from ui.interactions.responses import defer_if_slow, in_time, send_view
from ui.texts import card as texts
from ui.texts import history as texts_history
from ui.views.cards_history import build_history


async def send_history(interaction: discord.Interaction, services: InteractionServices, words: str) -> None:
    """Send the first page of the generations whose prompt has all *words*; empty: of all."""
    page = services.history.page(interaction.user.id, words=clean_words(words))
    await _send_page(interaction, services, page)


async def _send_page(
    interaction: discord.Interaction, services: InteractionServices, loading: Coroutine[Any, Any, Page]
) -> None:
    """Send the page at once, and edit its images in as they are found."""
    viewer = interaction.user.id
    turn = services.thumbnails.turned(viewer)
    page = await defer_if_slow(interaction, asyncio.ensure_future(loading), services.clock)
    await send_view(interaction, build_history(page, _rows(page)))
    async for seen in services.thumbnails.find(page, viewer, turn, channel_without_history(interaction)):
        refused = bool(seen.refused)
        view = build_history(page, _rows(page), thumbnails=seen.urls, gone=seen.gone, is_refused=refused)
        with trying(interaction.client):  # the person closed it, or it is too late
            await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


def _rows(page: Page) -> Sequence[Sequence[ui.Item[Any]]]:
    turning: list[ui.Item[Any]] = []
    if page.newer is not None:
        turning.append(TurnButton("newer", page.newer, page.words))
    if page.older is not None:
        turning.append(TurnButton("older", page.older, page.words))
    posting = [
        PostButton(generation.id, number)
        for number, generation in enumerate(page.generations, 1)
        if kept_images(generation)
    ]
    return [turning, posting]


class TurnButton(
    InteractionItem,
    ui.DynamicItem[ui.Button[Any]],
    template=re.compile(r"history:(?P<turn>older|newer):(?P<id>[0-9]{1,20})(?::(?P<words>.+))?", re.DOTALL),
):
    """Sends the next page in one direction, from an id on."""

    def __init__(self, turn: str, generation_id: int, words: str) -> None:
        label = texts_history.OLDER if turn == "older" else texts_history.NEWER
        custom_id = f"history:{turn}:{generation_id}" + (f":{words}" if words else "")
        super().__init__(ui.Button(label=label, style=discord.ButtonStyle.secondary, custom_id=custom_id))
        self.turn, self.generation_id, self.words = turn, generation_id, words

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["turn"], int(match["id"]), match["words"] or "")

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Replace this page."""
        turn_at = min(self.generation_id, ID_MAX)
        older, newer = (turn_at, None) if self.turn == "older" else (None, turn_at)
        services = interaction.client.services
        words = clean_words(self.words)
        page = services.history.page(interaction.user.id, words=words, older_than=older, newer_than=newer)
        await _send_page(interaction, services, page)


class PostButton(InteractionItem, ui.DynamicItem[ui.Button[Any]], template=r"history:post:(?P<id>[0-9]{1,20})"):
    """Posts the kept images of one generation in the channel where it is pressed."""

    def __init__(self, generation_id: int, number: int = 0) -> None:
        label = texts_history.post_label(number)
        super().__init__(
            ui.Button(label=label, style=discord.ButtonStyle.primary, custom_id=f"history:post:{generation_id}")
        )
        self.generation_id = generation_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["id"]))

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Download the images again and post them here. Raises Refusal; then they stay kept or are refunded."""
        services = interaction.client.services
        user_id = interaction.user.id
        if self.generation_id > ID_MAX:
            raise Refusal(texts_history.NO_LONGER_KEPT)
        try:
            finding = asyncio.ensure_future(services.history.is_kept(self.generation_id, user_id))
            kept = await in_time(finding, services.clock)
            private = kept.request.private
            missing = missing_permissions(interaction, private=private)
            if missing:
                raise Refusal(texts.permissions_missing(missing))
        except NotThere:
            raise Refusal(texts_history.NO_LONGER_KEPT) from None
        deferred = await defer(interaction, private=private)
        message_id = None if deferred is None else deferred.message_id
        services.delivery.forget(kept.id)
        origin = await services.token_only.corrected(origin_of(interaction), bot_may_post=may_bot_post(interaction))
        if services.delivery.publish_delay_seconds(_build_card_here(kept, (), origin, message_id)):
            raise Refusal(texts_history.DISCORD_SILENT)
        async with services.history.reserve_memory(kept) as reservation:
            try:
                claimed = await services.history.take_kept(self.generation_id, user_id)
            except NotThere:
                raise Refusal(texts_history.BEING_POSTED) from None
            try:
                await _post(services, origin, claimed, message_id, reservation)
            finally:
                with contextlib.suppress(LostClaim):  # erased meanwhile
                    await services.history.post_ended(claimed)


async def _post(
    services: InteractionServices, origin: Origin, claimed: Generation, message_id: int | None, reservation: Reservation
) -> None:
    fetched = await services.history.fetch_kept(claimed, reservation)
    if not fetched.image_files:
        if fetched.lost:
            raise Refusal(texts_history.lost(fetched.lost, fetched.refunded))
        raise Refusal(texts_history.SERVICE_SILENT)
    card = _build_card_here(fetched.generation, fetched.image_files, origin, message_id)
    try:
        result = await services.delivery.publish(card, Progress(), fetched.image_files)
    except DeliveryDelayed:
        raise Refusal(texts_history.DISCORD_SILENT) from None
    if result.place is Place.NOWHERE:
        raise Refusal(texts_history.NO_PLACE)
    await services.history.posted(fetched.generation, origin, result, fetched.image_files)


def _build_card_here(
    generation: Generation, positions: Container[int], origin: Origin, message_id: int | None
) -> Generation:
    """Return *generation* with its card at *origin* and the images at *positions* to be posted there."""
    images = (
        replace(
            image,
            state=State.SUCCEEDED if image.position in positions else image.state,
            attachment_id=None,
            file_name=None,
        )
        for image in generation.images
    )
    return replace(generation, origin=origin, message_id=message_id, card_channel_id=None, images=tuple(images))


# For Client.add_dynamic_items.
HISTORY_ITEMS = (TurnButton, PostButton)
