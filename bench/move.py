"""`python -m bench.move [count]`: how long `python bot.py move` takes, and how much memory.

Makes a SQLite file with *count* generations (100,000 without it), an image and two entries of the ledger for each, and
eight words of each prompt in the index of the search. Moves it to a PostgreSQL server of its own, with fsync, and
prints the figures.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path

from bench.databases import Databases
from bench.machine import describe
from store.database import open_database

BOT = Path(__file__).resolve().parents[1] / "bot.py"
PEOPLE = 1000
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
ENTRY = "number, id, user_id, kind, available_delta, held_delta, image_id, reason, refilled_from_ms, created_at_ms"
GENERATION = """
    id, prompt, size, seed, format, count, private, spoiler, application_id, user_id, channel_id, guild_id, token,
    attachment_size_limit, locale, bot_in_channel, created_at_ms, fence, lease_holder, lease_until_ms, due_at_ms,
    message_id, card_channel_id, revision, published_revision, follow_up_begun_at_ms
"""
IMAGE = """
    generation_id, position, user_id, seed, state, due_at_ms, admitted_at_ms, submitted_at_ms, task_id, polls,
    last_poll_at_ms, failures, ready_at_ms, consumed_credits, image_url, ending, ending_detail, attachment_id,
    separate_channel_id, separate_message_id, file_name
"""
ROWS = f"""
    {NUMBERS.format(PEOPLE)} INSERT INTO accounts (user_id, available, held, refilled_from_ms, created_at_ms)
        SELECT i, 1000000000, 0, 0, 0 FROM n;
    INSERT INTO entries ({ENTRY})
        SELECT user_id, 'grant:' || user_id, user_id, 'grant', available, 0, NULL, 'start', 0, 0 FROM accounts;
    {NUMBERS} INSERT INTO generations ({GENERATION})
        SELECT i, 'a lighthouse in a storm, number ' || i || ', oil on canvas, in the evening, with gulls',
            '1024*1024', i, 'png', 1, 0, 0, 1, i % {PEOPLE} + 1, 1, 1, '', 10485760, 'en-US', 1, i, 1, NULL, NULL, NULL,
            i, NULL, 3, 3, NULL
        FROM n;
    INSERT INTO images ({IMAGE})
        SELECT id, 0, user_id, seed, 'delivered', NULL, id, id, 'n00' || id || 'qwenimg', 3, id, 0, id, 5,
            'https://cdn.example/' || id || '.png', NULL, NULL, id, NULL, NULL, id || '.png'
        FROM generations;
    INSERT INTO entries ({ENTRY})
        SELECT NULL, id || '-0:hold', user_id, 'hold', -5, 5, id || '-0', 'image', 0, id FROM generations;
    INSERT INTO entries ({ENTRY})
        SELECT NULL, id || '-0:settle', user_id, 'settle', 0, -5, id || '-0', 'image', 0, id FROM generations;
    UPDATE accounts
        SET available = available - 5 * (SELECT count(*) FROM images WHERE images.user_id = accounts.user_id);
    WITH words(word) AS
        (VALUES ('lighthouse'), ('storm'), ('number'), ('oil'), ('canvas'), ('evening'), ('with'), ('gulls'))
        INSERT INTO prompt_words SELECT user_id, CAST(word AS BLOB), id FROM generations, words;
"""


async def fill(path: Path, count: int) -> int:
    """Make the file with *count* generations. Return the number of its rows."""
    async with open_database(f"sqlite:///{path}") as database:
        await database.migrate()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ROWS.format(count))
    return 2 * PEOPLE + 12 * count


async def main(count: int) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-move-")))
        databases = Databases(stack)
        target = await stack.enter_async_context(databases.open_postgresql())
        rows = await fill(folder / "bot.sqlite3", count)
        words = {"DISCORD_TOKEN": "none", "QWEN_API_KEY": "none", "MOVE_TO_DATABASE_URL": target}
        settings = {**words, "DATABASE_URL": f"sqlite:///{folder}/bot.sqlite3"}
        began = time.monotonic()
        moving = await asyncio.create_subprocess_exec(
            sys.executable, str(BOT), "move", cwd=folder, env={**os.environ, **settings}
        )
        code = await moving.wait()
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = (folder / "bot.sqlite3").stat().st_size
        print(
            f"exit code {code}: {rows:,} rows, {size / 2**20:.0f} MiB, in {seconds:.1f} s, at most "
            f"{used.ru_maxrss / 1024:.0f} MiB of memory"
        )
        for heading, value in describe(databases.version).items():
            print(f"{heading}: {value}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 100_000))
