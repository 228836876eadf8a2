"""What the bot's owner does beside her own images: every command of /owner, and the reports that others sent."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from scripts.visitor import Visitor
from tests.journeys.admin import ada_denies
from tests.journeys.scene import PRIVATE, REPORTED, RUDE, Journey, Scene, is_private, offers, says


async def olga_at_work(scene: Scene, me: Visitor) -> Journey:
    """Credits, a ledger, tiers, exemptions, the state of the bot, and the decision of every report."""
    wish = scene.card(me, "a wish that is granted")
    details = await me.press_for(wish, "Details", "Your credits", private=True)
    number = re.search(r"Number (\d+)", await details.inner_text())
    assert number is not None
    await me.go("dm")
    await _done(me, "refund", "5 credits refunded to @olga for one image: Pale", image=number[1], reason="Pale")
    granted = await _done(me, "grant", "20 bonus credits for @hugo", user="hugo", amount="20", reason="A prize")
    entry = re.search(r"Entry (\d+)", await granted.inner_text())
    assert entry is not None
    await _done(me, "take", "5 credits were taken from @hugo: Half of it", user="hugo", amount="5", reason="Half of it")
    yield "owner-credits"

    await _done(me, "undo", f"15 credits of entry {entry[1]}", number=entry[1], reason="A mistake")
    his = await _done(me, "ledger", "Ledger of @hugo", user="hugo")
    await says(his, "grant: A prize", "take: Half of it", "A mistake · by @olga")
    own = await _done(me, "ledger", "Ledger of @olga", user="olga")
    await says(own, "+5 · refund", "Pale · by @olga")
    await offers(own, "Older")
    await me.press(own, "Older")
    await offers(own, "Newest")
    yield "owner-ledger"

    await me.press(own, "Newest")
    await says(own, "Pale")
    server = str(scene.box.discord.guild("Orchard").id)
    set_words = f"Everybody in server {server} gets 60 credits a day: A gift"
    await _done(me, "tier set", set_words, credits="60", reason="A gift", server=server)
    await _done(me, "tier remove", "The tier was removed: It is over", reason="It is over", server=server)
    await _done(me, "exempt", "counts any more for @ada", user="ada", reason="Tests the bot")
    await _done(me, "unexempt", "count for @ada again", user="ada", reason="Has tested it")
    status = await _done(me, "status", "How the bot is")
    await says(status, "1 bot, 0 workers", "Image API", "Discord answers", "Spent today", "Database SQLite")
    usage = await _done(me, "usage", "What everybody used in the last 7 days.", days="7")
    await me.wait_for_images(usage)
    yield "owner-status"

    rude = await me.find([], RUDE, seconds=120)
    await says(rude, "An image was reported · Hateful or bullying", "Reported by @jonas", "it mocks everybody")
    ivy = await me.find([], REPORTED, seconds=120)
    hidden = await me.find([], "It is private", seconds=120)
    await says(hidden, "A real person", "Reported by @ada")
    await expect(hidden).not_to_contain_text(PRIVATE)
    await offers(rude, "Remove", "Block person", "Dismiss", "Open")
    await me.press(rude, "Remove")
    await says(rude, "@olga removed the image")
    await expect(scene.card(scene.visitors["ada"], RUDE)).to_have_count(0)
    await me.open_form(ivy, "Block person")
    yield "block-form"

    await me.send_form({"reason": "Too rude", "days": "2"})
    await says(ivy, "@olga blocked the person everywhere")
    opened = await me.press_for(hidden, "Open", PRIVATE, private=True)
    await me.wait_for_images(opened)
    await opened.get_by_role("button", name="Spoiler image, press to reveal").click()
    await me.press(hidden, "Dismiss")
    await says(hidden, "@olga dismissed the report")
    await offers(hidden)
    yield "reports-decided"


async def closing(scene: Scene) -> None:
    """Deny, block and pause, when all others are done: each is refused, until it is taken back."""
    olga, ada, jonas = (scene.visitors[name] for name in ("olga", "ada", "jonas"))
    await _refused(ada, "The bot's owner has blocked you until", "Too rude")
    await _done(olga, "unblock", "@ada may ask for images again", user="ada", reason="She is sorry")
    await ada_denies(scene, ada, jonas)
    await _done(olga, "block", "@jonas is blocked everywhere until", user="jonas", reason="A test", until="2099-12-31")
    await _refused(jonas, "The bot's owner has blocked you until", "A test")
    await _done(olga, "pause", "Nothing is taken on anywhere since", reason="Moving house")
    await _refused(ada, "The bot is paused by its owner: Moving house")
    await says(await _done(olga, "status", "How the bot is"), "Paused since", "Moving house")
    await _done(olga, "resume", "Requests are taken on again")
    await _done(olga, "unblock", "@jonas may ask for images again", user="jonas", reason="The test is over")
    poor = await scene.visitors["mira"].command("imagine", prompt="four at once", count="4")
    await says(poor, "This needs 20 credits and you have 10")  # which is asked only where nothing else refuses


async def _done(me: Visitor, name: str, words: str, **options: str) -> Locator:
    """Type a command of /owner and return its private answer, which says *words*."""
    answer = await me.command(f"owner {name}", **options)
    await is_private(answer)
    await says(answer, words)
    return answer


async def _refused(me: Visitor, *words: str) -> None:
    refused = await me.command("imagine", prompt=f"as {me.name} hopes")
    await is_private(refused)
    await says(refused, *words, "Nothing was charged")
