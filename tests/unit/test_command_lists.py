"""How the command list of this version is compared with Discord's."""

from __future__ import annotations

from typing import Any

import pytest

from discord_api.command_lists import compare_commands

OPTION = {"type": 4, "name": "count", "description": "x", "min_value": 0, "required": False}
COMMAND: dict[str, Any] = {"type": 1, "name": "imagine", "description": "x", "options": [OPTION], "contexts": [0, 1]}


@pytest.mark.parametrize(
    "theirs",
    [
        COMMAND,
        {**COMMAND, "id": "1", "version": "2", "application_id": "5", "dm_permission": True},
        {**COMMAND, "contexts": [1, 0], "nsfw": False, "description_localizations": None},
        {**COMMAND, "options": [{"type": 4, "name": "count", "description": "x", "min_value": 0}]},
    ],
)
def test_what_discord_adds_leaves_out_or_orders_in_its_own_way_is_no_difference(theirs: dict[str, Any]) -> None:
    assert not compare_commands([COMMAND], [theirs])


@pytest.mark.parametrize(
    "theirs",
    [
        {**COMMAND, "description": "y"},
        {**COMMAND, "contexts": [0]},
        {**COMMAND, "nsfw": True},
        {**COMMAND, "default_member_permissions": "0"},
        {**COMMAND, "options": [OPTION | {"min_value": 1}]},
        {**COMMAND, "options": [{"type": 4, "name": "count", "description": "x"}]},
        {**COMMAND, "options": [OPTION | {"required": True}]},
        {**COMMAND, "options": []},
    ],
)
def test_every_other_difference_is_found(theirs: dict[str, Any]) -> None:
    assert compare_commands([COMMAND], [theirs]).changed == ("/imagine",)


def test_permissions_are_a_number_here_and_a_text_there() -> None:
    ours, theirs = COMMAND | {"default_member_permissions": 0}, COMMAND | {"default_member_permissions": "0"}
    assert not compare_commands([ours], [theirs])


def test_a_command_and_a_menu_of_one_name_are_two() -> None:
    found = compare_commands([COMMAND], [{"type": 3, "name": "imagine"}])
    assert (found.missing, found.unknown, found.changed) == (("/imagine",), ('"imagine"',), ())
    assert str(found) == 'missing: /imagine; unknown: "imagine"'
