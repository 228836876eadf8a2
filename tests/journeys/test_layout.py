"""The page with real cards: its layout is stable, the keyboard is enough, and all text is readable on any screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from sandbox.world import Sandbox
from scripts.visitor import DESKTOP, PHONE, Visitor
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS
from tests.journeys.runner import SCREENSHOTS, TOO_WIDE, screenshots_folder
from tests.page.chromium import PagePool, open_chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

Visit = Callable[..., Awaitable[Visitor]]
SMALL = "Portrait 768×1024"
SHIFTS_MAX = 0.02  # Core Web Vitals calls less than 0.1 good
CONTRAST_MIN = 4.5  # WCAG 2.2, 1.4.3
COMMANDS = ("help", "settings", "credits", "history", "privacy show", "privacy delete")

WATCH_SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const it of list.getEntries()) {
      shifts.push([it.value, it.sources.map((each) => each.node?.className ?? '?').join()]);
    }
  }).observe({ type: 'layout-shift', buffered: false });
}"""
CUT_OFF = """() => [...document.querySelectorAll('.message *, .modal[open] *')]
  .filter((it) => it.checkVisibility() && !it.closest('.reply') && it.getBoundingClientRect().right > innerWidth + 1)
  .map((it) => it.className || it.tagName)"""
OUTLINED = """() => {
  const it = document.activeElement, style = getComputedStyle(it);
  const seen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none';
  return seen ? null : it.outerHTML.slice(0, 200);
}"""
FAINT = """(least) => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (it) => {
    for (let at = it; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0.95) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.querySelector('#messages'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const it = walker.currentNode.parentElement;
    const words = walker.currentNode.data.trim();
    if (!words || !it.checkVisibility() || it.closest('[aria-hidden=true], :disabled, option')) continue;
    const [a, b] = [light(parse(getComputedStyle(it).color)), light(ground(it))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least) faint.push(`${it.className || it.tagName}: ${words.slice(0, 40)} ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(data_dir=tmp_path_factory.mktemp("layout"), seconds_per_image=IMAGE_SECONDS) as opened:
        await opened.bot.start()
        await opened.bot.wait_ready(READY_SECONDS)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages() -> AsyncIterator[PagePool]:
    async with open_chromium() as browser:
        yield PagePool(browser)


@pytest_asyncio.fixture(loop_scope="module")
async def visit(pages: PagePool, box: Sandbox) -> AsyncIterator[Visit]:
    """Return a function that opens a page as a person; at the end no page may have an error in its console."""
    folder, visitors = screenshots_folder("layout") if SCREENSHOTS else None, list[Visitor]()

    async def open_page(
        name: str, *, channel: str = "gallery", size: tuple[int, int] = DESKTOP, dark: bool = True
    ) -> Visitor:
        page = await pages.take(*size)
        await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        visitors.append(Visitor(name, page, folder))
        await page.goto(f"{box.url}/#as={name}&in={channel}")
        await page.wait_for_selector("body[data-ready]")
        return visitors[-1]

    yield open_page
    assert [line for each in visitors for line in each.console_errors] == []
    for each in visitors:
        await pages.give_back(each.page)


async def test_the_layout_is_stable_while_a_card_gets_its_images(visit: Visit, box: Sandbox) -> None:
    """Both at the end of the channel and further up, on a phone."""
    for number in range(10):
        await box.discord.actor("sam").say("studio", f"what was said before, {number}\n" * 8)
    mira, jonas = await visit("mira", channel="studio"), await visit("jonas", channel="studio", size=PHONE)
    reading = jonas.page.get_by_test_id("message").first
    await reading.evaluate("it => it.scrollIntoView()")
    top = await reading.evaluate("it => it.getBoundingClientRect().top")
    await jonas.page.evaluate(WATCH_SHIFTS)
    card = await mira.command("imagine", prompt="nothing jumps", size=SMALL, count="2")
    await expect(mira.page.get_by_test_id("composer")).to_be_focused()
    await mira.page.evaluate(WATCH_SHIFTS)
    await expect(card).to_contain_text("Painting")
    await mira.wait_for_images(card, 2)
    await expect(card.get_by_test_id("button-again")).to_be_in_viewport()
    assert await reading.evaluate("it => it.getBoundingClientRect().top") == top
    for visitor in (mira, jonas):
        shifts = await visitor.page.evaluate("shifts")
        assert sum(value for value, _ in shifts) < SHIFTS_MAX, shifts


async def test_a_command_a_button_and_a_form_work_by_keyboard_with_a_visible_focus(visit: Visit) -> None:
    jonas = await visit("jonas", dark=False)
    page = jonas.page
    known = await jonas.message_ids()
    await page.keyboard.press("/")
    await page.keyboard.type("imagine")
    await page.keyboard.press("Enter")
    await page.keyboard.type("by keyboard alone")
    await page.keyboard.press("Enter")
    card = await jonas.find(known, "by keyboard alone")
    await jonas.wait_for_images(card)
    known = await jonas.message_ids()
    await _tab_back_to(page, card.get_by_test_id("button-edit"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("field-prompt")).to_be_focused()
    assert await page.evaluate(OUTLINED) is None
    await page.keyboard.type(", edited")
    for name in ("size", "seed", "format"):
        await page.keyboard.press("Tab")
        await expect(page.get_by_test_id(f"field-{name}")).to_be_focused()
        assert await page.evaluate(OUTLINED) is None
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_test_id("modal-submit")).to_be_focused()
    assert await page.evaluate(OUTLINED) is None
    await page.keyboard.press("Enter")
    edited = await jonas.find(known, "edited")
    await expect(edited).to_contain_text("Painting")


async def _tab_back_to(page: Page, wanted: Locator) -> None:
    """Press Shift+Tab until *wanted* has the focus; the focus must be visible at every control on the way."""
    for _ in range(40):
        await page.keyboard.press("Shift+Tab")
        if await page.evaluate("document.activeElement.matches('button, a, select, input, textarea')"):
            assert await page.evaluate(OUTLINED) is None
        if await wanted.evaluate("it => it === document.activeElement"):
            return
    raise AssertionError("not reached by Tab")


@pytest.mark.parametrize(("size", "dark"), [(PHONE, True), (PHONE, False), (DESKTOP, True), (DESKTOP, False)])
async def test_every_card_is_readable_on_a_phone_and_a_desktop_in_dark_and_light_mode(
    visit: Visit, size: tuple[int, int], dark: bool
) -> None:
    """The first case makes the cards, the others use the same ones."""
    sam = await visit("sam", size=size, dark=dark, channel="studio")
    if not await sam.page.get_by_test_id("only-you").count():
        card = await sam.command("imagine", prompt="W" * 120 + " a long word and many more words " * 8, size=SMALL)
        await sam.wait_for_images(card)
        await sam.press_for(card, "Details", "Your credits", private=True)
        await sam.press_for(card, "Delete", "Remove this card", private=True)
        for command in COMMANDS:
            await sam.command(command)
        await sam.command("imagine", prompt="the fifty are not enough", count="4", private="Yes")
    assert await sam.page.get_by_test_id("only-you").count() >= len(COMMANDS) + 2
    assert await sam.page.evaluate(TOO_WIDE) == []
    assert await sam.page.evaluate(CUT_OFF) == []
    assert await sam.page.evaluate(FAINT, CONTRAST_MIN) == []
    form = await sam.open_form(sam.page.get_by_test_id("message").filter(has_text="a long word").first, "Edit")
    await expect(form.get_by_test_id("modal-submit")).to_be_in_viewport(ratio=1)
    assert await sam.page.evaluate(TOO_WIDE) == []
    assert await sam.page.evaluate(CUT_OFF) == []
    await sam.screenshot(f"form-{size[0]}-{'dark' if dark else 'light'}")
    await sam.page.keyboard.press("Escape")
    await expect(form).to_be_hidden()
