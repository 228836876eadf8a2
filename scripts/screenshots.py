"""Takes the screenshots in docs/images by driving the sandbox's page: `python scripts/screenshots.py`.

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
from scripts.visitor import DESKTOP, PHONE, Visitor  # noqa: E402

PROMPT = "a lighthouse in a storm, oil on canvas"
SMALL = "Portrait 768×1024"
WIDE = "Landscape 1536×1024"
PHONE_PART = (PHONE[0], 1600)  # high enough for every part at once
USAGE_DAYS = 5  # that the pictures of usage show
SMALL_LIMIT_BYTES = 15_000  # below the size of the stand-in's images, which are all far below Discord's 10 MiB
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True, slots=True)
class Session:
    """The folder of the screenshots, the browser and the sandbox."""

    folder: Path
    browser: Browser
    box: Sandbox

    async def open(
        self, name: str, channel: str = "gallery", *, size: tuple[int, int] = DESKTOP, dark: bool = True
    ) -> Visitor:
        url, folder = self.box.url, self.folder
        return await Visitor.open(self.browser, url, name, channel=channel, size=size, dark=dark, folder=folder)


def inside(message: Locator) -> Locator:
    """Return the card of a message."""
    return message.get_by_test_id("container")


async def capture_widths(visitor: Visitor, name: str, part: Locator) -> None:
    """Capture a part of a wide page, and once more at a phone's width."""
    await visitor.page.evaluate("document.activeElement?.blur()")  # which shows the menu of its message
    await visitor.screenshot(name, part)
    await visitor.page.set_viewport_size({"width": PHONE_PART[0], "height": PHONE_PART[1]})
    await visitor.screenshot(f"{name}-phone", part)
    await visitor.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})


async def capture_cards(session: Session) -> None:
    """Capture the whole page, the command list, and a card from its first answer to its buttons."""
    mira = await session.open("mira")
    first = await mira.command(
        "imagine", prompt="a quiet harbour at dawn, gouache", size="Portrait 1024×1536", seed="7"
    )
    await mira.wait_for_images(first)
    await mira.page.get_by_test_id("composer").fill("/")
    await mira.page.get_by_test_id("picker-item-imagine").wait_for()
    await mira.screenshot("picker", mira.page.locator("body"))
    card = await mira.command("imagine", prompt=PROMPT, size="Portrait 1024×1536", seed="42", format="png")
    await card.get_by_text("Taken").wait_for()
    await mira.screenshot("card-painting", inside(card))
    await mira.wait_for_images(card)
    await mira.page.get_by_test_id("composer").blur()
    await mira.screenshot("sandbox", mira.page.locator("body"))
    await mira.screenshot("card-ready", inside(card))
    await capture_widths(mira, "details", await mira.press_for(card, "Details", "Your credits", private=True))
    await mira.screenshot("delete", await mira.press_for(card, "Delete", "Remove this card", private=True))
    form = await mira.open_form(card, "Edit")
    await mira.screenshot("form", form)
    await mira.page.keyboard.press("Escape")
    await mira.page.get_by_test_id("composer").fill("a fox in deep snow, woodcut")
    await mira.page.keyboard.press("Enter")
    said = mira.page.get_by_test_id("message").filter(has_text="a fox in deep snow").first
    await said.hover()
    await said.get_by_test_id("message-menu").click()
    await mira.page.get_by_test_id("menu-imagine-this").hover()
    await mira.page.screenshot(path=session.folder / "message-menu.png", clip=await clip_with_menu(mira, said))
    await mira.page.keyboard.press("Escape")


async def clip_with_menu(visitor: Visitor, message: Locator) -> FloatRect:
    """Return the part of the page with a message and its open menu."""
    box, menu = await message.bounding_box(), await visitor.page.get_by_role("menu").bounding_box()
    assert box is not None and menu is not None
    top = min(box["y"], menu["y"]) - 8
    bottom = max(box["y"] + box["height"], menu["y"] + menu["height"]) + 8
    return {"x": box["x"], "y": top, "width": box["width"], "height": bottom - top}


async def capture_line(session: Session) -> None:
    """Capture four images at once, a card in line, a cancelled one and a declined one."""
    jonas = await session.open("jonas")
    four = await jonas.command("imagine", prompt="the same hill in four seasons", size="Landscape 1024×768", count="4")
    waiting = await jonas.command("imagine", prompt="a paper boat on a long river", size=SMALL, count="4")
    await expect(waiting).to_contain_text("of yours in line")
    await jonas.screenshot("card-waiting", inside(waiting))
    await jonas.screenshot("refusal-credits", await jonas.command("imagine", prompt="more than there is", count="4"))
    await jonas.press(waiting, "Cancel")
    await expect(waiting).to_contain_text("Cancelled")
    await jonas.screenshot("card-cancelled", inside(waiting))
    await expect(four).to_contain_text("of 4 ready", timeout=30_000)
    await jonas.screenshot("card-partial", inside(four))
    await jonas.wait_for_images(four, 4)
    await jonas.screenshot("card-four", inside(four))
    await jonas.page.get_by_test_id("panel-mood").select_option("declined")
    declined = await jonas.command("imagine", prompt="a prompt that the service declines")
    await expect(declined).to_contain_text("The image service declined", timeout=30_000)
    await jonas.screenshot("card-declined", inside(declined))
    await jonas.page.get_by_test_id("panel-mood").select_option("normal")
    await jonas.screenshot("credits", await jonas.command("credits"))
    await jonas.go("no-posting")
    await jonas.screenshot("refusal-place", await jonas.command("imagine", prompt="a wasted image"))


async def capture_large_images(session: Session) -> None:
    """Capture an image that was re-encoded, and one of thirty megabytes."""
    sam = await session.open("sam", "studio")
    discord = session.box.discord
    discord.set_attachment_size_limit(SMALL_LIMIT_BYTES)
    prompt = "a lantern parade over a harbour, fine detail"
    smaller = await sam.command("imagine", prompt=prompt, size="Portrait 1024×1536", seed="7", format="png")
    discord.set_attachment_size_limit(DEFAULT_ATTACHMENT_SIZE_LIMIT)
    await sam.wait_for_images(smaller)
    await sam.screenshot("card-reencoded", inside(smaller))
    await sam.page.get_by_test_id("panel-mood").select_option("huge_image")
    huge = await sam.command("imagine", prompt="a mural for a whole house", size="Portrait 1024×1536", format="png")
    await expect(huge).to_contain_text("too large to be posted here", timeout=30_000)
    await sam.screenshot("card-link", inside(huge))
    await sam.page.get_by_test_id("panel-mood").select_option("normal")


async def capture_progress(session: Session) -> None:
    """Capture progress after the bot has seen many images of a size, and an image that takes over 15 minutes."""
    session.box.images.seconds_per_image = (15.0, 45.0)
    people = [await session.open(name, "studio") for name in ("mira", "jonas", "sam", "olga")]
    for group in (people, people[2:]):
        await asyncio.gather(*(request_stations(each) for each in group))
    sam, olga = people[2:]
    card = await sam.command("imagine", prompt="a train over a viaduct, seen from below", size=WIDE)
    await expect(card).to_contain_text("▰▰▰▰", timeout=30_000)
    await sam.screenshot("card-progress", inside(card))
    await sam.wait_for_images(card)
    await olga.go("pier")
    await olga.page.get_by_test_id("panel-mood").select_option("stuck")
    slow = await olga.command("imagine", prompt="the last ferry of the evening", size=WIDE)
    await expect(slow).to_contain_text("Painting")
    await expect(slow).to_contain_text("taking longer than usual", timeout=90_000)
    await olga.screenshot("card-overdue", inside(slow))
    await move_clock(olga, 13)
    await expect(slow).to_contain_text("15 minutes", timeout=30_000)
    await olga.screenshot("card-leaving", inside(slow))
    await move_clock(olga, 1)
    await olga.page.get_by_test_id("panel-mood").select_option("normal")
    await olga.go("dm")
    direct = await olga.find([], "the last ferry", inside="[data-testid=gallery-image]", seconds=60)
    await olga.wait_for_images(direct)
    await olga.screenshot("card-direct", inside(direct))


async def request_stations(visitor: Visitor, count: int = 3) -> None:
    prompt = f"stations, as {visitor.name} sees them"
    card = await visitor.command("imagine", prompt=prompt, size=WIDE, count=str(count))
    await visitor.wait_for_images(card, count)


async def move_clock(visitor: Visitor, minutes: int) -> None:
    await visitor.page.get_by_test_id("panel-clock-minutes").fill(str(minutes))
    await visitor.page.get_by_test_id("panel-clock-custom").click()


async def capture_private_pages(session: Session) -> None:
    """Capture what only the person sees, a spoiler, a private image, and the message that mentions its person."""
    mira = await session.open("mira")
    settings = await mira.command("settings")
    await settings.get_by_label("When a finished image mentions you").select_option("always")
    await mira.screenshot("settings", settings)
    known = await mira.message_ids()
    hidden = await mira.command("imagine", prompt="a surprise for the party", size="Landscape 1024×768", spoiler="Yes")
    await mira.wait_for_images(hidden)
    await mira.screenshot("card-spoiler", inside(hidden))
    await mira.screenshot("ping", await mira.find(known, "is ready"))
    private = await mira.command("imagine", prompt="for my eyes only", size="Landscape 1024×768", private="Yes")
    await mira.wait_for_images(private)
    await mira.screenshot("card-private", private)
    history = await mira.command("history")
    await expect(history.get_by_test_id("gallery-image")).not_to_have_count(0)
    await mira.page.wait_for_timeout(1500)  # the other images of the page
    await mira.wait_for_images(history, await history.get_by_test_id("gallery-image").count())
    await mira.screenshot("history", history)
    for name, command in (("help", "help"), ("privacy", "privacy show"), ("privacy-delete", "privacy delete")):
        await mira.screenshot(name, await mira.command(command))
    await mira.screenshot("privacy-export", await mira.command("privacy export"))


async def capture_admin(session: Session) -> None:
    """Capture the screen on which an admin sets the rules of a server, a list and a form."""
    ada = await session.open("ada", "studio")
    screen = await ada.command("admin limits")
    form = await ada.open_form(screen, "Change cap")
    await ada.fill({"period": "a day", "images": "12"})
    await capture_widths(ada, "admin-cap", form)
    await ada.page.keyboard.press("Escape")
    form = await ada.open_form(screen, "Pause images")
    await ada.fill({"reason": "The autumn fair is over"})
    await capture_widths(ada, "admin-pause", form)
    await ada.page.keyboard.press("Escape")
    await ada.pick(screen, "Choose channels", "gallery", "studio")
    await expect(screen).to_contain_text("Done: channels")
    await ada.pick(screen, "Choose a channel", "#ferry")
    await expect(screen).to_contain_text("Done: log channel")
    await ada.open_form(screen, "Change budget")
    await ada.send_form({"period": "a week", "images": "200"})
    await expect(screen).to_contain_text("Done: this server")
    await ada.press(screen, "Show words")
    form = await ada.open_form(screen, "Add words")
    await ada.fill({"lines": "gore\nfirearm", "kind": "Whole word", "name": "No violence"})
    await capture_widths(ada, "admin-words-form", form)
    await ada.send_form({})
    await expect(screen).to_contain_text("Done: blocked words")
    await capture_widths(ada, "admin-words", inside(screen))
    await ada.press(screen, "Back")
    await ada.press(screen, "Show people")
    form = await ada.open_form(screen, "Block a person")
    await ada.fill({"who": "jonas", "reason": "Ten requests for the same thing", "days": "3"})
    await capture_widths(ada, "admin-block", form)
    await ada.send_form({})
    await expect(screen).to_contain_text("Done: blocked @jonas")
    await ada.press(screen, "Back")
    await expect(screen).to_contain_text("1 blocked")
    await capture_widths(ada, "admin", inside(screen))
    await ada.open_form(screen, "Change budget")
    await ada.send_form({"period": "a day", "images": "1"})
    await expect(screen).to_contain_text("Set it to 1 image a day?")
    await capture_widths(ada, "admin-budget", inside(screen))
    await ada.press(screen, "Leave it as it was")


async def capture_reports(session: Session) -> None:
    """Capture what somebody sees who reports an image, and what the bot's owner sees then."""
    jonas, sam, olga = [await session.open(name, "studio") for name in ("jonas", "sam", "olga")]
    card = await jonas.command("imagine", prompt="the baker next door, as a caricature", size=SMALL)
    private = await sam.command("imagine", prompt="a quiet street at night", size=SMALL, private="Yes")
    await jonas.wait_for_images(card)
    seen = sam.page.locator(f'[data-message-id="{await card.get_attribute("data-message-id")}"]')
    form = await sam.open_menu_form(seen, "Report this image")
    await sam.fill({"reason": "A real person", "text": "He would not like it at all."})
    await capture_widths(sam, "report-form", form)
    await sam.submit({}, "Thank you", private=True)
    await sam.wait_for_images(private)
    await sam.open_form(await sam.press_for(private, "Details", "Your credits", private=True), "Report")
    await sam.submit({"reason": "Something else", "text": "There are no people in it."}, "Thank you", private=True)
    await capture_reports_of_owner(olga)


async def capture_reports_of_owner(olga: Visitor) -> None:
    """Capture the cards of two reports, the form that blocks, and a private image that was opened."""
    await olga.go("dm")
    report = await olga.find([], "the baker next door")
    hidden = await olga.find([], "It is private")
    await capture_widths(olga, "report", inside(report))
    await capture_widths(olga, "report-private", inside(hidden))
    form = await olga.open_form(report, "Block person")
    await olga.fill({"reason": "Drawn neighbours, twice now", "days": "2"})
    await capture_widths(olga, "report-block", form)
    await olga.page.keyboard.press("Escape")
    await olga.press(report, "Remove")
    await expect(report).to_contain_text("removed the image")
    await capture_widths(olga, "report-removed", inside(report))
    opened = await olga.press_for(hidden, "Open", "a quiet street", private=True)
    await olga.wait_for_images(opened)
    await capture_widths(olga, "report-opened", inside(opened))


async def capture_usage(session: Session) -> None:
    """Capture what was used in the last days, for an admin and for the bot's owner, and two more pages of hers."""
    session.box.images.seconds_per_image = (4.0, 9.0)
    ada, mira, sam, olga = [await session.open(name) for name in ("ada", "mira", "sam", "olga")]
    for day in range(USAGE_DAYS):
        await move_clock(olga, 24 * 60)
        wanted = {mira: 1 + day % 3, sam: 1 + day // 2, ada: 1 + (day + 1) % 3}
        await asyncio.gather(*(request_stations(each, count) for each, count in wanted.items()))
    usage = await ada.command("admin usage")
    await ada.wait_for_images(usage)
    await capture_widths(ada, "admin-usage", usage)
    await olga.go("dm")
    usage = await olga.command("owner usage", days="14")
    await olga.wait_for_images(usage)
    await capture_widths(olga, "owner-usage", usage)
    await olga.command("owner grant", user="mira", amount="20", reason="First prize of the autumn fair")
    await capture_widths(olga, "owner-ledger", inside(await olga.command("owner ledger", user="mira")))
    await capture_widths(olga, "owner-status", inside(await olga.command("owner status")))


async def capture_phones(session: Session) -> None:
    """Capture the same channel on two phones, with a light and with a dark theme."""
    jonas = await session.open("jonas", size=PHONE, dark=False)
    four = jonas.page.locator(".gallery-4")
    await four.locator("img").last.evaluate("it => it.decode()")
    await four.evaluate("it => it.scrollIntoView({ block: 'center' })")
    await jonas.screenshot("phone", jonas.page.locator("body"))
    mira = await session.open("mira", size=PHONE)
    settings = await mira.command("settings")
    await settings.evaluate("it => it.scrollIntoView({ block: 'end' })")
    await mira.screenshot("phone-settings", mira.page.locator("body"))


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
            session = Session(folder, browser, box)
            captures = (
                capture_cards,
                capture_line,
                capture_large_images,
                capture_private_pages,
                capture_progress,
                capture_phones,
                capture_reports,
                capture_admin,
                capture_usage,
            )
            for capture in captures:
                await capture(session)
            await browser.close()
    print(f"Screenshots are in {folder}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Take the screenshots of docs/gallery.md by driving the sandbox's page."
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images", help="where to put them")
    wanted: Path = parser.parse_args().folder
    wanted.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main(wanted)))
