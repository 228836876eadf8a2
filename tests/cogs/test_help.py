"""/help: one screen with this bot's real limits and every command that is for everybody."""

from __future__ import annotations

import pytest
from discord import app_commands

from cogs.help import list_commands
from credits.allowance import CreditPeriod
from tests.cogs.scene import Scene, words
from ui.views.cards_help import BotLimits, CommandList, build_help


async def shown(scene: Scene) -> str:
    result = await scene.alice.slash(scene.channel, "help")
    assert result.response is not None and result.response.ephemeral
    return words(result.response)


@pytest.mark.scene(allowance=20, period=CreditPeriod.WEEK, max_queue=7, requests_per_minute=6)
async def test_it_names_the_limits_of_this_bot(scene: Scene) -> None:
    said = await shown(scene)
    assert "5 credits an image. Everybody has 20 credits a week, given anew on Monday at midnight (UTC)" in said
    assert "enough for 4 images" in said and "up to 7 images of everybody" in said
    assert "3 of yours are made at the same time" in said and "longer than 15 min" in said
    assert "Each person has 6 requests a minute." in said
    assert "1024×1536" in said and "jpeg, png, webp" in said


async def test_it_lists_every_command_there_is(scene: Scene) -> None:
    said = await shown(scene)
    for name, description in list_commands(scene.bot.tree).commands:
        assert f"`/{name}` {description}" in said
    for name in ("imagine", "credits", "history", "settings", "privacy show", "privacy export", "privacy delete"):
        assert f"`/{name}` " in said
    assert "Imagine this" in said


async def test_it_answers_without_a_database_in_a_dm_and_for_who_brought_the_bot_along(scene: Scene) -> None:
    scene.database.failures = 99
    assert "`/imagine`" in await shown(scene)
    result = await scene.env.create_user("carol").slash("help")
    assert result.response is not None and "`/imagine`" in words(result.response)
    scene.postman.user_install = True
    assert "`/imagine`" in await shown(scene)
    scene.database.failures = 0


async def test_commands_that_ask_for_a_permission_are_left_out(scene: Scene) -> None:
    @app_commands.command(name="manage", description="For moderators")
    @app_commands.default_permissions(manage_guild=True)
    async def manage(interaction: object) -> None: ...

    scene.bot.tree.add_command(manage)  # type: ignore[arg-type]
    assert "manage" not in [name for name, _ in list_commands(scene.bot.tree).commands]
    scene.bot.tree.remove_command("manage")


@pytest.mark.parametrize("period", list(CreditPeriod))
def test_every_period_is_one_screen(period: CreditPeriod) -> None:
    rules = BotLimits(1_000_000, period, "America/Argentina/ComodRivadavia", 1000, 0, 10_000, 86_400)
    view = build_help(rules, CommandList([("x" * 98, "y" * 100)] * 15, ["m" * 32] * 5))
    assert view.content_length() <= 4000
