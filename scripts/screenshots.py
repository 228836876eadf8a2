"""Takes the pictures of docs/images by using the sandbox's page as a person would: `python scripts/screenshots.py`.

Needs the development requirements (playwright) and an installed Chromium. It starts the sandbox and the real bot.
docs/gallery.md shows all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, FloatRect, Locator, async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sandbox.local_discord.state.state import DEFAULT_ATTACHMENT_SIZE_LIMIT  # noqa: E402  (not installed: the root comes first)
from sandbox.world import Sandbox  # noqa: E402
from scripts.visitor import DESK, PHONE, Visitor  # noqa: E402

PROMPT = "a lighthouse in a storm, oil on canvas"
SMALL = "Portrait 768×1024"
WIDE = "Landscape 1536×1024"
TIGHT_BYTES = 15_000  # the stand-in's pictures are smooth: none of them comes near Discord's 10 MiB
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True, slots=True)
class Album:
    """Where the pictures go, and in which browser they are taken."""

    folder: Path
    browser: Browser
    box: Sandbox

    async def open(
        self, name: str, channel: str = "gallery", *, size: tuple[int, int] = DESK, dark: bool = True
    ) -> Visitor:
        url, folder = self.box.url, self.folder
        return await Visitor.arrive(self.browser, url, name, channel=channel, size=size, dark=dark, folder=folder)


def inside(message: Locator) -> Locator:
    """The card of a message."""
    return message.get_by_test_id("container")


async def picture_cards(album: Album) -> None:
    """The whole screen, the picker, and a card from its first answer to its buttons."""
    mira = await album.open("mira")
    first = await mira.command(
        "imagine", prompt="a quiet harbour at dawn, gouache", size="Portrait 1024×1536", seed="7"
    )
    await mira.pictures(first)
    await mira.page.get_by_test_id("composer").fill("/")
    await mira.page.get_by_test_id("picker-item-imagine").wait_for()
    await mira.keep("picker", mira.page.locator("body"))
    card = await mira.command("imagine", prompt=PROMPT, size="Portrait 1024×1536", seed="42", format="png")
    await card.get_by_text("Painting").wait_for()
    await mira.keep("card-painting", inside(card))
    await mira.pictures(card)
    await mira.page.get_by_test_id("composer").blur()
    await mira.keep("sandbox", mira.page.locator("body"))
    await mira.keep("card-ready", inside(card))
    await mira.keep("details", await mira.press_for(card, "Details", "Your credits", private=True))
    await mira.keep("delete", await mira.press_for(card, "Delete", "Remove this card", private=True))
    form = await mira.open_form(card, "Edit")
    await mira.keep("form", form)
    await mira.page.keyboard.press("Escape")
    await mira.page.get_by_test_id("composer").fill("a fox in deep snow, woodcut")
    await mira.page.keyboard.press("Enter")
    said = mira.page.get_by_test_id("message").filter(has_text="a fox in deep snow").first
    await said.hover()
    await said.get_by_test_id("message-menu").click()
    await mira.page.get_by_test_id("menu-imagine-this").hover()
    await mira.page.screenshot(path=album.folder / "message-menu.png", clip=await clip_around(mira, said))
    await mira.page.keyboard.press("Escape")


async def clip_around(visitor: Visitor, message: Locator) -> FloatRect:
    """The part of the screen with a message and its open menu."""
    box, menu = await message.bounding_box(), await visitor.page.get_by_role("menu").bounding_box()
    assert box is not None and menu is not None
    top = min(box["y"], menu["y"]) - 8
    bottom = max(box["y"] + box["height"], menu["y"] + menu["height"]) + 8
    return {"x": box["x"], "y": top, "width": box["width"], "height": bottom - top}


async def picture_lines(album: Album) -> None:
    """Four at once, what waits for them, what was cancelled, and what the service declined."""
    jonas = await album.open("jonas")
    four = await jonas.command("imagine", prompt="the same hill in four seasons", size="Landscape 1024×768", count="4")
    waiting = await jonas.command("imagine", prompt="a paper boat on a long river", size=SMALL, count="4")
    await expect(waiting).to_contain_text("of yours in line")
    await jonas.keep("card-waiting", inside(waiting))
    await jonas.keep("refusal-credits", await jonas.command("imagine", prompt="more than there is", count="4"))
    await jonas.press(waiting, "Cancel")
    await expect(waiting).to_contain_text("Cancelled")
    await jonas.keep("card-cancelled", inside(waiting))
    await expect(four).to_contain_text("of 4 ready", timeout=30_000)
    await jonas.keep("card-partial", inside(four))
    await jonas.pictures(four, 4)
    await jonas.keep("card-four", inside(four))
    await jonas.page.get_by_test_id("panel-mood").select_option("declined")
    declined = await jonas.command("imagine", prompt="a prompt that the service declines")
    await expect(declined).to_contain_text("The image service declined", timeout=30_000)
    await jonas.keep("card-declined", inside(declined))
    await jonas.page.get_by_test_id("panel-mood").select_option("normal")
    await jonas.keep("credits", await jonas.command("credits"))
    await jonas.go("no-posting")
    await jonas.keep("refusal-place", await jonas.command("imagine", prompt="a wasted image"))


async def picture_sizes(album: Album) -> None:
    """An image that had to be made smaller, and one of thirty megabytes."""
    sam = await album.open("sam", "studio")
    discord = album.box.discord
    discord.set_attachment_size_limit(TIGHT_BYTES)
    prompt = "a lantern parade over a harbour, fine detail"
    smaller = await sam.command("imagine", prompt=prompt, size="Portrait 1024×1536", seed="7", format="png")
    discord.set_attachment_size_limit(DEFAULT_ATTACHMENT_SIZE_LIMIT)
    await sam.pictures(smaller)
    await sam.keep("card-reencoded", inside(smaller))
    await sam.page.get_by_test_id("panel-mood").select_option("huge_image")
    huge = await sam.command("imagine", prompt="a mural for a whole house", size="Portrait 1024×1536", format="png")
    await expect(huge).to_contain_text("too large to be posted here", timeout=30_000)
    await sam.keep("card-link", inside(huge))
    await sam.page.get_by_test_id("panel-mood").select_option("normal")


async def picture_time(album: Album) -> None:
    """What the bot has learned of a size from many images, and an image that takes longer than Discord allows."""
    album.box.images.seconds_per_image = (11.0, 19.0)
    people = [await album.open(name, "studio") for name in ("mira", "jonas", "sam", "olga")]
    for painters in (people, people[2:]):
        await asyncio.gather(*(paint_three(painter) for painter in painters))
    sam, olga = people[2:]
    card = await sam.command("imagine", prompt="a train over a viaduct, seen from below", size=WIDE)
    await expect(card).to_contain_text("▰▰▰▰", timeout=30_000)
    await sam.keep("card-progress", inside(card))
    await sam.pictures(card)
    await olga.go("pier")
    await olga.page.get_by_test_id("panel-mood").select_option("stuck")
    slow = await olga.command("imagine", prompt="the last ferry of the evening", size=WIDE)
    await expect(slow).to_contain_text("Painting")
    await expect(slow).to_contain_text("taking longer than usual", timeout=60_000)
    await olga.keep("card-overdue", inside(slow))
    await move_clock(olga, 13)
    await expect(slow).to_contain_text("15 minutes", timeout=30_000)
    await olga.keep("card-leaving", inside(slow))
    await move_clock(olga, 1)
    await olga.page.get_by_test_id("panel-mood").select_option("normal")
    await olga.go("dm")
    direct = await olga.find([], "the last ferry", inside="[data-testid=gallery-image]", seconds=60)
    await olga.pictures(direct)
    await olga.keep("card-direct", inside(direct))


async def paint_three(visitor: Visitor) -> None:
    card = await visitor.command("imagine", prompt=f"three stations, as {visitor.name} sees them", size=WIDE, count="3")
    await visitor.pictures(card, 3)


async def move_clock(visitor: Visitor, minutes: int) -> None:
    await visitor.page.get_by_test_id("panel-clock-minutes").fill(str(minutes))
    await visitor.page.get_by_test_id("panel-clock-custom").click()


async def picture_own_pages(album: Album) -> None:
    """What only the person sees, a spoiler, a private image, and the one message that mentions its person."""
    mira = await album.open("mira")
    settings = await mira.command("settings")
    await settings.get_by_label("When a finished image mentions you").select_option("always")
    await mira.keep("settings", settings)
    known = await mira.known()
    hidden = await mira.command("imagine", prompt="a surprise for the party", size="Landscape 1024×768", spoiler="Yes")
    await mira.pictures(hidden)
    await mira.keep("card-spoiler", inside(hidden))
    await mira.keep("ping", await mira.find(known, "is ready"))
    private = await mira.command("imagine", prompt="for my eyes only", size="Landscape 1024×768", private="Yes")
    await mira.pictures(private)
    await mira.keep("card-private", private)
    history = await mira.command("history")
    await expect(history.get_by_test_id("gallery-image")).not_to_have_count(0)
    await mira.page.wait_for_timeout(1500)  # the other pictures of the page
    await mira.pictures(history, await history.get_by_test_id("gallery-image").count())
    await mira.keep("history", history)
    for name, command in (("help", "help"), ("privacy", "privacy show"), ("privacy-delete", "privacy delete")):
        await mira.keep(name, await mira.command(command))
    await mira.keep("privacy-export", await mira.command("privacy export"))


async def picture_phones(album: Album) -> None:
    """The same channel on two phones, in light and in the dark."""
    jonas = await album.open("jonas", size=PHONE, dark=False)
    four = jonas.page.locator(".gallery-4")
    await four.locator("img").last.evaluate("it => it.decode()")
    await four.evaluate("it => it.scrollIntoView({ block: 'center' })")
    await jonas.keep("phone", jonas.page.locator("body"))
    mira = await album.open("mira", size=PHONE)
    settings = await mira.command("settings")
    await settings.evaluate("it => it.scrollIntoView({ block: 'end' })")
    await mira.keep("phone-settings", mira.page.locator("body"))


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
            album = Album(folder, browser, box)
            chapters = (picture_cards, picture_lines, picture_sizes, picture_own_pages, picture_time, picture_phones)
            for chapter in chapters:
                await chapter(album)
            await browser.close()
    print(f"Pictures are in {folder}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take the pictures of docs/gallery.md by driving the sandbox's page.")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images", help="where to put them")
    wanted: Path = parser.parse_args().folder
    wanted.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main(wanted)))
