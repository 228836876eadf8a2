"""The forms of /admin: build them, and read what comes back. Pure.

A form's custom_id is "admin:form:<name>:<version>:<id of the interaction that opened it>".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from credits.allowance import CreditPeriod
from discord_api.snowflakes import ID_MAX
from limits.model import Cap, GuildOverview
from limits.service import REASON_MAX
from limits.words import WORD_MAX, BadWordRule, WordKind, check_word_rule
from ui.interactions.errors import Refusal, sentence_for
from ui.interactions.form_fields import SubmittedFields
from ui.texts import admin as texts

FORM_PREFIX = "admin:form:"
LINES_MAX = 4000  # characters (Discord docs: Component Reference, "Text Input")
DAY_MS = 24 * 3600 * 1000
NO_PERIOD = "none"

_CUSTOM_ID = re.compile(rf"{FORM_PREFIX}([a-z]+):([0-9]{{1,19}}):[0-9]{{1,20}}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """A form by its name, the version of the rules when it was opened, and what was filled in."""

    name: str
    version: int
    fields: SubmittedFields


def parse_form(fields: SubmittedFields) -> SubmittedForm:
    """Raises Refusal."""
    found = _CUSTOM_ID.fullmatch(fields.custom_id)
    if found is None:
        raise Refusal(texts.TOO_OLD)
    return SubmittedForm(found[1], int(found[2]), fields)


# ---- building -------------------------------------------------------------------------------------------------------


def build_cap_form(name: str, overview: GuildOverview, interaction_id: int) -> ui.Modal:
    """Build the form of a cap. *name*: person or budget."""
    cap = overview.rules.person_cap if name == "person" else overview.rules.budget
    form = _form(name, texts.PERSON_TITLE if name == "person" else texts.BUDGET_TITLE, overview, interaction_id)
    picked = NO_PERIOD if cap is None else cap.period.value
    options = [
        discord.RadioGroupOption(
            label=texts.NO_PERIOD, value=NO_PERIOD, description=texts.NO_PERIOD_MEANING, default=picked == NO_PERIOD
        ),
        *(
            discord.RadioGroupOption(label=label, value=value, default=picked == value)
            for value, label in texts.PERIODS.items()
        ),
    ]
    form.add_item(ui.Label(text=texts.PERIOD, component=ui.RadioGroup(custom_id="period", options=options)))
    default = None if cap is None else str(cap.images)
    images = ui.TextInput[ui.Modal](custom_id="images", required=False, default=default, max_length=9)
    return form.add_item(ui.Label(text=texts.IMAGES, description=texts.IMAGES_MEANING, component=images))


def build_words_form(overview: GuildOverview, interaction_id: int) -> ui.Modal:
    form = _form("words", texts.WORDS_FORM, overview, interaction_id)
    lines = ui.TextInput[ui.Modal](custom_id="lines", style=discord.TextStyle.paragraph, max_length=LINES_MAX)
    form.add_item(ui.Label(text=texts.WORDS_LINES, description=texts.WORDS_LINES_MEANING, component=lines))
    options = [
        discord.RadioGroupOption(
            label=label.capitalize(),
            value=value,
            description=texts.KIND_MEANINGS[value],
            default=value == WordKind.WHOLE,
        )
        for value, label in texts.KINDS.items()
    ]
    form.add_item(ui.Label(text=texts.KIND, component=ui.RadioGroup(custom_id="kind", options=options)))
    name = ui.TextInput[ui.Modal](custom_id="name", required=False, max_length=WORD_MAX)
    return form.add_item(ui.Label(text=texts.NAME, description=texts.NAME_MEANING, component=name))


def build_block_form(overview: GuildOverview, interaction_id: int) -> ui.Modal:
    form = _form("block", texts.BLOCK_FORM, overview, interaction_id)
    form.add_item(ui.Label(text=texts.WHO, component=ui.UserSelect(custom_id="who", required=True)))
    form.add_item(_reason(texts.REASON_MEANING))
    days = ui.TextInput[ui.Modal](custom_id="days", required=False, max_length=9)
    return form.add_item(ui.Label(text=texts.DAYS, description=texts.DAYS_MEANING, component=days))


def build_pause_form(overview: GuildOverview, interaction_id: int) -> ui.Modal:
    """Build the question before a pause, with its reason."""
    form = _form("pause", texts.PAUSE_FORM, overview, interaction_id)
    form.add_item(ui.TextDisplay(texts.PAUSE_MEANING))
    return form.add_item(_reason(texts.PAUSE_REASON_MEANING))


def _form(name: str, title: str, overview: GuildOverview, interaction_id: int) -> ui.Modal:
    custom_id = f"{FORM_PREFIX}{name}:{overview.rules.version}:{interaction_id}"
    return ui.Modal(title=title, custom_id=custom_id)


def _reason(meaning: str) -> ui.Label[ui.Modal]:
    reason = ui.TextInput[ui.Modal](custom_id="reason", required=False, max_length=REASON_MAX)
    return ui.Label(text=texts.REASON, description=meaning, component=reason)


# ---- reading --------------------------------------------------------------------------------------------------------


def parse_cap(fields: SubmittedFields) -> Cap | None:
    """Return the cap; None: there shall be none. Raises Refusal."""
    return None if fields.first("period") == NO_PERIOD else cap_of(fields.first("images"), fields.first("period"))


def cap_of(images: str, period: str) -> Cap:
    """Raises Refusal."""
    if period not in texts.PERIODS:
        raise Refusal(texts.NOT_FROM_THE_FORM)
    number = _number(images)
    if number is None or not texts.IMAGES_MIN <= number <= texts.IMAGES_MAX:
        raise Refusal(texts.IMAGES_MISSING)
    return Cap(number, CreditPeriod(period))


def parse_words(fields: SubmittedFields) -> list[tuple[WordKind, str, str]]:
    """Return kind, text and name of each line. Raises Refusal with the number of a line that can't be a rule."""
    try:
        kind = WordKind(fields.first("kind"))
    except ValueError:
        raise Refusal(texts.NOT_FROM_THE_FORM) from None
    name = fields.first("name").strip()
    found: list[tuple[WordKind, str, str]] = []
    for number, line in enumerate(fields.first("lines").splitlines(), 1):
        if text := line.strip():
            try:
                check_word_rule(kind, text, name)
            except BadWordRule as error:
                raise Refusal(texts.in_line(number, sentence_for(error, 0) or "")) from None
            found.append((kind, text, name))
    if not found:
        raise Refusal(texts.NO_LINES)
    return found


def parse_block(fields: SubmittedFields, now_ms: int) -> tuple[int, str, int | None]:
    """Return who, why and until when; None: without end. Raises Refusal."""
    (who,) = parse_ids(fields.values.get("who", ())) or (None,)
    if who is None:
        raise Refusal(texts.NOT_FROM_THE_FORM)
    typed = fields.first("days").strip()
    days = _number(typed)
    if typed and (days is None or not 1 <= days <= texts.DAYS_MAX):
        raise Refusal(texts.DAYS_WRONG)
    return who, fields.first("reason").strip(), None if days is None else now_ms + days * DAY_MS


def parse_ids(values: Sequence[str]) -> list[int]:
    """Return what was picked from a list of channels, roles or people. Raises Refusal."""
    ids = [int(value) for value in values if _ID.fullmatch(value)]
    if len(ids) != len(values) or any(each > ID_MAX for each in ids):
        raise Refusal(texts.NOT_FROM_THE_FORM)
    return ids


def _number(typed: str) -> int | None:
    text: Any = typed.strip()
    return int(text) if _NUMBER.fullmatch(text) else None
