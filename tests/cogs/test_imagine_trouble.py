"""/imagine during faults: late events, a slow or lost database, a Discord that takes no response."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

import discord
import pytest

from generations.model import Ending, State
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_errors import Response
from ui.interactions.first_response import is_surely_refused

# All given, so that no preferences are loaded and a database fault strikes the request itself.
TYPED: dict[str, Any] = {"size": "1024*1024", "format": "jpeg", "private": False}


async def test_the_same_event_twice_makes_one_card_and_holds_once(scene: Scene) -> None:
    result = await scene.imagine()
    await scene.completer.deliver_again()
    assert len(scene.posts()) == 1 and result.response is not None
    generation = await scene.only_generation()
    assert generation.message_id == result.response.id
    assert [image.state for image in generation.images] == [State.REQUESTED]
    assert (await scene.balance(scene.alice)).held == 5


async def test_the_same_event_twice_at_the_same_moment_makes_one_card(scene: Scene) -> None:
    scene.completer.twice = True
    await scene.imagine(count=2)
    assert len(scene.posts()) == 1
    generation = await scene.only_generation()
    assert generation.message_id == scene.posts()[0].id
    assert [image.state for image in generation.images] == [State.REQUESTED] * 2
    assert (await scene.balance(scene.alice)).held == 10


async def test_an_event_replayed_much_later_changes_nothing(scene: Scene) -> None:
    await scene.imagine()
    before = await scene.only_generation()
    await scene.env.advance_time(60)
    await scene.completer.deliver_again()
    assert await scene.only_generation() == before
    assert (await scene.balance(scene.alice)).held == 5


async def test_an_event_that_comes_too_late_holds_nothing(scene: Scene) -> None:
    scene.completer.change = lambda payload: scene.env.backend.advance_clock(4)
    result = await scene.imagine()
    assert not result.acknowledged
    assert await scene.generation(int(scene.completer.last["id"])) is None
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_wall_clock_that_is_ahead_still_lets_images_be_made(scene: Scene) -> None:
    scene.clock.ahead_seconds = 30.0
    result = await scene.imagine()
    assert result.response is not None and "5 credits held" in words(result.response)
    assert (await scene.only_generation()).message_id == result.response.id


@pytest.mark.parametrize("private", [False, True])
async def test_a_slow_database_is_waited_for_with_thinking_shown(scene: Scene, private: bool) -> None:
    scene.database.delays = [1.2]
    result = await scene.imagine(**{**TYPED, "private": private})
    await scene.env.advance_time(2)
    assert result.response is not None and result.response.ephemeral is private
    assert "5 credits held" in words(result.response)
    assert result.followups == []
    assert (await scene.only_generation()).message_id == result.response.id


@pytest.mark.parametrize("private", [False, True])
async def test_a_refusal_after_thinking_is_private_and_deletes_the_deferral(scene: Scene, private: bool) -> None:
    for count in (4, 4, 2):
        await scene.bob.slash(scene.channel, "imagine", prompt="all of it", count=count)
    shown = len(scene.posts())
    scene.database.delays = [1.2]
    result = await scene.bob.slash(scene.channel, "imagine", prompt="one more", **TYPED | {"private": private})
    await scene.env.advance_time(2)
    assert "needs 5 credits" in private_words(result)
    assert len(scene.posts()) == shown


async def test_a_response_that_comes_too_late_returns_the_credits(scene: Scene) -> None:
    scene.env.inject_error("POST", "/interactions/*/callback", status=404, code=10062, message="Unknown interaction")
    result = await scene.imagine()
    assert not result.acknowledged and scene.posts() == []
    (image,) = (await scene.only_generation()).images
    assert (image.state, image.ending) == (State.CANCELLED, Ending.NOT_ANSWERED)
    balance = await scene.balance(scene.alice)
    assert (balance.available, balance.held) == (50, 0)
    await scene.step()
    assert scene.service.posts == []


async def test_a_deferral_that_comes_too_late_returns_the_credits(scene: Scene) -> None:
    scene.database.delays = [1.2]
    scene.env.inject_error("POST", "/interactions/*/callback", status=404, code=10062, message="Unknown interaction")
    await scene.imagine(**TYPED)
    await scene.env.advance_time(2)
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_card_that_discord_refuses_costs_nothing_and_the_person_is_told(scene: Scene) -> None:
    scene.env.inject_error("POST", "/interactions/*/callback", status=400, code=200_000, message="blocked")
    text = private_words(await scene.imagine())
    assert "Discord did not take the answer" in text and "Nothing was charged." in text
    assert (await scene.balance(scene.alice)).available == 50


async def test_in_an_outage_of_discord_the_worker_asks_for_the_card(scene: Scene) -> None:
    scene.env.inject_error("POST", "/interactions/*/callback", status=503)
    await scene.imagine()
    generation = await scene.only_generation()
    assert generation.message_id is None and generation.cancellable
    assert (await scene.balance(scene.alice)).held == 5


async def test_after_a_database_fault_nothing_is_charged_and_the_person_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.database.failures = 1
    with caplog.at_level(logging.INFO):
        text = private_words(await scene.imagine("a very private prompt", **TYPED))
    assert "Nothing was charged." in text and scene.completer.last["id"] in text
    assert (await scene.balance(scene.alice)).available == 50
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("qwen_imagine"))
    assert "ConnectionError" in ours and scene.completer.last["id"] in ours
    assert "secret" not in ours and "private prompt" not in ours and scene.completer.last["token"] not in ours


async def test_while_the_database_is_lost_the_sentence_promises_nothing(scene: Scene) -> None:
    scene.database.failures = 10
    text = private_words(await scene.imagine(**TYPED))
    assert "charged" not in text and "/credits" in text
    scene.database.failures = 0
    assert (await scene.balance(scene.alice)).available == 50


async def test_a_card_whose_message_id_could_not_be_written_is_found_by_the_worker(scene: Scene) -> None:
    """The database fails just when the message id is written; the worker asks Discord for the card later."""
    scene.env.backend.subscribers.append(lambda event, _: _fail_once_posted(scene, event))
    result = await scene.imagine()
    scene.env.backend.subscribers.pop()
    assert result.response is not None and "5 credits held" in words(result.response) and result.followups == []
    generation = await scene.only_generation()
    assert generation.message_id is None and generation.cancellable
    assert (await scene.balance(scene.alice)).held == 5


def _fail_once_posted(scene: Scene, event: str) -> None:
    if event == "MESSAGE_CREATE":  # the card has just been posted
        scene.database.failures = 1


def http_error(status: int, code: int = 0) -> discord.HTTPException:
    return discord.HTTPException(Response(status), {"code": code, "message": "no"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "sure"),
    [
        (http_error(404, 10062), True),
        (http_error(404, 10015), True),
        (http_error(400, 50035), True),
        (http_error(401, 50027), True),
        (http_error(400, 40060), False),  # another handler of the same event has responded
        (http_error(500), False),
        (http_error(503), False),
        (OSError(errno.ECONNREFUSED, "refused"), True),
        (OSError(socket.EAI_NONAME, "no such name"), True),
        (OSError(errno.ECONNRESET, "reset"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
    ],
    ids=repr,
)
def test_which_errors_are_sure_refusals(error: BaseException, sure: bool) -> None:
    assert is_surely_refused(error) is sure
