"""The Cancel button: who may press it, when it works, and that it works after a restart."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from generations.model import Ending, State
from tests.cogs.scene import BrokenConnection, Scene, private_words, words
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


async def test_the_worker_edits_the_cancelled_card_and_removes_its_button(scene: Scene) -> None:
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    await scene.step()
    (post,) = scene.posts()
    assert post.id == shown.id
    assert "Cancelled" in words(post) and "returned" in words(post)
    assert "imagine:cancel" not in str([part.to_dict() for part in post.components])
    assert scene.service.posts == []


async def test_a_stranger_may_not_cancel_and_nothing_changes(scene: Scene) -> None:
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
    scene.completer.change = administrator
    await scene.bob.click(shown, label="Cancel")
    assert not (await scene.only_generation()).cancellable
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_press_that_two_processes_handle_cancels_once_without_an_error_sentence(scene: Scene) -> None:
    """Two processes on one shard both get the press, and either may be the first to respond."""
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    before = await scene.only_generation()
    second = await scene.alice.click(shown, label="Cancel")
    assert second.acknowledged and second.followups == []
    assert await scene.only_generation() == before
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_press_on_a_card_that_shows_the_cancel_is_refused_with_a_sentence(scene: Scene) -> None:
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    await scene.step()
    before = await scene.only_generation()
    (post,) = scene.posts()

    def from_an_old_screen(payload: dict[str, Any]) -> None:
        for part in ("data", "message"):
            payload[part] = json.loads(json.dumps(payload[part]).replace("imagine:again:", "imagine:cancel:"))

    scene.completer.change = from_an_old_screen
    assert "can't be cancelled" in private_words(await scene.alice.click(post, label="Again"))
    assert await scene.only_generation() == before
    assert (await scene.balance(scene.alice)).available == 50


async def test_an_image_that_is_being_made_is_not_cancelled(scene: Scene) -> None:
    await scene.bob.click(await card(scene), label="Cancel")
    pressed = scene.completer.last
    await scene.step()
    assert (await scene.only_generation()).images[0].state is State.RUNNING
    result = await scene.completer.deliver_anew(pressed, scene.alice.id)
    assert "already being made" in private_words(result)
    assert (await scene.only_generation()).images[0].state is State.RUNNING
    assert (await scene.balance(scene.alice)).held == 5


async def test_cancel_ends_only_the_images_that_still_wait(scene: Scene) -> None:
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


async def test_a_button_of_an_unknown_generation_is_refused_with_a_sentence(scene: Scene) -> None:
    shown = await card(scene)

    def forged(number: int, payload: dict[str, Any]) -> None:
        payload["data"]["custom_id"] = f"imagine:cancel:{number}"
        payload["message"]["components"][0]["components"][-1]["components"][0]["custom_id"] = f"imagine:cancel:{number}"

    for number in (1, 2**63 - 1, 10**20 - 1):
        scene.completer.change = partial(forged, number)
        assert "can't be cancelled" in private_words(await scene.alice.click(shown, label="Cancel")), number


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


async def test_after_a_database_fault_the_person_is_told_and_nothing_is_cancelled(scene: Scene) -> None:
    shown = await card(scene)
    scene.database.failures = 1
    assert "failed" in private_words(await scene.alice.click(shown, label="Cancel"))
    assert (await scene.only_generation()).cancellable


@pytest.mark.parametrize("delays", [[], [1.2]], ids=["fast", "slow"])
async def test_a_cancel_whose_response_discord_refuses_is_not_reported_as_failed(
    scene: Scene, delays: list[float]
) -> None:
    shown = await card(scene)
    scene.database.delays = delays
    scene.env.backend.faults.append(BrokenConnection("POST", "/interactions/*/callback"))
    result = await scene.alice.click(shown, label="Cancel")
    await scene.env.advance_time(2)
    said = [str(call.json) for call in scene.env.http_requests if call.path.endswith("/callback")]
    assert not any("failed" in each for each in said) and result.followups == []
    assert not (await scene.only_generation()).cancellable


async def test_buttons_stay_registered_after_many_cards_and_edits(scene: Scene) -> None:
    for _ in range(3):
        shown = await card(scene)
        await scene.alice.click(shown, label="Cancel")
        await scene.step()
    shown = await card(scene)
    await scene.alice.click(shown, label="Cancel")
    assert not (await scene.only_generation()).cancellable


def test_the_custom_id_fits_discords_limit() -> None:
    assert len(CancelButton(2**64 - 1).custom_id) <= 100
