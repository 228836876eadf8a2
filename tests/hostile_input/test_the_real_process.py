"""The real bot process at LOG_LEVEL=DEBUG, with faults and restarts: its output holds no secret and no prompt, and no
interaction token is stored longer than its image needs."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from generations.records.tables import generations
from sandbox.image_api.moods import Mood
from store.database import open_database
from store.transactions import Transaction
from tests.e2e.commands import NOWHERE, run_bot
from tests.e2e.running_bot import READY_SECONDS, RunningBot, open_bot, text
from tests.integration.raw_server import Wire, raw_server

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a canary in a coal mine"
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.canaryabcdefghijklmnopqrstuvw"
SECRETS = {"DISCORD_TOKEN": TOKEN, "QWEN_API_KEY": "sk-canary0123456789"}


def secrets_of(bot: RunningBot) -> set[str]:
    """Return all secrets of the running bot that must not be logged."""
    discord = bot.box.discord
    seen = {
        request.path.split("/")[3]
        for request in discord.requests
        if re.match(r"/(interactions|webhooks)/", request.path)
    }
    tokens = {token for token in seen if len(token) > 20}
    assert len(tokens) >= 3, "the interaction tokens were not found"
    return {discord.token, discord.token.split(".")[2], bot.box.images.key, PROMPT, *tokens}


def limits_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/limits").read_text("utf-8")


async def tokens_kept(folder: Path) -> list[str]:
    def tokens(tx: Transaction) -> list[str]:
        return list(tx.scalars(select(generations.c.token).where(generations.c.token != "")))

    async with open_database(f"sqlite:///{folder}/bot.sqlite3") as database:
        return await database.run(tokens)


async def test_nothing_it_writes_at_debug_level_holds_a_secret(tmp_path: Path) -> None:
    async with open_bot(tmp_path, LOG_LEVEL="DEBUG", CREDITS_PER_PERIOD="500") as bot:
        assert re.search(r"Max core file size +0 +0 ", limits_of(bot.box.bot.pid))
        bot.box.discord.faults.rest("PATCH", "/webhooks/", status=500)
        good = await bot.imagine("mira", prompt=PROMPT, size="768*1024")
        await bot.card_saying("mira", good, "Painting")
        await bot.box.bot.kill()
        await bot.box.bot.start()
        await bot.box.bot.wait_ready(READY_SECONDS)
        bot.box.images.set_mood(Mood.KEY_REFUSED)
        refused = await bot.imagine("mira", prompt=PROMPT, size="768*1024")
        assert "returned" in text(await bot.card_saying("mira", refused, "accept the bot's key"))
        bot.box.images.set_mood(Mood.NORMAL)
        bot.box.discord.faults.gateway_close(4000)
        await bot.card("mira", good)
        await bot.credits("mira")
        secrets = secrets_of(bot)
        await bot.box.bot.stop()
        assert await tokens_kept(tmp_path) == []
    written = (tmp_path / "bot.log").read_text("utf-8")
    assert "discord.webhook" in written and "INTERACTION_CREATE" in written, "DEBUG was not on"
    assert [secret for secret in secrets if secret in written] == []
    assert not re.search(r"/webhooks/\d+/(?!\(token\)|\d)", written)
    assert "X-Amz-Signature=" not in written


async def test_no_failure_at_the_start_prints_a_secret(tmp_path: Path) -> None:
    async def unauthorized(wire: Wire) -> None:
        await wire.hear()
        await wire.answer(401, b'{"message": "401: Unauthorized", "code": 0}', Content_Type="application/json")

    newer = f"sqlite:///{tmp_path}/newer.sqlite3"
    async with open_database(newer) as database:
        await database.migrate()
        await database.run(Connection.exec_driver_sql, "UPDATE alembic_version SET version_num = 'canary9999'")
    async with raw_server(unauthorized) as discord:
        at = {"DISCORD_API_URL": f"{discord.url}/api/v10"}
        endings = await asyncio.gather(
            run_bot(tmp_path, **SECRETS, **at),
            run_bot(tmp_path, **SECRETS, **NOWHERE, DATABASE_URL="postgresql://u:canary@127.0.0.1:9/x"),
            run_bot(tmp_path, "migrate", **SECRETS, DATABASE_URL=newer),
            run_bot(
                tmp_path,
                **(SECRETS | {"DISCORD_TOKEN": "canary token", "QWEN_API_KEY": "sk-canäry"}),
                DATABASE_URL="postgresql://u:canary@[::1/x",
                QWEN_IMAGE_HOSTS="sk-canary0123456789/",
            ),
        )
    for ended in endings:
        assert "canary" not in ended.said.replace("canary9999", "") and "canäry" not in ended.said, ended.said
        assert ended.said.count("\n") >= 1 and "Traceback" not in ended.said
    assert "database" in endings[1].said
    assert endings[3].said.count("\n") == 4, "all faults are told together"
    assert [ended.code for ended in endings] == [78, 1, 1, 78], [ended.said for ended in endings]


HOOKS = """
import asyncio, os, sys, threading, warnings
from observability.logging import forbid_core_files, set_up_logging
set_up_logging("DEBUG", ["canary-secret"])

class Hostile:
    def __del__(self):
        raise ValueError("canary-secret in a finalizer")

async def forget():
    asyncio.get_running_loop().call_soon(lambda: 1 / {"canary-secret": 0}["canary-secret"])
    task = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    del task

async def fail():
    raise LookupError("canary-secret\\n2026-01-01 00:00:00,000 ERROR   forged: line")

thread = threading.Thread(target=lambda: [].pop("canary-secret"), name="canary-secret")
thread.start()
thread.join()
del Hostile
asyncio.run(forget())
warnings.warn("canary-secret in a warning", UserWarning)
try:
    raise ConnectionError("Bearer canary-secret")
except ConnectionError as error:
    raise RuntimeError("canary-secret") from error
"""


async def test_unhandled_exceptions_are_redacted(tmp_path: Path) -> None:
    code = HOOKS.replace("del Hostile\n", "one = Hostile()\ndel one\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    said = (await process.communicate())[1].decode()
    assert process.returncode == 1
    assert "canary" not in said, said
    for kind in (
        "RuntimeError",
        "ConnectionError",
        "LookupError",
        "ZeroDivisionError",
        "TypeError",
        "ValueError",
        "UserWarning",
    ):
        assert kind in said, said
    events = [line for line in said.splitlines() if not line.startswith("    ")]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +[\w.]+: ", line) for line in events), said
    assert not any(re.match(r"\S+ \S+ [A-Z]+ +forged: ", line) for line in events)


async def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    allow = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, ({hard}, {hard}))"

    async def cores_of(statement: str) -> list[Path]:
        folder = tmp_path / str(len(statement))
        folder.mkdir()
        code = f"{allow}; from observability.logging import forbid_core_files; {statement}; os.abort()"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code), cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == -6
        return list(folder.iterdir())

    assert await cores_of("assert forbid_core_files()") == []
    if hard and not await cores_of("pass"):
        pytest.skip("this machine writes no core files anyway")
