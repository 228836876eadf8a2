"""Keeps the text of one message within what Discord takes: component text, alt text and button labels together. Pure.

Discord answers 500, not 400, to a message whose component text has more than about 10,170 UTF-8 bytes
(discord-api-docs#8554 for text displays, #7310 for labels). Descriptions of gallery items very likely count, and those
of attachments may, so all of them share TEXT_BYTES_MAX. UTF-8 takes at most 3 bytes for a UTF-16 unit.
"""

from __future__ import annotations

from collections.abc import Collection

from ui.texts.card import image_of
from ui.texts.escaping import alt_text

TEXT_BYTES_MAX = 8000  # UTF-8 bytes of one request, with something to spare
FILES_BYTES_MAX = 1000  # of these, the descriptions of the files that are sent beside components
SHORT_BYTES_MAX = 200  # a description that need not hold the whole prompt


def utf8_bytes(*texts: str) -> int:
    """The length of all *texts* together in UTF-8."""
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def image_descriptions(prompt: str, positions: Collection[int], count: int, room: int) -> dict[int, str]:
    """Alt text for the images at *positions* of *count* made from one prompt, in at most *room* UTF-8 bytes.

    The first one has the prompt, in full if there is room; the others say which image they are and how the prompt
    begins, in SHORT_BYTES_MAX each. Every image has at least such a short one, however small *room* is.
    """
    told = {position: _short(prompt, position, count) for position in sorted(positions)}
    if told:
        first = min(told)
        room -= utf8_bytes(*(text for position, text in told.items() if position != first))
        if room >= utf8_bytes(told[first]):
            told[first] = alt_text(prompt, room)
    return told


def thumbnail_description(number: int, prompt: str) -> str:
    """Alt text for one of many small images: the number of its entry, and how its prompt begins."""
    return alt_text(f"{number}. {prompt}", SHORT_BYTES_MAX)


def _short(prompt: str, position: int, count: int) -> str:
    label = f"{image_of(position, count)}: " if count > 1 else ""
    return label + alt_text(prompt, SHORT_BYTES_MAX - len(label))
