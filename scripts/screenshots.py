"""Takes the pictures of docs/images by using the sandbox's page as a person would: `python scripts/screenshots.py`.

Needs the development requirements (playwright) and an installed Chromium. It starts the sandbox and the real bot.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Locator, Page, async_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sandbox.world import Sandbox  # noqa: E402  (the repository is not installed: its root comes first)

DESK = (1280, 800)
PHONE = (390, 844)
PROMPT = "a lighthouse in a storm, oil on canvas"
PATIENCE_MS = 60_000
SETTLE_MS = 400
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True, slots=True)
class Album:
    """Where the pictures go, and in which browser they are taken."""

    folder: Path
    browser: Browser
    url: str

    async def open(self, size: tuple[int, int], scheme: str, person: str = "mira") -> Page:
        context = await self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            locale="en-GB",
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(f"{self.url}/#as={person}")
        await page.wait_for_selector("body[data-ready]")
        return page

    async def keep(self, page: Page, name: str, part: Locator | None = None) -> None:
        """Save the page, or a part of it, when nothing under the pointer or on its way changes it any more."""
        await page.mouse.move(0, 0)
        await page.wait_for_timeout(SETTLE_MS)
        await (part or page).screenshot(path=self.folder / f"{name}.png")


async def imagine(page: Page, prompt: str, **options: str) -> Locator:
    """Type /imagine with these options and send it. Gives its card."""
    before = await page.get_by_test_id("container").count()
    await page.get_by_test_id("composer").fill("/imagine ")
    await page.get_by_test_id("option-prompt").fill(prompt)
    for name, value in options.items():
        await page.get_by_test_id(f"add-option-{name}").click()
        field = page.get_by_test_id(f"option-{name}")
        await field.fill(value)
        if await field.get_attribute("role") == "combobox":
            await field.press("Enter")
    await page.get_by_test_id("send").click()
    card = page.get_by_test_id("container").nth(before)
    await card.wait_for()
    return card


async def finish(card: Locator) -> None:
    """Wait until every picture of a card is there and loaded."""
    await card.get_by_test_id("gallery-image").first.wait_for()
    for image in await card.get_by_test_id("gallery-image").all():
        await image.evaluate("it => it.decode()")


async def picture_cards(album: Album) -> None:
    """The whole screen, the picker and the states of a card, dark."""
    page = await album.open(DESK, "dark")
    await finish(await imagine(page, "a quiet harbour at dawn, gouache", size="Portrait 1024×1536", seed="7"))
    await page.get_by_test_id("composer").fill("/")
    await page.get_by_test_id("picker-item-imagine").wait_for()
    await album.keep(page, "picker")
    card = await imagine(page, PROMPT, size="Portrait 1024×1536", seed="42", format="png")
    await card.get_by_text("Painting").wait_for()
    await album.keep(page, "card-painting", card)
    await finish(card)
    await album.keep(page, "sandbox")
    await album.keep(page, "card-ready", card)


async def picture_more(album: Album) -> None:
    """Four at once, a refusal of the image service, and the private answer of /credits."""
    page = await album.open(DESK, "dark")
    four = await imagine(page, "the same hill in four seasons", size="Landscape 1024×768", seed="11", count="4")
    await four.get_by_text("Waiting").wait_for()
    await album.keep(page, "card-waiting", four)
    await four.get_by_test_id("gallery-image").nth(3).wait_for()
    await finish(four)
    await album.keep(page, "card-four", four)
    await page.get_by_test_id("panel-mood").select_option("declined")
    declined = await imagine(page, "a prompt that the service declines")
    await declined.get_by_text("The image service declined").wait_for()
    await album.keep(page, "card-declined", declined)
    await page.get_by_test_id("panel-mood").select_option("normal")
    await page.get_by_test_id("composer").fill("/credits ")
    await page.get_by_test_id("send").click()
    private = page.locator("[data-testid=message][data-ephemeral=true]").last
    await private.wait_for()
    await album.keep(page, "credits", private)


async def picture_phone(album: Album) -> None:
    """The same channel on another person's phone, light."""
    page = await album.open(PHONE, "light", person="jonas")
    await page.locator(".gallery-4").scroll_into_view_if_needed()
    await page.locator(".gallery-4 img").last.evaluate("it => it.decode()")
    await page.locator(".gallery-4").evaluate("it => it.scrollIntoView({ block: 'center' })")
    await album.keep(page, "phone")


async def main(folder: Path) -> int:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        print("No Chromium is installed. On Debian and Ubuntu: sudo apt install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as data_dir:
        async with (
            Sandbox(data_dir=Path(data_dir), seconds_per_image=(5.5, 6.0)) as box,
            async_playwright() as playwright,
        ):
            await box.bot.start()
            await box.bot.wait_ready(30)
            browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
            album = Album(folder, browser, box.url)
            await picture_cards(album)
            await picture_more(album)
            await picture_phone(album)
            await browser.close()
    print(f"Pictures are in {folder}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take the pictures of the README by driving the sandbox's page.")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images", help="where to put them")
    wanted: Path = parser.parse_args().folder
    wanted.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main(wanted)))
