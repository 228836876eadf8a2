"""Fixtures: the page in Chromium, on the real sandbox, with TinyBot in the place of the product's bot."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from PIL import Image

from sandbox.world import Sandbox
from tests.page.chromium import open_chromium
from tests.page.tiny_bot import TinyBot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import Browser, Page

    Visit = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_chromium() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(data_dir=tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def bot(box: Sandbox) -> AsyncIterator[TinyBot]:
    async with TinyBot(box) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, box: Sandbox) -> AsyncIterator[Visit]:
    """Return a function that opens the page as a person in a channel. The test fails on any error in a console."""
    contexts = []
    console_errors: list[str] = []

    async def open_page(
        person: str = "mira", channel: str = "gallery", *, width: int = 1280, height: int = 800
    ) -> Page:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, locale="en-GB", timezone_id="UTC"
        )
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: console_errors.append(f"error: {error}"))
        page.on(
            "console",
            lambda it: console_errors.append(f"{it.type}: {it.text}") if it.type in ("error", "warning") else None,
        )
        await page.goto(f"{box.url}/#as={person}&in={channel}")
        await page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert console_errors == []


@pytest.fixture
def make_image() -> Callable[[int, int], bytes]:
    """Return a function that makes a PNG of a width and height."""

    def draw(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (width, height), (20, 120, 110)).save(file, "PNG")
        return file.getvalue()

    return draw
