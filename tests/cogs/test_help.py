"""/help: this bot's limits, and every command that needs no permission."""

from __future__ import annotations

import pytest
from discord import app_commands

from cogs.help import list_commands
from credits.allowance import CreditPeriod
from discord_api.links import PAGE_URL_MAX
from tests.cogs.scene import Scene, words
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


async def test_help_lists_every_command(scene: Scene) -> None:
    said = await shown(scene)
    for name, description in list_commands(scene.bot.tree).commands:
        assert f"`/{name}` {description}" in said
    for name in ("imagine", "credits", "history", "settings", "privacy show", "privacy export", "privacy delete"):
        assert f"`/{name}` " in said
    assert "Imagine this" in said and "owner" not in said


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
    assert "`/imagine`" in await shown(scene)
    result = await scene.env.create_user("carol").slash("help")
    assert result.response is not None and "`/imagine`" in words(result.response)
    scene.completer.user_install = True
    assert "`/imagine`" in await shown(scene)
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
    view = build_help(rules, CommandList([("x" * 98, "y" * 100)] * 15, ["m" * 32] * 5), pages)
    assert view.content_length() <= 4000
