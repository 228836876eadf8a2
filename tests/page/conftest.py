"""Fixtures: the page in Chromium, on the real sandbox, with TinyBot in the place of the product's bot."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from PIL import Image

from sandbox.world import Sandbox
from tests.page.chromium import PagePool, open_chromium
from tests.page.tiny_bot import TinyBot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import ConsoleMessage, Error, Page

    Visit = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def pages() -> AsyncIterator[PagePool]:
    async with open_chromium() as browser:
        yield PagePool(browser)


@pytest_asyncio.fixture(loop_scope="session")
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(data_dir=tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def bot(box: Sandbox) -> AsyncIterator[TinyBot]:
    async with TinyBot(box) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(pages: PagePool, box: Sandbox) -> AsyncIterator[Visit]:
    """Return a function that opens the page as a person in a channel. The test fails on any error in a console."""
    opened: list[Page] = []
    console_errors: list[str] = []

    def note_error(error: Error) -> None:
        console_errors.append(f"error: {error}")

    def note_entry(entry: ConsoleMessage) -> None:
        if entry.type in ("error", "warning"):
            console_errors.append(f"{entry.type}: {entry.text}")

    async def open_page(
        person: str = "mira", channel: str = "gallery", *, width: int = 1280, height: int = 800
    ) -> Page:
        page = await pages.take(width, height)
        opened.append(page)
        page.on("pageerror", note_error)
        page.on("console", note_entry)
        await page.goto(f"{box.url}/#as={person}&in={channel}")
        await page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for page in opened:
        await pages.give_back(page)
        page.remove_listener("pageerror", note_error)
        page.remove_listener("console", note_entry)
    assert console_errors == []


@pytest.fixture
def make_image() -> Callable[[int, int], bytes]:
    """Return a function that makes a PNG of a width and height."""

    def draw(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (width, height), (20, 120, 110)).save(file, "PNG")
        return file.getvalue()

    return draw
