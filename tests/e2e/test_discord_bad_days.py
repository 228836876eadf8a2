"""Faults of Discord with the real bot: what the person sees, and what the ledger holds (docs/bad-days.md)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.bot_process import BotState
from tests.e2e.running_bot import READY_SECONDS, Json, buttons, gallery, open_bot, text
from tests.e2e.scenarios import PAID, RETURNED, BotDatabase, Scenario, SharedBot, run_scenarios

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCENARIOS: dict[str, Scenario] = {}


def scenario(run: Scenario) -> Scenario:
    SCENARIOS[run.__name__] = run
    return run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedBot]:
    folder = tmp_path_factory.mktemp("discord")
    async with open_bot(folder, CREDITS_PER_PERIOD="1000", MAX_IMAGES_PER_USER="20") as bot:
        bot.box.discord.gateway.identify_spacing_ms = 0
        yield SharedBot(bot, BotDatabase(folder / "bot.sqlite3"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endings(shared: SharedBot) -> dict[str, BaseException | None]:
    return await run_scenarios(shared, SCENARIOS)


# ---- the first response -------------------------------------------------------------------------------------------


@scenario
async def too_late_10062(shared: SharedBot) -> None:
    asked = await shared.ask("mira", callback={"status": 404, "code": 10062}, taken=False)
    mira = shared.bot.box.discord.actor("mira")
    await shared.state(asked, "cancelled")
    assert await mira.wait_for(lambda: mira.error(asked)) == "The application did not respond"
    assert shared.rows.entries(asked) == RETURNED


@scenario
async def already_answered_40060_and_there_is_a_card(shared: SharedBot) -> None:
    asked = await shared.ask("jonas", callback={"status": 400, "code": 40060, "after": True}, taken=False)
    await shared.bot.card("jonas", asked)
    assert shared.rows.entries(asked) == PAID


@scenario
async def already_answered_40060_and_there_is_no_card(shared: SharedBot) -> None:
    asked = await shared.ask("mira", callback={"status": 400, "code": 40060}, taken=False)
    await shared.state(asked, "cancelled")
    assert shared.rows.entries(asked) == RETURNED


@scenario
async def the_connection_breaks_after_the_response_was_taken(shared: SharedBot) -> None:
    asked = await shared.ask("jonas", callback={"drop": "after"}, taken=False)
    await shared.bot.card("jonas", asked)
    assert shared.rows.entries(asked) == PAID


@scenario
async def an_error_500_for_the_first_response(shared: SharedBot) -> None:
    asked = await shared.ask("sam", callback={"status": 500})
    await shared.bot.card("sam", asked)
    assert shared.rows.entries(asked) == PAID


@scenario
async def the_event_comes_twice(shared: SharedBot) -> None:
    repeat = shared.bot.box.discord.faults.gateway_repeat
    asked = await shared.ask("sam", before=lambda: repeat("INTERACTION_CREATE", 1))
    await shared.bot.card("sam", asked)
    assert len([message for message in seen(shared, "sam", "gallery") if shared.prompts[asked] in text(message)]) == 1
    assert shared.rows.entries(asked) == PAID


# ---- the edit that carries the image ------------------------------------------------------------------------------


@scenario
async def the_token_dies_early_50027(shared: SharedBot) -> None:
    asked, first = await shared.painting("mira")
    shared.fault_of("mira", asked, status=401, code=50027, times=None)
    card = await shared.bot.card("mira", asked)
    assert card["id"] == first["id"]
    assert shared.bot.edits(int(first["id"]))[-1].path.startswith("/channels/")
    await shared.state(asked, "delivered")
    assert shared.rows.entries(asked) == PAID


@scenario
async def the_card_is_deleted_10008(shared: SharedBot) -> None:
    asked, first = await shared.painting("jonas")
    await shared.bot.box.discord.actor("sam").delete_message(int(first["id"]))
    [message] = await posted_for(shared, "jonas", asked, "gallery")
    assert message["id"] != first["id"]
    assert len(gallery(message)) == 1
    assert shared.rows.entries(asked) == PAID


@scenario
async def the_channel_is_closed_50001_50013(shared: SharedBot) -> None:
    asked, first = await shared.painting("mira", "studio")
    channel = shared.bot.box.discord.channels["studio"].id
    shared.fault_of("mira", asked, status=403, code=50001, times=None)
    faults = shared.bot.box.discord.faults
    faults.rest("PATCH", f"/channels/{channel}/", status=403, code=50001, times=None)
    faults.rest("POST", f"/channels/{channel}/", status=403, code=50013, times=None)
    faults.rest("POST", "/webhooks/", status=403, code=50001, times=None)  # follow-ups
    [message] = await posted_for(shared, "mira", asked, "dm")
    assert len(gallery(message)) == 1
    assert gallery(shared.bot.box.discord.actor("mira").message(int(first["id"]))) == []
    assert shared.rows.entries(asked) == PAID


@scenario
async def direct_messages_are_closed_too_50007(shared: SharedBot) -> None:
    asked, _ = await shared.painting("olga", "after-dark")
    channel = shared.bot.box.discord.channels["after-dark"].id
    shared.fault_of("olga", asked, status=403, code=50001, times=None)
    shared.bot.box.discord.faults.rest("*", f"/channels/{channel}/", status=403, code=50013, times=None)
    shared.bot.box.discord.faults.rest("POST", "/webhooks/", status=403, code=50001, times=None)  # follow-ups
    shared.bot.box.discord.closed_dms.add(shared.bot.box.discord.people["olga"].id)
    await shared.state(asked, "undelivered")
    assert shared.rows.entries(asked) == PAID, "it was made; it is kept"


@scenario
async def the_image_is_too_large_40005_and_is_made_smaller(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "sam", status=413, code=40005)


@scenario
async def the_image_is_too_large_40005_and_its_smaller_copy_too(shared: SharedBot) -> None:
    asked = await shared.ask("sam")
    shared.fault_of("sam", asked, status=413, code=40005, times=2, uploads_only=True)
    card = await shared.bot.card_saying("sam", asked, "too large to be posted here")
    assert buttons(card)[0] == "Open the image"
    await shared.state(asked, "delivered")
    assert shared.rows.entries(asked) == PAID


@scenario
async def an_old_card_was_edited_too_often_30046(shared: SharedBot) -> None:
    asked, first = await shared.painting("sam", "sketches")
    shared.fault_of("sam", asked, status=401, code=50027, times=None)
    edit = f"/messages/{first['id']}$"
    shared.bot.box.discord.faults.rest("PATCH", edit, status=429, code=30046, retry_after=0.05, times=None)
    [message] = await posted_for(shared, "sam", asked, "sketches")
    assert message["id"] != first["id"]
    assert shared.rows.entries(asked) == PAID


@scenario
async def the_gallery_is_refused_400(shared: SharedBot) -> None:
    asked, first = await shared.painting("jonas")
    shared.fault_of("jonas", asked, status=400, code=50035, uploads_only=True)
    card = await shared.bot.card_saying("jonas", asked, "Posted in a message of its own")
    assert card["id"] == first["id"]
    separate = [message for message in seen(shared, "jonas", "gallery") if message["id"] in text(card).split("/")[-1]]
    assert [len(message["attachments"]) for message in separate] == [1]
    await shared.state(asked, "delivered")
    assert shared.rows.entries(asked) == PAID


@scenario
async def a_rate_limit_with_via_429(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "mira", status=429, retry_after=0.4, times=2)


@scenario
async def errors_500_for_a_while(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "sam", status=500, times=2)


@scenario
async def an_edit_without_an_answer(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "jonas", drop="before")


@scenario
async def an_edit_whose_answer_is_lost(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "jonas", drop="after")


@scenario  # among the last: it delays all the others for a second
async def a_rate_limit_without_via_429(shared: SharedBot) -> None:
    await image_arrives_after_fault(shared, "mira", status=429, retry_after=1.0, with_via=False)


@scenario
async def a_session_that_is_resumed_after_op_9_misses_no_event(shared: SharedBot) -> None:
    gateway, faults = shared.bot.box.discord.gateway, shared.bot.box.discord.faults
    seen_before: list[tuple[int, int]] = []

    def invalidate() -> None:  # the command comes right after op 9, so this connection does not receive it
        seen_before.append((gateway.resumes, gateway.identifies))
        faults.gateway_invalidate(resumable=True)

    asked = await shared.ask("jonas", before=invalidate)
    [(resumes, identifies)] = seen_before
    assert (gateway.resumes, gateway.identifies) == (resumes + 1, identifies)
    await shared.bot.card("jonas", asked)
    assert shared.rows.entries(asked) == PAID


@scenario
async def the_gateway_reconnects_closes_and_invalidates_the_session(shared: SharedBot) -> None:
    box = shared.bot.box
    gateway, faults = box.discord.gateway, box.discord.faults
    asked = await shared.ask("mira")
    async with shared.asking:  # events under way are lost with an invalidated session
        for trouble in (
            faults.gateway_reconnect,
            lambda: faults.gateway_close(4000),
            lambda: faults.gateway_close(1006),
            lambda: faults.gateway_invalidate(resumable=True),
        ):
            resumes = gateway.resumes
            trouble()
            await shared.until(lambda before=resumes: gateway.resumes > before)
            assert "credits" in await shared.bot.credits("mira")
        identifies = gateway.identifies
        faults.gateway_invalidate(resumable=False)
        await shared.until(lambda: gateway.identifies > identifies and gateway.connected)
        assert "credits" in await shared.bot.credits("mira")
    await shared.bot.card("mira", asked)
    assert box.bot.restarts == 0


async def image_arrives_after_fault(shared: SharedBot, person: str, **fault: object) -> None:
    asked, first = await shared.painting(person)
    struck = shared.fault_of(person, asked, **fault)
    await shared.until(lambda: struck.left == 0)
    card = await shared.bot.card(person, asked)
    assert card["id"] == first["id"]
    await shared.state(asked, "delivered")
    assert shared.rows.entries(asked) == PAID


def seen(shared: SharedBot, person: str, channel: str) -> list[Json]:
    return shared.bot.box.discord.actor(person).messages(channel)


async def posted_for(shared: SharedBot, person: str, asked: int, channel: str) -> list[Json]:
    """Wait until the image is delivered; return the separate messages that hold it."""
    await shared.state(asked, "delivered")
    prompt = f"**{shared.prompts[asked]}**"
    return [message for message in seen(shared, person, channel) if prompt in text(message) and gallery(message)]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario(endings: dict[str, BaseException | None], name: str) -> None:
    ending = endings[name]
    if ending is not None:
        raise ending


async def test_at_the_end_the_ledger_balances_and_no_rule_was_broken(
    shared: SharedBot, endings: dict[str, BaseException | None]
) -> None:
    never_sent = 2
    shared.rows.assert_balanced()
    shared.bot.assert_rules_kept(posts=len(SCENARIOS) - never_sent)


# ---- the gateway --------------------------------------------------------------------------------------------------


async def test_an_event_that_comes_too_late_holds_no_credits(
    shared: SharedBot, endings: dict[str, BaseException | None]
) -> None:
    box = shared.bot.box
    pid, posts = box.bot.pid, len(box.images.posts)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asked = await shared.bot.imagine("mira", prompt="too late")
    box.clock.advance(4)
    await asyncio.sleep(0.1)  # the bot reads its clock's offset every 50 ms at most, stopped or not
    os.kill(pid, signal.SIGCONT)
    mira = box.discord.actor("mira")
    assert await mira.wait_for(lambda: mira.error(asked)) == "The application did not respond"
    assert "credits" in await shared.bot.credits("mira")
    assert (shared.rows.states(asked), shared.rows.entries(asked)) == ([], [])
    assert len(box.images.posts) == posts


async def test_close_code_4004_ends_the_bot_and_its_image_arrives_after_the_next_start(
    shared: SharedBot, endings: dict[str, BaseException | None]
) -> None:
    box = shared.bot.box
    asked, first = await shared.painting("mira")
    box.discord.faults.gateway_close(4004)
    await shared.until(lambda: box.bot.state is BotState.DIED)
    assert any("the connection to Discord ended for good" in line and "4004" in line for line in box.bot.log)
    await box.bot.start()
    await box.bot.wait_ready(READY_SECONDS)
    card = await shared.bot.card("mira", asked)
    assert card["id"] == first["id"]
    await shared.state(asked, "delivered")
    assert shared.rows.entries(asked) == PAID
    shared.rows.assert_balanced()
    assert shared.own_faults() == []
