"""What the journeys share: the sandbox, the people's pages, and checks of what a page shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from playwright.async_api import Locator, expect

from sandbox.world import Sandbox
from scripts.visitor import Visitor

Journey = AsyncIterator[str]
RESULT = ["Again", "Edit", "Details", "Delete"]
MODERATED, SHARED = "olga's first harbour", "olga's lighthouse"
DECLINED, KEPT = "olga's refused wish", "olga's kept boat"
REPORTED, RUDE, PRIVATE = "ada's wall of ivy", "ada's rude sign", "ada's secret garden"
SMALL = "Portrait 768×1024"
BUTTONS = "button[data-testid^=button-]"  # the bot's; a list has one of the page's own


@dataclass
class Scene:
    """One sandbox and its visitors. *known*: which of the first cards are ready, by prompt."""

    box: Sandbox
    visitors: Mapping[str, Visitor]
    known: dict[str, str] = field(default_factory=dict[str, str])

    def card(self, visitor: Visitor, prompt: str) -> Locator:
        """The oldest public card with this prompt in the open channel."""
        return visitor.page.locator('[data-testid=message][data-ephemeral="false"]').filter(has_text=prompt).first


async def labels(message: Locator) -> list[str]:
    return [text.strip() for text in await message.locator(BUTTONS).all_inner_texts()]


async def offers(message: Locator, *wanted: str) -> None:
    """Wait until these are its buttons, in this order."""
    await expect(message.locator(BUTTONS)).to_have_text(list(wanted))


async def says(message: Locator, *words: str) -> None:
    for each in words:
        await expect(message).to_contain_text(each)


async def is_private(message: Locator) -> None:
    await expect(message).to_have_attribute("data-ephemeral", "true")


async def pick(visitor: Visitor, card: Locator, title: str, value: str) -> None:
    """Choose an option in a select menu of a card, and wait until the bot has answered."""
    menu = card.get_by_label(title)
    await menu.select_option(value)
    await expect(menu).not_to_have_attribute("aria-busy", "true")
    await expect(card.get_by_test_id("failure")).to_have_count(0)


async def until(happened: Callable[[], object], seconds: float = 180.0) -> None:
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.1)
