"""/help: this bot's limits, and every command that needs no permission."""

from __future__ import annotations

import pytest
from discord import app_commands
from sqlalchemy import text

from cogs.help import list_commands
from credits.allowance import CreditPeriod
from discord_api.links import PAGE_URL_MAX
from store.transactions import Transaction
from tests.cogs.scene import Scene, words
from tests.unit.test_cards import lines
from ui.texts.command_mentions import mention_commands
from ui.texts.help import PRIVACY_POLICY, SUPPORT, TERMS, support_hint
from ui.views.cards_help import BotLimits, CommandList, Pages, build_help


async def shown(scene: Scene) -> str:
    result = await scene.alice.slash(scene.channel, "help")
    assert result.response is not None and result.response.ephemeral
    return words(result.response)


@pytest.mark.scene(allowance=20, period=CreditPeriod.WEEK, max_queue=7, requests_per_minute=6)
async def test_help_names_the_limits_of_this_bot(scene: Scene) -> None:
    said = await shown(scene)
    assert "5 credits an image. Everybody has 20 credits a week, given anew on Monday at midnight (UTC)" in said
    assert "enough for 4 images" in said and "up to 7 images of everybody" in said
    assert "3 of yours are made at the same time" in said and "longer than 15 min" in said
    assert "Each person has 6 requests a minute." in said
    assert "1024×1536" in said and "jpeg, png, webp" in said


async def test_help_lists_every_command_as_a_mention_that_opens_it(scene: Scene) -> None:
    said = await shown(scene)
    for name, description in list_commands(scene.bot.tree).commands:
        assert f"{scene.mention(name)} {description}" in said
    for name in ("imagine", "credits", "history", "settings", "privacy show", "privacy export", "privacy delete"):
        assert f"{scene.mention(name)} " in said
    assert "*Imagine this*, in a message's menu under Apps: its text becomes the prompt" in said
    assert "*Report this image*, in a message's menu under Apps: the bot's owner" in said
    assert "</owner" not in said and "`/" not in said


async def test_a_new_process_knows_the_ids_though_it_sends_no_list(scene: Scene) -> None:
    await scene.restart()
    assert scene.mention("privacy show") in await shown(scene)


async def test_while_discord_has_taken_no_list_commands_are_named_plainly(scene: Scene) -> None:
    await scene.database.real.run(Transaction.execute, text("DELETE FROM key_values WHERE key LIKE 'command_ids:%'"))
    await scene.restart()
    assert "`/imagine`" in await shown(scene) and "</" not in await shown(scene)


@pytest.mark.scene(support_url="https://discord.gg/abc", terms_url="https://example.com/terms?v=2#rules")
async def test_help_links_to_the_pages_that_the_operator_has(scene: Scene) -> None:
    said = await shown(scene)
    assert f"[{SUPPORT}](<https://discord.gg/abc>) · [{TERMS}](<https://example.com/terms?v=2#rules>)" in said
    assert PRIVACY_POLICY not in said


async def test_help_has_no_line_of_links_where_there_are_no_pages(scene: Scene) -> None:
    said = await shown(scene)
    assert not [name for name in (SUPPORT, PRIVACY_POLICY, TERMS) if f"[{name}]" in said]


def test_a_refusal_names_where_to_ask_only_if_there_is_an_address() -> None:
    assert support_hint("https://discord.gg/abc") == "Questions: <https://discord.gg/abc>"
    assert support_hint("") == ""


async def test_help_works_without_a_database_in_a_dm_and_for_a_user_install(scene: Scene) -> None:
    scene.database.failures = 99
    imagine = scene.mention("imagine")
    assert imagine in await shown(scene)
    result = await scene.env.create_user("carol").slash("help")
    assert result.response is not None and imagine in words(result.response)
    scene.completer.user_install = True
    assert imagine in await shown(scene)
    scene.database.failures = 0


async def test_commands_that_need_a_permission_are_left_out(scene: Scene) -> None:
    @app_commands.command(name="manage", description="For moderators")
    @app_commands.default_permissions(manage_guild=True)
    async def manage(interaction: object) -> None: ...

    scene.bot.tree.add_command(manage)  # type: ignore[arg-type]
    assert "manage" not in [name for name, _ in list_commands(scene.bot.tree).commands]
    scene.bot.tree.remove_command("manage")


@pytest.mark.parametrize("period", list(CreditPeriod))
def test_help_stays_within_discords_limits_for_every_period(period: CreditPeriod) -> None:
    rules = BotLimits(1_000_000, period, "America/Argentina/ComodRivadavia", 1000, 0, 10_000, 86_400)
    pages = Pages(*["https://example.com/" + "x" * (PAGE_URL_MAX - 20)] * 3)
    for name in ("x" * 32, " ".join(["x" * 32] * 2)):
        for described in (11, 45, 100):
            commands = CommandList([(name, "y" * described)] * 15, ["m" * 32] * 5)
            told = "\n".join(lines(build_help(rules, commands, pages)))
            assert len(mention_commands(told, {"x" * 32: 10**20 - 1})) <= 4000
