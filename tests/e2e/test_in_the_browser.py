"""The first steps after `make try` in a real Chromium, with only the address that the command prints."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

from PIL import Image
from playwright.async_api import Locator, Page, expect

from tests.page.chromium import open_chromium

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 120_000


@asynccontextmanager
async def running_sandbox() -> AsyncIterator[str]:
    """Run `python -m sandbox` as `make try` does, and yield the address that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--port", "0", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 120)
        found = re.search(rb"http://127\.0\.0\.1:\d+/", line)
        assert found is not None, line
        yield found.group().decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 120) == 0


async def imagine(page: Page, prompt: str, **options: str) -> Locator:
    """Type /imagine with its options, send it, and return the new card."""
    before = await page.get_by_test_id("message").count()
    await page.get_by_test_id("composer").fill("/imagine ")
    await page.get_by_test_id("option-prompt").fill(prompt)
    for name, value in options.items():
        await page.get_by_test_id(f"add-option-{name}").click()
        await page.get_by_test_id(f"option-{name}").fill(value)
        await page.get_by_test_id(f"option-{name}").press("Enter")
    await page.get_by_test_id("send").click()
    card = page.get_by_test_id("message").nth(before)
    await expect(card).to_contain_text(prompt, timeout=PATIENCE_MS)
    return card


async def image_in(page: Page, card: Locator) -> Image.Image:
    """Download the card's image from the address that the browser uses."""
    shown = card.locator('img[data-testid="gallery-image"], [data-testid="gallery-image"] img')
    await expect(shown).to_have_count(1, timeout=PATIENCE_MS)
    answer = await page.request.get(urljoin(page.url, str(await shown.get_attribute("src"))))
    assert answer.ok
    return Image.open(io.BytesIO(await answer.body()))


async def test_an_image_appears_and_another_one_arrives_after_a_kill_from_the_panel() -> None:
    async with running_sandbox() as address, open_chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        await page.goto(address)
        await expect(page.get_by_test_id("bot-state")).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)

        card = await imagine(page, "a lighthouse in a storm", size="Portrait 1024", format="png")
        await expect(card).to_contain_text("Painting", timeout=PATIENCE_MS)
        image_file = await image_in(page, card)
        assert (image_file.format, image_file.size) == ("PNG", (1024, 1536))

        second = await imagine(page, "a phoenix")
        await expect(second).to_contain_text("Painting", timeout=PATIENCE_MS)
        message_id = await second.get_attribute("data-message-id")
        await page.get_by_test_id("panel-kill").click()
        await expect(page.get_by_test_id("bot-state")).to_have_attribute("data-state", "died", timeout=PATIENCE_MS)
        await page.get_by_test_id("panel-start").click()
        await expect(page.get_by_test_id("bot-state")).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
        await image_in(page, page.locator(f'[data-message-id="{message_id}"]'))
        assert await page.get_by_test_id("gallery-image").count() == 2

        await page.get_by_test_id("composer").fill("/credits")
        await page.get_by_test_id("composer").press("Enter")
        await page.get_by_test_id("send").click()
        await expect(page.get_by_test_id("message").last).to_contain_text("40 of 50 credits", timeout=PATIENCE_MS)
        assert errors == []
