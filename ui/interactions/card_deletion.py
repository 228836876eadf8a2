"""Takes a card away: asks first, privately, then deletes it by whatever way is open, and notes that it is gone. So it
does with messages that hold what could not be put on it.

The bot's own token reaches a card where the bot is a member. Elsewhere, and for what only one person sees, nothing but
the token of the press on that very card does (Discord docs: Receiving and Responding, "Delete Original Interaction
Response"), so that press is remembered for as long as its token lives. After a restart the person presses once more.
Must not know the database.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import discord
from discord import ui

from discord_api.errors import NO_ANSWER, UNKNOWN_MESSAGE, Verdict, verdict_of
from generations.clock import Clock
from generations.model import Generation, SeparateMessage, token_expires_at_ms
from generations.service import Generations
from ui.delivery.payload import addresses
from ui.interactions.errors import NOBODY, Refusal
from ui.interactions.origin import pressed_in
from ui.texts import buttons as texts_buttons

log = logging.getLogger("qwen_imagine.removal")

PRESSES_REMEMBERED = 200
TOKEN_MARGIN_MS = 30_000

Way = tuple[bool, Callable[[], Awaitable[None]]]  # whether by a token, and the deletion
SureButtons = Callable[[int], ui.ActionRow[Any]]


class CardDeletion:
    """Takes cards away. Presses that it remembers are an extra way; losing them loses nothing but one more press."""

    def __init__(self, client: discord.Client, generations: Generations, clock: Clock) -> None:
        self._client = client
        self._generations = generations
        self._clock = clock
        self._presses: OrderedDict[tuple[int, int], discord.Interaction[Any]] = OrderedDict()

    async def ask(self, interaction: discord.Interaction[Any], generation_id: int, buttons: SureButtons) -> None:
        """Ask privately whether the card on which *interaction* pressed may go. Raises NotThere and NotYours."""
        await interaction.response.defer()
        generation = await self._find(interaction, generation_id)
        self._remember(interaction, generation_id)
        going = _separate_of(generation, interaction.user.id)
        staying = len(generation.separate_by_position) - len(going)
        question = ui.TextDisplay[ui.LayoutView](texts_buttons.sure(len(generation.images) - staying, staying))
        view = ui.LayoutView(timeout=None).add_item(question).add_item(buttons(generation_id))
        await interaction.followup.send(view=view, ephemeral=True, allowed_mentions=NOBODY)

    async def confirm(self, interaction: discord.Interaction[Any], generation_id: int) -> None:
        """Delete the card and say so in place of the question. Raises NotThere, NotYours and Refusal."""
        await interaction.response.defer()
        generation = await self._find(interaction, generation_id)
        press = self._presses.pop((generation_id, interaction.user.id), None)
        left = await self._delete_separate(generation, _separate_of(generation, interaction.user.id))
        if not await self._is_card_deleted(generation, press):
            raise Refusal(texts_buttons.PRESS_AGAIN if press is None else texts_buttons.NOT_REMOVABLE)
        if press is not None and press.message is not None and press.message.id != generation.message_id:
            await _delete_pressed(press)
        await self._generations.removed(generation_id)
        log.info("generation %s: its card was removed by user %s", generation_id, interaction.user.id)
        said = texts_buttons.removed_but(addresses(generation, left)) if left else texts_buttons.REMOVED
        await interaction.edit_original_response(view=_said(said), allowed_mentions=NOBODY)

    async def delete_reported(self, generation: Generation, *, everywhere: bool) -> list[str] | None:
        """Delete the card and the messages beside it with the bot's own token, and return the addresses of what is
        left; None: the card is out of reach, so it stays. What is gone already counts as deleted.

        *everywhere*: also messages in the requester's direct messages. Raises Refusal when Discord can't do it now.
        """
        going = _separate_of(generation, generation.origin.user_id if everywhere else 0)
        if not await self._is_card_deleted(generation, None):
            return None
        return addresses(generation, await self._delete_separate(generation, going))

    async def keep(self, interaction: discord.Interaction[Any], generation_id: int) -> None:
        """Leave the card alone and say so in place of the question."""
        self._presses.pop((generation_id, interaction.user.id), None)
        await interaction.response.defer()
        await interaction.edit_original_response(view=_said(texts_buttons.KEPT_CARD), allowed_mentions=NOBODY)

    async def _find(self, interaction: discord.Interaction[Any], generation_id: int) -> Generation:
        permissions = interaction.permissions
        return await self._generations.find_removable(
            generation_id,
            user_id=interaction.user.id,
            may_manage=permissions.manage_messages or permissions.administrator,
            pressed_in=pressed_in(interaction),
        )

    def _remember(self, interaction: discord.Interaction[Any], generation_id: int) -> None:
        self._presses[generation_id, interaction.user.id] = interaction
        self._presses.move_to_end((generation_id, interaction.user.id))
        while len(self._presses) > PRESSES_REMEMBERED:
            self._presses.popitem(last=False)

    async def _delete_separate(
        self, generation: Generation, going: Mapping[int, SeparateMessage]
    ) -> dict[int, SeparateMessage]:
        """Before the card, whose button is the only way to try again. Those that Discord doesn't let the bot delete.

        Raises Refusal when Discord can't do it now.
        """
        gone = {separate for separate in set(going.values()) if await self._is_deleted(generation, separate)}
        return {position: separate for position, separate in going.items() if separate not in gone}

    async def _is_deleted(self, generation: Generation, separate: SeparateMessage) -> bool:
        """Delete *separate* by whatever way is open. False: none is. Raises Refusal when Discord can't do it now."""
        refused = False
        for by_token, delete in self._ways_to_separate(generation, separate):
            try:
                await delete()
                return True
            except discord.HTTPException as error:
                if verdict_of(error, by_token=by_token) is Verdict.LATER:
                    raise Refusal(texts_buttons.REMOVE_LATER) from None
                log.info(
                    "generation %s: its images can't be deleted: %s, code %s",
                    *(generation.id, error.status, error.code),
                )
                # A token knows only what it sent itself: after a refusal of the bot's own it says nothing of the rest.
                if error.code == UNKNOWN_MESSAGE and not refused:
                    return True  # somebody was quicker
                refused = True
            except NO_ANSWER:
                raise Refusal(texts_buttons.REMOVE_LATER) from None
        return False

    def _ways_to_separate(self, generation: Generation, separate: SeparateMessage) -> Iterator[Way]:
        """As the bot, where it may be; by the token of the request, for what was sent by that."""
        origin = generation.origin
        if generation.bot_reaches(separate.channel_id):
            yield False, self._message(separate.channel_id, separate.message_id).delete
        is_beside = separate.channel_id == origin.channel_id
        if is_beside and origin.token and self._clock.now_ms() < origin.token_expires_at_ms - TOKEN_MARGIN_MS:
            webhook = discord.Webhook.partial(origin.application_id, origin.token, client=self._client)
            yield True, partial(webhook.delete_message, separate.message_id)

    async def _is_card_deleted(self, generation: Generation, press: discord.Interaction[Any] | None) -> bool:
        """Delete the card by whatever way is open. False: none is. Raises Refusal when Discord can't do it now."""
        for by_token, delete in self._ways(generation, press):
            try:
                await delete()
                return True
            except discord.HTTPException as error:
                if error.code == UNKNOWN_MESSAGE:
                    return True  # somebody was quicker
                if verdict_of(error, by_token=by_token) is Verdict.LATER:
                    raise Refusal(texts_buttons.REMOVE_LATER) from None
                log.info(
                    "generation %s: its card can't be deleted: %s, code %s", generation.id, error.status, error.code
                )
            except NO_ANSWER:
                raise Refusal(texts_buttons.REMOVE_LATER) from None
        return False

    def _ways(self, generation: Generation, press: discord.Interaction[Any] | None) -> Iterator[Way]:
        channel_id, message_id = generation.current_channel_id, generation.message_id
        if message_id is not None and generation.bot_reaches(channel_id):
            yield False, self._message(channel_id, message_id).delete
        if press is not None and self._clock.now_ms() < token_expires_at_ms(press.id) - TOKEN_MARGIN_MS:
            yield True, press.delete_original_response

    def _message(self, channel_id: int, message_id: int) -> discord.PartialMessage:
        return self._client.get_partial_messageable(channel_id).get_partial_message(message_id)


def _separate_of(generation: Generation, user_id: int) -> dict[int, SeparateMessage]:
    """The messages beside the card that this person may take away with it: its requester all of them, somebody else
    those in the card's own channel, so nothing out of the requester's direct messages."""
    return {
        position: separate
        for position, separate in generation.separate_by_position.items()
        if user_id == generation.origin.user_id or separate.channel_id == generation.current_channel_id
    }


async def _delete_pressed(press: discord.Interaction[Any]) -> None:
    """The message that was pressed on, where the card has moved on to another one: it is meant as well."""
    try:
        await press.delete_original_response()
    except (discord.HTTPException, *NO_ANSWER) as error:
        log.info("an earlier card can't be deleted (%s)", type(error).__name__)


def _said(sentence: str) -> ui.LayoutView:
    return ui.LayoutView(timeout=None).add_item(ui.TextDisplay[ui.LayoutView](sentence))
