"""The controls of /admin and their custom_ids: "admin:<action>:<version>" and, for few, a value. Pure.

The version is that of the rules which the admin sees; everything else is loaded when a control is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import discord
from discord import ui

from ui.texts import admin as texts
from ui.views.text_view import BLUE

PREFIX = "admin:"
PAGE_ITEMS = 10  # entries of a page of a list
_GREY, _RED = discord.ButtonStyle.secondary, discord.ButtonStyle.danger

Wrap = Callable[[ui.Item[Any]], ui.Item[Any]]  # makes a control work after a restart; a new one for every view


def custom_id(action: str, version: int, value: str = "") -> str:
    """Build a custom_id. *value*: a page, or a budget that waits for its confirmation."""
    return f"{PREFIX}{action}:{version}" + (f":{value}" if value else "")


def button(
    action: str, version: int, label: str, *, value: str = "", is_danger: bool = False, is_disabled: bool = False
) -> ui.Button[Any]:
    return ui.Button(
        label=label,
        style=_RED if is_danger else _GREY,
        custom_id=custom_id(action, version, value),
        disabled=is_disabled,
    )


def open_container(title: str, notes: Sequence[str]) -> ui.Container[ui.LayoutView]:
    """Begin a view with its title and *notes*: what the last change did."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=BLUE)
    return container.add_item(ui.TextDisplay("\n".join([title, *notes])))


def page_of(count: int, page: int) -> tuple[int, int]:
    """Return the number of the page that is shown, from 0 on, and how many there are."""
    pages = max(1, -(-count // PAGE_ITEMS))
    return min(max(page, 0), pages - 1), pages


def page_row(action: str, version: int, page: int, pages: int, add: ui.Button[Any], wrap: Wrap) -> ui.ActionRow[Any]:
    """Build the buttons under a list: add, turn the page, back to the screen."""
    turning = [
        button(action, version, label, value=value, is_disabled=not 0 <= turned < pages)
        for label, turned, value in (
            (texts.PREVIOUS, page - 1, str(max(page - 1, 0))),
            (texts.NEXT, page + 1, str(page + 1)),
        )
    ]
    buttons = [add, *(turning if pages > 1 else []), button("limits", version, texts.BACK)]
    return ui.ActionRow(*map(wrap, buttons))
