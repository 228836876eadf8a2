"""Prepares components for a stored message: assigns ids, fills in defaults, resolves `attachment://`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.local_discord.errors import Path, Problem
from sandbox.local_discord.rules.message_body import walk
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.state.model import Attachment, Json

SCHEME = "attachment://"

_DEFAULTS: dict[int, Json] = {
    parts.BUTTON: {"disabled": False},
    **{kind: {"min_values": 1, "max_values": 1, "disabled": False} for kind in parts.SELECTS},
    parts.THUMBNAIL: {"description": None, "spoiler": False},
    parts.FILE: {"name": None, "size": None, "spoiler": False},
    parts.SEPARATOR: {"spacing": 1, "divider": True},
    parts.CONTAINER: {"accent_color": None, "spoiler": False},
}


def with_ids(components: Sequence[Json]) -> list[Json]:
    """Return a deep copy in which every component has an id: its own, or the next free number in reading order."""
    copies = [_copy(component) for component in components]
    taken = {part["id"] for _, part in walk(copies) if part.get("id")}
    following = 1
    for _, part in walk(copies):
        if not part.get("id"):
            while following in taken:
                following += 1
            part["id"] = following
            taken.add(following)
    return copies


def _copy(component: Json) -> Json:
    """Return a deep copy without nulls and with the defaults of Discord's answers."""
    copied: Json = dict(_DEFAULTS.get(component["type"], {}))
    copied |= {key: value for key, value in component.items() if value is not None}
    if "components" in copied:
        copied["components"] = [_copy(child) for child in copied["components"]]
    for key in ("accessory", "component"):
        if key in copied:
            copied[key] = _copy(copied[key])
    if "default_values" in copied:  # ids are strings in answers, also those that came as numbers
        copied["default_values"] = [each | {"id": str(each["id"])} for each in copied["default_values"]]
    if component["type"] == parts.MEDIA_GALLERY:
        copied["items"] = [
            {
                "media": item["media"],
                "description": item.get("description"),
                "spoiler": bool(item.get("spoiler")),
            }
            for item in copied["items"]
        ]
    return copied


def resolve_media(
    components: Sequence[Json],
    attachments: Sequence[Attachment],
    named: Mapping[str, Attachment],
    own_attachment_id: Callable[[str], int | None],
) -> list[Problem]:
    """Replace the media of components (already copied) by `{"attachment": id}` or `{"url": …}`; return what is wrong.

    *named*: the attachments that `attachment://` may name, by file name.
    """
    by_id = {attachment.id: attachment for attachment in attachments}
    problems: list[Problem] = []

    def resolve(holder: Json, key: str, at: Path) -> Attachment | None:
        url = str(holder[key]["url"])
        found = named.get(clean_filename(url.removeprefix(SCHEME))) if url.startswith(SCHEME) else None
        if found is None and (number := own_attachment_id(url)) is not None:
            found = by_id.get(number)
        if found is not None:
            holder[key] = {"attachment": found.id}
        elif url.startswith(("http://", "https://")):
            holder[key] = {"url": url}
        elif url.startswith(SCHEME):
            problems.append(_not_found((*at, key, "url"), url))
        else:
            message = "Scheme must be one of ('http', 'https', 'attachment')."
            problems.append(Problem((*at, key, "url"), "URL_TYPE_INVALID_SCHEME", message))
        return found

    for at, part in walk(components):
        if part["type"] == parts.MEDIA_GALLERY:
            for index, item in enumerate(part["items"]):
                resolve(item, "media", (*at, "items", index))
        elif part["type"] == parts.THUMBNAIL:
            resolve(part, "media", at)
        elif part["type"] == parts.FILE:
            url = str(part["file"]["url"])
            found = resolve(part, "file", at)
            if found is not None:
                part |= {"name": found.filename, "size": len(found.data)}
            elif url.startswith(("http://", "https://")):
                problems.append(_not_found((*at, "file", "url"), url))
    return problems


def _not_found(at: Path, url: str) -> Problem:
    code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
    return Problem(at, code, f"The referenced attachment '{url}' was not found")


def lost_media(components: Sequence[Json], attachments: Sequence[Attachment]) -> list[Problem]:
    """Return a problem for each stored component whose attachment an edit removes."""
    kept = {attachment.id for attachment in attachments}
    lost: list[Problem] = []
    for at, part in walk(components):
        holders: list[Mapping[str, Any]] = [part, *part.get("items", [])]
        for holder in holders:
            for key in ("media", "file"):
                number = holder.get(key, {}).get("attachment")
                if number is not None and number not in kept:
                    lost.append(_not_found((*at, key), str(number)))
    return lost


def text_of(components: Sequence[Json]) -> str:
    """Return the text of all text displays."""
    return "\n".join(part["content"] for _, part in walk(components) if part["type"] == parts.TEXT_DISPLAY)


def clean_filename(name: str) -> str:
    """Return the name under which Discord keeps an upload: ASCII letters, digits, dot, dash, underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".") or "unknown"
