"""`python bot.py` on the command line: arguments, exit codes, migrations."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from bot import main
from command_line import HELP, USAGE, command_with_path
from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from settings import SQLITE_IS_ALONE
from store.database import open_database
from store.key_values import save_value
from store.sole_use import sole_use
from store.transactions import Transaction
from tests.databases import PostgresqlMaker
from tests.e2e.commands import BOT, LONGEST_SECONDS, NOWHERE, SECRETS, run_bot
from version import VERSION


async def test_migrate_creates_the_database_and_exits(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, "migrate", **SECRETS)
    assert ended.code == 0, ended.said
    async with open_database(f"sqlite:///{tmp_path}/data/imagine.db") as database:
        await database.run(save_value, "proof", "the tables are there")


async def test_while_discord_cannot_be_reached_it_keeps_trying_and_stops_on_sigterm(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, until="can't be reached", **SECRETS, **NOWHERE)
    assert ended.code == 0, ended.said
    assert "Discord can't be reached" in ended.said
    assert "Traceback" not in ended.said
    assert "canary" not in ended.said


@pytest.mark.postgres
async def test_a_database_that_refuses_the_bots_queries_ends_the_start_with_a_sentence_and_exit_code_1(
    tmp_path: Path, postgresql_maker: PostgresqlMaker
) -> None:
    address, guest = await postgresql_maker.create(), f"{postgresql_maker.prefix}_guest"
    async with open_database(address) as database:
        await database.run(Transaction.execute, text(f"CREATE ROLE {guest} LOGIN"))
        await database.run(Transaction.execute, text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}"))
    ended = await run_bot(tmp_path, **SECRETS, **NOWHERE, DATABASE_URL=address.replace("postgres@", f"{guest}@"))
    said = "CRITICAL qwen_imagine: the database refuses what the bot needs: permission denied for table processes\n"
    assert (ended.code, ended.said.count("\n")) == (1, 1) and ended.said.endswith(said), ended.said
    await postgresql_maker.drop(address)
    await postgresql_maker.command(f"DROP ROLE {guest}")


async def test_a_taken_port_ends_the_start_with_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await run_bot(tmp_path, **SECRETS, **NOWHERE, PUBLIC_URL="http://127.0.0.1", PORT=port)
    assert ended.code == 1
    assert f"PORT {port} is taken by another program" in ended.said
    assert "Traceback" not in ended.said


async def test_unknown_arguments_get_the_usage_and_a_hanging_thread_keeps_no_process_alive(tmp_path: Path) -> None:
    hanging = (
        "import bot, threading, time\n"
        "code = bot.main(['fly'])\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "bot.end_by_force(0.1, code)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hanging, cwd=BOT.parent, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    assert process.returncode == 64
    usage, cut_off = said.decode().splitlines()
    assert usage == USAGE
    assert "cut off" in cut_off


@pytest.mark.parametrize(("word", "said"), [("--version", VERSION), ("--help", HELP), ("-h", HELP)])
def test_version_and_help_are_printed_without_any_setting(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word]) == 0
    assert capsys.readouterr() == (f"{said}\n", "")


@pytest.mark.parametrize("words", ["", "backup", "restore", "restore --replace", "restore copy.db --replace", "move x"])
def test_a_command_that_needs_a_path_is_none_without_it_at_its_end(words: str) -> None:
    assert command_with_path(words.split()) is None
    assert command_with_path(["restore", "--replace", "copy.db"]) is not None


async def test_a_worker_on_a_sqlite_file_is_refused_with_a_sentence_and_exit_code_78(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, "worker", **SECRETS, **NOWHERE)
    assert (ended.code, ended.said) == (78, f"{SQLITE_IS_ALONE}\n")


async def test_a_misspelt_name_is_said_below_the_faults_that_it_may_explain(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, DISCORD_TOKEN="canary-token", QWEN_API_KEI="sk-canary", PORT="0")
    missing, port, misspelt = ended.said.splitlines()
    assert ended.code == 78 and "canary" not in ended.said
    assert missing.startswith("QWEN_API_KEY is missing") and port.startswith("PORT")
    assert misspelt == "QWEN_API_KEI is not a setting and is ignored; did you mean QWEN_API_KEY?"


async def test_wrong_shard_settings_end_the_start_with_sentences_and_exit_code_78(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, **SECRETS, **NOWHERE, SHARD_IDS="4-6", SHARD_COUNT="6", SHARD_PROCESS="1")
    assert ended.code == 78
    assert [line.split()[0] for line in ended.said.splitlines()] == [
        *("SHARD_IDS", "SHARD_IDS", "SHARD_PROCESSES", "DATABASE_URL")
    ]


async def test_the_ledger_commands_make_no_database_and_need_the_tables_of_this_version(tmp_path: Path) -> None:
    file = tmp_path / "data" / "imagine.db"
    for command in ("check", "export"):
        ended = await run_bot(tmp_path, "ledger", command, **SECRETS)
        assert (ended.code, ended.written) == (1, "")
        assert ended.said.endswith(f"CRITICAL qwen_imagine: there is no file {file.relative_to(tmp_path)}\n")
    file.parent.mkdir()
    file.touch()
    ended = await run_bot(tmp_path, "ledger", "check", **SECRETS)
    assert ended.code == 1
    assert "run `python bot.py migrate` first" in ended.said and "Traceback" not in ended.said


async def test_the_ledger_commands_read_a_file_that_another_process_has_locked(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/bot.db"
    ledger = Ledger(Allowance(50, CreditPeriod.DAY, ZoneInfo("UTC")))
    with sole_use(address):
        async with open_database(address) as database:
            await database.migrate()
            await database.run(ledger.grant, 2**63 - 1, 7, "1", "a present", 2**53 + 1, 0)
            sound = await run_bot(tmp_path, "ledger", "check", **SECRETS, DATABASE_URL=address)
            export = await run_bot(tmp_path, "ledger", "export", **SECRETS, DATABASE_URL=address)
            await database.run(ledger.hold, 2**63 - 1, "1-0", 5, 0)
            wrong = await run_bot(tmp_path, "ledger", "check", **SECRETS, DATABASE_URL=address)
    assert (sound.code, sound.written) == (0, "The ledger has no fault.\n"), sound.said
    assert (wrong.code, wrong.written) == (1, "image 1-0: credits are held for it, but it is not being made\n")
    header, *lines = export.written.splitlines()
    assert header.startswith("id,user_id,kind,available_delta,held_delta,") and export.code == 0
    assert lines[1] == "grant:1,9223372036854775807,grant,7,0,,a present,0,7,0,9007199254740993,2"


async def test_the_policies_are_written_once_and_never_over_what_is_there(tmp_path: Path) -> None:
    named = {**SECRETS, "OPERATOR_NAME": "Ada's Bots", "OPERATOR_CONTACT": "ada@example.com"}
    written = await run_bot(tmp_path, "policies", "legal/bot", **named)
    assert written.code == 0, written.said
    assert sorted(path.name for path in (tmp_path / "legal/bot").iterdir()) == ["privacy.md", "terms.md"]
    assert "run by **Ada's Bots**" in (tmp_path / "legal/bot/privacy.md").read_text("utf-8")
    (tmp_path / "legal/bot/privacy.md").write_text("mine", "utf-8")
    again = await run_bot(tmp_path, "policies", "legal/bot", **named)
    assert again.code == 1 and "legal/bot/privacy.md is there already" in again.said
    assert (tmp_path / "legal/bot/privacy.md").read_text("utf-8") == "mine"
    assert not (tmp_path / "data").exists()


async def test_policies_without_an_operator_are_refused_with_exit_code_78(tmp_path: Path) -> None:
    ended = await run_bot(tmp_path, "policies", **SECRETS, OPERATOR_NAME="Ada")
    assert ended.code == 78
    assert "OPERATOR_CONTACT is missing: the policies say who runs the bot" in ended.said
    assert "OPERATOR_NAME is missing" not in ended.said
    assert os.listdir(tmp_path) == []
