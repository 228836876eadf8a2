"""Finds and opens Chromium for tests of the page, without its own background network calls."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

PATIENCE_MS = 90_000  # for what has to happen, however busy the machine is
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def require_chromium() -> str:
    """Return the path of Chromium. Without one, skip the test; in CI, fail it."""
    path = find_chromium()
    if path is None:
        reason = "the browser tests need Chromium: sudo apt install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@asynccontextmanager
async def open_chromium() -> AsyncIterator[Browser]:
    path = require_chromium()
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class PagePool:
    """Pages that are used one after another, since a new one costs as much CPU time as a whole test.

    A page that is given back is empty; its origin was another sandbox, so it shares nothing with the next one.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: list[Page] = []

    async def take(self, width: int = 1280, height: int = 800) -> Page:
        """Return a page of this size that shows nothing."""
        if self._free:
            page = self._free.pop()
        else:
            context = await self._browser.new_context(locale="en-GB", timezone_id="UTC")
            page = await context.new_page()
            page.set_default_timeout(60_000)
        await page.set_viewport_size({"width": width, "height": height})
        return page

    async def give_back(self, page: Page) -> None:
        await page.goto("about:blank")
        self._free.append(page)
