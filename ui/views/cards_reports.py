"""Build the form of a report, and the card for those who decide about it. Pure; must not know the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import discord
from discord import ui

from discord_api.links import message_link
from generations.model import MADE, Generation, link_to_card
from limits.model import BOT
from limits.service import REASON_MAX
from reports.model import TEXT_MAX, Decision, ReportFile, is_secret
from ui.texts import reports as texts
from ui.texts.escaping import escape
from ui.texts.text_budget import image_descriptions
from ui.views.text_view import build_text_view

TEXT_UNITS = 1100  # UTF-16 units of a report's text, when each character is escaped
PROMPT_UNITS = 600
OPENED_UNITS = 2300  # of a prompt that Open shows; with 3 bytes each and four short alt texts within TEXT_BYTES_MAX
DAYS_CHARACTERS = 6
REASON, TEXT, DAYS = "reason", "text", "days"  # custom_ids of the fields
_ORANGE, _GREY = 0xE67E22, 0x99AAB5

# Builds the buttons of one report for a scope: those of these decisions, and Open.
ReportButtons = Callable[[int, Sequence[Decision], bool], list[ui.Item[Any]]]


def build_form(custom_id: str) -> ui.Modal:
    """Build the form that a reporter fills in."""
    form = ui.Modal(title=texts.FORM_TITLE, custom_id=custom_id)
    options = [
        discord.RadioGroupOption(label=label, value=reason.value, description=description)
        for reason, (label, description) in texts.REASONS.items()
    ]
    form.add_item(ui.Label(text=texts.REASON_LABEL, component=ui.RadioGroup(custom_id=REASON, options=options)))
    text = ui.TextInput[ui.Modal](
        custom_id=TEXT, style=discord.TextStyle.paragraph, required=False, max_length=TEXT_MAX
    )
    form.add_item(ui.Label(text=texts.TEXT_LABEL, description=texts.TEXT_DESCRIPTION, component=text))
    return form


def build_block_form(custom_id: str) -> ui.Modal:
    """Build the form of "Block person"."""
    form = ui.Modal(title=texts.BLOCK_TITLE, custom_id=custom_id)
    reason = ui.TextInput[ui.Modal](custom_id=REASON, required=False, max_length=REASON_MAX)
    days = ui.TextInput[ui.Modal](custom_id=DAYS, required=False, max_length=DAYS_CHARACTERS)
    form.add_item(ui.Label(text=texts.BLOCK_REASON_LABEL, description=texts.BLOCK_REASON_DESCRIPTION, component=reason))
    form.add_item(ui.Label(text=texts.BLOCK_DAYS_LABEL, description=texts.BLOCK_DAYS_DESCRIPTION, component=days))
    return form


def build_report(file: ReportFile, scope_id: int, buttons: ReportButtons) -> ui.LayoutView:
    """Build the card of a report for those who decide in *scope_id*."""
    is_closed = file.decided(Decision.DISMISSED, scope_id)
    open_ones = [] if is_closed else [each for each in Decision if not file.decided(each, scope_id)]
    if file.generation is None:
        open_ones = [each for each in open_ones if each is Decision.DISMISSED]
    may_open = scope_id == BOT and file.generation is not None and not is_closed
    row = buttons(file.report.id, open_ones, may_open)
    text = "\n".join(_lines(file, scope_id))
    return build_text_view([text], row, colour=_GREY if is_closed else _ORANGE)


def build_opened(generation: Generation, urls: Sequence[str], missing: int) -> ui.LayoutView:
    """Build what Open shows. *urls*: of its images, also of attached ones; *missing*: how many can't be shown."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=_ORANGE)
    words = generation.request.prompt
    container.add_item(ui.TextDisplay(escape(words, OPENED_UNITS) if words else texts.PROMPT_PURGED))
    if urls:
        described = image_descriptions(words, range(len(urls)), len(urls), 0)
        items = (discord.MediaGalleryItem(url, description=described[at], spoiler=True) for at, url in enumerate(urls))
        container.add_item(ui.MediaGallery(*items))
    if missing:
        container.add_item(ui.TextDisplay(texts.images_missing(missing)))
    return ui.LayoutView(timeout=None).add_item(container)


def build_sentence(sentence: str) -> ui.LayoutView:
    """Build a message with one sentence."""
    return ui.LayoutView(timeout=None).add_item(ui.TextDisplay[ui.LayoutView](sentence))


def _lines(file: ReportFile, scope_id: int) -> list[str]:
    report = file.report
    said = f": “{escape(report.text, TEXT_UNITS)}”" if report.text else ""
    return [
        texts.title(report.reason),
        f"{texts.reported_by(report.reporter_id, report.at_ms)}{said}",
        *_image_lines(file, scope_id),
        *(
            texts.decided(each.decision, each.by_id, each.at_ms, in_server=each.scope_id != BOT)
            for each in file.decisions
        ),
        texts.numbers(report.id, report.generation_id),
    ]


def _image_lines(file: ReportFile, scope_id: int) -> list[str]:
    generation = file.generation
    if generation is None:
        return [texts.IMAGE_GONE]
    secret = is_secret(generation)
    is_linked = not secret and not file.decided(Decision.REMOVED, scope_id)
    made = sum(image.state in MADE for image in generation.images)
    whose = texts.image_of(
        generation.origin.user_id, made, generation.created_at_ms, _card_url(generation) if is_linked else ""
    )
    if secret:
        return [whose, texts.PRIVATE_TO_OWNER if scope_id == BOT else texts.PRIVATE]
    words = generation.request.prompt
    return [whose, f"**{escape(words, PROMPT_UNITS)}**" if words else texts.PROMPT_PURGED]


def _card_url(generation: Generation) -> str:
    origin = generation.origin
    place = (origin.guild_id, origin.channel_id, generation.message_id, generation.card_channel_id)
    link = link_to_card(*place, private=generation.request.private)
    return "" if link is None else message_link(*link)
