"""Offer the calls that publish a card, by ids over REST: edit by the interaction's token, edit as the bot, a new
message in the channel, a follow-up by the token, a direct message.

ui/delivery/fallback makes these calls and judges the responses. Logs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import discord

from discord_api.appending import append_as_bot, append_by_token
from discord_api.errors import (
    MISSING_ACCESS,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    Verdict,
    asking,
    verdict_of,
)
from discord_api.follow_ups import send_follow_up
from generations.clock import Clock
from generations.delivery_result import Place
from generations.model import Generation
from generations.token_only_channels import TokenOnlyChannels
from ui.delivery.card_state import CardState, Replacement
from ui.delivery.payload import Payload
from ui.views.cards import plain_text

NOBODY = discord.AllowedMentions.none()
LAST_WORD_MS = 45_000  # before the token's last use: discord.py may repeat a call for half a minute

Send = Callable[[Payload], Awaitable[discord.Message]]
OpenChannel = Callable[[], Awaitable[discord.PartialMessageable | discord.DMChannel]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to edit and to fetch a card: by the interaction's token or by the bot's own."""

    by_token: bool
    send: Send
    fetch: Callable[[], Awaitable[discord.Message]]


class Places:
    """Build the calls that reach a generation's card and its requester."""

    def __init__(
        self, client: discord.Client, clock: Clock, token_only: TokenOnlyChannels, *, token_margin_seconds: float
    ) -> None:
        self._client = client
        self._clock = clock
        self._token_only = token_only
        self._margin_ms = round(token_margin_seconds * 1000)

    def ways(self, state: CardState, generation: Generation) -> Iterator[Way]:
        """Yield the ways to edit the card, best first. Take the next one only after the one before was refused.

        The token comes first, also where the rows name another channel: they may be wrong, and a token only reaches
        cards in the channel of the request.
        """
        origin, message_id = generation.origin, generation.message_id
        replacement = state.replacement
        if replacement is not None and replacement.by_token:
            message_id = None if replacement.plain else replacement.message_id
        is_missed = (replacement is not None and not replacement.by_token) or state.token_missed == message_id
        if message_id is not None and not is_missed and self._token_is_fresh(state, generation):
            yield self._by_token(generation, message_id)
        elsewhere = _elsewhere(state, generation)
        if elsewhere is not None:
            state.token_missed = message_id
            if not elsewhere.plain:
                yield self._as_bot(elsewhere.channel_id, elsewhere.guild_id, elsewhere.message_id)
            return
        if message_id is None:
            return
        if self._bot_may_enter(state, generation):
            yield self._as_bot(origin.channel_id, origin.guild_id, message_id)

    def destinations(self, state: CardState, generation: Generation) -> Iterator[tuple[Place, OpenChannel | None]]:
        """Yield where the images can be posted in a new message, best first. No channel: use follow_up()."""
        origin = generation.origin

        async def channel() -> discord.PartialMessageable:
            return self._client.get_partial_messageable(origin.channel_id, guild_id=origin.guild_id)

        async def direct() -> discord.DMChannel:
            with asking(self._client):
                return await self._client.create_dm(discord.Object(origin.user_id))

        if self._bot_may_enter(state, generation):
            yield Place.CHANNEL, channel
        if state.may_follow_up(generation) and self._token_is_fresh(state, generation):
            yield Place.FOLLOW_UP, None
        yield Place.DIRECT_MESSAGE, direct

    async def send(self, channel: discord.abc.Messageable, payload: Payload, *, plain: bool) -> discord.Message:
        """Post *payload* as a new message: as a card, or *plain*, as text with attachments."""
        content = _new_message(payload, plain=plain)
        with asking(self._client):
            return await channel.send(**content, nonce=_nonce(payload))

    async def follow_up(self, payload: Payload, *, plain: bool) -> discord.Message:
        """Post *payload* by the interaction's token, ephemeral if it is private. After an error it may be posted."""
        generation = payload.generation
        origin, content = generation.origin, _new_message(payload, plain=plain)
        private = generation.request.private
        with asking(self._client):
            return await send_follow_up(self._client, origin.application_id, origin.token, ephemeral=private, **content)

    async def ask_for(self, channel_id: int) -> object:
        """Fetch a channel, which shows that Discord answers. discord.py's own call for it needs a cache of servers."""
        with asking(self._client):
            return await self._client.http.get_channel(channel_id)

    def last_word_at_ms(self, state: CardState, generation: Generation) -> int | None:
        """Return when a card that only the token reaches must say where its images will come; None: the bot reached it.

        At that time a card that the bot has not tried to reach is edited as the bot: see is_bot_untried.
        """
        if _elsewhere(state, generation) is not None or state.bot_reached:
            return None
        return generation.origin.token_expires_at_ms - self._margin_ms - LAST_WORD_MS

    def is_last_word_due(self, state: CardState, generation: Generation) -> bool:
        """Whether that time has come for a card that only the token reaches, and images are still to come."""
        return self._is_token_ending(state, generation) and not self._bot_may_enter(state, generation)

    def is_bot_untried(self, state: CardState, generation: Generation) -> bool:
        """Whether that time has come for a card that the bot may reach and never did, and the token can still edit."""
        is_due = self._is_token_ending(state, generation) and self._token_is_fresh(state, generation)
        return is_due and self._bot_may_enter(state, generation)

    async def said_last_word(self, generation: Generation) -> None:
        """Write to the row that only the token reaches this card, as another card of its channel has found."""
        if not generation.request.private:
            await self._token_only.keep(generation)

    async def refused_bot(
        self, state: CardState, generation: Generation, error: discord.HTTPException, *, posting: bool = False
    ) -> None:
        """Note that the bot's own token was refused in the card's channel, if *error* is about that channel.

        *posting*: a new message was refused, not an edit of the card. A missing permission is noted for this card only.
        """
        if _elsewhere(state, generation) is not None:
            return
        state.bot_refused = state.bot_refused or (not posting and is_closed_to_bot(error))
        if keeps_bot_out(error):
            await self._token_only.refused(generation)

    async def reached_as_bot(self, state: CardState, generation: Generation) -> None:
        """Note that the bot's own token reached the card's channel."""
        if _elsewhere(state, generation) is None:
            await self._token_only.reached(generation.origin.channel_id)

    async def fetch_answer(self, generation: Generation) -> discord.Message | None:
        """Fetch the first response to the interaction; None, without a call, after the token has run out."""
        origin = generation.origin
        if not origin.token or self._clock.now_ms() >= origin.token_expires_at_ms:
            return None
        # Discord docs: "Get Original Interaction Response"; the library's type knows numbers only.
        with asking(self._client):
            return await self._webhook(generation).fetch_message("@original")  # pyright: ignore[reportArgumentType]

    def _is_token_ending(self, state: CardState, generation: Generation) -> bool:
        at_ms = self.last_word_at_ms(state, generation)
        return at_ms is not None and not generation.finished and self._clock.now_ms() >= at_ms

    def _bot_may_enter(self, state: CardState, generation: Generation) -> bool:
        """Whether the bot's own token can edit the card and post in its channel. Only the interaction's token reaches a
        private card (discord-api-docs#3090), and nothing private is posted in a channel."""
        if generation.request.private or (state.bot_refused and self._token_is_fresh(state, generation)):
            return False
        return self._token_only.bot_may_enter(generation.origin)

    def _token_is_fresh(self, state: CardState, generation: Generation) -> bool:
        """Judge by the clock, without a call: each 401 counts towards Discord's limit of 10,000 invalid requests."""
        origin = generation.origin
        alive = bool(origin.token) and not state.token_dead
        return alive and self._clock.now_ms() < origin.token_expires_at_ms - self._margin_ms

    def _by_token(self, generation: Generation, message_id: int) -> Way:
        webhook = self._webhook(generation)

        async def send(payload: Payload) -> discord.Message:
            attachments, view = payload.attachments(), payload.view()
            with asking(self._client):
                if payload.appends:
                    return await append_by_token(webhook, message_id, payload.files(), view)
                return await webhook.edit_message(
                    message_id, attachments=attachments, view=view, allowed_mentions=NOBODY
                )

        async def fetch() -> discord.Message:
            with asking(self._client):
                return await webhook.fetch_message(message_id)

        return Way(True, send, fetch)

    def _as_bot(self, channel_id: int, guild_id: int | None, message_id: int) -> Way:
        message = self._client.get_partial_messageable(channel_id, guild_id=guild_id).get_partial_message(message_id)

        async def send(payload: Payload) -> discord.Message:
            attachments, view = payload.attachments(), payload.view()
            with asking(self._client):
                if payload.appends:
                    return await append_as_bot(self._client, message, payload.files(), view)
                return await message.edit(attachments=attachments, view=view, allowed_mentions=NOBODY)

        async def fetch() -> discord.Message:
            with asking(self._client):
                return await message.fetch()

        return Way(False, send, fetch)

    def _webhook(self, generation: Generation) -> discord.Webhook:
        origin = generation.origin
        return discord.Webhook.partial(origin.application_id, origin.token, client=self._client)


def _replacement_in_rows(generation: Generation) -> Replacement | None:
    """Return the message that an earlier process posted in another channel (the direct messages) as the card."""
    channel_id, message_id = generation.card_channel_id, generation.message_id
    if channel_id is None or message_id is None or channel_id == generation.origin.channel_id:
        return None
    return Replacement(channel_id, None, message_id, plain=False)


def _elsewhere(state: CardState, generation: Generation) -> Replacement | None:
    """Return the message by the bot's own token that took the card's place; None: the card is by the interaction's."""
    if state.replacement is not None:
        return None if state.replacement.by_token else state.replacement
    return _replacement_in_rows(generation)


def _new_message(payload: Payload, *, plain: bool) -> dict[str, Any]:
    """Build the arguments of discord.py's send()."""
    if not plain:
        return {"view": payload.view(), "files": payload.files(), "allowed_mentions": NOBODY}
    content = plain_text(payload.generation, payload.linked, payload.names(), brief=payload.brief)
    files = payload.files(beside=content)
    return {"content": content, "files": files, "allowed_mentions": NOBODY, "suppress_embeds": True}


def is_closed_to_bot(error: discord.HTTPException) -> bool:
    """Whether *error* refuses the bot's own token this channel, and not one message or all of the bot's calls.

    In a private thread without the bot: 403 with 50001, 404 with 10003 (Discord docs: Opcodes and Status Codes).
    """
    is_refused = error.status in (403, 404) and error.code != UNKNOWN_MESSAGE
    return is_refused and verdict_of(error, by_token=False) is Verdict.NEXT


def keeps_bot_out(error: discord.HTTPException) -> bool:
    """Whether the bot can't see the channel: Missing Access, Unknown Channel, Unknown Guild."""
    return error.code in (MISSING_ACCESS, UNKNOWN_CHANNEL, UNKNOWN_GUILD)


def _nonce(payload: Payload) -> str:
    """Build a nonce of the generation and its images' positions, so that Discord makes one message of two tries.

    At most 25 characters; Discord checks it because discord.py sends enforce_nonce (Discord docs: "Create Message").
    """
    positions = {*payload.uploads, *payload.linked}
    return f"{payload.generation.id}-{sum(1 << position for position in positions):x}"
