"""Drives the sandbox's page as one person: types commands, presses buttons, fills forms, takes screenshots.

For scripts/screenshots.py and tests/journeys. It reads only what the page displays, and imports nothing of the bot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

TIMEOUT_MS = 90_000
POLL_SECONDS = 0.15
DESKTOP = (1280, 900)
PHONE = (390, 844)

_IDS = "() => [...document.querySelectorAll('[data-message-id]')].map((it) => it.dataset.messageId)"
_FIND = """({ known, used, words, ephemeral, inside }) => [...document.querySelectorAll('[data-message-id]')].find(
  (it) => !known.includes(it.dataset.messageId) && it.dataset.loading !== 'true'
    && (ephemeral === null || (it.dataset.ephemeral === 'true') === ephemeral)
    && (!used || (it.querySelector('[data-testid=used-line]')?.textContent ?? '').includes(used))
    && (!inside || it.querySelector(inside)) && it.textContent.includes(words))?.dataset.messageId ?? null"""
_DECODED = "it => it.decode().then(() => it.naturalWidth)"


class Visitor:
    """One person with one open page. An answer is a message that was not there before the action."""

    def __init__(self, name: str, page: Page, folder: Path | None = None) -> None:
        self.name = name
        self.page = page
        self.console_errors: list[str] = []
        self._folder = folder
        self._saved = 0
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.console_errors.append(f"{name}: {error}"))
        page.on("console", self._note)

    def _note(self, entry: ConsoleMessage) -> None:
        if entry.type in ("error", "warning"):
            self.console_errors.append(f"{self.name}: {entry.text} {entry.location['url']}")

    @classmethod
    async def open(
        cls,
        browser: Browser,
        url: str,
        name: str,
        *,
        channel: str = "gallery",
        size: tuple[int, int] = DESKTOP,
        dark: bool = True,
        folder: Path | None = None,
    ) -> Visitor:
        """Open the page as *name* in a browser context of their own.

        *folder*: where `screenshot` saves; None: nowhere.
        """
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        visitor = cls(name, await context.new_page(), folder)
        await visitor.page.goto(f"{url}/#as={name}&in={channel}")
        await visitor.page.wait_for_selector("body[data-ready]")
        return visitor

    async def go(self, channel: str) -> None:
        """Open a channel, on a phone through the drawer. "dm" is the one with the bot."""
        button = self.page.get_by_test_id(f"channel-{'qwen-imagine' if channel == 'dm' else channel}")
        drawer = self.page.get_by_test_id("open-sidebar")  # hidden where the list stands beside the messages
        if await drawer.is_visible() and not await button.evaluate("it => it.getBoundingClientRect().right > 0"):
            await drawer.click()
        await button.click()
        await expect(button).to_have_attribute("aria-current", "page")

    async def message_ids(self) -> list[str]:
        """Return the ids of the messages on the page."""
        return await self.page.evaluate(_IDS)

    async def find(
        self,
        known: list[str],
        words: str = "",
        *,
        used: str = "",
        private: bool | None = None,
        inside: str = "",
        seconds: float = 30.0,
    ) -> Locator:
        """Wait for a message that is not *known*, contains *words* and holds what the selector *inside* finds."""
        wanted = {"known": known, "used": used, "words": words, "ephemeral": private, "inside": inside}
        try:
            async with asyncio.timeout(seconds):
                while (found := await self.page.evaluate(_FIND, wanted)) is None:  # noqa: ASYNC110 - in the browser
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{self.name} waited {seconds:g} s for a message with {wanted}") from None
        return self.page.locator(f'[data-message-id="{found}"]')

    async def command(self, name: str, **options: str) -> Locator:
        """Type a command with its options, send it, and return its answer."""
        known = await self.message_ids()
        await self.page.get_by_test_id("composer").fill(f"/{name} ")
        for option, value in options.items():
            field = self.page.get_by_test_id(f"option-{option}")
            if not await field.count():
                await self.page.get_by_test_id(f"add-option-{option}").click()
            await field.fill(value)
            if await field.get_attribute("role") == "combobox":
                await field.press("Enter")
        await self.page.get_by_test_id("send").click()
        return await self.find(known, used=f"{self.name} used /{name.split(maxsplit=1)[0]}")

    async def press(self, message: Locator, label: str) -> None:
        await message.get_by_test_id(f"button-{slug(label)}").click()

    async def press_for(self, message: Locator, label: str, words: str = "", **wanted: Any) -> Locator:
        """Press a button and return the message that answers it; *wanted* as in `find`."""
        known = await self.message_ids()
        await self.press(message, label)
        return await self.find(known, words, **wanted)

    async def open_form(self, message: Locator, label: str) -> Locator:
        await self.press(message, label)
        return await self._form()

    async def open_menu_form(self, message: Locator, item: str) -> Locator:
        """Pick *item* in a message's menu and return its form."""
        await message.hover()
        await message.get_by_test_id("message-menu").click()
        await self.page.get_by_test_id(f"menu-{slug(item)}").click()
        return await self._form()

    async def _form(self) -> Locator:
        form = self.page.get_by_test_id("modal")
        await expect(form).to_be_visible()
        return form

    async def submit(self, fields: Mapping[str, str | bool | Sequence[str]], words: str = "", **wanted: Any) -> Locator:
        """Fill the open form, send it, and return the message that answers it."""
        known = await self.message_ids()
        await self.send_form(fields)
        return await self.find(known, words, **wanted)

    async def send_form(self, fields: Mapping[str, str | bool | Sequence[str]]) -> None:
        """Fill the open form and send it."""
        await self.fill(fields)
        await self.page.get_by_test_id("modal-submit").click()
        await expect(self.page.get_by_test_id("modal")).to_be_hidden()

    async def fill(self, fields: Mapping[str, str | bool | Sequence[str]]) -> None:
        """Fill the open form.

        *fields*, by custom id: text; one entry of a list by value or label; a radio button by label; the labels of
        several entries or checkboxes; whether a single checkbox is ticked.
        """
        for name, value in fields.items():
            await self._fill(self.page.get_by_test_id(f"field-{name}"), value)

    async def _fill(self, field: Locator, value: str | bool | Sequence[str]) -> None:
        kind = await field.evaluate("it => it.tagName")
        if isinstance(value, bool):
            await field.set_checked(value)
        elif kind == "FIELDSET" and isinstance(value, str):
            await field.get_by_role("radio", name=value).check()
        elif kind == "FIELDSET":
            await _tick(field, list(value))
        elif kind == "SELECT":
            await field.select_option(value)
        else:
            await field.fill(str(value))

    async def pick(self, message: Locator, placeholder: str, *labels: str) -> None:
        """Pick entries of a message's select, by its placeholder and their labels; none empties it."""
        select = message.get_by_test_id(f"select-{slug(placeholder)}")
        if await select.evaluate("it => it.tagName") == "SELECT":
            await select.select_option(label=labels[0] if labels else placeholder)
            return
        if await select.get_attribute("open") is None:
            await select.locator("summary").click()
        await _tick(select, list(labels))
        await select.get_by_role("button", name="Send choice").click()

    async def open_settings(self, server: str) -> Locator:
        """Open a server's settings as its admin, on a phone through the drawer."""
        drawer = self.page.get_by_test_id("open-sidebar")
        if await drawer.is_visible():
            await drawer.click()
        await self.page.get_by_test_id(f"settings-{slug(server)}").click()
        settings = self.page.get_by_test_id("server-settings")
        await expect(settings).to_be_visible()
        return settings

    async def permit(self, command: str, target: str, allowed: bool | None) -> None:
        """Allow or deny a command ("/imagine", a menu's name, "All commands of the app") in the open settings to a
        role, a person or a channel by its label; None: take the entry away.
        """
        await self.page.get_by_test_id("permission-command").select_option(label=command)
        entry = self.page.get_by_test_id(f"permission-{slug(target)}")
        if allowed is None:
            await self.page.get_by_test_id(f"permission-remove-{slug(target)}").click()
            await expect(entry).to_have_count(0)
            return
        if await entry.count():
            await entry.select_option("yes" if allowed else "no")
        else:
            await self.page.get_by_test_id("permission-target").select_option(label=target)
            await self.page.get_by_test_id("permission-allow" if allowed else "permission-deny").click()
        await expect(entry).to_have_value("yes" if allowed else "no")

    async def wait_for_images(self, message: Locator, count: int = 1) -> list[int]:
        """Wait until a message has *count* loaded images. Return their widths in pixels."""
        images = message.get_by_test_id("gallery-image")
        await expect(images).to_have_count(count, timeout=TIMEOUT_MS)
        return [await image.evaluate(_DECODED) for image in await images.all()]

    async def screenshot(self, name: str, part: Locator | None = None) -> None:
        """Save the page, or *part* of it, where a folder was given."""
        if self._folder is None:
            return
        self._saved += 1
        path = self._folder / (f"{name}.png" if part else f"{self.name}-{self._saved:02}-{name}.png")
        await self.page.mouse.move(0, 0)
        await (part or self.page).screenshot(path=path, animations="disabled")


async def _tick(part: Locator, labels: list[str]) -> None:
    """Tick the checkboxes with these labels and no other."""
    for box in await part.get_by_role("checkbox").all():
        await box.set_checked(False)
    for label in labels:
        await part.get_by_role("checkbox", name=label).check()


def slug(words: str) -> str:
    """Return a label as it appears in the page's test ids."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in words.lower()).split())
