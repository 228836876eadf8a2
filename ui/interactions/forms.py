"""The form that Edit and "Imagine this" open, and what comes back from it. Nothing is kept in memory.

Options without a field stand in the form's custom_id, so a form that was opened before a restart works. Must not know
the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from generations.model import MAX_COUNT
from generations.prices import price_of
from qwen.models import PROMPT_MAX, OutputFormat, Size
from ui.interactions.errors import Refusal, respond_privately
from ui.interactions.form_fields import parse_fields
from ui.interactions.requests import Options
from ui.texts import buttons as texts_buttons
from ui.texts import options
from ui.texts.escaping import copyable, cut, units

FORM_PREFIX = "imagine:form:"
BLOCK_MAX = 1900  # UTF-16 units; a message holds 2000 characters
SEED_CHARACTERS_MAX = 20  # more than a seed has, so that a mistyped one is refused with a sentence and not cut

_CUSTOM_ID = re.compile(rf"{FORM_PREFIX}([1-{MAX_COUNT}])([p-])([s-])(m?):[0-9]{{1,20}}", re.ASCII)
_SEED = re.compile(r"-?[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A form as it came back. *fields*: what was typed or picked, by field name."""

    custom_id: str
    fields: Mapping[str, str]

    @property
    def prompt(self) -> str:
        return self.fields.get(options.PROMPT.name, "")

    @property
    def private(self) -> bool:
        """Whether the response is for the person alone; True too where the custom_id can't be read."""
        found = _CUSTOM_ID.fullmatch(self.custom_id)
        return found is None or found[2] == "p"

    @property
    def from_menu(self) -> bool:
        """Whether "Imagine this" opened the form, and not Edit."""
        found = _CUSTOM_ID.fullmatch(self.custom_id)
        return found is not None and bool(found[4])

    def parse(self) -> Options:
        """Return the options. Raises Refusal with the reason why they can't be read."""
        found = _CUSTOM_ID.fullmatch(self.custom_id)
        if found is None:
            raise Refusal(texts_buttons.FORM_TOO_OLD)
        try:
            size = Size(self.fields.get(options.SIZE.name, ""))
            format = OutputFormat(self.fields.get(options.FORMAT.name, ""))
        except ValueError:
            raise Refusal(texts_buttons.NOT_FROM_THE_LIST) from None
        return Options(self.prompt, size, self._parse_seed(), format, int(found[1]), found[2] == "p", found[3] == "s")

    def _parse_seed(self) -> int | None:
        text = self.fields.get(options.SEED.name, "").strip()
        if not text:
            return None
        if _SEED.fullmatch(text) is None:
            raise Refusal(texts_buttons.SEED_NOT_A_NUMBER)
        return int(text)


def build_form(filled: Options, interaction_id: int, *, from_menu: bool) -> ui.Modal:
    """Build the form. *interaction_id*: of the interaction that opens it, so that no two forms share a custom_id."""
    hidden = f"{filled.count}{'p' if filled.private else '-'}{'s' if filled.spoiler else '-'}{'m' if from_menu else ''}"
    form = ui.Modal(
        title=texts_buttons.form_title(filled.count, price_of(filled.count)),
        custom_id=f"{FORM_PREFIX}{hidden}:{interaction_id}",
    )
    form.add_item(_prompt_label(filled.prompt))
    form.add_item(_list_label(options.SIZE, filled.size))
    form.add_item(_seed_label(filled.seed))
    form.add_item(_list_label(options.FORMAT, filled.format))
    return form


def _prompt_label(prompt: str) -> ui.Label[ui.Modal]:
    # Discord's client counts UTF-16 units; other counts are smaller.
    is_cut = units(prompt) > PROMPT_MAX
    whole = cut(prompt, PROMPT_MAX).encode("utf-8", "replace").decode("utf-8")  # half a character can't be sent
    return ui.Label(
        text=options.PROMPT.title,
        description=texts_buttons.prompt_was_cut(PROMPT_MAX) if is_cut else options.PROMPT.description,
        component=ui.TextInput(
            custom_id=options.PROMPT.name,
            style=discord.TextStyle.paragraph,
            default=whole or None,
            min_length=1,
            max_length=PROMPT_MAX,
        ),
    )


def _seed_label(seed: int | None) -> ui.Label[ui.Modal]:
    return ui.Label(
        text=options.SEED.title,
        description=texts_buttons.SEED_MEANING,
        component=ui.TextInput(
            custom_id=options.SEED.name,
            placeholder=texts_buttons.SEED_PLACEHOLDER,
            default=None if seed is None else str(seed),
            required=False,
            max_length=SEED_CHARACTERS_MAX,
        ),
    )


def _list_label(option: options.Option, picked: str) -> ui.Label[ui.Modal]:
    offered = [
        discord.SelectOption(label=label, value=value, default=value == picked) for value, label in option.choices
    ]
    return ui.Label(text=option.title, component=ui.Select(custom_id=option.name, options=offered))


async def send_form(interaction: discord.Interaction[Any], filled: Options, *, from_menu: bool = False) -> None:
    """Send the form as the first response, within three seconds.

    Stop the form first: discord.py 2.7.1 would keep one that runs (interactions.py, `send_modal`) and handle its
    submission beside us.
    """
    form = build_form(filled, interaction.id, from_menu=from_menu)
    form.stop()
    await interaction.response.send_modal(form)


def parse_form(interaction: discord.Interaction[Any]) -> SubmittedForm | None:
    """Return a submitted form of ours; None: the interaction is something else."""
    found = parse_fields(interaction, FORM_PREFIX)
    if found is None:
        return None
    return SubmittedForm(found.custom_id, found.firsts)


async def send_back_prompt(interaction: discord.Interaction[Any], form: SubmittedForm) -> None:
    """Send the prompt of a refused form back privately, so that the person can copy it."""
    await send_back_text(interaction, form.prompt)


async def send_back_text(interaction: discord.Interaction[Any], typed: str) -> None:
    """Send what was *typed* into a refused form back privately, to be copied."""
    for number, block in enumerate(copyable(typed, BLOCK_MAX)):
        content = block if number else f"{texts_buttons.TYPED}\n{block}"
        await respond_privately(interaction, content)
