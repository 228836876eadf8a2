"""An interaction's token is a credential for 15 minutes: kept only while its card still owes somebody something."""

from __future__ import annotations

from generations import records
from generations.model import State
from qwen.models import TaskStatus
from tests.doubles import PAINTING, task
from tests.worker.conftest import Workshop, workshop

__all__ = ["workshop"]  # the fixture


async def token_of(workshop: Workshop, generation_id: int) -> str:
    return (await workshop.load(generation_id)).origin.token


async def wipe(workshop: Workshop) -> None:
    """What housekeeping does every half minute."""
    async with workshop.database.transaction() as tx:
        await records.wipe_tokens(tx, workshop.clock.now_ms())


async def test_it_is_forgotten_with_the_card_that_shows_the_image(workshop: Workshop) -> None:
    asked = await workshop.imagine()
    while (await workshop.states(asked)) != [State.DELIVERED]:
        assert await token_of(workshop, asked) == "token"
        await wipe(workshop)
        await workshop.pass_time(1)
    assert await token_of(workshop, asked) == ""


async def test_it_is_forgotten_with_the_card_that_says_why_there_is_none(workshop: Workshop) -> None:
    workshop.service.on_poll = [task(TaskStatus.FAILED, error="no")]
    asked = await workshop.imagine()
    await workshop.pass_time(15)
    assert await workshop.states(asked) == [State.FAILED]
    assert await token_of(workshop, asked) == ""


async def test_it_is_forgotten_after_a_cancel(workshop: Workshop) -> None:
    asked = await workshop.imagine()
    await workshop.generations.cancel(asked, user_id=501, may_manage=False)
    await workshop.pass_time(2)
    assert await workshop.states(asked) == [State.CANCELLED]
    assert await token_of(workshop, asked) == ""


async def test_one_that_ran_out_is_forgotten_while_the_image_is_still_looked_for(workshop: Workshop) -> None:
    workshop.service.on_poll = [PAINTING] * 1000
    asked = await workshop.imagine()
    await workshop.pass_time(14 * 60, stride=20)
    await wipe(workshop)
    assert await token_of(workshop, asked) == "token"
    await workshop.pass_time(2 * 60, stride=20)
    await wipe(workshop)
    assert await token_of(workshop, asked) == ""


async def test_one_of_a_request_that_nobody_answered_is_forgotten_by_housekeeping(workshop: Workshop) -> None:
    workshop.wall.card = None
    asked = await workshop.imagine(answered=False)
    await workshop.pass_time(25)
    assert await workshop.states(asked) == [State.CANCELLED]
    await wipe(workshop)
    assert await token_of(workshop, asked) == ""
