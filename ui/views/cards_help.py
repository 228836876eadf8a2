"""Build the view of /help with this bot's limits. Pure; must not know the settings or how it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from discord import ui

from credits.allowance import CreditPeriod
from generations.model import MAX_COUNT
from generations.prices import price_of
from qwen.models import PROMPT_MAX, OutputFormat, Size
from ui.texts import help as texts
from ui.texts.command_mentions import MENTION_UNITS
from ui.views.text_view import build_text_view

COMMANDS_MAX = 1900  # characters, with mentions; Discord takes 4000 in all


@dataclass(frozen=True, slots=True)
class BotLimits:
    """The settings that people should know of."""

    allowance: int
    period: CreditPeriod
    timezone: str
    per_person: int
    in_line: int
    requests_per_minute: int  # 0: any number
    deadline_seconds: int


@dataclass(frozen=True, slots=True)
class Pages:
    """The operator's pages; an empty address: there is none."""

    support_url: str = ""
    privacy_url: str = ""
    terms_url: str = ""


@dataclass(frozen=True, slots=True)
class CommandList:
    """The commands. *commands*: names with descriptions; *menus*: names of message menus."""

    commands: Sequence[tuple[str, str]]
    menus: Sequence[str]


def build_help(limits: BotLimits, commands: CommandList, pages: Pages) -> ui.LayoutView:
    """Build the view. It has no buttons."""
    cost = texts.cost(price=price_of(1), allowance=limits.allowance, period=limits.period, timezone=limits.timezone)
    limits_text = texts.limits(
        at_once=MAX_COUNT,
        per_person=limits.per_person,
        in_line=limits.in_line,
        requests_per_minute=limits.requests_per_minute,
        deadline_seconds=limits.deadline_seconds,
    )
    choices = texts.choices([size.label for size in Size], [kind.value for kind in OutputFormat], PROMPT_MAX)
    named = {texts.SUPPORT: pages.support_url, texts.PRIVACY_POLICY: pages.privacy_url, texts.TERMS: pages.terms_url}
    parts = [
        f"{texts.TITLE}\n{texts.HOW}",
        f"{texts.COST}\n{cost}",
        f"{texts.LIMITS}\n{limits_text}\n{choices}",
        "\n".join([texts.COMMANDS, *_command_lines(commands), texts.PRIVATE_HINT]),
        texts.links(named),
    ]
    return build_text_view([part for part in parts if part])


def _command_lines(listed: CommandList) -> list[str]:
    """Return a line for each command; if that is too long, their names alone."""
    menus = [texts.message_menu(name) for name in listed.menus]
    lines = [texts.slash_command(name, description) for name, description in listed.commands]
    if sum(map(len, [*lines, *menus])) + MENTION_UNITS * len(lines) <= COMMANDS_MAX:
        return [*lines, *menus]
    return [" · ".join(texts.slash_command(name, "").strip() for name, _ in listed.commands), *menus]
