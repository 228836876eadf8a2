"""Discord on its bad days, with the real bot: what the person sees, and what the ledger holds (docs/bad-days.md)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.bot_process import BotState
from tests.e2e.side_by_side import PAID, RETURNED, Books, Stage, Story, tell
from tests.e2e.trial import READY_SECONDS, Json, buttons, gallery, open_trial, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORIES: dict[str, Story] = {}


def story(told: Story) -> Story:
    STORIES[told.__name__] = told
    return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("discord")
    async with open_trial(folder, CREDITS_PER_PERIOD="1000", MAX_IMAGES_PER_USER="20") as trial:
        trial.box.discord.gateway.identify_spacing_ms = 0
        yield Stage(trial, Books(folder / "bot.sqlite3"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endings(stage: Stage) -> dict[str, BaseException | None]:
    return await tell(stage, STORIES)


# ---- the first answer -------------------------------------------------------------------------------------------


@story
async def too_late_10062(stage: Stage) -> None:
    asked = await stage.ask("mira", callback={"status": 404, "code": 10062}, taken=False)
    mira = stage.trial.box.discord.actor("mira")
    await stage.state(asked, "cancelled")
    assert await mira.wait_for(lambda: mira.error(asked)) == "The application did not respond"
    assert stage.books.money(asked) == RETURNED


@story
async def already_answered_40060_and_a_card_stands(stage: Stage) -> None:
    asked = await stage.ask("jonas", callback={"status": 400, "code": 40060, "after": True}, taken=False)
    await stage.trial.card("jonas", asked)
    assert stage.books.money(asked) == PAID


@story
async def already_answered_40060_and_no_card_stands(stage: Stage) -> None:
    asked = await stage.ask("mira", callback={"status": 400, "code": 40060}, taken=False)
    await stage.state(asked, "cancelled")
    assert stage.books.money(asked) == RETURNED


@story
async def the_line_breaks_after_the_answer_was_taken(stage: Stage) -> None:
    asked = await stage.ask("jonas", callback={"drop": "after"}, taken=False)
    await stage.trial.card("jonas", asked)
    assert stage.books.money(asked) == PAID


@story
async def an_error_500_for_the_answer_is_outwaited(stage: Stage) -> None:
    asked = await stage.ask("sam", callback={"status": 500})
    await stage.trial.card("sam", asked)
    assert stage.books.money(asked) == PAID


@story
async def the_event_comes_twice(stage: Stage) -> None:
    repeat = stage.trial.box.discord.faults.gateway_repeat
    asked = await stage.ask("sam", before=lambda: repeat("INTERACTION_CREATE", 1))
    await stage.trial.card("sam", asked)
    assert len([message for message in seen(stage, "sam", "gallery") if stage.prompts[asked] in text(message)]) == 1
    assert stage.books.money(asked) == PAID


# ---- the edit that carries the image ------------------------------------------------------------------------------


@story
async def the_token_dies_early_50027(stage: Stage) -> None:
    asked, first = await stage.painting("mira")
    stage.fault_of("mira", asked, status=401, code=50027, times=None)
    card = await stage.trial.card("mira", asked)
    assert card["id"] == first["id"]
    assert stage.trial.edits(int(first["id"]))[-1].path.startswith("/channels/")
    await stage.state(asked, "delivered")
    assert stage.books.money(asked) == PAID


@story
async def the_card_is_deleted_10008(stage: Stage) -> None:
    asked, first = await stage.painting("jonas")
    await stage.trial.box.discord.actor("sam").delete_message(int(first["id"]))
    [message] = await posted_for(stage, "jonas", asked, "gallery")
    assert message["id"] != first["id"]
    assert len(gallery(message)) == 1
    assert stage.books.money(asked) == PAID


@story
async def the_channel_is_closed_50001_50013(stage: Stage) -> None:
    asked, first = await stage.painting("mira", "studio")
    channel = stage.trial.box.discord.channels["studio"].id
    stage.fault_of("mira", asked, status=403, code=50001, times=None)
    faults = stage.trial.box.discord.faults
    faults.rest("PATCH", f"/channels/{channel}/", status=403, code=50001, times=None)
    faults.rest("POST", f"/channels/{channel}/", status=403, code=50013, times=None)
    faults.rest("POST", "/webhooks/", status=403, code=50001, times=None)  # follow-ups
    [message] = await posted_for(stage, "mira", asked, "dm")
    assert len(gallery(message)) == 1
    assert gallery(stage.trial.box.discord.actor("mira").message(int(first["id"]))) == []
    assert stage.books.money(asked) == PAID


@story
async def every_door_is_closed_50007(stage: Stage) -> None:
    asked, _ = await stage.painting("olga", "after-dark")
    channel = stage.trial.box.discord.channels["after-dark"].id
    stage.fault_of("olga", asked, status=403, code=50001, times=None)
    stage.trial.box.discord.faults.rest("*", f"/channels/{channel}/", status=403, code=50013, times=None)
    stage.trial.box.discord.faults.rest("POST", "/webhooks/", status=403, code=50001, times=None)  # follow-ups
    stage.trial.box.discord.closed_dms.add(stage.trial.box.discord.people["olga"].id)
    await stage.state(asked, "undelivered")
    assert stage.books.money(asked) == PAID, "it was made; it is kept"


@story
async def the_image_is_too_large_40005_and_is_made_smaller(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "sam", status=413, code=40005)


@story
async def the_image_is_too_large_40005_and_its_smaller_copy_too(stage: Stage) -> None:
    asked, _ = await stage.painting("sam")
    stage.fault_of("sam", asked, status=413, code=40005, times=2, uploads_only=True)
    card = await stage.trial.card_saying("sam", asked, "too large to be posted here")
    assert buttons(card)[0] == "Open the image"
    await stage.state(asked, "delivered")
    assert stage.books.money(asked) == PAID


@story
async def an_old_card_was_edited_too_often_30046(stage: Stage) -> None:
    asked, first = await stage.painting("sam", "sketches")
    stage.fault_of("sam", asked, status=401, code=50027, times=None)
    edit = f"/messages/{first['id']}$"
    stage.trial.box.discord.faults.rest("PATCH", edit, status=429, code=30046, retry_after=0.05, times=None)
    [message] = await posted_for(stage, "sam", asked, "sketches")
    assert message["id"] != first["id"]
    assert stage.books.money(asked) == PAID


@story
async def the_gallery_is_refused_400(stage: Stage) -> None:
    asked, first = await stage.painting("jonas")
    stage.fault_of("jonas", asked, status=400, code=50035, uploads_only=True)
    card = await stage.trial.card_saying("jonas", asked, "Posted in a message of its own")
    assert card["id"] == first["id"]
    separate = [message for message in seen(stage, "jonas", "gallery") if message["id"] in text(card).split("/")[-1]]
    assert [len(message["attachments"]) for message in separate] == [1]
    await stage.state(asked, "delivered")
    assert stage.books.money(asked) == PAID


@story
async def a_rate_limit_with_via_429(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "mira", status=429, retry_after=0.4, times=2)


@story
async def errors_500_for_a_while(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "sam", status=500, times=2)


@story
async def an_edit_without_an_answer(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "jonas", drop="before")


@story
async def an_edit_whose_answer_is_lost(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "jonas", drop="after")


@story  # among the last: for a second it holds up all the others
async def a_rate_limit_without_via_429(stage: Stage) -> None:
    await arrives_in_spite_of(stage, "mira", status=429, retry_after=1.0, with_via=False)


@story
async def a_session_that_may_be_resumed_after_op_9_misses_nothing(stage: Stage) -> None:
    gateway, faults = stage.trial.box.discord.gateway, stage.trial.box.discord.faults
    seen_before: list[tuple[int, int]] = []

    def invalidate() -> None:  # the command follows the op 9 at its heels: this connection won't hear of it
        seen_before.append((gateway.resumes, gateway.identifies))
        faults.gateway_invalidate(resumable=True)

    asked = await stage.ask("jonas", before=invalidate)
    [(resumes, identifies)] = seen_before
    assert (gateway.resumes, gateway.identifies) == (resumes + 1, identifies)
    await stage.trial.card("jonas", asked)
    assert stage.books.money(asked) == PAID


@story
async def the_gateway_reconnects_breaks_and_forgets(stage: Stage) -> None:
    box = stage.trial.box
    gateway, faults = box.discord.gateway, box.discord.faults
    asked = await stage.ask("mira")
    async with stage.asking:  # with a session that is forgotten, events that are under way are lost
        for trouble in (
            faults.gateway_reconnect,
            lambda: faults.gateway_close(4000),
            lambda: faults.gateway_close(1006),
            lambda: faults.gateway_invalidate(resumable=True),
        ):
            resumes = gateway.resumes
            trouble()
            await stage.until(lambda before=resumes: gateway.resumes > before)
            assert "credits" in await stage.trial.credits("mira")
        identifies = gateway.identifies
        faults.gateway_invalidate(resumable=False)
        await stage.until(lambda: gateway.identifies > identifies and gateway.connected)
        assert "credits" in await stage.trial.credits("mira")
    await stage.trial.card("mira", asked)
    assert box.bot.restarts == 0


async def arrives_in_spite_of(stage: Stage, person: str, **fault: object) -> None:
    asked, first = await stage.painting(person)
    struck = stage.fault_of(person, asked, **fault)
    await stage.until(lambda: struck.left == 0)
    card = await stage.trial.card(person, asked)
    assert card["id"] == first["id"]
    await stage.state(asked, "delivered")
    assert stage.books.money(asked) == PAID


def seen(stage: Stage, person: str, channel: str) -> list[Json]:
    return stage.trial.box.discord.actor(person).messages(channel)


async def posted_for(stage: Stage, person: str, asked: int, channel: str) -> list[Json]:
    """Messages of their own that hold this request's image, once it is delivered."""
    await stage.state(asked, "delivered")
    prompt = f"**{stage.prompts[asked]}**"
    return [message for message in seen(stage, person, channel) if prompt in text(message) and gallery(message)]


@pytest.mark.parametrize("name", STORIES)
async def test_when(endings: dict[str, BaseException | None], name: str) -> None:
    ending = endings[name]
    if ending is not None:
        raise ending


async def test_at_the_end_everything_adds_up_and_no_rule_was_broken(
    stage: Stage, endings: dict[str, BaseException | None]
) -> None:
    never_sent = 2
    stage.books.assert_sound()
    stage.trial.assert_nobody_was_wronged(posts=len(STORIES) - never_sent)


# ---- the gateway --------------------------------------------------------------------------------------------------


async def test_an_event_that_comes_too_late_holds_nothing(
    stage: Stage, endings: dict[str, BaseException | None]
) -> None:
    box = stage.trial.box
    pid, posts = box.bot.pid, len(box.images.posts)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asked = await stage.trial.imagine("mira", prompt="too late")
    box.clock.advance(4)
    await asyncio.sleep(0.1)  # the bot reads its clock's offset every 50 ms at most, stopped or not
    os.kill(pid, signal.SIGCONT)
    mira = box.discord.actor("mira")
    assert await mira.wait_for(lambda: mira.error(asked)) == "The application did not respond"
    assert "credits" in await stage.trial.credits("mira")
    assert (stage.books.states(asked), stage.books.money(asked)) == ([], [])
    assert len(box.images.posts) == posts


async def test_a_gateway_that_shuts_the_bot_out_ends_it_and_its_image_arrives_after_the_next_start(
    stage: Stage, endings: dict[str, BaseException | None]
) -> None:
    box = stage.trial.box
    asked, first = await stage.painting("mira")
    box.discord.faults.gateway_close(4004)
    await stage.until(lambda: box.bot.state is BotState.DIED)
    assert any("the connection to Discord ended for good" in line and "4004" in line for line in box.bot.log)
    await box.bot.start()
    await box.bot.wait_ready(READY_SECONDS)
    card = await stage.trial.card("mira", asked)
    assert card["id"] == first["id"]
    await stage.state(asked, "delivered")
    assert stage.books.money(asked) == PAID
    stage.books.assert_sound()
    assert stage.faults_of_our_own() == []
