"""CardPings where Discord refuses the bot's reply, and when the library has given up its connections."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from generations.model import Generation
from generations.token_only_channels import TokenOnlyChannels
from tests.integration.delivery_scene import APPLICATION, POST, TOKEN, a_scene, ready
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
            await pings.handle_finished(replace(made, origin=replace(made.origin, bot_in_channel=bot_in_channel)))
            await pings.drain()
    assert "no ping: no answer from Discord (ClientClosed)" in caplog.text


@pytest.mark.parametrize(("status", "code", "is_open"), [(403, 50013, True), (403, 50001, False), (404, 10003, False)])
async def test_where_the_reply_lacks_a_permission_the_token_pings_and_the_channel_stays_the_bots(
    status: int, code: int, is_open: bool
) -> None:
    decisions: Any = Always()
    async with a_scene() as scene:
        scene.rest.fault(POST, status, code)
        channels = TokenOnlyChannels(scene.clock)
        pings = CardPings(scene.client, scene.clock, decisions, channels)
        made = ready()
        await pings.handle_finished(made)
        await pings.drain(30)
        assert scene.rest.tried() == [POST, f"POST /webhooks/{APPLICATION}/{TOKEN}"]
        assert channels.bot_may_enter(made.origin) is is_open


async def test_a_ping_by_the_token_is_sent_once_where_discord_fails_after_it_may_have_taken_it() -> None:
    decisions: Any = Always()
    async with a_scene() as scene:
        follow_up = f"POST /webhooks/{APPLICATION}/{TOKEN}"
        scene.rest.fault(follow_up, 500, 0)
        pings = CardPings(scene.client, scene.clock, decisions)
        made = ready()
        await pings.handle_finished(replace(made, origin=replace(made.origin, bot_in_channel=False)))
        await pings.drain(30)
        assert scene.rest.tried() == [follow_up]
