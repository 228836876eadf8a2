"""Steps with the bot's own token: a card, its pictures and its text, a large picture, other places.

The requests are those of the bot: ui/delivery/channels sends them, with what ui/delivery/payload builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from discord_api.live_calls import (
    ChannelFacts,
    SentMessage,
    Tried,
    build_files,
    build_gallery_view,
    build_menu_view,
    build_text_view,
)
from doctor.live.expectations import Expected, judge_ids
from doctor.live.image_files import large_image, small_image
from doctor.live.run_state import Run
from doctor.model import Finding, Level
from generations.delivery_result import Place
from generations.model import Generation, Progress, State
from qwen.images import DownloadedImage
from qwen.models import PROMPT_MAX
from ui.delivery.card_state import CardState
from ui.delivery.payload import KeptAttachment, Payload, gallery_media, has_ids
from ui.texts.escaping import ALT_TEXT_MAX
from ui.views.cards import CardButtons

NOTHING = Progress()
JAPANESE = "灯台と嵐の海を描いた水彩画。"
LONG_TEXT = "灯" * 3900  # below Discord's 4000 characters, above its 10,170 bytes
LONG_LABELS = ("灯" * 100,) * 25  # Discord docs: Component Reference, "Select Option Structure"; 25 options in a menu
MENUS = 2
LONG_DESCRIPTION = "灯" * ALT_TEXT_MAX


def no_buttons(_: Generation) -> list[Any]:
    """Build no button: nobody may press one of the bot's on a card that has no row."""
    return []


class IdAlone(KeptAttachment):
    """A kept image that is listed without its file name."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        return {"id": str(self.attachment_id)}


@dataclass(slots=True)
class LiveCard:
    """A card that stands: what its row would say, and what the bot would know of it."""

    run: Run
    generation: Generation
    state: CardState = field(default_factory=CardState)

    async def edit(self, *uploads: int, by_token: bool = False) -> tuple[Payload, Tried[SentMessage]]:
        """Edit the card as the bot does, with new pictures at the positions *uploads*."""
        done = {position: State.SUCCEEDED for position in uploads}
        images = (replace(each, state=done.get(each.position, each.state)) for each in self.generation.images)
        self.generation = replace(self.generation, images=tuple(images))
        kept = self.state.kept(self.generation)
        payload = build_payload(self.generation, {at: small_image(at) for at in uploads}, kept)
        way = next(way for way in self.run.places.ways(self.state, self.generation) if way.by_token is by_token)
        payload = await self.run.calls.with_ids(self.state, payload, way)
        tried = await self.run.client.attempt(way.send(payload))
        if tried.value is not None:
            self.state.note_uploads(payload, tried.value)
        return payload, tried


def build_payload(
    generation: Generation,
    uploads: Mapping[int, DownloadedImage],
    kept: Mapping[int, KeptAttachment] | None = None,
    buttons: CardButtons = no_buttons,
) -> Payload:
    """Build what the bot would send for *generation*."""
    return Payload(generation, NOTHING, buttons, uploads, kept or {}, linked={})


def made_of(generation: Generation) -> Generation:
    """Return *generation* with all of its images ready."""
    return replace(generation, images=tuple(replace(each, state=State.SUCCEEDED) for each in generation.images))


async def try_card(run: Run, channel: ChannelFacts) -> bool:
    """Post a card and edit it, first with pictures that come one by one, then with texts of every length. Returns
    whether the bot may post there."""
    generation = run.generation(None, channel.id, channel.guild_id, count=4)
    posted = await post(run, channel, build_payload(generation, {}), Expected.CARD)
    if posted is None:
        return False
    card = LiveCard(run, replace(generation, message_id=posted.id))
    for position, expected in enumerate((Expected.ONE, Expected.TWO, Expected.THREE, Expected.FOUR)):
        payload, tried = await card.edit(position)
        run.judge(expected, tried.answer)
        if position in (0, 3) and tried.value is not None:
            run.judged(judge_ids(has_ids(tried.value, payload.names()), tried.answer), tried.answer)
    payload, tried = await card.edit()
    run.judge(Expected.KEPT, tried.answer)
    await _try_id_alone(run, card)
    await _try_addresses(run, channel, card)
    await _try_texts(run, posted)
    return True


async def _try_id_alone(run: Run, card: LiveCard) -> None:
    """Keep the pictures in a list of their ids alone, named in a gallery."""
    kept = {
        at: IdAlone(each.attachment_id, each.file_name)
        for at, each in card.state.attached.items()
        if each.attachment_id is not None
    }
    way = next(run.places.ways(card.state, card.generation), None)
    if not kept or way is None:
        run.report.note(_untried(Expected.ID_ALONE, "no id of a picture is known"))
        return
    tried = await run.client.attempt(way.send(build_payload(card.generation, {}, kept)))
    run.judge(Expected.ID_ALONE, tried.answer)


async def _try_addresses(run: Run, channel: ChannelFacts, card: LiveCard) -> None:
    """Post a gallery of the addresses that Discord gave the pictures of the card, as /history does."""
    tried = await run.client.attempt(next(run.places.ways(card.state, card.generation)).fetch())
    run.judge(Expected.FETCH, tried.answer)
    urls = [] if tried.value is None else [media.url for media in gallery_media(tried.value.components)]
    if not urls:
        run.report.note(_untried(Expected.ADDRESSES, "the card shows no picture"))
        return
    view = build_gallery_view(urls, "a picture")
    taken = await run.make(lambda: run.client.send_view(channel, view), Expected.ADDRESSES)
    run.addresses_taken = taken is not None


async def _try_texts(run: Run, posted: SentMessage) -> None:
    """Edit the message to more text than Discord is known to take, in each of the four kinds of text."""
    plain = await run.client.edit(posted, build_text_view(LONG_TEXT), [])
    run.judge(Expected.TEXT, plain.answer)
    images = [(f"{at}.png", small_image(at).data) for at in range(4)]
    references = [f"attachment://{name}" for name, _ in images]
    files = build_files(images, None)
    gallery = await run.client.edit(posted, build_gallery_view(references, LONG_DESCRIPTION), files)
    run.judge(Expected.GALLERY_TEXT, gallery.answer)
    files = build_files(images, LONG_DESCRIPTION)
    described = await run.client.edit(posted, build_gallery_view(references, None), files)
    run.judge(Expected.FILE_TEXT, described.answer)
    menus = await run.client.edit(posted, build_menu_view(LONG_LABELS, MENUS), [])
    run.judge(Expected.MENU_TEXT, menus.answer)


async def try_posts(run: Run, channel: ChannelFacts) -> None:
    """Post what the bot would post in new messages: much Japanese text, and a large picture."""
    prompt = (JAPANESE * PROMPT_MAX)[:PROMPT_MAX]
    generation = made_of(run.generation(None, channel.id, channel.guild_id, prompt=prompt, count=4))
    payload = build_payload(generation, {at: small_image(at) for at in range(4)})
    await post(run, channel, payload, Expected.JAPANESE)
    generation = made_of(run.generation(None, channel.id, channel.guild_id))
    await post(run, channel, build_payload(generation, {0: large_image(run.rng)}), Expected.NINE_MIB)


async def try_private_thread(run: Run, thread_id: int, guild_id: int | None) -> None:
    """Post in a private thread that the bot is no member of."""
    generation = run.generation(None, thread_id, guild_id)
    thread = ChannelFacts(thread_id, 12, guild_id)
    await post(run, thread, build_payload(generation, {}), Expected.PRIVATE_THREAD)


async def try_without_bot(run: Run, channel_id: int) -> None:
    """Ask for a channel of a server that the bot is no member of, and post there."""
    found = await run.client.find_channel(channel_id)
    run.judge(Expected.WITHOUT_BOT_FETCH, found.answer)
    if found.value is not None:
        run.report.note(_untried(Expected.WITHOUT_BOT_POST, "the bot sees that channel, so it is in that server"))
        return
    generation = run.generation(None, channel_id, None)
    await post(run, ChannelFacts(channel_id, 0, None), build_payload(generation, {}), Expected.WITHOUT_BOT_POST)


async def try_direct_message(run: Run) -> None:
    """Send a picture to the owner as a direct message, as the last place of a card."""
    generation = made_of(run.generation(None, 0, None))
    destinations = run.places.destinations(CardState(), generation)
    open_channel = next(opened for place, opened in destinations if place is Place.DIRECT_MESSAGE and opened)
    payload = build_payload(generation, {0: small_image(0)})

    async def send() -> SentMessage:
        return await run.places.send(await open_channel(), payload, plain=False)

    await run.make(send, Expected.DIRECT_MESSAGE)


async def post(run: Run, channel: ChannelFacts, payload: Payload, expected: Expected | None) -> SentMessage | None:
    """Post a new message as the bot does."""
    place = run.client.get_partial_messageable(channel.id, guild_id=channel.guild_id)

    async def send() -> SentMessage:
        return await run.places.send(place, payload, plain=False)

    return await run.make(send, expected)


def _untried(expected: Expected, reason: str) -> Finding:
    return Finding(expected.value.step, Level.WARN, f"not tried: {reason}")
