"""Try one place after the other until a card or an image is published: edit by token, edit as the bot, a new message in
the channel, a follow-up by token, a direct message, nowhere.

ui/delivery/cards decides when and in what order. Tokens and prompts never reach the log.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import discord

from discord_api.errors import (
    NO_ANSWER,
    UNKNOWN_MESSAGE,
    Verdict,
    delayed,
    verdict_of,
)
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Generation, Progress, SeparateMessage, State
from generations.ports import FollowUps, StaleEditGuard
from observability.repeats import REPEATS
from qwen.images import FoundImage, OversizedImage
from ui.delivery.calls import Calls, PayloadFails
from ui.delivery.card_state import CardState, Replacement
from ui.delivery.channels import Places
from ui.delivery.fitting import ImageFitter, posts_of, size_of, too_large
from ui.delivery.new_messages import NewMessages
from ui.delivery.payload import Payload
from ui.delivery.rate_guard import RateGuard
from ui.delivery.refusals import PayloadTooLarge, judge
from ui.views.cards import CardButtons
from ui.views.file_names import ImageFile

log = logging.getLogger("qwen_imagine.delivery")

REWRITE_SECONDS = 1.0  # until a message that may have been sent by an earlier try is edited to today's words

_POSTED = frozenset({State.SUCCEEDED, State.DELIVERED})  # not of kept or lost images: they may be refunded


class PayloadRefused(Exception):
    """Discord takes a card here, but not this gallery."""


class Fallback:
    """Publish and edit cards, wherever that is possible."""

    def __init__(
        self,
        places: Places,
        rate_guard: RateGuard,
        fitter: ImageFitter,
        buttons: CardButtons,
        follow_ups: FollowUps | None = None,
        stale_edit_guard: StaleEditGuard | None = None,
    ) -> None:
        self._places = places
        self._rate_guard = rate_guard
        self._calls = Calls(places, rate_guard, stale_edit_guard)
        self._new_messages = NewMessages(places, self._calls, rate_guard, follow_ups)
        self._fitter = fitter
        self._buttons = buttons

    async def publish(
        self, state: CardState, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        """Publish the card with *image_files*. Raises DeliveryDelayed.

        Images that are too large for this place are made smaller. Where Discord still refuses so many bytes, they are
        sent one by one; one that is refused alone is made smaller once more, and then becomes a link.
        """
        fitted = await self._fitter.fit(generation, image_files)
        squeezed: set[int] = set()
        landed: set[int] = set()
        posts = posts_of(fitted)
        result = DeliveryResult(Place.NOWHERE)
        while posts:
            positions = posts.pop(0)
            try:
                result = await self._publish_batch(
                    state, generation, progress, {position: fitted[position] for position in positions}
                )
            except PayloadTooLarge:
                if len(positions) > 1:
                    posts[:0] = [[position] for position in positions]
                    continue
                (position,) = positions
                smaller = None
                if position not in squeezed:
                    squeezed.add(position)
                    refused_bytes = size_of(fitted[position])
                    smaller = await self._fitter.squeeze(generation, image_files[position], refused_bytes)
                if smaller is None:
                    state.linked[position] = generation.images[position].image_url or ""
                else:
                    fitted[position] = smaller
                posts.insert(0, positions)
                continue
            landed.update(positions if result.place is not Place.NOWHERE else ())
        attached = {position: state.attached[position] for position in image_files if position in state.attached}
        return replace(
            result,
            attachments={
                position: image_file.attachment_id
                for position, image_file in attached.items()
                if image_file.attachment_id is not None
            },
            file_names={position: "" for position in state.linked if position in landed}
            | {position: image_file.file_name for position, image_file in attached.items()},
            separate={position: state.separate[position] for position in image_files if position in state.separate},
        )

    async def edit(
        self, state: CardState, payload: Payload, *, is_progress: bool = False, as_bot: bool = False
    ) -> discord.Message | None:
        """Edit the card; None: no way reaches it. *as_bot*: only with the bot's own token. *is_progress*: after a 5xx,
        don't find out whether the payload is the cause.

        A card that gets 5xx is sent brief from then on. Raises DeliveryDelayed, and for a payload with uploads
        PayloadRefused and PayloadTooLarge.
        """
        if payload.uploads and state.separate_only:
            raise PayloadRefused
        for way in self._places.ways(state, payload.generation):
            if as_bot and way.by_token:
                continue
            where = "edit by token" if way.by_token else "edit as the bot"
            try:
                payload = await self._calls.with_ids(state, payload, way)
                send = partial(way.send, payload)
                message = await self._calls.make(state, payload, send, by_token=way.by_token, may_probe=not is_progress)
            except PayloadFails:
                if not payload.brief:
                    state.brief = True
                    shorter = replace(payload, brief=True)
                    return await self.edit(state, shorter, is_progress=is_progress, as_bot=as_bot)
                if payload.uploads:
                    state.separate_only = True
                    raise PayloadRefused from None
                return None
            except discord.HTTPException as error:
                verdict = judge(error, payload, where, by_token=way.by_token)
                state.token_dead = state.token_dead or verdict is Verdict.TOKEN_DEAD
                if verdict is Verdict.REFUSED and await self._calls.forget_gone(state, payload, way):
                    raise delayed(error) from None
                if verdict is Verdict.REFUSED and payload.uploads:
                    raise PayloadRefused from None
                state.archived = verdict is Verdict.ARCHIVED
                state.closed = state.archived or (verdict is Verdict.NEXT and error.status == 403)
                if state.archived:
                    return None  # whichever token edits
                if not way.by_token:
                    await self._places.refused_bot(state, payload.generation, error)
            else:
                state.closed, state.archived, state.tries = False, False, 0
                if not way.by_token:
                    state.bot_reached = True
                    await self._places.reached_as_bot(state, payload.generation)
                if payload.last_word:
                    await self._places.said_last_word(payload.generation)
                return await self._calls.answer_with_ids(state, payload, way, message)
        return None

    async def try_as_bot(self, state: CardState, generation: Generation, progress: Progress) -> bool:
        """Edit the card with the bot's own token, to learn whether it reaches it. False: Discord can't say now."""
        try:
            await self.edit(state, self.payload(state, generation, progress, {}), as_bot=True)
        except DeliveryDelayed as delayed:
            log.info("generation %s: not tried as the bot: %s", generation.id, delayed, extra=REPEATS)
            return False
        return True

    def preparing_seconds(self, state: CardState, generation: Generation) -> float:
        """Return how long the rate guard delays the first call of publish(); 0: download images for it now."""
        way = next(self._places.ways(state, generation), None)
        return self._rate_guard.preparing_seconds(by_token=way is not None and way.by_token)

    async def find_card(self, generation: Generation) -> int | None:
        """Return the id of the first response; None: Discord has none, the token has run out, or it is no card.

        It is no card where another process responded with a refusal. Raises DeliveryDelayed.
        """
        self._rate_guard.check(by_token=True)
        try:
            message = await self._places.fetch_answer(generation)
        except discord.HTTPException as error:
            self._rate_guard.refused(error, by_token=True, card=generation.id)
            if error.code == UNKNOWN_MESSAGE or verdict_of(error, by_token=True) is Verdict.TOKEN_DEAD:
                return None
            said = "generation %s: its card can't be asked for: %s, %s"
            log.info(said, generation.id, error.status, error.code, extra=REPEATS)
            raise delayed(error) from None
        except NO_ANSWER as error:
            self._rate_guard.unanswered(error, card=generation.id)
            raise delayed(error) from None
        if message is None:
            self._rate_guard.unasked()
            return None
        self._rate_guard.answered(by_token=True)
        is_card = message.flags.components_v2 or message.flags.loading
        return message.id if is_card else None

    def payload(
        self,
        state: CardState,
        generation: Generation,
        progress: Progress,
        image_files: Mapping[int, ImageFile | OversizedImage],
    ) -> Payload:
        """Build what to send: images on the card are kept, those too large for this place become links."""
        kept = state.kept(generation)
        separate = generation.separate_by_position | state.separate
        for position in too_large(image_files, generation):
            if position not in kept:
                state.linked[position] = generation.images[position].image_url or ""
        uploads = {
            position: image_file
            for position, image_file in image_files.items()
            if position not in kept and position not in state.linked and not isinstance(image_file, OversizedImage)
        }
        last_word = self._places.is_last_word_due(state, generation)
        found = _linked_in_rows(generation) | state.linked
        linked = {at: url for at, url in found.items() if generation.images[at].state in _POSTED}
        return Payload(generation, progress, self._buttons, uploads, kept, linked, separate, last_word, state.brief)

    async def _publish_batch(
        self,
        state: CardState,
        generation: Generation,
        progress: Progress,
        image_files: Mapping[int, ImageFile | OversizedImage],
    ) -> DeliveryResult:
        payload = self.payload(state, generation, progress, image_files)
        refused = False
        try:
            message = await self.edit(state, payload)
        except PayloadRefused:
            message, refused = None, True
        if message is not None:
            state.note_uploads(payload, message)
            return DeliveryResult(Place.CARD, message.id, _channel_of(message, generation))
        if not image_files and not (state.archived and generation.finished):
            return DeliveryResult(Place.NOWHERE, card_retry_seconds=state.seconds_to_reopening())
        return await self._post(state, payload, payload.on_new_message(image_files), refused=refused)

    async def _post(self, state: CardState, card: Payload, separate: Payload, *, refused: bool) -> DeliveryResult:
        """Post *separate* as a new message; *refused*: Discord refused its images on the *card*.

        An ending without an image is posted in the channel of its card only, never as a direct message.
        """
        generation = card.generation
        for place, open_channel in self._places.destinations(state, generation):
            if place is Place.DIRECT_MESSAGE and not (separate.uploads or separate.linked):
                break
            for plain in (True,) if refused else (False, True):
                outcome = await self._new_messages.post(state, place, open_channel, separate, plain=plain)
                if isinstance(outcome, discord.Message):
                    was_delayed, state.post_delayed = state.post_delayed, False
                    log.info("generation %s: posted apart from its card (%s)", generation.id, place.value)
                    if refused:
                        where = DeliveryResult(place, generation.message_id, generation.origin.channel_id)
                        noted = await self._leave_note(
                            state, card, SeparateMessage(outcome.channel.id, outcome.id), where
                        )
                        if noted is not None:
                            return noted
                    if state.archived and place is not Place.DIRECT_MESSAGE:
                        await self._point_to(state, card, outcome)
                    result = _moved(state, separate, place, outcome, plain=plain)
                    # The nonce makes one message of both tries, with the words of the first one.
                    return replace(result, card_retry_seconds=REWRITE_SECONDS if was_delayed and not plain else None)
                if outcome is not Verdict.REFUSED:
                    break  # the place is closed, to plain messages too
        card_retry_seconds = await self._say_kept(state, card) if refused else state.seconds_to_reopening()
        return DeliveryResult(Place.NOWHERE, card_retry_seconds=card_retry_seconds)

    async def _leave_note(
        self, state: CardState, card: Payload, separate: SeparateMessage, result: DeliveryResult
    ) -> DeliveryResult | None:
        """Say on the card where its images are; where Discord can't take that now, have it tried later. None: the card
        is gone."""
        card = card.posted_at(separate)
        try:
            if await self.edit(state, card) is None:
                return None
        except DeliveryDelayed as delayed:
            result = replace(result, card_retry_seconds=delayed.retry_after_seconds)
        state.separate |= card.separate
        return result

    async def _point_to(self, state: CardState, card: Payload, posted: discord.Message) -> None:
        """Edit the old *card* once, to link to *posted*, which has opened its thread again. A delay is ignored."""
        with contextlib.suppress(DeliveryDelayed):
            await self.edit(state, card.posted_at(SeparateMessage(posted.channel.id, posted.id)))

    async def _say_kept(self, state: CardState, card: Payload) -> float | None:
        """Say on the card that there is no place for its images. Return after how long to try again; None: never."""
        try:
            said = await self.edit(state, card.kept_back())
        except DeliveryDelayed as delayed:
            return delayed.retry_after_seconds
        return state.seconds_to_reopening() if said is None else None


def _channel_of(message: discord.Message, generation: Generation) -> int:
    """Return the channel of an edited card. An edit by token is always in the channel of the request, also where the
    rows lack that channel's id."""
    return generation.origin.channel_id if isinstance(message, discord.WebhookMessage) else message.channel.id


def _linked_in_rows(generation: Generation) -> dict[int, str]:
    """Return the addresses of images that an earlier process could only link to."""
    return {
        image.position: image.image_url
        for image in generation.images
        if image.state is State.DELIVERED and image.file_name == "" and image.image_url
    }


def _moved(
    state: CardState, payload: Payload, place: Place, message: discord.Message, *, plain: bool
) -> DeliveryResult:
    """Note that *message* is the card now."""
    channel_id = _channel_of(message, payload.generation)
    guild_id = None if place is Place.DIRECT_MESSAGE else payload.generation.origin.guild_id
    state.replace_card(Replacement(channel_id, guild_id, message.id, plain, by_token=place is Place.FOLLOW_UP))
    state.note_uploads(payload, message)
    return DeliveryResult(place, message.id, channel_id)
