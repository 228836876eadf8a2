"""The commands of `python bot.py` that do one thing and end, and what its help prints. Must not know
discord.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import policies
from credits.check import find_faults, write_csv
from credits.records import account_sums
from discord_api.command_lists import CommandLists
from doctor.machine_checks import judge_settings
from doctor.model import Level, worst_level
from doctor.service import Doctor, Machine
from doctor.table import write_table
from generations import records
from generations.clock import SystemClock
from observability.logging import set_up_logging
from observability.redaction import Redactor
from qwen.client import QwenClient, open_sessions
from qwen.pages import PageFetcher
from settings import SETTINGS, Examined, Settings
from store import backup
from store.database import open_database
from store.move import move_database
from store.read_only import open_to_read
from store.sole_use import sole_use
from store.transactions import Transaction
from version import VERSION

log = logging.getLogger("qwen_imagine")

MOUNTS = Path("/proc/mounts")  # proc(5); Linux alone has it
EXIT_USAGE = 64  # sysexits.h EX_USAGE
EXIT_SETTINGS = 78  # sysexits.h EX_CONFIG
USAGE = (
    "usage: python bot.py [worker | migrate | move | backup FILE | restore [--replace] FILE | ledger check|export | "
    "policies [FOLDER] | doctor [--live CHANNEL_ID] | --version | --help]"
)
HELP = f"""{USAGE}

  (nothing)       run the bot
  worker          make and post images without a gateway, beside other processes on the same PostgreSQL database
  migrate         bring the database to the newest schema
  move            copy a SQLite file to the PostgreSQL database in MOVE_TO_DATABASE_URL
  backup          copy the SQLite file to FILE, also while the bot runs, and check the copy
  restore         put the backup FILE where DATABASE_URL says; with --replace, what is there is kept under another name
  ledger check    compare accounts, entries and images; exit code 1 if they differ
  ledger export   write all entries of the ledger as CSV
  policies        write a privacy policy and terms, filled from the settings, into FOLDER (policies)
  doctor          check settings, Discord, image API, database and machine; exit code 1 if something fails
  doctor --live   try on the real Discord, in a channel that you name, what the bot relies on (docs/operating.md)

Settings come from the environment and from .env; docs/settings.md lists them, docs/operating.md the exit codes."""
ANSWERS = {"--version": VERSION, "--help": HELP, "-h": HELP}


async def migrate(settings: Settings) -> int:
    """Migrate the database to the newest schema."""
    with sole_use(settings.database_url):
        async with open_database(settings.database_url) as database:
            await database.migrate()
    log.info("the database is at the newest schema")
    return 0


async def move(settings: Settings) -> int:
    """Copy everything to the database in MOVE_TO_DATABASE_URL."""
    if not settings.move_to_database_url:
        log.error("MOVE_TO_DATABASE_URL is missing: set it to the address of an empty PostgreSQL database")
        return EXIT_SETTINGS
    await move_database(settings.database_url, settings.move_to_database_url, account_sums)
    log.info(
        "moved: everything is in the new database, and the SQLite file is as it was. Next: set DATABASE_URL to what "
        "MOVE_TO_DATABASE_URL is, start the bot, and put the file away: it must not be used any more"
    )
    return 0


async def back_up(settings: Settings, file: Path) -> int:
    """Copy the SQLite file to *file*. Return 1 if its ledger has a fault; it is copied nevertheless."""
    faults: list[str] = []
    await backup.back_up(settings.database_url, file, partial(_describe, faults=faults))
    print(f"{file} is a backup that this version can start with.")
    return 1 if faults else 0


async def restore(settings: Settings, file: Path, *, replace: bool = False) -> int:
    """Put the backup *file* in the place of the database. Return 1 if its ledger has a fault."""
    faults: list[str] = []

    def change(tx: Transaction) -> None:
        _describe(tx, faults)
        records.assume_posted(tx)

    aside = await backup.restore(settings.database_url, file, change, replace=replace)
    if aside is not None:
        print(f"What was there is now {aside}.")
    print(f"{file} is in place. Next: start the bot; docs/backup.md says what it does not know of.")
    return 1 if faults else 0


def _describe(tx: Transaction, faults: list[str]) -> None:
    """Print the rows of each table, the sums of the ledger, and its faults, which are added to *faults*."""
    for name, count in backup.count_rows(tx).items():
        print(f"{name}: {count:,}")
    sums = list(account_sums(tx))
    available, held = (sum(account[number] for account in sums) for number in (1, 2))
    print(f"ledger: accounts {len(sums):,}, credits available {available:,}, held {held:,}")
    faults += find_faults(tx, records.held_image_ids)
    print("\n".join(faults) or "The ledger has no fault.")


async def check_ledger(settings: Settings) -> int:
    """Print a sentence for each fault of the ledger. Return 1 if there is one."""
    async with open_to_read(settings.database_url) as database:
        faults = await database.read(lambda tx: list(find_faults(tx, records.held_image_ids)))
    print("\n".join(faults) or "The ledger has no fault.")
    return 1 if faults else 0


async def export_ledger(settings: Settings) -> int:
    """Write every entry of the ledger to standard output, as CSV. Return 1 if its reader goes away before the end."""
    async with open_to_read(settings.database_url) as database:
        return 0 if await database.read(write_csv, sys.stdout) else 1


async def write_policies(settings: Settings, folder: Path = Path("policies")) -> int:
    """Write the privacy policy and the terms into *folder*."""
    return policies.write_policies(settings, folder)


async def try_live(settings: Settings, arguments: Sequence[str], *, port_is_given: bool) -> int:
    """Try on the real Discord what the bot relies on. *arguments*: those after `doctor`. Returns the exit code."""
    from doctor.live.arguments import BadArguments, parse_arguments  # none of it is needed to run the bot
    from doctor.live.run import Surroundings, run_live

    try:
        options = parse_arguments(arguments)
    except BadArguments as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    ask = _ask if sys.stdin.isatty() else None
    say = partial(print, flush=True)
    around = Surroundings(SystemClock(), random.SystemRandom(), say, ask, port_is_given=port_is_given)
    return await run_live(settings, options, around)


async def _ask(question: str) -> bool:
    """Ask on the terminal. Only yes is yes."""
    print(f"{question} yes/no", flush=True)
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()
    try:
        loop.add_reader(sys.stdin, lambda: answered.done() or answered.set_result(sys.stdin.readline()))
    except NotImplementedError:  # Windows
        answered.set_result(sys.stdin.readline())
    try:
        return (await answered).strip().lower() in ("y", "yes")
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(sys.stdin)


async def diagnose(
    examined: Examined,
    environment: Mapping[str, str],
    list_commands: Callable[[Settings], Awaitable[CommandLists]],
    end_by_force: Callable[[int], None],
) -> int:
    """Print a table of what is right and wrong with this installation. Return 78 for wrong settings, else 1 if a check
    failed.

    *environment*: of this process. *list_commands*: return the commands that this version sends.
    *end_by_force*: end this process soon with an exit code, also when a thread hangs that a check has begun.
    """
    from web.server import listen_host  # with aiohttp's server it takes 2.4 MB

    set_up_logging("CRITICAL", ())  # what the libraries have to say is in the table
    settings = examined.settings
    found = judge_settings(examined.faults, examined.warnings, len(SETTINGS))
    exit_code = EXIT_SETTINGS if worst_level(found) is Level.FAIL else 0
    if settings is not None:
        async with open_sessions() as sessions:
            client = QwenClient(sessions, api_url=settings.qwen_api_url, api_key=settings.qwen_api_key)
            machine = Machine(
                clock=SystemClock(),
                environment=environment,
                mounts=await asyncio.to_thread(_read_mounts),
                free_bytes=lambda folder: shutil.disk_usage(folder).free,
                listen_host=listen_host(settings.public_url, port_is_given=bool(environment.get("PORT"))),
                fetch=PageFetcher(sessions.posts),
                ask_task=client.get_task,
                list_commands=list_commands,
            )
            found += await Doctor(settings, machine).examine()
    redactor = Redactor(settings.secrets() if settings is not None else ())
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(write_table(found, width=width, mask=redactor.line), flush=True)
    exit_code = exit_code or int(worst_level(found) is Level.FAIL)
    end_by_force(exit_code)
    return exit_code


def _read_mounts() -> str:
    return MOUNTS.read_text("utf-8", "replace") if MOUNTS.is_file() else ""


# By the arguments after `python bot.py`.
SHORT_COMMANDS: Mapping[str, Callable[[Settings], Coroutine[Any, Any, int]]] = {
    "migrate": migrate,
    "move": move,
    "ledger check": check_ledger,
    "ledger export": export_ledger,
    "policies": write_policies,
}
# By the arguments before the path that ends them.
COMMANDS_WITH_A_PATH: Mapping[str, Callable[[Settings, Path], Coroutine[Any, Any, int]]] = {
    "backup": back_up,
    "restore": restore,
    "restore --replace": partial(restore, replace=True),
    "policies": write_policies,
}


def command_with_path(arguments: list[str]) -> Callable[[Settings], Coroutine[Any, Any, int]] | None:
    """Return the command of *arguments* that end with a path. None: there is none."""
    *words, path = arguments or [""]
    command = COMMANDS_WITH_A_PATH.get(" ".join(words))
    if command is None or path.startswith("-"):
        return None
    return lambda settings: command(settings, Path(path))
