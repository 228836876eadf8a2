"""Ids above 2^53 through the lists and forms of /admin and the options of /owner."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cogs.scene import Scene, words
from tests.cogs.test_admin import admin_of, opened, pick, picked, press, rules

LARGE = 1_456_074_443_980_800_257  # of the size of today's ids, and odd, so that no float holds it


def test_the_ids_of_these_tests_are_as_large_as_discords(scene: Scene) -> None:
    """So whatever makes a float of one fails in all of them."""
    for number in (scene.alice.id, scene.bob.id, scene.guild.id, scene.channel.id):
        assert number > 2**60
    assert any(int(float(number)) != number for number in (scene.alice.id, scene.bob.id, scene.guild.id))


@pytest.mark.parametrize("action", ["roles", "log"])
async def test_what_is_picked_in_a_list_of_admin_is_kept_and_shown_to_the_last_digit(scene: Scene, action: str) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    scene.completer.change = lambda payload: payload["data"].update(values=[str(LARGE)])
    await pick(scene, sara, screen, action, [scene.guild.create_role("x")] if action == "roles" else [scene.channel])
    scene.completer.change = None
    found = await rules(scene)
    assert LARGE in (found.roles if action == "roles" else [found.log_channel_id])
    await scene.restart()
    screen = await opened(scene, sara)
    assert picked(screen, action) == [str(LARGE)] and str(LARGE) in words(screen)


async def test_a_person_is_blocked_and_unblocked_by_an_id_to_the_last_digit(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "people")
    form = await press(sara, screen, "block")

    def change(payload: dict[str, Any]) -> None:
        payload["data"] = json.loads(json.dumps(payload["data"]).replace(str(scene.bob.id), str(LARGE)))

    scene.completer.change = change
    await sara.submit_modal(form, {"who": [scene.bob], "reason": "spam"})
    scene.completer.change = None
    assert set((await rules(scene)).blocks) == {LARGE} and f"<@{LARGE}>" in words(screen)
    await pick(scene, sara, screen, "unblock", [str(LARGE)])
    assert (await rules(scene)).blocks == {}
