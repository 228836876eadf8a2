"""What admins and the operator set binds people at once, with the real bot; what admins set also after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.local_discord.people.command_checks import Refused
from tests.e2e.running_bot import READY_SECONDS, Json, RunningBot, open_bot, parts, text

SMALL = "768*1024"


async def screen_of(bot: RunningBot, person: str, channel: str) -> int:
    """Open the screen and return its id."""
    answer = await bot.answer(person, await bot.box.discord.actor(person).command(channel, "admin limits"))
    assert answer["x_sandbox"]["ephemeral"]
    return int(answer["id"])


async def choose(bot: RunningBot, person: str, screen: int, action: str, values: list[str], said: str) -> None:
    """Pick *values* in the list of an action, and wait until the screen says so."""
    actor = bot.box.discord.actor(person)
    accessories = [part["accessory"] for part in parts(actor.message(screen)) if "accessory" in part]
    ids = [part["custom_id"] for part in [*parts(actor.message(screen)), *accessories] if "custom_id" in part]
    [custom_id] = [each for each in ids if each.startswith(f"admin:{action}:")]
    await actor.press(screen, custom_id, values)
    await actor.wait_for(lambda: said in text(actor.message(screen)))


async def asked(bot: RunningBot, person: str, channel: str) -> str:
    """Type /imagine and return the text of the first response."""
    answer: Json = await bot.answer(person, await bot.imagine(person, channel, prompt="a lighthouse", size=SMALL))
    return text(answer)


async def test_an_admins_rules_bind_the_members_of_that_server(tmp_path: Path) -> None:
    async with open_bot(tmp_path, CREDITS_PER_PERIOD="1000", MAX_IMAGES_PER_USER="20") as bot:
        bot.box.discord.gateway.identify_spacing_ms = 0
        channels = bot.box.discord.channels
        gallery, ferry = (str(channels[name].id) for name in ("gallery", "ferry"))
        screen = await screen_of(bot, "ada", "studio")
        await choose(bot, "ada", screen, "log", [ferry], "log channel: none")
        await choose(bot, "ada", screen, "channels", [gallery], "Channels** · <#")
        assert f"They can in <#{gallery}>" in await asked(bot, "mira", "studio")
        for place in ("gallery", "sketches", "meadow"):  # the channel, a thread of it, another server
            assert "5 credits held" in await asked(bot, "mira", place), place
        told = [message["content"] for message in bot.box.discord.actor("ada").messages("ferry")]
        assert sum(f"channels: everywhere → <#{gallery}>" in line for line in told) == 1 and len(told) == 2

        theirs = await screen_of(bot, "hugo", "meadow")
        await choose(bot, "hugo", theirs, "content", ["age_restricted_only"], "Content** · age-restricted places only")
        assert "age-restricted channels" in await asked(bot, "mira", "meadow")
        assert "5 credits held" in await asked(bot, "mira", "barrels")  # a thread of an age-restricted channel

        await bot.box.bot.kill()
        await bot.box.bot.start()
        await bot.box.bot.wait_ready(READY_SECONDS)
        assert f"They can in <#{gallery}>" in await asked(bot, "mira", "studio")
        await choose(bot, "ada", screen, "channels", [], "Channels** · everywhere")
        assert "5 credits held" in await asked(bot, "mira", "studio")
        assert [str(violation) for violation in bot.box.discord.violations] == []


async def test_discord_offers_commands_that_the_operator_restricts_in_age_restricted_places_alone(
    tmp_path: Path,
) -> None:
    async with open_bot(tmp_path, AGE_RESTRICTED="yes") as bot:
        [sent] = [request.json for request in bot.box.discord.requests if request.method == "PUT"]
        assert {(each["type"], each["nsfw"]) for each in sent} == {(1, True), (3, True)}
        mira = bot.box.discord.actor("mira")
        for place in ("gallery", "dm"):
            with pytest.raises(Refused, match=r"age-restricted|by those who enabled it"):
                await mira.command(place, "imagine", prompt="a lighthouse")
        card = await bot.answer("mira", await bot.imagine("mira", "after-dark", prompt="a lighthouse", size=SMALL))
        await mira.message_menu("after-dark", "Imagine this", int(card["id"]))
        await bot.box.discord.actor("ada").set_age_restricted("after-dark", False)
        with pytest.raises(Refused, match="age-restricted channels"):
            await mira.message_menu("after-dark", "Imagine this", int(card["id"]))
        assert [str(violation) for violation in bot.box.discord.violations] == []
