"""The list of commands and the options of a command, by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from sandbox.world import Sandbox
    from tests.page.conftest import Visit
    from tests.page.tiny_bot import TinyBot

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_command_is_picked_filled_and_sent_by_keyboard_alone(visit: Visit, bot: TinyBot) -> None:
    page = await visit()
    await page.keyboard.press("/")
    await expect(page.get_by_test_id("picker-item-credits")).to_be_visible()
    await page.keyboard.type("im")
    await expect(page.get_by_test_id("picker-item-credits")).to_have_count(0)
    await page.keyboard.press("Enter")
    await page.keyboard.type("a lighthouse in a storm")
    await page.keyboard.press("Tab")  # the send button
    await page.keyboard.press("Tab")  # + size
    await expect(page.get_by_test_id("add-option-size")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.type("portr")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("option-size")).to_have_value("Portrait 1024×1536")
    await page.keyboard.press("Enter")

    await expect(page.get_by_test_id("message").last).to_contain_text("heard")
    await expect(page.get_by_test_id("used-line")).to_have_text("MImira used /imagine")
    await expect(page.get_by_test_id("composer")).to_be_focused()
    given = {option["name"]: option["value"] for option in bot.interactions[0]["data"]["options"]}
    assert given == {"prompt": "a lighthouse in a storm", "size": "1024*1536"}


async def test_a_wrong_number_shows_an_error_at_its_option_and_nothing_is_sent(visit: Visit, bot: TinyBot) -> None:
    page = await visit()
    await page.get_by_test_id("composer").fill("/imagine a cat")
    await page.get_by_test_id("add-option-seed").click()
    await page.keyboard.type("4.5")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("error-seed")).to_have_text("seed must be a whole number from -1 to 2147483647.")
    await expect(page.get_by_test_id("option-seed")).to_be_focused()
    await page.get_by_test_id("option-seed").fill("2147483648")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("error-seed")).to_have_text("seed must be from -1 to 2147483647.")
    await page.get_by_test_id("option-prompt").fill("")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("error-prompt")).to_have_text("prompt is required.")
    assert bot.interactions == []


async def test_a_text_above_the_limit_is_refused_and_one_at_the_limit_is_sent(visit: Visit, bot: TinyBot) -> None:
    page = await visit()
    await page.get_by_test_id("composer").fill("/imagine x")
    await page.get_by_test_id("option-prompt").fill("🙂" * 2001)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("error-prompt")).to_have_text("prompt has 2001 characters; 2000 is the most.")
    await page.get_by_test_id("option-prompt").fill("🙂" * 2000)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("message")).to_have_count(1)
    assert bot.interactions[0]["data"]["options"][0]["value"] == "🙂" * 2000


async def test_escape_closes_the_command_and_backspace_removes_an_empty_option(visit: Visit, bot: TinyBot) -> None:
    page = await visit()
    await page.get_by_test_id("composer").fill("/imagine x")
    await page.get_by_test_id("add-option-seed").click()
    await page.keyboard.press("Backspace")
    await expect(page.get_by_test_id("option-seed")).to_have_count(0)
    await expect(page.get_by_test_id("option-prompt")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("command-form")).to_have_count(0)
    await expect(page.get_by_test_id("composer")).to_be_focused()
    assert bot.interactions == []


async def test_an_unanswered_command_shows_the_error(visit: Visit, bot: TinyBot, box: Sandbox) -> None:
    bot.answer = lambda _: None
    for _ in range(4):
        await box.discord.actor("sam").say("gallery", "a long message\n" * 9)
    page = await visit()
    await page.get_by_test_id("composer").fill("/credits ")
    await page.get_by_test_id("send").click()
    await expect(page.get_by_test_id("interaction-sent")).to_contain_text("Sending command")
    await expect(page.get_by_test_id("interaction-failed")).to_contain_text("The application did not respond")
    await expect(page.get_by_text("The application did not respond")).to_be_in_viewport(ratio=1)
