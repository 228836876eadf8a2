"""The rules of a message's body beyond its shape: Components V2, limits over the whole body, unique ids.

Sources: Discord docs, Component Reference and Message. The limit of 4000 characters for all text displays together is
the one that discord.py counts and Discord's issue tracker names; it is not in Discord's docs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from sandbox.local_discord.errors import Path
from sandbox.local_discord.rules.choices import examine_choices, examine_ids
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.schemas.checks import Findings
from sandbox.local_discord.state.model import (
    COMPONENTS_V2,
    EPHEMERAL,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    VOICE_MESSAGE,
    Json,
    objects,
)

RESPONSE_FLAGS = SUPPRESS_EMBEDS | EPHEMERAL | COMPONENTS_V2 | VOICE_MESSAGE | SUPPRESS_NOTIFICATIONS
CREATE_FLAGS = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | VOICE_MESSAGE | COMPONENTS_V2
EDIT_FLAGS = SUPPRESS_EMBEDS | COMPONENTS_V2

MOST_TEXT_BYTES = 10_170
"""UTF-8 bytes of all component text of one message; beyond it Discord answers 500 (discord-api-docs#8554; #7310 for
labels). That the descriptions of gallery items count is inferred."""

MOST_COMPONENTS, MOST_TEXT, MOST_EMBED_TEXT = 40, 4000, 6000
_ONLY_V2 = frozenset({parts.SECTION, parts.TEXT_DISPLAY, parts.THUMBNAIL, parts.MEDIA_GALLERY, parts.FILE})
_ONLY_V2_TOP = _ONLY_V2 | {parts.SEPARATOR, parts.CONTAINER}
_TEXT_KEYS = ("content", "description", "label", "placeholder")


def walk(components: Sequence[dict[str, Any]], at: Path = ("components",)) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Return every component of a message or modal with its path, outer ones first, in reading order."""
    for index, component in enumerate(components):
        here = (*at, index)
        yield here, component
        yield from walk(objects(component, "components"), (*here, "components"))
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                yield (*here, key), component[key]


def text_bytes(part: Any) -> int:
    """Return the UTF-8 bytes of all contents, descriptions, labels and placeholders of components."""
    if isinstance(part, list):
        return sum(text_bytes(each) for each in cast("list[Any]", part))
    if not isinstance(part, dict):
        return 0
    values = cast("dict[str, Any]", part)
    own = [text for key in _TEXT_KEYS if isinstance(text := values.get(key), str)]
    return sum(len(text.encode()) for text in own) + sum(map(text_bytes, values.values()))


def examine_message(body: Mapping[str, Any], flags: int, found: Findings) -> None:
    """Check the rules between fields of a body whose shape is right. *flags*: the flags that the message will have."""
    components: list[dict[str, Any]] = objects(body, "components")
    everything = list(walk(components))
    if flags & COMPONENTS_V2:
        _legacy_fields(body, found)
        if len(everything) > MOST_COMPONENTS:
            found.add(
                ("components",),
                "COMPONENT_MAX_TOTAL",
                f"The total number of components cannot exceed {MOST_COMPONENTS}",
            )
        total = sum(len(part["content"]) for _, part in everything if part["type"] == parts.TEXT_DISPLAY)
        if total > MOST_TEXT:
            found.add(
                ("components",),
                "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
                f"Components displayable text size exceeds maximum size of {MOST_TEXT}",
            )
    else:
        _legacy_components(components, found)
    examine_components(everything, found)
    _embeds(objects(body, "embeds"), found)


def _legacy_fields(body: Mapping[str, Any], found: Findings) -> None:
    for key in ("content", "embeds", "poll", "sticker_ids"):
        if body.get(key):
            found.add(
                (key,),
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _legacy_components(components: Sequence[dict[str, Any]], found: Findings) -> None:
    if len(components) > 5:
        found.add(("components",), "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for index, component in enumerate(components):
        if component["type"] in _ONLY_V2_TOP:
            found.add(("components", index, "type"), "UNION_TYPE_CHOICES", 'Value of field "type" must be one of (1,).')


def examine_components(everything: Sequence[tuple[Path, dict[str, Any]]], found: Findings) -> None:
    """Check buttons, selects, custom ids and component ids of a message."""
    for at, component in everything:
        if component["type"] == parts.BUTTON:
            _button(component, at, found)
        elif component["type"] in parts.SELECTS:
            examine_choices(component, at, found)
        elif component["type"] == parts.ACTION_ROW:
            _row(component, at, found)
    examine_ids(everything, found)


def _button(button: dict[str, Any], at: Path, found: Findings) -> None:
    style = button["style"]
    has = {key for key in ("custom_id", "url", "sku_id", "label", "emoji") if button.get(key) is not None}
    if style == 5:
        if "url" not in has:
            found.add((*at, "url"), "BASE_TYPE_REQUIRED", "A url is required")
        elif not str(button["url"]).startswith(("http://", "https://", "discord://")):
            found.add((*at, "url"), "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https', 'discord').")
        if "custom_id" in has:
            found.add(at, "BUTTON_COMPONENT_CUSTOM_ID_URL", "A custom id and url cannot both be specified")
    elif style == 6:
        if has != {"sku_id"}:
            found.add(at, "BUTTON_COMPONENT_PREMIUM", "A premium button takes a sku id and nothing else")
        return
    elif "custom_id" not in has:
        found.add((*at, "custom_id"), "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED", "A custom id is required")
    elif "url" in has:
        found.add(at, "BUTTON_COMPONENT_CUSTOM_ID_URL", "A custom id and url cannot both be specified")
    if not button.get("label") and "emoji" not in has:
        found.add(at, "BUTTON_COMPONENT_LABEL_OR_EMOJI", "A label or an emoji is required")


def _row(row: dict[str, Any], at: Path, found: Findings) -> None:
    if len(row["components"]) > 1 and any(child["type"] in parts.SELECTS for child in row["components"]):
        found.add((*at, "components"), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the width")


def _embeds(embeds: Sequence[dict[str, Any]], found: Findings) -> None:
    if sum(_embed_characters(embed) for embed in embeds) > MOST_EMBED_TEXT:
        found.add(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MOST_EMBED_TEXT}")


def _embed_characters(embed: dict[str, Any]) -> int:
    footer: Json = embed.get("footer") or {}
    author: Json = embed.get("author") or {}
    texts = [embed.get("title"), embed.get("description"), footer.get("text"), author.get("name")]
    for field in objects(embed, "fields"):
        texts += [field["name"], field["value"]]
    return sum(len(text) for text in texts if text)
