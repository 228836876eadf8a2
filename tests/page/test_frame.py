"""The page around the messages: people, channels, panel, a phone's width, reconnecting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from sandbox.world import Sandbox
from tests.page.tiny_bot import TinyBot, button, card, row, text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.page.chromium import PagePool
    from tests.page.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOO_WIDE = """[...document.querySelectorAll("html, #app, #main, #messages, .container")]
  .filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.id || it.className)"""


async def test_the_page_shows_person_channel_and_notes_on_the_channel(visit: Visit) -> None:
    page = await visit()
    await expect(page.get_by_test_id("me")).to_have_text("mira · member")
    await expect(page.get_by_test_id("channel-gallery")).to_have_attribute("aria-current", "page")
    await page.get_by_test_id("channel-after-dark").click()
    await expect(page.locator("#header")).to_contain_text("age-restricted")
    await page.get_by_test_id("channel-no-posting").click()
    await expect(page.locator("#header")).to_contain_text("the bot may not post here")
    await page.get_by_test_id("channel-pier").click()
    await expect(page.locator("#header")).to_contain_text("app not installed in this server")
    await expect(page.get_by_test_id("disclaimer")).to_contain_text("not by Qwen-Image")
    await page.get_by_test_id("person-sam").click()
    await expect(page.get_by_test_id("me")).to_have_text("sam · moderator")


async def test_every_kind_of_channel_is_listed_and_opened_by_keyboard(visit: Visit, bot: TinyBot) -> None:
    page = await visit()
    places = page.get_by_role("navigation", name="Channels")
    await expect(places.get_by_role("button")).to_have_text(
        ["gallery", "sketches", "night-watch", "studio", "after-dark18+", "no-postingno posts", "lounge",
         "summer-poster", "ferry", "no-files", "pier", "quayprivate", "slipway", "meadow", "cellar18+", "barrels18+",
         "boat-crew", "jonas", "Qwen Imagine"],
    )  # fmt: skip
    await expect(places.get_by_test_id("channel-requests")).to_have_text("requestsforum")
    await places.get_by_role("button").first.focus()
    for name, title, about in (
        ("night-watch", "#night-watch", "the bot is no member of this private thread"),
        ("lounge", "lounge", "The chat of a voice channel"),
        ("summer-poster", "#summer-poster", "A post in requests"),
        ("quay", "#quay", "the bot may answer you alone here"),
        ("slipway", "#slipway", "only the app's commands are installed in this server, not the bot"),
        ("boat-crew", "boat-crew", "the bot is no member of this group"),
        ("jonas", "jonas", "the bot is no member of this conversation"),
    ):
        await _tab_to(page, f"channel-{name}")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
        await expect(page.locator("#header")).to_contain_text(about)
        await expect(page.get_by_test_id("composer")).to_have_attribute("aria-label", f"Message {title}")
        await page.get_by_test_id(f"channel-{name}").focus()
    await page.get_by_test_id("person-sam").click()
    await expect(page.get_by_test_id("me")).to_have_text("sam · moderator")
    await expect(page.get_by_test_id("channel-boat-crew")).to_have_count(0)


async def _tab_to(page: Page, test_id: str) -> None:
    for _ in range(20):
        if await page.evaluate("document.activeElement.dataset.testid") == test_id:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{test_id} is not reached by Tab")


async def test_a_message_reaches_other_people_and_a_moderator_can_delete_it(visit: Visit) -> None:
    mira, sam = await visit("mira"), await visit("sam")
    await mira.get_by_test_id("composer").fill("good morning")
    await mira.keyboard.press("Enter")
    await expect(sam.get_by_test_id("message")).to_contain_text("good morning")
    await sam.get_by_test_id("message").hover()
    await sam.get_by_test_id("message-menu").click()
    await sam.get_by_test_id("menu-delete").click()
    await expect(mira.get_by_test_id("message")).to_have_count(0)


async def test_relative_timestamps_follow_the_sandboxs_clock(visit: Visit, bot: TinyBot, box: Sandbox) -> None:
    soon = box.clock.now_ms() // 1000 + 2 * 3600 + 30
    await bot.post("gallery", text(f"refills <t:{soon}:R>"))
    page = await visit()
    await expect(page.locator(".md")).to_have_text("refills in 2 hours")
    await page.get_by_test_id("panel-clock-hour").click()
    await expect(page.locator(".md")).to_have_text("refills in 1 hour")
    await expect(page.get_by_test_id("panel-offset")).to_have_text("1 h ahead of this machine")
    await page.get_by_test_id("panel-clock-day").click()
    await expect(page.locator(".md")).to_have_text("refills 22 hours ago")


async def test_the_mood_is_set_until_changed_or_for_the_next_tasks(visit: Visit, box: Sandbox) -> None:
    page = await visit()
    await page.get_by_test_id("panel-mood").select_option("declined")
    await expect(page.get_by_test_id("panel-mood-help")).to_contain_text("content policy")
    assert (box.images.mood.value, box.images.remaining) == ("declined", None)
    await page.get_by_test_id("panel-mood-count").fill("2")
    await page.get_by_test_id("panel-mood-only").check()
    await expect(page.get_by_test_id("panel-mood-help")).to_contain_text("For the next 2 only.")
    assert box.images.remaining == 2
    await expect(page.get_by_test_id("bot-state")).to_have_attribute("data-state", "stopped")


@pytest.mark.parametrize("channel", ["gallery", "after-dark"])
async def test_a_phone_shows_everything_without_sideways_scrolling(visit: Visit, bot: TinyBot, channel: str) -> None:
    await bot.post(
        channel,
        card(
            text("**a lighthouse**\n" + "W" * 300 + "\nhttps://example.org/" + "x" * 200),
            row(*(button(f"Button {n}") for n in range(5))),
        ),
    )
    page = await visit(channel=channel, width=390, height=844)
    assert await page.evaluate(TOO_WIDE) == []
    await expect(page.get_by_test_id("panel-mood")).to_be_hidden()
    await page.get_by_test_id("open-sidebar").click()
    await page.get_by_test_id("channel-studio").click()
    await expect(page.get_by_test_id("person-mira")).to_be_hidden()
    await page.get_by_test_id("open-panel").click()
    await expect(page.get_by_test_id("panel-kill")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("panel-kill")).to_be_hidden()
    await page.get_by_test_id("composer").fill("/imagine a cat")
    await page.get_by_test_id("add-option-size").click()
    assert await page.evaluate(TOO_WIDE) == []


async def test_the_page_reconnects_by_itself(pages: PagePool, tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path / "first") as box:
        page = await pages.take()
        await page.goto(box.url)
        await expect(page.get_by_test_id("me")).to_have_text("mira · member")
        await expect(page.get_by_test_id("banner")).to_be_hidden()
        port = int(box.url.rsplit(":", 1)[1])
    await expect(page.get_by_test_id("banner")).to_be_visible()
    async with Sandbox(data_dir=tmp_path / "second", port=port) as box, TinyBot(box) as bot:
        await expect(page.get_by_test_id("banner")).to_be_hidden()
        await bot.say("gallery", "here again")
        await expect(page.get_by_test_id("message")).to_contain_text("here again")
        await pages.give_back(page)


async def test_each_process_of_several_has_its_shards_its_log_and_its_own_buttons(
    pages: PagePool, tmp_path: Path
) -> None:
    (tmp_path / "bot.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    script = tmp_path / "bot.py"
    async with Sandbox(data_dir=tmp_path / "data", bot_script=script, processes=3) as box:
        page = await pages.take()
        await page.goto(box.url)
        shards = [page.get_by_test_id(f"process-{number}").get_by_test_id("bot-shards") for number in range(3)]
        await expect(shards[0].get_by_role("listitem")).to_contain_text(["Lighthouse, direct messages", "Shard 1"])
        await expect(shards[1].get_by_role("listitem")).to_contain_text(["Shard 2", "Harbour"])
        await expect(shards[2].get_by_role("listitem")).to_contain_text(["Boatyard", "Shard 5"])
        for number, action, states in (
            (1, "start", ("stopped", "starting", "stopped")),
            (2, "start", ("stopped", "starting", "starting")),
            (1, "kill", ("stopped", "died", "starting")),
            (2, "stop", ("stopped", "died", "stopped")),
        ):
            await page.get_by_test_id(f"process-{number}").get_by_test_id(f"panel-{action}").click()
            for other, state in enumerate(states):
                card = page.get_by_test_id(f"process-{other}")
                await expect(card.get_by_test_id("bot-state")).to_have_attribute("data-state", state)
        log = page.get_by_test_id("process-1").get_by_test_id("bot-log")
        await expect(log).to_contain_text("ended by signal 9")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.get_by_test_id("open-panel").click()
        await expect(page.get_by_test_id("process-2").get_by_test_id("panel-restart")).to_be_visible()
        assert await page.evaluate(TOO_WIDE) == []
        assert await page.locator("#panel").evaluate("it => it.scrollWidth <= it.clientWidth")
        await pages.give_back(page)
