"""What servers' admins do: every list, button and form of /admin, command permissions, and what is refused then."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from scripts.visitor import Visitor
from tests.journeys.scene import SHARED, SMALL, Journey, Scene, is_private, offers, says

SCREEN = ["Change cap", "Change budget", "Show words", "Show people", "Pause images"]


async def hugo(scene: Scene, me: Visitor) -> Journey:
    """In a server where nobody else of the walk is at work. He is bound by his own rules, as every member is."""
    await me.go("meadow")
    card = await me.command("imagine", prompt="an apple tree in May", size=SMALL)
    await says(card, "Painting")
    screen = await me.command("admin limits")
    await is_private(screen)
    await says(screen, "Channels · everywhere", "Roles · everybody", "Content · general", "Log channel · none")
    await offers(screen, *SCREEN)
    yield "admin-screen"

    await me.wait_for_images(card)
    await me.pick(screen, "Choose a channel", "#meadow")
    await says(screen, "Done: log channel: none → #meadow")
    await me.pick(screen, "Choose channels", "cellar")
    await says(screen, "Done: channels: everywhere → #cellar", "Channels · #cellar")
    await _refused(me, "in a meadow", "can't be asked for in this channel", "#cellar")
    told = me.page.get_by_test_id("message").filter(has_text="Image settings · @hugo · channels")
    await says(told, "everywhere → #cellar")
    yield "admin-channels"

    await me.pick(screen, "Choose channels")
    await says(screen, "Done: channels: #cellar → everywhere")
    await me.pick(screen, "Choose roles", "Qwen Imagine")
    await says(screen, "Done: roles: everybody → @Qwen Imagine")
    await _refused(me, "without the role", "images are for people with the role", "@Qwen Imagine")
    await me.pick(screen, "Choose roles", "Growers")
    await says(screen, "Done: roles: @Qwen Imagine → @Growers")
    yield "admin-roles"

    await me.pick(screen, "General", "Age-restricted places only")
    await says(screen, "Done: content: general → age-restricted places only")
    await _refused(me, "where children are", "age-restricted channels and their threads only")
    await me.pick(screen, "General", "General")
    await says(screen, "Done: content: age-restricted places only → general")
    await me.open_form(screen, "Change cap")
    yield "admin-cap-form"

    await me.send_form({"period": "a day", "images": "1"})
    await says(screen, "Done: each person: no cap → 1 image a day", "1 image a day at most")
    await _refused(me, "a second one today", "You have 1 image a day here, and they are used up")
    await me.open_form(screen, "Change cap")
    await me.send_form({"period": "No cap"})
    await says(screen, "Done: each person: 1 image a day → no cap")
    yield "admin-cap"

    await me.open_form(screen, "Change budget")
    await me.send_form({"period": "a week", "images": "1"})
    await says(screen, "Set it to 1 image a week?", "used 1 in this week already")
    await me.press(screen, "Leave it as it was")
    await says(screen, "Nothing was changed.", "no budget of its own")
    await me.open_form(screen, "Change budget")
    await me.send_form({"period": "a month", "images": "1"})
    await offers(screen, "Set it", "Leave it as it was")
    yield "admin-budget-asked"

    await me.press(screen, "Set it")
    await says(screen, "Done: this server: no budget → 1 image a month")
    await _refused(me, "above the budget", "This server has 1 image a month here, and they are used up")
    form = await me.open_form(screen, "Change budget")
    await expect(form.get_by_test_id("field-images")).to_have_value("1")
    await me.send_form({"images": "many"})
    await says(me.page.get_by_test_id("message").last, "must be a whole number from 1 to 100,000")
    await me.open_form(screen, "Change budget")
    await me.send_form({"period": "No cap"})
    await says(screen, "Done: this server: 1 image a month → no budget")
    yield "admin-budget"

    await me.press(screen, "Show words")
    await says(screen, "No words are blocked.")
    await me.open_form(screen, "Add words")
    yield "admin-words-form"

    await me.send_form({"lines": "gore\nfire.?arms?", "kind": "Pattern", "name": "No violence"})
    await says(screen, "Done: blocked words: added rules", "fire.?arms?")
    await _refused(me, "two Fire-Arms on a wall", "rule: No violence")
    await me.pick(screen, "Remove rules of this page", "1 · gore", "2 · fire")
    await says(screen, "Done: blocked words: removed rules", "No words are blocked.")
    await me.press(screen, "Back")
    await offers(screen, *SCREEN)
    yield "admin-words"

    await me.press(screen, "Show people")
    await says(screen, "Nobody is blocked.")
    await me.open_form(screen, "Block a person")
    await me.send_form({"who": "hugo", "reason": "Asks too often", "days": "3"})
    await says(screen, "Done: blocked @hugo until", "Asks too often")
    await _refused(me, "once more", "You are blocked in this server until", "Asks too often")
    yield "admin-blocked"

    await me.pick(screen, "Unblock a person of this page", "Unblock number 1")
    await says(screen, "Done: unblocked @hugo", "Nobody is blocked.")
    await me.press(screen, "Back")
    await me.open_form(screen, "Pause images")
    await me.send_form({"reason": "The harvest"})
    await says(screen, "Done: paused images: The harvest", "Paused by @hugo")
    await _refused(me, "in the harvest", "Images are paused in this server by its admins: The harvest")
    yield "admin-paused"

    await me.press(screen, "Resume images")
    await says(screen, "Done: resumed images", "Images · running", "Last change: @hugo")
    usage = await me.command("admin usage")
    await is_private(usage)
    await says(usage, "Images of this server in the last 30 days")
    await me.wait_for_images(usage)
    yield "admin-usage"


async def ada_denies(scene: Scene, ada: Visitor, jonas: Visitor) -> None:
    """In the server where the others are: by Discord's own settings and by /admin, each taken back again."""
    settings = await ada.open_settings("Lighthouse")
    await ada.permit("/imagine", "jonas", False)
    await settings.get_by_test_id("settings-close").click()
    denied = await jonas.press_for(scene.card(jonas, SHARED), "Again", private=True)
    await says(denied, "This button needs /imagine to be allowed for you here", "Nothing was charged")
    await jonas.page.get_by_test_id("composer").fill("/imagine")
    await expect(jonas.page.get_by_test_id("picker-item-imagine")).to_have_count(0)
    await jonas.page.get_by_test_id("composer").fill("")
    await ada.open_settings("Lighthouse")
    await ada.permit("/imagine", "jonas", None)
    await settings.get_by_test_id("settings-close").click()

    screen = await ada.command("admin limits")
    await says(screen, "Roles · everybody")
    await ada.pick(screen, "Choose roles", "Painters")
    await says(screen, "Done: roles: everybody → @Painters")
    await _refused(jonas, "not by a painter", "images are for people with the role", "@Painters")
    await ada.pick(screen, "Choose roles")
    await says(screen, "Done: roles: @Painters → everybody")


async def _refused(me: Visitor, prompt: str, *words: str) -> Locator:
    refused = await me.command("imagine", prompt=prompt)
    await is_private(refused)
    await says(refused, *words, "Nothing was charged")
    return refused
