"""Build a view of texts in a frame, with a row of buttons under them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discord import ui

BLUE = 0x5865F2


def build_text_view(parts: Sequence[str], buttons: Sequence[ui.Item[Any]] = (), *, colour: int = BLUE) -> ui.LayoutView:
    """Build a view with a text for each of *parts*. *buttons*: at most five, new ones for every view."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=colour)
    for part in parts:
        container.add_item(ui.TextDisplay(part))
    if buttons:
        container.add_item(ui.ActionRow(*buttons))
    return ui.LayoutView(timeout=None).add_item(container)
