"""Keep the text of one message within Discord's limit: component text, alt text and button labels together. Pure.

Discord answers 500, not 400, to a message whose component text has more than about 10,170 UTF-8 bytes
(discord-api-docs#8554 for text displays, #7310 for labels). Descriptions of gallery items very likely count, and those
of attachments may, so all of them share TEXT_BYTES_MAX. UTF-8 takes at most 3 bytes for a UTF-16 unit.
"""

from __future__ import annotations

from collections.abc import Collection

from ui.texts.card import AI_GENERATED, ai_image
from ui.texts.escaping import alt_text

TEXT_BYTES_MAX = 8000  # UTF-8 bytes of one request, with a margin
FILES_BYTES_MAX = 1000  # of these, the descriptions of the files that are sent beside components
SHORT_BYTES_MAX = 200  # a description that need not hold the whole prompt


def utf8_bytes(*texts: str) -> int:
    """Return the length of all *texts* together in UTF-8."""
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def image_descriptions(prompt: str, positions: Collection[int], count: int, room: int) -> dict[int, str]:
    """Return alt text for the images at *positions* of *count* made from one prompt, in at most *room* UTF-8 bytes.

    Each says first that the image is AI-generated. The first has the whole prompt if it fits. The others have the
    number of the image and the start of the prompt, in SHORT_BYTES_MAX each. Every image gets at least the short text,
    however small *room* is.
    """
    descriptions = {position: _short(prompt, position, count) for position in sorted(positions)}
    if descriptions:
        first = min(descriptions)
        room -= utf8_bytes(*(text for position, text in descriptions.items() if position != first))
        if room >= utf8_bytes(descriptions[first]):
            descriptions[first] = alt_text(f"{AI_GENERATED}: {prompt}", room)
    return descriptions


def thumbnail_description(number: int, prompt: str) -> str:
    """Return alt text for a thumbnail: the number of its entry and the start of its prompt."""
    return alt_text(f"{number}. {prompt}", SHORT_BYTES_MAX)


def _short(prompt: str, position: int, count: int) -> str:
    label = ai_image(position, count)
    return label + alt_text(prompt, SHORT_BYTES_MAX - len(label))
