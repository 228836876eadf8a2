"""Make names that people chose safe to draw: one line, no control characters, only what the font can show. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

MAX_LABEL = 40  # characters


def clean_label(label: str, has_glyph: Callable[[str], bool]) -> str:
    """Return *label* without what can't or must not be drawn, shortened to MAX_LABEL; perhaps empty.

    *has_glyph*: whether the font has one character. Controls, characters that change the direction of the text, and
    marks that are no part of a letter are left out, also where the font has them.
    """
    text = unicodedata.normalize("NFC", label[: 10 * MAX_LABEL])
    kept = [" " if char.isspace() else char for char in text if char.isspace() or _is_drawn(char, has_glyph)]
    return shorten(" ".join("".join(kept).split()), MAX_LABEL)


def _is_drawn(char: str, has_glyph: Callable[[str], bool]) -> bool:
    """Return whether it is no control (C…), no mark that could be piled up on a letter (M…), and in the font."""
    return unicodedata.category(char)[0] not in "CM" and has_glyph(char)


def shorten(label: str, most: int) -> str:
    """Return at most *most* characters of *label*, with "…" where some are missing."""
    return label if len(label) <= most else label[: most - 1].rstrip() + "…"
