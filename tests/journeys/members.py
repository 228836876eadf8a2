"""The journeys of three members: settings, every option, every button, history, channels, the line, reports."""

from __future__ import annotations

import json
from urllib.parse import urljoin

from playwright.async_api import expect

from sandbox.image_api.moods import Mood
from scripts.visitor import Visitor
from tests.journeys.scene import (
    KEPT,
    PRIVATE,
    REPORTED,
    RESULT,
    RUDE,
    SHARED,
    SMALL,
    Journey,
    Scene,
    is_private,
    offers,
    pick,
    says,
    until,
)


async def mira(scene: Scene, me: Visitor) -> Journey:
    """A member: settings, every option, every button under a result, her history, and the deletion of all her data."""
    settings = await me.command("settings")
    await is_private(settings)
    chosen = {
        "Size": "1024*768",
        "File format": "png",
        "Who sees your images": "yes",
        "When a finished image mentions you": "never",
        "Language of the bot": "en",
    }
    for title, value in chosen.items():
        await pick(me, settings, title, value)
    yield "settings"

    card = await me.command("imagine", prompt="as mira likes it")
    await is_private(card)
    await says(card, "1024×768", "png", "5 credits held", "Painting")
    yield "private-painting"

    assert await me.wait_for_images(card) == [1024]
    await offers(card, *RESULT)
    again = await me.press_for(card, "Again", "as mira likes it", private=True)
    await says(again, "Painting")
    yield "private-again"

    settings = await me.command("settings")
    for title, value in chosen.items():
        await expect(settings.get_by_label(title)).to_have_value(value)
    await pick(me, settings, "Who sees your images", "no")
    await me.wait_for_images(again)

    full = await me.command(
        "imagine",
        prompt="every option at once",
        size=SMALL,
        seed="42",
        format="webp",
        count="2",
        private="No",
        spoiler="Yes",
    )
    await expect(full).to_have_attribute("data-ephemeral", "false")
    await says(full, "768×1024 · seeds 42–43 · webp", "Painting")
    yield "every-option"

    assert await me.wait_for_images(full, 2) == [768, 768]
    cover = full.get_by_role("button", name="Spoiler image, press to reveal")
    await cover.first.click()
    await expect(cover).to_have_count(1)

    details = await me.press_for(full, "Details", "Your credits", private=True)
    await says(details, "every option at once", "seed 42", "seed 43", "spoiler", "Number ")

    form = await me.open_form(full, "Edit")
    await expect(form.get_by_test_id("field-prompt")).to_have_value("every option at once")
    await expect(form.get_by_test_id("field-seed")).to_have_value("42")
    yield "edit-form"

    edited = await me.submit({"prompt": "edited by mira", "size": "1024*1024", "seed": "7"}, "edited by mira")
    await says(edited, "1024×1024 · seeds 7–8 · webp", "Painting")
    yield "edited"

    await me.wait_for_images(edited, 2)
    sure = await me.press_for(edited, "Delete", "Remove this card", private=True)
    await offers(sure, "Delete", "Keep")
    await me.press(sure, "Keep")
    await says(sure, "stays")
    sure = await me.press_for(edited, "Delete", "Remove this card", private=True)
    yield "delete-asked"

    await me.press(sure, "Delete")
    await says(sure, "was removed")
    await expect(edited).to_have_count(0)
    sixth = await me.command("imagine", prompt="one more for a second page", size=SMALL)
    await says(sixth, "Painting")
    await me.go("dm")
    direct = await me.command("imagine", prompt="in a direct message", size=SMALL)
    await says(direct, "Painting")
    yield "direct-message"

    await me.wait_for_images(direct)
    found = await me.command("history", search="LIKES mira")
    await is_private(found)
    await says(found, "as mira likes it")
    await expect(found).not_to_contain_text("every option")

    await me.go("gallery")
    await me.wait_for_images(sixth)
    page = await me.command("history")
    await is_private(page)
    await says(page, "one more for a second page", "edited by mira", "its card is gone")
    await expect(page.get_by_test_id("gallery-image").first).to_be_visible()
    yield "history"

    await me.press(page, "Older")
    await offers(page, "Newer")
    await me.press(page, "Newer")
    await says(page, "one more for a second page")

    await says(await me.command("privacy show"), "6 prompts", "After 365 days the words and links go")
    exported = await me.command("privacy export")
    await is_private(exported)
    link = exported.locator("a[href*='.json']").first
    answer = await me.page.request.get(urljoin(me.page.url, str(await link.get_attribute("href"))))
    assert len(json.loads(await answer.body())["generations"]) == 6
    yield "privacy"

    question = await me.command("privacy delete")
    await offers(question, "Delete everything", "Keep it")
    await me.press(question, "Keep it")
    await says(question, "Nothing was deleted")
    question = await me.command("privacy delete")
    yield "privacy-asked"

    await me.press(question, "Delete everything")
    await says(question, "Deleted: 6 prompts")
    await says(await me.command("history"), "No images yet")
    await says(await me.command("credits"), "10 of 50 credits")
    yield "privacy-deleted"


async def jonas(scene: Scene, me: Visitor) -> Journey:
    """A member: where the app is not installed, a thread, the line, its cap, other people's cards, and reports."""
    shared = scene.card(me, SHARED)
    await says(await me.press_for(shared, "Delete", private=True), "Only")
    await expect(shared).to_be_visible()
    yield "stranger-refused"

    await me.go("pier")
    card = await me.command("imagine", prompt="a boat far away", size=SMALL)
    await says(card, "Painting")
    yield "brought-along"

    await me.wait_for_images(card)
    await offers(card, *RESULT)
    await says(await me.press_for(card, "Details", "Your credits", private=True), "a boat far away")
    yield "brought-along-details"

    await me.go("sketches")
    slow = "four in a thread"
    for words in (slow, slow[:-1], slow[:-2]):  # each is for one task; three run at once, so the fourth image waits
        scene.box.images.aim_mood(words, Mood.SLOW)
    first = await me.command("imagine", prompt=slow, size=SMALL, count="4")
    await says(first, "Painting", "of yours in line")
    second = await me.command("imagine", prompt="four too many", size=SMALL, count="4")
    await says(second, "Waiting · ", "20 credits held")
    full = await me.command("imagine", prompt="more than the line takes", count="4")
    await is_private(full)
    await says(full, "The line is full", "Nothing was charged")
    poor = await me.command("imagine", prompt="more than he has", count="2")
    await is_private(poor)
    await says(poor, "10 credits", "5", "charged")
    await me.press(second, "Cancel")
    await says(second, "Cancelled before it was sent", "returned")
    for task in scene.box.images.tasks.values():
        if task.body.prompt == slow:
            task.advance(60)
    yield "line-full-and-cancelled"

    await me.wait_for_images(first, 4)
    await says(await me.command("credits"), "credits", "returned")
    yield "four-in-a-thread"

    await says(await me.command("help"), "50 credits a day", "/history")
    page = await me.command("history")
    await says(page, "four in a thread", "a boat far away")
    await expect(page.get_by_test_id("gallery-image").first).to_be_visible()
    await me.command("settings")
    yield "history-on-a-phone"

    dismissed = await me.command("privacy show")
    await dismissed.get_by_test_id("dismiss").click()
    await expect(dismissed).to_have_count(0)
    yield "dismissed"

    await until(lambda: scene.known.get(KEPT) == "undelivered")  # from then on the owner takes direct messages
    await me.go("gallery")
    rude = scene.card(me, RUDE)
    await me.open_menu_form(rude, "Report this image")
    yield "report-form"

    fields = {"reason": "Hateful or bullying", "text": "it mocks everybody"}
    await me.submit(fields, "Thank you. The bot's owner will look at it", private=True)
    await says(await me.press_for(rude, "Again", private=True), "You reported this image")
    await me.open_menu_form(scene.card(me, REPORTED), "Report this image")
    await me.submit({"reason": "Something else"}, "Thank you", private=True)
    yield "reported"


async def ada(scene: Scene, me: Visitor) -> Journey:
    """A member whose two cards jonas reports, and who reports the private image that she got herself."""
    cards = [await me.command("imagine", prompt=each, size=SMALL) for each in (RUDE, REPORTED)]
    private = await me.command("imagine", prompt=PRIVATE, size=SMALL, private="Yes")
    await is_private(private)
    yield "three-asked-for"

    for card in (*cards, private):
        await me.wait_for_images(card)
    await until(lambda: scene.known.get(KEPT) == "undelivered")
    details = await me.press_for(private, "Details", "Your credits", private=True)
    await me.open_form(details, "Report")
    yield "own-report-form"

    await me.submit({"reason": "A real person", "text": "it is my neighbour"}, "Thank you", private=True)
    yield "own-reported"
