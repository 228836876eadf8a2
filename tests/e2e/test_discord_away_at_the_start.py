"""The bot is started while Discord can't be reached: images go on, and are posted once it is back."""

from __future__ import annotations

from pathlib import Path

from sandbox.bot_process import BotState
from sandbox.world import Sandbox
from tests.e2e.commands import run_bot
from tests.e2e.running_bot import READY_SECONDS, RunningBot, gallery, open_bot
from tests.e2e.scenarios import PAID, BotDatabase, SharedBot


async def test_an_image_is_polled_to_its_end_and_paid_without_discord_and_posted_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with open_bot(tmp_path) as bot:
        shared = SharedBot(bot, BotDatabase(tmp_path / "bot.sqlite3"))
        bot.box.discord.gateway.identify_spacing_ms = 0
        asked, card = await shared.painting("mira")
        await bot.box.bot.kill()
        calls = len(bot.box.discord.requests)
        bot.box.discord.faults.rest("*", ".", drop="before", times=None)
        await bot.box.bot.start()
        await shared.state(asked, "succeeded")
        assert shared.rows.entries(asked) == PAID
        assert not [request for request in bot.box.discord.requests[calls:] if request.path != "/users/@me"]
        assert bot.box.bot.state is BotState.STARTING

        bot.box.discord.faults.clear()
        await bot.box.bot.wait_ready(READY_SECONDS)
        posted = await bot.card("mira", asked)
        assert (posted["id"], len(gallery(posted))) == (card["id"], 1)
        await shared.state(asked, "delivered")
        assert not shared.own_faults()
        shared.rows.assert_balanced()
        bot.assert_rules_kept(posts=1)


async def test_a_stop_before_the_login_ends_with_exit_code_0_and_a_refused_token_with_78(tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path) as box:
        refused = await run_bot(tmp_path, **{**box.bot_environment(), "DISCORD_TOKEN": "another.bots.token"})
        assert refused.code == 78
        assert "DISCORD_TOKEN was refused by Discord" in refused.said.splitlines()[-1]
        assert "Traceback" not in refused.said
        box.discord.faults.rest("*", ".", drop="before", times=None)
        await box.bot.start()
        await SharedBot(RunningBot(box), BotDatabase(tmp_path)).until(
            lambda: any("Discord can't be reached" in line for line in box.bot.log)
        )
        await box.bot.stop(timeout_seconds=READY_SECONDS)
        assert box.bot.log[-1] == "[sandbox] ended with exit code 0"
        assert any("stopped" in line for line in box.bot.log)
