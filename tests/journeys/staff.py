"""The journeys of a moderator and of the bot's owner: other people's cards, forms, refusals."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from scripts.visitor import Visitor
from tests.journeys.owner import olga_at_work
from tests.journeys.scene import (
    DECLINED,
    KEPT,
    MODERATED,
    RESULT,
    SHARED,
    SMALL,
    Journey,
    Scene,
    is_private,
    labels,
    offers,
    says,
    until,
)


async def sam(scene: Scene, me: Visitor) -> Journey:
    """A moderator: refusals in some channels, "Imagine this", a form that is refused, other people's cards."""
    await me.go("no-posting")
    refused = await me.command("imagine", prompt="where the app may not post")
    await is_private(refused)
    await says(refused, "Attach Files", "Nothing was charged")
    yield "no-posting"

    await me.go("after-dark")
    late = await me.command("imagine", prompt="a street after dark", size=SMALL)
    await says(late, "Painting")
    yield "age-restricted"

    await me.wait_for_images(late)
    await me.page.get_by_test_id("composer").fill("a fox in the snow")
    await me.page.keyboard.press("Enter")
    said = me.page.get_by_test_id("message").filter(has_text="a fox in the snow").first
    await expect(said).to_be_visible()
    form = await me.open_menu_form(said, "Imagine this")
    await expect(form.get_by_test_id("field-prompt")).to_have_value("a fox in the snow")
    yield "imagine-this"

    wrong = await me.submit({"seed": "many"}, "whole number", private=True)
    await says(wrong, "Nothing was charged")
    given_back = me.page.get_by_test_id("message").filter(has_text="What you typed")
    await says(given_back, "a fox in the snow")
    yield "wrong-seed"

    await me.open_menu_form(said, "Imagine this")
    fox = await me.submit({"prompt": "a fox in deep snow", "size": "768*1024", "seed": "3"}, "a fox in deep snow")
    await says(fox, "Painting")
    yield "from-a-message"

    await me.wait_for_images(fox)
    nothing = await _menu_answer(me, fox, "Imagine this")
    await says(nothing, "no text")
    yield "nothing-to-imagine"

    await me.go("lounge")
    spoken = await me.command("imagine", prompt="asked in a voice channel", size=SMALL)
    await says(spoken, "Painting")
    yield "voice-channel"

    await me.go("summer-poster")
    wish = me.page.get_by_test_id("message").filter(has_text="lanterns over the harbour").first
    await me.open_menu_form(wish, "Imagine this")
    poster = await me.submit({"size": "768*1024"}, "A poster for the summer fair")
    await says(poster, "Painting")
    yield "forum-post"

    await me.wait_for_images(poster)
    await me.go("lounge")
    await me.wait_for_images(spoken)
    await me.go("gallery")
    again = await me.press_for(scene.card(me, SHARED), "Again", SHARED)
    await says(again, "for @sam", "Painting")
    yield "again-by-another"

    moderated = scene.card(me, MODERATED)
    sure = await me.press_for(moderated, "Delete", "Remove this card", private=True)
    yield "moderator-asked"

    await me.press(sure, "Delete")
    await says(sure, "was removed")
    await expect(scene.card(scene.visitors["olga"], MODERATED)).to_have_count(0)
    await me.wait_for_images(again)
    await says(await me.command("credits"), "25 of 50 credits")
    yield "moderator-deleted"


async def olga(scene: Scene, me: Visitor) -> Journey:
    """The bot's owner: a declined prompt, a kept image, every page of her own, and what only she can do."""
    declined = scene.card(me, DECLINED)
    await says(declined, "The image service declined this prompt", "returned")
    await offers(declined, "Edit")
    await me.open_form(declined, "Edit")
    yield "declined-edit"

    allowed = await me.submit({"prompt": "a wish that is granted"}, "a wish that is granted")
    await says(allowed, "Painting")
    yield "declined-edited"

    await me.go("boat-crew")
    together = await me.command("imagine", prompt="three in a boat", size=SMALL)
    await says(together, "Painting")
    yield "group"

    await me.wait_for_images(together)
    await offers(together, *RESULT)
    await me.go("gallery")
    await me.wait_for_images(allowed)
    await says(await me.command("help"), "1 to 4 images")
    yield "help"

    await until(lambda: scene.known.get(KEPT) == "undelivered")
    page = await me.command("history")
    await says(page, KEPT, "could not be posted and is kept")
    yield "history-kept"

    (post,) = [label for label in await labels(page) if label.startswith("Post ")]
    posted = await me.press_for(page, post, KEPT, private=False, inside="[data-testid=gallery-image]")
    await me.wait_for_images(posted)
    yield "posted-here"

    await says(await me.command("settings"), "Your settings")
    await says(await me.command("privacy show"), "6 prompts")
    await says(await me.command("credits"), "25 of 50 credits")
    yield "own-pages"

    async for step in olga_at_work(scene, me):
        yield step


async def _menu_answer(me: Visitor, message: Locator, item: str) -> Locator:
    known = await me.message_ids()
    await message.hover()
    await message.get_by_test_id("message-menu").click()
    await me.page.get_by_test_id(f"menu-{item.lower().replace(' ', '-')}").click()
    return await me.find(known, private=True)
