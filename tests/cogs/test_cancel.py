"""The Cancel button: who may press it, when it still works, and that it works for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generations.model import Ending, State
from tests.cogs.scene import BrokenLine, Scene, private_words, words
from tests.cogs.test_buttons import administrator
from ui.interactions.buttons import CancelButton


async def card(scene: Scene, **options: Any) -> Any:
    result = await scene.imagine(**options)
    assert result.response is not None
    return result.response


async def test_the_requester_cancels_and_the_credits_come_back(scene: Scene) -> None:
    result = await scene.alice.click(await card(scene, count=2), label="Cancel")
    assert result.acknowledged and result.followups == []
    generation = await scene.only_generation()
    assert {(image.state, image.ending) for image in generation.images} == {(State.CANCELLED, Ending.CANCELLED)}
    balance = await scene.balance(scene.alice)
    assert (balance.available, balance.held) == (50, 0)


async def test_the_worker_then_shows_it_on_the_same_card_without_the_button(scene: Scene) -> None:
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    await scene.step()
    (post,) = scene.posts()
    assert post.id == shown.id
    assert "Cancelled" in words(post) and "returned" in words(post)
    assert "imagine:cancel" not in str([part.to_dict() for part in post.components])
    assert scene.service.posts == []


async def test_a_stranger_is_told_no_and_nothing_changes(scene: Scene) -> None:
    result = await scene.bob.click(await card(scene), label="Cancel")
    assert f"<@{scene.alice.id}>" in private_words(result)
    assert (await scene.only_generation()).cancellable
    assert (await scene.balance(scene.alice)).held == 5


async def test_a_moderator_may_cancel_for_somebody_else(scene: Scene) -> None:
    await scene.moderator.click(await card(scene), label="Cancel")
    assert not (await scene.only_generation()).cancellable
    assert (await scene.balance(scene.alice)).available == 50


async def test_an_administrator_may_cancel_for_somebody_else(scene: Scene) -> None:
    shown = await card(scene)
    scene.postman.change = administrator
    await scene.bob.click(shown, label="Cancel")
    assert not (await scene.only_generation()).cancellable
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_second_handling_of_a_press_is_left_to_the_card_that_is_about_to_say_it(scene: Scene) -> None:
    """Two processes on one shard both get the press, and either may be the first to answer it."""
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    before = await scene.only_generation()
    second = await scene.alice.click(shown, label="Cancel")
    assert second.acknowledged and second.followups == []
    assert await scene.only_generation() == before
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_press_on_a_card_that_said_it_is_cancelled_changes_nothing_and_says_so(scene: Scene) -> None:
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    await scene.step()
    before = await scene.only_generation()
    (post,) = scene.posts()

    def from_an_old_screen(payload: dict[str, Any]) -> None:
        for part in ("data", "message"):
            payload[part] = json.loads(json.dumps(payload[part]).replace("imagine:again:", "imagine:cancel:"))

    scene.postman.change = from_an_old_screen
    assert "can't be cancelled" in private_words(await scene.alice.click(post, label="Again"))
    assert await scene.only_generation() == before
    assert (await scene.balance(scene.alice)).available == 50


async def test_an_image_that_is_being_made_is_not_cancelled(scene: Scene) -> None:
    await scene.bob.click(await card(scene), label="Cancel")
    pressed = scene.postman.last
    await scene.step()
    assert (await scene.only_generation()).images[0].state is State.RUNNING
    result = await scene.postman.deliver_anew(pressed, scene.alice.id)
    assert "already being made" in private_words(result)
    assert (await scene.only_generation()).images[0].state is State.RUNNING
    assert (await scene.balance(scene.alice)).held == 5


async def test_of_four_images_only_those_that_still_wait_are_cancelled(scene: Scene) -> None:
    shown = await card(scene, count=4)
    await scene.step()
    assert [image.state for image in (await scene.only_generation()).images] == [*[State.RUNNING] * 3, State.REQUESTED]
    await scene.alice.click(shown, label="Cancel")
    assert [image.state for image in (await scene.only_generation()).images] == [*[State.RUNNING] * 3, State.CANCELLED]
    assert (await scene.balance(scene.alice)).held == 15


async def test_the_button_works_after_a_restart(scene: Scene) -> None:
    shown = await card(scene)
    await scene.restart()
    await scene.alice.click(shown, label="Cancel")
    assert not (await scene.only_generation()).cancellable


async def test_the_button_works_in_the_bots_dm(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    result = await carol.slash("imagine", prompt="a quiet room")
    await carol.click(result.response, label="Cancel")
    assert (await scene.balance(carol)).available == 50


@pytest.mark.parametrize("number", [1, 2**63 - 1, 10**20 - 1])
async def test_a_button_of_a_generation_that_never_was_is_answered(scene: Scene, number: int) -> None:
    shown = await card(scene)

    def forged(payload: dict[str, Any]) -> None:
        payload["data"]["custom_id"] = f"imagine:cancel:{number}"
        payload["message"]["components"][0]["components"][-1]["components"][0]["custom_id"] = f"imagine:cancel:{number}"

    scene.postman.change = forged
    assert "can't be cancelled" in private_words(await scene.alice.click(shown, label="Cancel"))


async def test_a_slow_database_is_waited_for(scene: Scene) -> None:
    shown = await card(scene)
    scene.database.delays = [1.2]
    result = await scene.alice.click(shown, label="Cancel")
    await scene.env.advance_time(2)
    assert result.acknowledged and result.followups == []
    assert not (await scene.only_generation()).cancellable


async def test_a_refusal_from_a_slow_database_is_still_private(scene: Scene) -> None:
    shown = await card(scene)
    scene.database.delays = [1.2]
    result = await scene.bob.click(shown, label="Cancel")
    await scene.env.advance_time(2)
    assert [message.ephemeral for message in result.followups] == [True]
    assert f"<@{scene.alice.id}>" in words(result.followups[0])


async def test_a_failing_database_is_answered_and_cancels_nothing(scene: Scene) -> None:
    shown = await card(scene)
    scene.database.failures = 1
    assert "failed" in private_words(await scene.alice.click(shown, label="Cancel"))
    assert (await scene.only_generation()).cancellable


@pytest.mark.parametrize("delays", [[], [1.2]], ids=["fast", "slow"])
async def test_what_was_cancelled_is_not_called_failed_where_discord_does_not_take_the_answer(
    scene: Scene, delays: list[float]
) -> None:
    shown = await card(scene)
    scene.database.delays = delays
    scene.env.backend.faults.append(BrokenLine("POST", "/interactions/*/callback"))
    result = await scene.alice.click(shown, label="Cancel")
    await scene.env.advance_time(2)
    said = [str(call.json) for call in scene.env.http_requests if call.path.endswith("/callback")]
    assert not any("failed" in each for each in said) and result.followups == []
    assert not (await scene.only_generation()).cancellable


async def test_buttons_stay_known_after_many_cards_and_edits(scene: Scene) -> None:
    for _ in range(3):
        shown = await card(scene)
        await scene.alice.click(shown, label="Cancel")
        await scene.step()
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    assert not (await scene.only_generation()).cancellable


def test_the_custom_id_fits_discords_limit() -> None:
    assert len(CancelButton(2**64 - 1).custom_id) <= 100
