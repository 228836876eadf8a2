"""Build the two lists of /admin, page by page: blocked words and blocked people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from limits.model import GuildOverview
from ui.texts import admin as texts
from ui.texts.escaping import alt_text, escape
from ui.views.admin_controls import PAGE_ITEMS, Wrap, button, custom_id, open_container, page_of, page_row

TEXT_UNITS = 120  # UTF-16 units of a word on its page, so that a page of the longest fits
NAME_UNITS = 60
REASON_UNITS = 120
OPTION_BYTES = 60  # UTF-8 bytes


def build_words(overview: GuildOverview, wrap: Wrap, page: int = 0, notes: Sequence[str] = ()) -> ui.LayoutView:
    """Build a page of the blocked words."""
    version, words = overview.rules.version, overview.rules.words
    page, pages = page_of(len(words), page)
    listed = words[page * PAGE_ITEMS : (page + 1) * PAGE_ITEMS]
    lines = [
        texts.word(word.number, word.kind, escape(word.text, TEXT_UNITS), _short(word.name, NAME_UNITS))
        for word in listed
    ]
    options = [
        discord.SelectOption(label=alt_text(f"{word.number} · {word.text}", OPTION_BYTES), value=str(word.number))
        for word in listed
    ]
    select = _list("remove", version, page, texts.REMOVE_WORDS, options)
    header = f"{texts.WORDS_TITLE}\n{texts.WORDS_MEANING}"
    add = page_row("words", version, page, pages, button("add", version, texts.ADD_WORDS), wrap)
    return _build(header, notes, lines or [texts.NO_WORDS], (page, pages), select if options else None, add, wrap)


def build_people(overview: GuildOverview, wrap: Wrap, page: int = 0, notes: Sequence[str] = ()) -> ui.LayoutView:
    """Build a page of the people who are blocked now."""
    version, blocks = overview.rules.version, overview.active_blocks()
    page, pages = page_of(len(blocks), page)
    listed = list(enumerate(blocks, 1))[page * PAGE_ITEMS : (page + 1) * PAGE_ITEMS]
    lines = [
        texts.blocked(number, who, block.until_ms, _short(block.reason, REASON_UNITS), block.by_id)
        for number, (who, block) in listed
    ]
    options = [
        discord.SelectOption(label=texts.unblock_label(number), value=str(who), description=_readable(block.reason))
        for number, (who, block) in listed
    ]
    select = _list("unblock", version, page, texts.UNBLOCK, options)
    header = f"{texts.PEOPLE_TITLE}\n{texts.PEOPLE_MEANING}"
    add = page_row("people", version, page, pages, button("block", version, texts.BLOCK, is_danger=True), wrap)
    return _build(header, notes, lines or [texts.NOBODY], (page, pages), select if options else None, add, wrap)


def _build(
    header: str,
    notes: Sequence[str],
    lines: Sequence[str],
    page: tuple[int, int],
    select: ui.Item[Any] | None,
    row: ui.ActionRow[Any],
    wrap: Wrap,
) -> ui.LayoutView:
    number, pages = page
    turned = [texts.page(number + 1, pages)] if pages > 1 else []
    container = open_container(header, notes).add_item(ui.TextDisplay("\n".join([*lines, *turned])))
    if select is not None:
        container.add_item(ui.ActionRow(wrap(select)))
    return ui.LayoutView(timeout=None).add_item(container.add_item(row))


def _list(
    action: str, version: int, page: int, placeholder: str, options: list[discord.SelectOption]
) -> ui.Select[Any]:
    return ui.Select(
        custom_id=custom_id(action, version, str(page)),
        placeholder=placeholder,
        options=options,
        max_values=max(1, len(options)),
    )


def _short(text: str, limit: int) -> str:
    return escape(text, limit) if text.strip() else ""


def _readable(text: str) -> str | None:
    """Return the start of *text* for an option, which shows no Markdown; None: there is none."""
    return alt_text(text, OPTION_BYTES) if text.strip() else None
