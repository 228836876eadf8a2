"""CardPings when the library has given up its connections: a line in the log, and nothing else."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from generations.model import Generation
from tests.integration.delivery_scene import a_scene, ready
from ui.delivery.pings import CardPings


class Always:
    """Decides for every ping."""

    async def decide(self, generation: Generation) -> Generation:
        return generation


@pytest.mark.parametrize("bot_in_channel", [True, False])
async def test_a_ping_of_a_client_that_has_closed_itself_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture, bot_in_channel: bool
) -> None:
    decisions: Any = Always()
    async with a_scene() as scene:
        await scene.client.close()
        pings = CardPings(scene.client, scene.clock, decisions)
        made = ready()
        with caplog.at_level(logging.INFO):
            await pings.arrived(replace(made, origin=replace(made.origin, bot_in_channel=bot_in_channel)))
            await pings.drain()
    assert "no ping: no answer from Discord (ClientClosed)" in caplog.text
