"""Build the screen of /admin limits: everything that is set in a server, and what changes it. Pure.

At most 40 components and 4000 characters, with everything at its largest (Discord docs: Component Reference).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import discord
from discord import ui

from credits.allowance import CreditPeriod
from limits.model import Cap, ContentRule, GuildOverview
from ui.texts import admin as texts
from ui.texts.admin_changes import CONTENT, last_change
from ui.texts.escaping import escape
from ui.views.admin_controls import Wrap, button, custom_id, open_container

PICKED_MAX = 25  # of one list (Discord docs: Component Reference, "max_values")
REASON_UNITS = 300
_PLACES = [
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.voice,
    discord.ChannelType.stage_voice,
    discord.ChannelType.forum,
]  # without media channels, which Discord's own document doesn't name among the types of a list
_LOGS = [discord.ChannelType.text, discord.ChannelType.news]


def build_limits(
    overview: GuildOverview, wrap: Wrap, notes: Sequence[str] = (), *, is_filled: bool = True
) -> ui.LayoutView:
    """Build the screen. *is_filled*: whether the lists show what is picked."""
    bot_paused = [texts.BOT_PAUSED] if overview.is_bot_paused else []
    container = open_container(f"{texts.TITLE}\n{texts.MEANING}", [*bot_paused, *notes])
    for text, select in _lists(overview, is_filled=is_filled):
        container.add_item(ui.TextDisplay(text)).add_item(ui.ActionRow(wrap(select)))
    for text, pressed in _sections(overview):
        container.add_item(ui.Section(text, accessory=wrap(pressed)))
    if overview.last is not None:
        container.add_item(ui.TextDisplay(last_change(overview.last)))
    return ui.LayoutView(timeout=None).add_item(container)


def build_budget_question(overview: GuildOverview, cap: Cap, wrap: Wrap) -> ui.LayoutView:
    """Build the question before a budget that is used up already."""
    used, version = overview.used[cap.period], overview.rules.version
    container = open_container(texts.budget_question(cap.images, cap.period, used.images, used.ends_at_ms), ())
    buttons = [
        button("set_budget", version, texts.SET_ANYWAY, value=f"{cap.images}:{cap.period}", is_danger=True),
        button("leave", version, texts.LEAVE),
    ]
    container.add_item(ui.ActionRow(*map(wrap, buttons)))
    return ui.LayoutView(timeout=None).add_item(container)


def _lists(overview: GuildOverview, *, is_filled: bool) -> list[tuple[str, ui.Item[Any]]]:
    """Return what stands above each list, and the list."""
    rules = overview.rules
    version, channels, roles = rules.version, sorted(rules.channels), sorted(rules.roles)
    log_ids = [] if rules.log_channel_id is None else [rules.log_channel_id]
    return [
        (
            texts.channels(channels),
            _channel_list("channels", version, texts.PICK_CHANNELS, channels if is_filled else [], PICKED_MAX, _PLACES),
        ),
        (
            texts.roles(roles),
            ui.RoleSelect(
                custom_id=custom_id("roles", version),
                placeholder=texts.PICK_ROLES,
                min_values=0,
                max_values=PICKED_MAX,
                default_values=_defaults(roles if is_filled else [], discord.Role),
            ),
        ),
        (texts.content(CONTENT[rules.content]), _content_list(version, rules.content)),
        (
            texts.log(rules.log_channel_id),
            _channel_list("log", version, texts.PICK_LOG, log_ids if is_filled else [], 1, _LOGS),
        ),
    ]


def _channel_list(
    action: str, version: int, placeholder: str, ids: Sequence[int], most: int, types: list[discord.ChannelType]
) -> ui.Item[Any]:
    return ui.ChannelSelect(
        custom_id=custom_id(action, version),
        placeholder=placeholder,
        channel_types=types,
        min_values=0,
        max_values=most,
        default_values=_defaults(ids, discord.abc.GuildChannel),
    )


def _content_list(version: int, picked: ContentRule) -> ui.Item[Any]:
    offered = [
        (ContentRule.GENERAL, texts.GENERAL, texts.GENERAL_MEANING),
        (ContentRule.AGE_RESTRICTED_ONLY, texts.AGE_RESTRICTED, texts.AGE_RESTRICTED_MEANING),
    ]
    options = [
        discord.SelectOption(label=label, value=value, description=meaning, default=value is picked)
        for value, label, meaning in offered
    ]
    return ui.Select(custom_id=custom_id("content", version), placeholder=texts.GENERAL, options=options)


def _sections(overview: GuildOverview) -> list[tuple[str, ui.Button[Any]]]:
    """Return the texts with a button beside them."""
    rules = overview.rules
    version, pause, blocks = rules.version, rules.pause, overview.active_blocks()
    person, budget = rules.person_cap, rules.budget
    used = overview.used[budget.period if budget else CreditPeriod.DAY]
    today = overview.used[CreditPeriod.DAY].images
    paused = pause and (pause.by_id, pause.at_ms, escape(pause.reason, REASON_UNITS) if pause.reason.strip() else "")
    return [
        (
            texts.person_cap(person and person.images, person.period if person else ""),
            button("person", version, texts.CHANGE_CAP),
        ),
        (
            texts.budget(
                budget and budget.images, budget.period if budget else "", used.images, used.ends_at_ms, today
            ),
            button("budget", version, texts.CHANGE_BUDGET),
        ),
        (texts.words(len(rules.words)), button("words", version, texts.SHOW_WORDS)),
        (
            texts.people(len(blocks), blocks[0][1].until_ms if blocks else None),
            button("people", version, texts.SHOW_PEOPLE),
        ),
        (
            texts.running(paused),
            button("resume", version, texts.RESUME) if pause else button("pause", version, texts.PAUSE, is_danger=True),
        ),
    ]


def _defaults(ids: Collection[int], kind: type[Any]) -> list[discord.Object]:
    return [discord.Object(each, type=kind) for each in list(ids)[:PICKED_MAX]]
