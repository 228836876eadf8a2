"""A server that allows images in age-restricted places only, and its threads: the event says nothing of their channel.

simcord 3.2.1 knows no age-restricted channels: tests/e2e/test_admin.py has a thread of one.
"""

from __future__ import annotations

import simcord

from limits.model import Actor, ContentRule
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_places import thread_in


def lookups(scene: Scene) -> int:
    """How often Discord was asked about a channel."""
    paths = [call.path for call in scene.env.http_requests if call.method == "GET"]
    return sum(path.startswith("/channels/") and path.count("/") == 2 for path in paths)


async def asked(scene: Scene, place: simcord.ChannelHandle) -> simcord.InteractionResult:
    return await scene.alice.slash(place, "imagine", prompt="a quiet room")


async def test_a_thread_is_looked_up_and_refused_where_its_channel_is_for_everybody(scene: Scene) -> None:
    thread = thread_in(scene, scene.channel)
    assert "5 credits held" in words((await asked(scene, thread)).response)
    assert lookups(scene) == 0
    actor = Actor(1, 1, scene.guild.id)
    await scene.services.limits.set_content(actor, ContentRule.AGE_RESTRICTED_ONLY, expected_version=0)
    for place in (thread, thread, scene.channel):
        assert "age-restricted channels and their threads only" in private_words(await asked(scene, place))
    assert lookups(scene) == 1
    assert (await scene.balance(scene.alice)).held == 5
