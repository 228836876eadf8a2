"""What Discord's client checks and sends when a person submits a form or picks from a select.

Source: Discord docs, Component Reference ('Modal Submit Interaction', each component's response structure).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.rules.choices import least_and_most
from sandbox.local_discord.rules.message_body import walk
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.state.model import Json

_MANY = frozenset({*parts.SELECTS, parts.FILE_UPLOAD, parts.CHECKBOX_GROUP})


def values_sent(components: Any) -> dict[str, Any]:
    """Return what was filled in, by custom_id, however a client nests the form; unknown parts are passed over."""
    found: dict[str, Any] = {}
    if isinstance(components, dict):
        part = cast(Json, components)
        if "custom_id" in part:
            found[str(part["custom_id"])] = part["values"] if "values" in part else part.get("value")
        components = [part.get("components"), part.get("component")]
    if isinstance(components, list):
        for each in cast("list[Any]", components):
            found |= values_sent(each)
    return found


def fields_of(components: Sequence[Json]) -> list[Json]:
    """Return the fields of a form, or of what was filled in, without labels and rows."""
    return [part for _, part in walk(components) if "custom_id" in part]


def fill_form(components: Sequence[Json], values: Mapping[str, Any]) -> list[Json]:
    """Return the `components` of a MODAL_SUBMIT. *components*: the form's, with ids. *values*: by custom_id or label; a
    missing one keeps its default.

    Raises Refused for what a client would not let through.
    """
    unused = set(values)
    filled: list[Json] = []
    for component in components:
        if component["type"] == parts.LABEL:
            field = _fill(component["component"], str(component["label"]), values, unused)
            filled.append({"type": parts.LABEL, "id": component["id"], "component": field})
        elif component["type"] == parts.ACTION_ROW:
            inner = component["components"][0]
            field = _fill(inner, str(inner.get("label", "")), values, unused)
            filled.append({"type": parts.ACTION_ROW, "id": component["id"], "components": [field]})
        else:
            filled.append({"type": component["type"], "id": component["id"]})
    if unused:
        raise Refused(f"The form has no field {sorted(unused)[0]}.")
    return filled


def _fill(field: Json, label: str, values: Mapping[str, Any], unused: set[str]) -> Json:
    custom_id = field["custom_id"]
    key = custom_id if custom_id in values else label if label in values else None
    given = _default(field) if key is None else values[key]
    unused.discard(key or "")
    filled: Json = {"type": field["type"], "id": field["id"], "custom_id": custom_id}
    if field["type"] in _MANY:
        picked = read_picks(given)
        check_picks(field, picked, label or custom_id)
        return filled | {"values": picked}
    if field["type"] == parts.TEXT_INPUT:
        return filled | {"value": _check_text(field, given, label or custom_id)}
    if field["type"] == parts.CHECKBOX:
        if not isinstance(given, bool):
            raise Refused(f"{label or custom_id}: tick it or not.")
        return filled | {"value": given}
    return filled | {"value": _check_radio(field, given, label or custom_id)}


def _default(field: Json) -> Any:
    chosen = [option["value"] for option in field.get("options", []) if option.get("default")]
    if field["type"] == parts.RADIO_GROUP:
        return chosen[0] if chosen else None
    if field["type"] == parts.CHECKBOX:
        return bool(field.get("default"))
    fixed = [str(default["id"]) for default in field.get("default_values", [])]
    return [*chosen, *fixed] if field["type"] in _MANY else field.get("value", "")


def _check_text(field: Json, value: Any, label: str) -> str:
    if not isinstance(value, str):
        raise Refused(f"{label} must be text.")
    if not value:
        if field.get("required", True):
            raise Refused(f"{label} is required.")
        return value
    least, most = field.get("min_length", 0), field.get("max_length", 4000)
    if not least <= len(value) <= most:
        raise Refused(f"{label} must be {least} to {most} characters long; it has {len(value)}.")
    return value


def _check_radio(field: Json, value: Any, label: str) -> str | None:
    if value is None and not field.get("required", True):
        return None
    if value not in [option["value"] for option in field["options"]]:
        raise Refused(f"{label}: choose one.")
    return str(value)


def read_picks(given: Any) -> list[str]:
    """Return a select's values; *given* is a list or None."""
    if not isinstance(given, (list, tuple)) and given is not None:
        raise Refused("Several values must be sent as a list.")
    return [str(value) for value in cast("list[Any]", given or [])]


def check_picks(field: Json, picked: Sequence[str], label: str) -> None:
    """Refuse values that are not among the options of a select or group, or too few, or too many."""
    if "options" in field and not set(picked) <= {option["value"] for option in field["options"]}:
        raise Refused(f"{label}: choose from the list.")
    if field.get("required") is False and not picked:
        return
    least, most = least_and_most(field)
    if not least <= len(set(picked)) <= most or len(set(picked)) < len(picked):
        raise Refused(f"{label}: choose {least} to {most}.")
