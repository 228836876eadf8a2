"""Build the view of /history: one page of a person's own images. Pure; must not know the database or how it is sent.

At most 40 components, 4000 characters and TEXT_BYTES_MAX (ui/texts/text_budget) for any five prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import ui

from discord_api.links import message_link
from generations.history import Page, kept_images
from generations.model import MADE, Generation
from generations.prices import charged_for
from ui.texts import card as texts
from ui.texts import history as texts_history
from ui.texts.escaping import escape
from ui.texts.formatting import images_text
from ui.texts.text_budget import thumbnail_description
from ui.views.text_view import BLUE

PROMPT_EXCERPT = 120  # UTF-16 units after escaping
WORDS_EXCERPT = 80
GALLERY_MAX = 10  # Discord docs: Components, "Media Gallery"

# Each inner list is one row of buttons, new for every view: a button may be sent only once.
Rows = Sequence[Sequence[ui.Item[Any]]]


def build_history(
    page: Page,
    rows: Rows,
    *,
    thumbnails: Mapping[int, Sequence[str]] | None = None,
    gone: frozenset[int] = frozenset(),
    is_refused: bool = False,
) -> ui.LayoutView:
    """Build one page. *thumbnails*: generation id -> addresses of its images; *gone*: ids whose message was deleted;
    *is_refused*: the bot may not read some of the messages."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=BLUE)
    words = escape(page.words, WORDS_EXCERPT) if page.words else ""
    if not page.generations:
        container.add_item(ui.TextDisplay(texts_history.nothing_found(words)))
        return ui.LayoutView(timeout=None).add_item(container)
    container.add_item(ui.TextDisplay(texts_history.title(words)))
    items = _gallery_items(page, thumbnails or {})
    if items:
        container.add_item(ui.MediaGallery(*items))
    entries = [_entry(number, page, generation, gone) for number, generation in enumerate(page.generations, 1)]
    container.add_item(ui.TextDisplay("\n".join([*entries, *([texts_history.IMAGES_MISSING] if is_refused else [])])))
    for row in rows:
        if row:
            container.add_item(ui.ActionRow(*row))
    return ui.LayoutView(timeout=None).add_item(container)


def _gallery_items(page: Page, thumbnails: Mapping[int, Sequence[str]]) -> list[discord.MediaGalleryItem]:
    return [
        discord.MediaGalleryItem(
            url,
            description=thumbnail_description(number, generation.request.prompt),
            spoiler=generation.request.spoiler,
        )
        for number, generation in enumerate(page.generations, 1)
        for url in thumbnails.get(generation.id, ())
    ][:GALLERY_MAX]


def _entry(number: int, page: Page, generation: Generation, gone: frozenset[int]) -> str:
    request, made = generation.request, [image for image in generation.images if image.state in MADE]
    link = page.link(generation)
    where = "" if link is None else texts_history.card_link(message_link(*link))
    if generation.id in gone or generation.id in page.removed:
        where = texts_history.CARD_GONE
    return texts_history.entry(
        number=number,
        prompt=escape(request.prompt, PROMPT_EXCERPT),
        parts=[
            images_text(len(made)) if len(made) > 1 else "",
            request.size.label,
            texts.seeds_text([image.seed for image in made]),
            request.format.value,
            texts_history.price(sum(map(charged_for, made))),
            texts_history.made(generation.created_at_ms),
            where,
        ],
        kept=len(kept_images(generation)),
    )
