"""CardPings where Discord refuses the bot's reply, and with a closed client."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from generations.token_only_channels import TokenOnlyChannels
from tests.integration.delivery_scene import APPLICATION, POST, TOKEN, a_scene, ready
from ui.delivery.pings import CardPings


@pytest.mark.parametrize("bot_in_channel", [True, False])
async def test_a_ping_with_a_closed_client_is_logged_and_raises_nothing(
    caplog: pytest.LogCaptureFixture, bot_in_channel: bool
) -> None:
    async with a_scene() as scene:
        await scene.client.close()
        pings = CardPings(scene.client, scene.clock)
        made = ready()
        with caplog.at_level(logging.INFO):
            pings.send(replace(made, origin=replace(made.origin, bot_in_channel=bot_in_channel)))
            await pings.drain()
    assert "no ping: no answer from Discord (ClientClosed)" in caplog.text


@pytest.mark.parametrize(("status", "code", "is_open"), [(403, 50013, True), (403, 50001, False), (404, 10003, False)])
async def test_a_reply_without_permission_becomes_a_follow_up_and_only_some_codes_make_the_channel_token_only(
    status: int, code: int, is_open: bool
) -> None:
    async with a_scene() as scene:
        scene.rest.fault(POST, status, code)
        channels = TokenOnlyChannels(scene.clock)
        pings = CardPings(scene.client, scene.clock, channels)
        made = ready()
        pings.send(made)
        await pings.drain(30)
        assert scene.rest.tried() == [POST, f"POST /webhooks/{APPLICATION}/{TOKEN}"]
        assert channels.bot_may_enter(made.origin) is is_open


async def test_a_ping_by_the_token_is_sent_once_where_discord_fails_after_it_may_have_taken_it() -> None:
    async with a_scene() as scene:
        follow_up = f"POST /webhooks/{APPLICATION}/{TOKEN}"
        scene.rest.fault(follow_up, 500, 0)
        pings = CardPings(scene.client, scene.clock)
        made = ready()
        pings.send(replace(made, origin=replace(made.origin, bot_in_channel=False)))
        await pings.drain(30)
        assert scene.rest.tried() == [follow_up]
