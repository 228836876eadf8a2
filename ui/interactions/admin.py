"""What the controls of /admin do. A control's custom_id is "admin:<action>:<version>" and, for few, a value.

Must not know SQL.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import discord
from discord import ui

from limits.model import ContentRule, GuildOverview
from ui.interactions.admin_forms import (
    build_block_form,
    build_cap_form,
    build_pause_form,
    build_words_form,
    cap_of,
    parse_ids,
)
from ui.interactions.admin_screen import AdminScreen
from ui.interactions.client import ImagineClient
from ui.interactions.errors import Refusal
from ui.interactions.items import InteractionItem
from ui.texts import admin as texts


class AdminItem(
    InteractionItem,
    ui.DynamicItem[ui.Item[Any]],
    template=re.compile(
        r"admin:(?P<action>[a-z_]+):(?P<version>[0-9]{1,19})(?::(?P<value>[0-9a-z:]{1,40}))?", re.ASCII
    ),
):
    """Every control of the screen and its lists."""

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(item)

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        """Do what the control says, for an admin of the server in which it is used."""
        screen = AdminScreen(interaction, AdminItem)
        found = self.template.fullmatch(self.custom_id)
        action = None if found is None else ACTIONS.get(found["action"])
        if found is None or action is None:
            raise Refusal(texts.TOO_OLD)
        data = cast("Mapping[str, Any]", interaction.data or {})
        values = [str(value) for value in data.get("values") or ()]
        await action(screen, Press(int(found["version"]), found["value"] or "", values))


@dataclass(frozen=True, slots=True)
class Press:
    """*version*: of the rules that the admin saw; *value*: from the custom_id; *picked*: from the list."""

    version: int
    value: str
    picked: Sequence[str]

    @property
    def page(self) -> int:
        """The page of a list, from 0 on."""
        return int(self.value) if self.value.isdecimal() else 0


Action = Callable[[AdminScreen, Press], Awaitable[object]]


async def send_limits(interaction: discord.Interaction[ImagineClient]) -> None:
    """Respond to `/admin limits` with the screen."""
    screen = AdminScreen(interaction, AdminItem)
    await screen.show(screen.limits)


async def _channels(screen: AdminScreen, press: Press) -> None:
    limits, ids = screen.services.limits, parse_ids(press.picked)
    await screen.apply(limits.set_channels(screen.actor, ids, expected_version=press.version), screen.limits)


async def _roles(screen: AdminScreen, press: Press) -> None:
    limits, ids = screen.services.limits, parse_ids(press.picked)
    await screen.apply(limits.set_roles(screen.actor, ids, expected_version=press.version), screen.limits)


async def _log(screen: AdminScreen, press: Press) -> None:
    limits, channel_id = screen.services.limits, next(iter(parse_ids(press.picked)), None)
    await screen.apply(limits.set_log_channel(screen.actor, channel_id, expected_version=press.version), screen.limits)


async def _content(screen: AdminScreen, press: Press) -> None:
    if press.picked[:1] not in [[rule.value] for rule in ContentRule]:
        raise Refusal(texts.NOT_FROM_THE_FORM)
    limits, rule = screen.services.limits, ContentRule(press.picked[0])
    await screen.apply(limits.set_content(screen.actor, rule, expected_version=press.version), screen.limits)


async def _set_budget(screen: AdminScreen, press: Press) -> None:
    """Set a budget that is used up already: the admin was asked."""
    images, _, period = press.value.partition(":")
    limits, cap = screen.services.limits, cap_of(images, period)
    await screen.apply(limits.set_budget(screen.actor, cap, expected_version=press.version), screen.limits)


async def _resume(screen: AdminScreen, press: Press) -> None:
    await screen.apply(screen.services.limits.resume_here(screen.actor, expected_version=press.version), screen.limits)


async def _remove(screen: AdminScreen, press: Press) -> None:
    limits, numbers = screen.services.limits, parse_ids(press.picked)
    removing = limits.remove_words(screen.actor, numbers, expected_version=press.version)
    await screen.apply(removing, screen.words(press.page))


async def _unblock(screen: AdminScreen, press: Press) -> None:
    limits, who = screen.services.limits, next(iter(parse_ids(press.picked)), 0)
    unblocking = limits.unblock_here(screen.actor, who, expected_version=press.version)
    await screen.apply(unblocking, screen.people(press.page))


async def _leave(screen: AdminScreen, _: Press) -> None:
    await screen.show(screen.limits, [texts.LEFT])


async def _open(build: Callable[[GuildOverview, int], ui.Modal], screen: AdminScreen, _: Press) -> None:
    """Open a form, filled with what is set now. Stop it first, as ui/interactions/forms does."""
    form = build(await screen.load_in_time(), screen.interaction.id)
    form.stop()
    await screen.interaction.response.send_modal(form)


ACTIONS: Mapping[str, Action] = {
    "limits": lambda screen, _: screen.show(screen.limits),
    "words": lambda screen, press: screen.show(screen.words(press.page)),
    "people": lambda screen, press: screen.show(screen.people(press.page)),
    "channels": _channels,
    "roles": _roles,
    "log": _log,
    "content": _content,
    "set_budget": _set_budget,
    "leave": _leave,
    "resume": _resume,
    "remove": _remove,
    "unblock": _unblock,
    "person": partial(_open, partial(build_cap_form, "person")),
    "budget": partial(_open, partial(build_cap_form, "budget")),
    "add": partial(_open, build_words_form),
    "block": partial(_open, build_block_form),
    "pause": partial(_open, build_pause_form),
}

# For Client.add_dynamic_items.
ADMIN_ITEMS = (AdminItem,)
