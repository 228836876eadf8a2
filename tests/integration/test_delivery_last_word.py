"""The last word of cards that only the interaction's token reaches, and edits that become rarer with age."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from generations.delivery_result import Place
from generations.model import Estimate, Generation, Progress, State
from generations.token_only_channels import TokenOnlyChannels
from tests.integration.delivery_scene import (
    AS_BOT,
    BY_TOKEN,
    CARD,
    CHANNEL,
    DIRECT,
    GENERATION,
    NOTHING,
    READY,
    Scene,
    a_scene,
    generation,
    image,
    image_file,
    painting,
    ready,
)
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons
from ui.texts.places import LEAVING

ONLY_TOKEN: list[dict[str, Any]] = [{"origin": {"bot_in_channel": False}}, {"private": True}]
LAST_WORD_SECONDS = 15 * 60 - 60 - 45


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


def edits_with_last_word(scene: Scene) -> list[bool]:
    """For each edit, in order, whether it has the last word."""
    return [LEAVING in str(call.body) for call in scene.rest.edits()]


async def first_edit(scene: Scene) -> None:
    await scene.edited(1)
    await scene.settled()


async def advance(scene: Scene, seconds: float, stride: float = 5.0) -> None:
    for _ in range(round(seconds / stride)):
        scene.clock.advance(stride)
        await scene.settled()


@pytest.mark.parametrize("where", ONLY_TOKEN)
async def test_shortly_before_the_token_runs_out_the_card_says_where_its_image_will_come(
    scene: Scene, where: dict[str, Any]
) -> None:
    """It needs no new result of a poll."""
    scene.delivery.publish_progress(*painting(0.5, **where))
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    assert edits_with_last_word(scene) == [False]
    await advance(scene, 15)
    assert edits_with_last_word(scene) == [False, True]
    await advance(scene, 30 * 60, 300)
    assert edits_with_last_word(scene) == [False, True]
    assert set(scene.rest.tried()) == {BY_TOKEN}


async def test_a_card_that_the_bot_itself_reaches_has_no_last_word(scene: Scene) -> None:
    """The bot finds out by one edit with its own token while the interaction's token still works."""
    scene.delivery.publish_progress(*painting())
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    assert scene.rest.tried() == [BY_TOKEN]
    await advance(scene, 15)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT]
    await advance(scene, 5 * 60, 60)
    scene.delivery.publish_progress(*painting(0.7))
    await scene.edited(3)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, AS_BOT]
    assert edits_with_last_word(scene) == [False, False, False]


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (403, 50013), (404, 10003)])
async def test_a_card_where_the_bots_token_is_refused_gets_its_last_word_by_the_interactions_token(
    scene: Scene, status: int, code: int
) -> None:
    """As in a private thread, where commands run although the bot is no member (Discord docs: Threads)."""
    scene.rest.fault(AS_BOT, status, code, times=9)
    scene.delivery.publish_progress(*painting())
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    await advance(scene, 15)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, BY_TOKEN]
    assert edits_with_last_word(scene) == [False, False, True]
    await advance(scene, 30)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, BY_TOKEN]


async def test_the_next_card_of_such_a_channel_is_not_edited_with_the_bots_token(scene: Scene) -> None:
    scene.rest.fault(AS_BOT, 403, 50001, times=9)
    scene.delivery.publish_progress(*painting())
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    await advance(scene, 15)
    scene.rest.calls.clear()
    made, progress = painting()
    later = GENERATION + (60_000 << 22)  # requested a minute after the other one
    other = replace(made, id=later, message_id=CARD + 1, origin=replace(made.origin, interaction_id=later))
    scene.rest.add_message(CARD + 1, CHANNEL)
    scene.delivery.publish_progress(other, progress)
    await first_edit(scene)
    await advance(scene, 70)
    assert set(scene.rest.tried()) == {BY_TOKEN.replace(str(CARD), str(CARD + 1))}
    assert edits_with_last_word(scene) == [False, True]


async def test_an_edit_that_lacks_a_permission_leaves_only_this_card_to_the_token(scene: Scene) -> None:
    channels = TokenOnlyChannels(scene.clock)
    scene.delivery = DiscordDelivery(scene.client, scene.clock, token_only=channels, buttons=card_buttons)
    scene.rest.fault(AS_BOT, 403, 50013, times=9)
    made, progress = painting()
    scene.delivery.publish_progress(made, progress)
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    await advance(scene, 15)
    assert edits_with_last_word(scene) == [False, False, True]
    assert channels.bot_may_enter(made.origin)


@pytest.mark.parametrize(("status", "code"), [(429, 0), (401, 0)])
async def test_a_refusal_that_is_not_about_the_place_leaves_the_card_to_the_bot(
    scene: Scene, status: int, code: int
) -> None:
    """Such as 401 for the bot's token as a whole: it is tried again as long as the interaction's token works."""
    scene.rest.fault(AS_BOT, status, code, times=2)
    scene.delivery.publish_progress(*painting())
    await first_edit(scene)
    await advance(scene, LAST_WORD_SECONDS - 10, 157)
    await advance(scene, 60)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, AS_BOT, AS_BOT]
    assert not any(edits_with_last_word(scene))


async def test_after_a_restart_the_last_word_is_still_in_time(scene: Scene) -> None:
    scene.rest.fault(AS_BOT, 403, 50001, times=9)
    scene.clock.advance(LAST_WORD_SECONDS + 20)
    scene.delivery.publish_progress(*painting())
    await scene.edited(2)
    await scene.settled()
    assert scene.rest.tried() == [AS_BOT, BY_TOKEN]
    assert edits_with_last_word(scene) == [False, True]


async def test_the_last_word_does_not_wait_for_the_progress_interval_of_an_old_card(scene: Scene) -> None:
    where = ONLY_TOKEN[0]
    scene.clock.advance(LAST_WORD_SECONDS - 20)
    scene.delivery.publish_progress(*painting(0.1, **where))
    await first_edit(scene)
    scene.delivery.publish_progress(*painting(0.2, **where))
    await advance(scene, 25)
    assert edits_with_last_word(scene) == [False, True]


async def test_a_last_word_that_discord_can_not_take_is_tried_again_while_the_token_lives(scene: Scene) -> None:
    where = ONLY_TOKEN[0]
    scene.delivery.publish_progress(*painting(0.1, **where))
    await first_edit(scene)
    scene.rest.fault("PATCH", 429, 0, times=3)  # without Via: discord.py does not try again by itself
    await advance(scene, LAST_WORD_SECONDS, 159)
    await advance(scene, 30)
    said = edits_with_last_word(scene)
    assert said[-1]
    assert not [status for status in scene.rest.faults if status.times]


async def test_a_last_word_is_given_up_when_the_token_ends(scene: Scene) -> None:
    where = ONLY_TOKEN[0]
    scene.delivery.publish_progress(*painting(0.1, **where))
    await first_edit(scene)
    scene.rest.fault("PATCH", 429, 0, times=99)
    await advance(scene, LAST_WORD_SECONDS, 159)
    await advance(scene, 120)
    assert len(scene.rest.edits()) <= 1 + 45 / 5
    assert scene.delivery._editors[ready().id].task is None


async def test_a_finished_card_has_no_last_word(scene: Scene) -> None:
    where = ONLY_TOKEN[0]
    scene.delivery.publish_progress(*painting(**where))
    await first_edit(scene)
    await scene.delivery.publish(ready(revision=2, **where), NOTHING, {0: image_file()})
    await advance(scene, 20 * 60, 400)
    assert edits_with_last_word(scene) == [False, False]
    assert scene.delivery._editors[ready().id].task is None


async def test_an_ending_of_one_image_does_not_prevent_the_last_word_for_the_others(scene: Scene) -> None:
    def two(revision: int) -> Generation:
        images = (image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1))
        return generation(*images, revision=revision, **ONLY_TOKEN[1])

    progress = Progress(None, Estimate(0, 0.5, (12, 18), None))
    await scene.delivery.publish(two(2), progress, {0: image_file()})
    await advance(scene, LAST_WORD_SECONDS, 159)
    await scene.settled()
    assert edits_with_last_word(scene) == [False, True]
    assert "1 of 2 ready" in str(scene.rest.edits()[-1].body)


async def test_after_the_last_word_the_image_comes_as_a_direct_message(scene: Scene) -> None:
    where = ONLY_TOKEN[0]
    scene.delivery.publish_progress(*painting(**where))
    await first_edit(scene)
    await advance(scene, 16 * 60, 480)
    scene.rest.calls.clear()
    shown = await scene.delivery.publish(ready(revision=2, **where), NOTHING, {0: image_file()})
    assert shown.place is Place.DIRECT_MESSAGE
    assert scene.rest.tried() == DIRECT
    assert LEAVING not in str(scene.rest.calls[-1].body)


async def test_a_stop_does_not_wait_for_a_last_word(scene: Scene) -> None:
    scene.delivery.publish_progress(*painting(**ONLY_TOKEN[0]))
    await first_edit(scene)
    await scene.delivery.drain()
    await scene.settled()
    assert scene.delivery._editors[ready().id].task is None
    assert scene.clock.monotonic() == 1000.0


# ---- with age -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_seconds", "gap"), [(0, 10), (3 * 60, 15), (11 * 60, 60)])
async def test_edits_become_rarer_with_the_age_of_the_card(scene: Scene, age_seconds: float, gap: int) -> None:
    scene.clock.advance(age_seconds)
    scene.delivery.publish_progress(*painting(0.1))
    await first_edit(scene)
    scene.delivery.publish_progress(*painting(0.9))
    await advance(scene, gap - 1, gap - 1)
    assert len(scene.rest.edits()) == 1
    await advance(scene, 1, 1)
    assert len(scene.rest.edits()) == 2


async def test_a_new_revision_does_not_wait_for_the_progress_interval(scene: Scene) -> None:
    scene.clock.advance(11 * 60)
    scene.delivery.publish_progress(*painting(0.1))
    await first_edit(scene)
    assert (await scene.delivery.publish(replace(ready(), revision=2), NOTHING, {0: image_file()})).place is Place.CARD
