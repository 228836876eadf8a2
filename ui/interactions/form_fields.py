"""Read what was typed, picked and ticked in a submitted form, whatever its nesting. Pure.

Reads the event itself (Discord docs: Receiving and Responding, "Modal Submit Data"), so a form works after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import discord


@dataclass(frozen=True, slots=True)
class SubmittedFields:
    """A form as it came back. *values*: by field name; what was left empty may be missing."""

    custom_id: str
    values: Mapping[str, Sequence[str]]

    def first(self, name: str) -> str:
        """Return what was typed, or the first that was picked; empty: nothing."""
        return next(iter(self.values.get(name, ())), "")

    @property
    def firsts(self) -> dict[str, str]:
        """Return the first value of each field that has one."""
        return {name: self.first(name) for name in self.values}


def parse_fields(interaction: discord.Interaction[Any], prefix: str) -> SubmittedFields | None:
    """Return a submitted form whose custom_id begins with *prefix*; None: the interaction is something else."""
    if interaction.type is not discord.InteractionType.modal_submit:
        return None
    data = cast("Mapping[str, Any]", interaction.data or {})
    custom_id = data.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id.startswith(prefix):
        return None
    return SubmittedFields(custom_id, dict(_fields(data.get("components"))))


def _fields(part: object) -> Iterator[tuple[str, list[str]]]:
    """Yield field name and values of everything that was filled in; skip what has another shape."""
    if isinstance(part, list):
        for each in cast("list[object]", part):
            yield from _fields(each)
    elif isinstance(part, dict):
        component = cast("dict[str, object]", part)
        name, values = component.get("custom_id"), component.get("values")
        given = cast("list[object]", values) if isinstance(values, list) else [component.get("value")]
        texts = [value for value in given if isinstance(value, str)]
        if isinstance(name, str) and texts:
            yield name, texts
        yield from _fields(component.get("component"))
        yield from _fields(component.get("components"))
