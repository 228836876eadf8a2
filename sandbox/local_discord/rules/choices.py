"""The rules of selects, radio groups and checkbox groups, and of custom ids, in messages and in forms.

Source: Discord docs, Component Reference ('String Select' to 'Checkbox Group'). They name no short codes for these
errors; those here are this stand-in's own, except COMPONENT_CUSTOM_ID_DUPLICATED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.local_discord.errors import Path
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.schemas.checks import Findings
from sandbox.local_discord.state.model import objects


def examine_ids(everything: Sequence[tuple[Path, dict[str, Any]]], found: Findings) -> None:
    """Check that no custom id and no component id is there twice ('Custom ID', 'Component ID')."""
    custom_ids: set[str] = set()
    ids: set[int] = set()
    for at, component in everything:
        custom_id, number = component.get("custom_id"), component.get("id")
        if custom_id in custom_ids:
            found.add((*at, "custom_id"), "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        if number and number in ids:
            found.add((*at, "id"), "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
        custom_ids |= {custom_id} if custom_id else set()
        ids |= {number} if number else set()


def least_and_most(component: dict[str, Any]) -> tuple[int, int]:
    """Return how many values must and may be chosen: one of a select and a radio group, unless it says otherwise; of a
    checkbox group any number from one.
    """
    least, most = component.get("min_values"), component.get("max_values")
    if most is None:
        most = len(component["options"]) if component["type"] == parts.CHECKBOX_GROUP else 1
    return 1 if least is None else least, most


def examine_choices(component: dict[str, Any], at: Path, found: Findings) -> None:
    """Check the range of a select or group, its options and its defaults."""
    least, most = least_and_most(component)
    if least > most:
        found.add((*at, "max_values"), "SELECT_COMPONENT_RANGE", "max_values is below min_values")
    options = objects(component, "options")
    values = [option["value"] for option in options]
    if len(set(values)) < len(values):
        found.add((*at, "options"), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified value is already used")
    if "options" in component and len(options) < most:
        # Assumed: the docs do not say so; other libraries refuse it before they send it (hikari-flare, pull 21).
        found.add((*at, "options"), "BASE_TYPE_BAD_LENGTH", f"Must be between {most} and 25 in length.")
    if sum(bool(option.get("default")) for option in options) > most:
        found.add((*at, "options"), "SELECT_COMPONENT_TOO_MANY_DEFAULTS", f"At most {most} may be chosen at first")
    defaults = objects(component, "default_values")
    if defaults and not least <= len(defaults) <= most:
        found.add((*at, "default_values"), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
    if len({default["id"] for default in defaults}) < len(defaults):
        found.add((*at, "default_values"), "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains a value")


def examine_form(everything: Sequence[tuple[Path, dict[str, Any]]], found: Findings) -> None:
    """Check the fields of a form: none may be disabled, and one that is required needs at least one value."""
    for at, field in everything:
        if field.get("disabled"):
            found.add((*at, "disabled"), "COMPONENT_DISABLED_IN_MODAL", "Components of a modal cannot be disabled")
        if field["type"] in (*parts.SELECTS, parts.RADIO_GROUP, parts.CHECKBOX_GROUP, parts.FILE_UPLOAD):
            examine_choices(field, at, found)
        if field.get("min_values") == 0 and field.get("required") is not False:
            message = "min_values must be at least 1 where required is not false"
            found.add((*at, "min_values"), "COMPONENT_REQUIRED_RANGE", message)
        if field["type"] == parts.TEXT_INPUT:
            _examine_text_input(field, at, found)
    examine_ids(everything, found)


def _examine_text_input(field: dict[str, Any], at: Path, found: Findings) -> None:
    least, most, value = field.get("min_length") or 0, field.get("max_length") or 4000, field.get("value") or ""
    if least > most:
        found.add((*at, "max_length"), "TEXT_INPUT_COMPONENT_RANGE", "max_length is below min_length")
    if value and not least <= len(value) <= most:
        found.add((*at, "value"), "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
