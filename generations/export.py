"""Write everything that is kept of a person as JSON files. Pure, and slow for much data: call it in a thread.

Ids are written as text, since JavaScript's numbers are too short for them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from generations.model import State
from generations.privacy import Collected

NAME = "qwen-imagine"
# Never handed out: a credential, and what one process notes for another.
LEFT_OUT = frozenset(
    {"token", "lease_holder", "lease_until_ms", "fence", "due_at_ms", "revision", "published_revision"}
    | {"follow_up_begun_at_ms"}
)
_ID_COLUMNS = frozenset(
    {"id", "user_id", "application_id", "channel_id", "guild_id", "message_id", "card_channel_id"}
    | {"generation_id", "attachment_id", "separate_channel_id", "separate_message_id", "usage_guild_id", "scope_id"}
    | {"image_of"}
)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file, ready to be sent."""

    name: str
    data: bytes


def build_export(user_id: int, collected: Collected, *, exported_at_ms: int, max_bytes: int) -> list[ExportFile]:
    """One JSON file; compressed where that is larger than *max_bytes*; several, each complete in itself, where that is
    still larger. A part that holds one row is sent as it is."""
    head: dict[str, Any] = {
        "format": f"{NAME} export 1",
        "user_id": str(user_id),
        "exported_at_ms": exported_at_ms,
        "settings": None if collected.preferences is None else asdict(collected.preferences),
        "account": None if collected.account is None else _plain(collected.account),
        "counters": [_plain(row) for row in collected.usage],
        "blocks": [_plain(row) for row in collected.blocks],
        "reports": [_plain(row) for row in collected.reports],
    }
    plain = _encode(head, collected.generations, collected.entries)
    if len(plain) <= max_bytes:
        return [ExportFile(f"{NAME}.json", plain)]
    parts = _packed(head, collected.generations, collected.entries, max_bytes)
    if len(parts) == 1:
        return [ExportFile(f"{NAME}.json.gz", parts[0])]
    return [ExportFile(f"{NAME}-{number}-of-{len(parts)}.json.gz", part) for number, part in enumerate(parts, 1)]


def _packed(
    head: Mapping[str, Any], generations: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]], max_bytes: int
) -> list[bytes]:
    packed = gzip.compress(_encode(head, generations, entries), mtime=0)
    if len(packed) <= max_bytes or len(generations) + len(entries) <= 1:
        return [packed]
    half, middle = len(generations) // 2, len(entries) // 2
    if not half and not middle:  # one of each
        half = len(generations)
    first = _packed(head, generations[:half], entries[:middle], max_bytes)
    return first + _packed(head, generations[half:], entries[middle:], max_bytes)


def _encode(head: Mapping[str, Any], generations: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]]) -> bytes:
    content = dict(head) | {
        "generations": [_plain(row) for row in generations],
        "ledger": [_plain(row) for row in entries],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in row.items() if name not in LEFT_OUT}


def _value(name: str, value: Any) -> Any:
    if name == "images" and isinstance(value, list):
        return [_image(image) for image in cast("list[dict[str, Any]]", value)]
    return str(value) if name in _ID_COLUMNS and value is not None else value


def _image(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the address of what is not delivered: who has it has the image, and a kept one may be refunded later
    (docs/decisions/0020-kept-images.md). `/history` posts those."""
    plain = _plain(row)
    if "image_url" in plain and row["state"] != State.DELIVERED:
        plain["image_url"] = None
    return plain
