"""Build the views of Details: what the card leaves out, and the credits of whoever pressed.

Pure; must not know the database. A long prompt needs more than one message: Discord allows 4000 characters of text in
each (Discord docs: Components, "Text Display").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discord import ui

from credits.model import Balance
from generations.model import MADE, Generation, Image
from generations.prices import charged_for
from ui.texts import buttons as texts_buttons
from ui.texts import card as texts
from ui.texts.escaping import escape, escape_parts, units
from ui.texts.formatting import credits_text, duration
from ui.texts.text_budget import TEXT_BYTES_MAX, utf8_bytes
from ui.views.cards_credits import balance_lines
from ui.views.text_view import build_text_view

PART_MAX = 1900  # UTF-16 units of the prompt in one text display
MESSAGE_MAX = 3900  # UTF-16 units in one message, with a margin; TEXT_BYTES_MAX holds as well
TASK_ID_EXCERPT = 80


def build_details(
    generation: Generation, balance: Balance, buttons: Sequence[ui.Item[Any]] = ()
) -> list[ui.LayoutView]:
    """Build one view for each message, in order. *buttons*: under the last one."""
    words = generation.request.prompt
    prompt = escape_parts(words, PART_MAX) if words else [texts_buttons.PROMPT_GONE]
    facts = "\n".join(_facts(generation))
    account = "\n".join(_account(balance))
    pages: list[list[str]] = [[]]
    for part in [*prompt, f"{facts}\n\n{account}"]:
        page = "".join([*pages[-1], part])
        if pages[-1] and (units(page) > MESSAGE_MAX or utf8_bytes(page) > TEXT_BYTES_MAX):
            pages.append([])
        pages[-1].append(part)
    return [*map(build_text_view, pages[:-1]), build_text_view(pages[-1], buttons)]


def _facts(generation: Generation) -> list[str]:
    request = generation.request
    options = [request.size.title, request.format.value]
    options += [texts_buttons.PRIVATE] * request.private + [texts_buttons.SPOILER] * request.spoiler
    return [
        " · ".join(options),
        *(_image_line(image) for image in generation.images),
        texts_buttons.made_line(generation.origin.user_id, generation.created_at_ms),
        texts.small_print([texts_buttons.generation_number(generation.id)]),
    ]


def _image_line(image: Image) -> str:
    took = ""
    if image.state in MADE and image.ready_at_ms is not None and image.submitted_at_ms is not None:
        took = duration((image.ready_at_ms - image.submitted_at_ms) / 1000)
    price = credits_text(charged_for(image)) if image.state in MADE else ""
    task_id = escape(image.task_id, TASK_ID_EXCERPT) if image.task_id else ""
    return texts_buttons.image_line(image.position + 1, image.seed, image.state, took, price, task_id)


def _account(balance: Balance) -> list[str]:
    return [
        f"{texts_buttons.YOUR_CREDITS}:",
        *balance_lines(balance),
        texts.refill_text(balance.allowance, balance.refills_at_ms),
    ]
