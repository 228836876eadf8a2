"""Where a card can be shown, by ids over REST: by the interaction's token, by the bot's own edit, in a message of its
own in the channel, in a follow-up by the token, in a direct message.

A thin shell on discord.py: it offers calls, ui/delivery/fallback makes them and judges what comes of it. Logs nothing.
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
LAST_WORD_MS = 45_000  # before the token's last use: discord.py may try for half a minute

Send = Callable[[Payload], Awaitable[discord.Message]]
OpenChannel = Callable[[], Awaitable[discord.PartialMessageable | discord.DMChannel]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to edit a card where it stands."""

    by_token: bool
    send: Send
    fetch: Callable[[], Awaitable[discord.Message]]  # asks for the card as it stands


class Places:
    """The calls that reach a generation's card and its requester."""

    def __init__(
        self, client: discord.Client, clock: Clock, token_only: TokenOnlyChannels, *, token_margin_seconds: float
    ) -> None:
        self._client = client
        self._clock = clock
        self._token_only = token_only
        self._margin_ms = round(token_margin_seconds * 1000)

    def ways(self, state: CardState, generation: Generation) -> Iterator[Way]:
        """How the card can be edited, best first. Each one is asked for once the one before has been refused.

        The token comes first, also where the rows have the card in another channel: they may be wrong, and a token that
        reaches a card proves where it stands.
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
        """Where the images can be posted in a message of their own, best first. No channel: see follow_up()."""
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
        """Post *payload* as a message of its own: as a card, or *plain*, as text with attachments."""
        content = _new_message(payload, plain=plain)
        with asking(self._client):
            return await channel.send(**content, nonce=_nonce(payload))

    async def follow_up(self, payload: Payload, *, plain: bool) -> discord.Message:
        """The same by the interaction's token; what is private stays so. Sent once: an error may leave it posted."""
        generation = payload.generation
        origin, content = generation.origin, _new_message(payload, plain=plain)
        private = generation.request.private
        with asking(self._client):
            return await send_follow_up(self._client, origin.application_id, origin.token, ephemeral=private, **content)

    async def ask_for(self, channel_id: int) -> object:
        """The channel as Discord tells of it; the library's own call for it needs a cache of servers."""
        with asking(self._client):
            return await self._client.http.get_channel(channel_id)

    def last_word_at_ms(self, state: CardState, generation: Generation) -> int | None:
        """When a card must say where its images will come, if only the token reaches it; None: the bot reached it.

        At that time a card that the bot is believed to reach is tried with the bot's own token: see is_bot_untried.
        """
        if _elsewhere(state, generation) is not None or state.bot_reached:
            return None
        return generation.origin.token_expires_at_ms - self._margin_ms - LAST_WORD_MS

    def is_last_word_due(self, state: CardState, generation: Generation) -> bool:
        """Whether that time has come for a card that only the token reaches, and something is still to be shown."""
        return self._is_token_ending(state, generation) and not self._bot_may_enter(state, generation)

    def is_bot_untried(self, state: CardState, generation: Generation) -> bool:
        """Whether that time has come for a card that the bot never reached, and the token can still change it."""
        is_due = self._is_token_ending(state, generation) and self._token_is_fresh(state, generation)
        return is_due and self._bot_may_enter(state, generation)

    async def said_last_word(self, generation: Generation) -> None:
        """Keep in the row what another card of its channel has met: the bot is not to be tried for this one either."""
        if not generation.request.private:
            await self._token_only.keep(generation)

    async def refused_bot(
        self, state: CardState, generation: Generation, error: discord.HTTPException, *, posting: bool = False
    ) -> None:
        """Note that the bot's own token was refused where the card stands, if *error* is about that place.

        *posting*: a new message, not an edit of the card. A permission that is missing there concerns this card alone.
        """
        if _elsewhere(state, generation) is not None:
            return
        state.bot_refused = state.bot_refused or (not posting and is_closed_to_bot(error))
        if keeps_bot_out(error):
            await self._token_only.refused(generation)

    async def reached_as_bot(self, state: CardState, generation: Generation) -> None:
        """Note that the bot's own token reached the place of the card."""
        if _elsewhere(state, generation) is None:
            await self._token_only.reached(generation.origin.channel_id)

    async def fetch_answer(self, generation: Generation) -> discord.Message | None:
        """The answer to the interaction; None without asking, when the token can't tell any more."""
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
        """Whether the bot itself, without the token, can see the card and post beside it. A private card only the token
        reaches (discord-api-docs#3090), and nothing private goes into a channel."""
        if generation.request.private or (state.bot_refused and self._token_is_fresh(state, generation)):
            return False
        return self._token_only.bot_may_enter(generation.origin)

    def _token_is_fresh(self, state: CardState, generation: Generation) -> bool:
        """By the clock, without a try: each 401 counts towards Discord's limit of 10,000 invalid requests."""
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
    """Where an earlier process moved the card, if it was into another channel: the requester's direct messages."""
    channel_id, message_id = generation.card_channel_id, generation.message_id
    if channel_id is None or message_id is None or channel_id == generation.origin.channel_id:
        return None
    return Replacement(channel_id, None, message_id, plain=False)


def _elsewhere(state: CardState, generation: Generation) -> Replacement | None:
    """The message that took the card's place by the bot's own token; None: the interaction's made the card."""
    if state.replacement is not None:
        return None if state.replacement.by_token else state.replacement
    return _replacement_in_rows(generation)


def _new_message(payload: Payload, *, plain: bool) -> dict[str, Any]:
    """What discord.py sends as a new message."""
    if not plain:
        return {"view": payload.view(), "files": payload.files(), "allowed_mentions": NOBODY}
    content = plain_text(payload.generation, payload.linked, payload.names(), brief=payload.brief)
    files = payload.files(beside=content)
    return {"content": content, "files": files, "allowed_mentions": NOBODY, "suppress_embeds": True}


def is_closed_to_bot(error: discord.HTTPException) -> bool:
    """Whether an answer to the bot's own token refuses it the place, and not one message or all of the bot's calls.

    As in a private thread without the bot: 403 with 50001, 404 with 10003 (Discord docs: Opcodes and Status Codes).
    """
    is_refused = error.status in (403, 404) and error.code != UNKNOWN_MESSAGE
    return is_refused and verdict_of(error, by_token=False) is Verdict.NEXT


def keeps_bot_out(error: discord.HTTPException) -> bool:
    """Whether the bot can't even see the place: Missing Access, Unknown Channel, Unknown Guild."""
    return error.code in (MISSING_ACCESS, UNKNOWN_CHANNEL, UNKNOWN_GUILD)


def _nonce(payload: Payload) -> str:
    """The same for the same images of the same generation, so that Discord makes one message of two tries.

    At most 25 characters; Discord looks for it because discord.py sends enforce_nonce (Discord docs: "Create Message").
    """
    positions = {*payload.uploads, *payload.linked}
    return f"{payload.generation.id}-{sum(1 << position for position in positions):x}"
