"""`python bot.py move` on the command line, and in the middle of a bot's work."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from credits.tables import entries
from sandbox.world import Sandbox
from store.database import open_database
from store.key_values import load_value, save_value
from store.transactions import Transaction
from tests.databases import PostgresqlMaker
from tests.e2e.commands import SECRETS, run_bot
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS, RunningBot


def kinds(tx: Transaction) -> list[str]:
    return list(tx.scalars(select(entries.c.kind).order_by(entries.c.number)))


@pytest.mark.postgres
async def test_an_image_that_is_being_made_while_the_bot_is_moved_comes_on_its_card_and_is_paid_for_once(
    tmp_path: Path, postgresql_maker: PostgresqlMaker
) -> None:
    address = await postgresql_maker.create(empty=True)
    async with Sandbox(data_dir=tmp_path, seconds_per_image=IMAGE_SECONDS) as box:
        box.discord.gateway.identify_spacing_ms = 0
        bot = RunningBot(box)
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        asked = await bot.imagine("mira", prompt="a lighthouse")
        await box.discord.actor("mira").wait_for(lambda: box.images.posts, READY_SECONDS)
        await box.bot.stop()
        settings = box.bot_environment()
        moved = await run_bot(tmp_path, "move", **settings, MOVE_TO_DATABASE_URL=address)
        assert moved.code == 0, moved.said
        ended = await run_bot(tmp_path, until="succeeded -> delivered", **{**settings, "DATABASE_URL": address})
        assert ended.code == 0, ended.said
        await bot.card("mira", asked)
        bot.assert_rules_kept(posts=1)
    async with open_database(address) as database:
        assert await database.run(kinds) == ["grant", "hold", "settle"]
    await postgresql_maker.drop(address)


@pytest.mark.postgres
async def test_move_copies_everything_and_says_what_to_do_next_and_never_the_address(
    tmp_path: Path, postgresql_maker: PostgresqlMaker
) -> None:
    async with open_database(f"sqlite:///{tmp_path}/data/imagine.db") as database:
        await database.migrate()
        await database.run(save_value, "proof", "it was moved")
    address = await postgresql_maker.create(empty=True)
    secret = address.replace("postgres@", "postgres:canary-password@")
    ended = await run_bot(tmp_path, "move", **SECRETS, MOVE_TO_DATABASE_URL=secret)
    assert ended.code == 0, ended.said
    assert "key_values: 1 of 1 rows" in ended.said
    assert "Next: set DATABASE_URL" in ended.said
    again = await run_bot(tmp_path, "move", secret, **SECRETS)
    assert again.code == 1
    assert "the new database is not empty (it has rows in key_values)" in again.said
    assert "canary" not in ended.said + again.said
    assert "Traceback" not in ended.said + again.said
    async with open_database(address) as database:
        assert await database.run(load_value, "proof") == "it was moved"
    await postgresql_maker.drop(address)


async def test_move_without_an_address_ends_with_exit_code_78(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, "move", **SECRETS)
    assert ended.code == 78
    assert "MOVE_TO_DATABASE_URL is missing" in ended.said
