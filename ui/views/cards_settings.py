"""Build the view of /settings: a list for each preference. Pure; must not know the database or how it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from people.model import AS_DISCORD, Language, Ping, Preferences
from ui.texts import options
from ui.texts import settings as texts
from ui.views.text_view import BLUE


@dataclass(frozen=True, slots=True)
class Question:
    """The list of one preference. The option that is set is marked."""

    name: str
    title: str
    options: Sequence[discord.SelectOption]


def build_settings(preferences: Preferences, list_for: Callable[[Question], ui.Item[Any]]) -> ui.LayoutView:
    """Build the view. *list_for*: makes the component for one preference, new for every view."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=BLUE)
    container.add_item(ui.TextDisplay(f"{texts.TITLE}\n{texts.MEANING}"))
    for question in questions(preferences):
        container.add_item(ui.TextDisplay(question.title))
        container.add_item(ui.ActionRow(list_for(question)))
    return ui.LayoutView(timeout=None).add_item(container)


def questions(preferences: Preferences) -> list[Question]:
    """Return all preferences, with what is set now."""
    language = AS_DISCORD if preferences.language is None else preferences.language.value
    return [
        _list_of(options.SIZE, preferences.size),
        _list_of(options.FORMAT, preferences.format),
        _question(
            options.PRIVATE.name,
            options.PRIVATE.title,
            "yes" if preferences.private else "no",
            [("no", texts.PUBLIC, ""), ("yes", texts.ONLY_ME, texts.ONLY_ME_MEANING)],
        ),
        _question(
            "ping",
            texts.PING,
            preferences.ping,
            [(ping.value, texts.PING_LABELS[ping], texts.PING_MEANINGS[ping]) for ping in Ping],
        ),
        _question(
            "language",
            texts.LANGUAGE,
            language,
            [(AS_DISCORD, texts.AS_DISCORD, texts.AS_DISCORD_MEANING), (Language.ENGLISH.value, texts.ENGLISH, "")],
        ),
    ]


def _list_of(option: options.Option, picked: str) -> Question:
    return _question(option.name, option.title, picked, [(value, label, "") for value, label in option.choices])


def _question(name: str, title: str, picked: str, offered: Sequence[tuple[str, str, str]]) -> Question:
    """*offered*: value, label and description of each option; the description may be empty."""
    return Question(
        name,
        title,
        [
            discord.SelectOption(label=label, value=value, description=meaning or None, default=value == picked)
            for value, label, meaning in offered
        ],
    )
