"""The image API's account is empty, then its key is refused: with the real bot, from the first refusal to the image."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sandbox.image_api.moods import Mood
from tests.e2e.running_bot import READY_SECONDS, RunningBot, open_bot, text
from tests.e2e.scenarios import PAID, RETURNED, BotDatabase

EMPTY = "The bot's account at the image service is empty, so no image can be made now. Nothing was charged."
REFUSED = "The image service doesn't accept the bot's key, so no image can be made now. Nothing was charged."
PROBE_SECONDS = 66.0


async def test_selling_stops_for_all_until_one_real_image_is_taken_and_the_owner_hears_of_both(tmp_path: Path) -> None:
    async with open_bot(tmp_path) as bot:
        rows = BotDatabase(tmp_path / "bot.sqlite3")
        bot.box.discord.gateway.identify_spacing_ms = 0
        bot.box.images.set_mood(Mood.EMPTY_ACCOUNT)
        first = await bot.imagine("mira", prompt="a lighthouse")
        assert "Your 5 credits were returned." in text(await bot.card_saying("mira", first, "image service is empty"))
        assert EMPTY in text(await bot.answer("jonas", await bot.imagine("jonas", prompt="a lighthouse")))
        bot.box.images.set_mood(Mood.NORMAL)
        assert EMPTY in text(await bot.answer("jonas", await bot.imagine("jonas", prompt="a lighthouse"))), (
            "no probe is due yet"
        )
        bot.box.clock.advance(PROBE_SECONDS)
        probe = await let_through(bot)
        await bot.card("jonas", probe)
        assert (rows.entries(first), rows.entries(probe)) == (RETURNED, PAID)
        assert await told(bot, 2) == ["account has no credits left", "takes images again"]

        bot.box.images.set_mood(Mood.KEY_REFUSED)
        await bot.card_saying("mira", await bot.imagine("mira", prompt="a lighthouse"), "doesn't accept the bot's key")
        assert REFUSED in text(await bot.answer("jonas", await bot.imagine("jonas", prompt="a lighthouse")))
        bot.box.images.set_mood(Mood.NORMAL)
        await bot.box.bot.stop()
        await bot.box.bot.start()  # with another key
        await bot.box.bot.wait_ready(READY_SECONDS)
        await bot.card("jonas", await let_through(bot))
        bot.assert_rules_kept(posts=4)
        rows.assert_balanced()


async def let_through(bot: RunningBot) -> int:
    """Ask until a request is not refused: the bot notices within a moment that its clock moved or that it started."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            asked = await bot.imagine("jonas", prompt="a lighthouse")
            if "no image can be made now" not in text(await bot.answer("jonas", asked)):
                return asked
            await asyncio.sleep(0.05)


async def told(bot: RunningBot, number: int) -> list[str]:
    """Wait until the owner has so many messages, and return which."""
    olga = bot.box.discord.actor("olga")
    await olga.wait_for(lambda: len(olga.messages("dm")) >= number)
    kinds = ("account has no credits left", "takes images again", "refused the API key")
    return [kind for message in olga.messages("dm") for kind in kinds if kind in text(message)]
