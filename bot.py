"""Qwen Imagine: open the resources, build the services, run them, and close everything. Nothing imports this module.

`python bot.py` runs the bot. `python bot.py worker` only makes and delivers images, beside other processes on the same
PostgreSQL database. `python bot.py migrate` only brings the database to the newest schema, `python bot.py move` copies
everything from a SQLite file to the PostgreSQL database in MOVE_TO_DATABASE_URL. `python bot.py ledger check` compares
accounts, entries and images, `python bot.py ledger export` writes all entries as CSV; both only read. `python bot.py
backup` copies a SQLite file, and `restore` puts a copy in its place. `python bot.py policies` writes a privacy policy
and terms. `python bot.py doctor` checks the installation and changes nothing. `python bot.py doctor --live` tries the
real Discord. `--version` and `--help` only print.
Exit codes: 0 stopped by a signal, 1 a fault (start it again), 78 wrong settings (correct them first).
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until main(): imports leave little garbage, and to look for it takes time

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import discord

from command_line import (
    ANSWERS,
    EXIT_SETTINGS,
    EXIT_USAGE,
    SHORT_COMMANDS,
    USAGE,
    command_with_path,
    diagnose,
    try_live,
)
from discord_api.command_lists import CommandLists
from discord_api.command_sync import keep_commands_current, mark_commands, payloads_of
from discord_api.endpoints import point_library_at, quiet_library, read_leniently, send_version
from discord_api.errors import described
from discord_api.gateway import GatewayConnection, GatewayRefused
from discord_api.gateway_schedule import WRONG_SHARDS
from discord_api.handlers import finish_handlers
from discord_api.login import log_in
from discord_api.shards import Shards
from discord_api.stored_commands import sync_stored_commands
from generations.clock import Deadline, SystemClock
from images.image_memory import IMAGE_BYTES_MAX
from images.provenance import mark_as_ai
from observability.health import ProcessFacts
from observability.logging import forbid_core_files, set_up_logging
from observability.metrics import Metrics
from observability.redaction import Redactor
from processes.identify_turns import IdentifyTurns
from processes.model import Presence, Role
from qwen.client import QwenClient, open_sessions
from qwen.images import ImageDownloader, open_download_session
from services.build import Services, build_services
from services.resources import Resources, measured
from settings import Settings, SettingsError, examine_settings, load_settings
from store.database import Database, open_database
from store.errors import DatabaseInUse, DatabaseUnreachable, StoreError
from store.fault_mark import forget_report, note_report
from store.sole_use import sole_use
from store.transactions import NoTransactions
from ui.delivery.owner_alerts import OwnerAlerts
from ui.interactions.buttons import DYNAMIC_ITEMS
from ui.interactions.client import ImagineClient

log = logging.getLogger("qwen_imagine")

STOP_SECONDS = 25.0  # from SIGTERM to the end; hosts kill after 30 s
CLOSE_SECONDS = 4.0  # of these 25, to close the gateway and the HTTP server; the rest is for work in flight
GATEWAY_SECONDS = 2.5  # to close the gateway
HANDLERS_SECONDS = 5.0  # for commands that Discord has delivered; it waits 3 s for a first response
FORCE_SECONDS = 2.0  # after these 25, until the process is ended by force
FIRST_SYNC_SECONDS = 10.0  # how long to wait for Discord to take the command list before connecting
EXTENSIONS = tuple(
    f"cogs.{name}"
    for name in ("imagine", "credits", "history", "preferences", "privacy", "reports", "help", "admin", "owner")
)


class ImagineBot(ImagineClient):
    """The client with the cogs."""

    async def setup_hook(self) -> None:
        """Load cogs and buttons at the end of the login. Makes no call to Discord: a failed login is begun again."""
        self.add_dynamic_items(*DYNAMIC_ITEMS)
        for extension in EXTENSIONS:
            await self.load_extension(extension)
        settings = self.services.settings
        mark_commands(self.tree, age_restricted=settings.age_restricted, guild_ids=settings.owner_guilds)
        self.is_logged_in = True

    async def on_ready(self) -> None:
        ids = self._connection.shard_ids
        shards = Shards(self.shard_count or 1, range(ids[0], ids[-1] + 1))
        log.info("ready: %s, application %s", shards, self.application_id)


async def open_resources(settings: Settings, stack: contextlib.AsyncExitStack) -> Resources:
    """Open the resources. *stack* closes them."""
    stack.enter_context(sole_use(settings.database_url))
    database = await stack.enter_async_context(open_database(settings.database_url))
    await database.migrate()
    forget_report(settings.database_url)
    return await _open_network(settings, database, stack)


async def _open_network(settings: Settings, database: Database, stack: contextlib.AsyncExitStack) -> Resources:
    """Open the sessions of the image API and of its images, for services on *database*."""
    api_sessions = await stack.enter_async_context(open_sessions())
    hosts = frozenset(settings.qwen_image_hosts)
    image_session = await stack.enter_async_context(open_download_session(hosts))
    key = settings.qwen_api_key
    return Resources(
        database,
        shared=database.is_postgresql,  # SQLite has one process
        service=QwenClient(api_sessions, api_url=settings.qwen_api_url, api_key=key),
        store=ImageDownloader(image_session, allowed_hosts=hosts, max_bytes=IMAGE_BYTES_MAX, mark=mark_as_ai),
        clock=SystemClock(),
        rng=random.SystemRandom(),
        owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
    )


async def _open_web(bot: ImagineBot, services: Services, metrics: Metrics, stack: contextlib.AsyncExitStack) -> bool:
    """Open the HTTP server, if PORT or PUBLIC_URL is set. Return False, and log why, if that is impossible."""
    if services.settings.port is None and services.callbacks is None:
        return True
    from web.process_port import open_port  # with aiohttp's server it takes 2.4 MB
    from web.server import PortUnavailable

    def facts() -> ProcessFacts:
        return services.facts(is_logged_in=bot.is_logged_in)

    try:
        opened = open_port(services, metrics, facts, port_is_given=bool(os.environ.get("PORT")))
        await stack.enter_async_context(opened)
    except PortUnavailable as error:
        log.critical("%s", error)
        return False
    return True


def _build_client(metrics: Metrics) -> ImagineBot:
    """Build the client; where metrics are read its calls are counted."""
    if not metrics.is_on:
        return ImagineBot()
    from discord_api.call_tracing import trace_calls

    return ImagineBot(http_trace=trace_calls(metrics))


async def run(settings: Settings, role: Role) -> int:
    """Run until SIGTERM or Ctrl-C, then drain. Return the exit code."""
    point_library_at(settings.discord_api_url, settings.discord_gateway_url)
    read_leniently()
    send_version()
    stop = asyncio.Event()

    def begin_to_stop() -> None:
        stop.set()
        end_by_force(STOP_SECONDS + FORCE_SECONDS, 0)

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, begin_to_stop)
    async with contextlib.AsyncExitStack() as stack:
        try:
            resources = await open_resources(settings, stack)
        except DatabaseUnreachable as error:
            await _alert_owner(settings, error)
            raise
        resources = resources if settings.port is None else measured(resources)
        bot = _build_client(resources.metrics)
        services = build_services(settings, resources, bot)
        _introduce(services.presence, role, settings.shards)
        await services.start()
        stack.push_async_callback(services.stop)
        if not await _open_web(bot, services, resources.metrics, stack):
            return 1
        work = asyncio.create_task(services.worker.run(), name="worker")  # before the login: images don't wait for it
        listen = asyncio.create_task(_connect(bot, services, role, resources.owner), name="gateway")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        stack.push_async_callback(bot.close)  # not sooner: discord.py can't close a client that never began to log in
        await asyncio.wait({work, listen, stopped}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping: finishing what is in flight")
        deadline = Deadline(services.clock, STOP_SECONDS)
        exit_code = _exit_code({listen, work}, stop)
        await finish(bot, services, listen, work, deadline)
        log.info("stopped" if stop.is_set() else "ended")
        _raise_ends(work, listen)
        return exit_code


def _introduce(presence: Presence, role: Role, shards: Shards | None) -> None:
    """Say what is known of this process before it has a gateway."""
    presence.role = role
    if role is Role.BOT and shards is not None:
        presence.shard_count, presence.shard_ids = shards.count, shards.range_text


async def finish(
    bot: discord.Client, services: Services, listen: asyncio.Task[None], work: asyncio.Task[None], deadline: Deadline
) -> None:
    """Finish what is in flight before *deadline*, and close the client.

    While other processes share the database the gateway is closed first: what Discord has delivered is answered as
    ever, and another process makes the images. A process that is alone refuses requests with a sentence meanwhile.
    """
    if services.processes is not None and services.processes.are_others:
        await _close_gateway(listen, deadline)
    await services.drain(deadline.left(reserve=CLOSE_SECONDS))
    await _close_gateway(listen, deadline)
    await asyncio.wait({work}, timeout=deadline.left(reserve=CLOSE_SECONDS / 2))
    await asyncio.wait({asyncio.create_task(bot.close())}, timeout=deadline.left())


async def _close_gateway(listen: asyncio.Task[None], deadline: Deadline) -> None:
    """Close the gateway, and answer what it had delivered."""
    listen.cancel()
    await asyncio.wait({listen}, timeout=min(GATEWAY_SECONDS, deadline.left(reserve=CLOSE_SECONDS / 2)))
    if late := await finish_handlers(min(HANDLERS_SECONDS, deadline.left(reserve=CLOSE_SECONDS / 2))):
        log.warning("stopping: %d commands cut off", late)


async def _alert_owner(settings: Settings, error: DatabaseUnreachable) -> None:
    """Send the owner a message about a SQLite file that can't be used, once in six hours over all starts."""
    clock = SystemClock()
    if isinstance(error, DatabaseInUse) or not note_report(settings.database_url, clock.now_ms()):
        return
    logging.getLogger("discord").setLevel(logging.WARNING)  # keep the alert the only line
    client = discord.Client(intents=discord.Intents.none())
    alerts = OwnerAlerts(client, clock, settings.owner_ids)
    await alerts.tell_before_start(settings.discord_token, f"{error}. The bot did not start.")


async def _connect(bot: ImagineBot, services: Services, role: Role, owner: str) -> None:
    """Log in, then stay connected as this process' role wants. Raises discord.LoginFailure and GatewayRefused."""
    await log_in(bot, services.settings.discord_token, services.clock)
    gc.freeze()  # what is loaded stays: to walk through all of it again would hold the loop for 50 ms, now and then
    await (_listen(bot, services, owner) if role is Role.BOT else _only_work(bot))


async def _only_work(bot: ImagineBot) -> None:
    """Be a process without a gateway."""
    log.info("ready: no shards, application %s", bot.application_id)
    await asyncio.Event().wait()


async def _listen(bot: ImagineBot, services: Services, owner: str) -> None:
    """Bring Discord's command list up to date, then stay connected. Where that takes long it goes on meanwhile."""
    tried = asyncio.Event()
    clock, database, settings = services.clock, services.database.in_background(), services.settings

    async def sync() -> bool:
        await services.command_ids.load()  # of the list before, while Discord does not take this one
        sent = await sync_stored_commands(
            *(bot.tree, database, settings.discord_api_url),
            clock=clock,
            holder=owner,
            guild_ids=settings.owner_guilds,
        )
        await services.command_ids.load()
        return sent

    syncing = asyncio.create_task(keep_commands_current(sync, clock, tried=tried), name="commands")
    checking = asyncio.create_task(services.guild_list.run(), name="guild list")
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(tried.wait(), FIRST_SYNC_SECONDS)
        turns = IdentifyTurns(database, clock)
        await GatewayConnection(bot, clock, services.rng, turns, services.presence, settings.shards).run()
    finally:
        for task in (syncing, checking):
            task.cancel()
        await asyncio.wait({syncing, checking})


async def list_commands(settings: Settings) -> CommandLists:
    """Return the commands that this version sends. No database is opened and nothing is called."""
    bot = ImagineBot()
    async with contextlib.AsyncExitStack() as stack:
        build_services(settings, await _open_network(settings, Database(NoTransactions()), stack), bot)
        await bot.setup_hook()
    by_guild = {guild_id: payloads_of(bot.tree, discord.Object(guild_id)) for guild_id in settings.owner_guilds}
    return CommandLists(payloads_of(bot.tree), by_guild)


def end_by_force(seconds: float, code: int) -> None:
    """End the process with *code* after *seconds* if it still runs. A thread that hangs, such as a name lookup in an
    outage, can't be cancelled, and Python would wait for it. Committed rows are kept."""

    def end() -> None:
        log.warning("stopping: a thread or the database is cut off after %.0f s", seconds)
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _exit_code(tasks: set[asyncio.Task[None]], stop: asyncio.Event) -> int:
    """Return the exit code. Log which task ended by itself, and why."""
    for task in tasks:
        error = task.exception() if task.done() else None
        if isinstance(error, discord.LoginFailure):
            continue  # main() says what to do
        if isinstance(error, GatewayRefused):
            log.error("the connection to Discord ended for good: %s", error)
            if error.code in WRONG_SHARDS:
                return EXIT_SETTINGS
        elif task.done():
            log.error("the %s ended: %s", task.get_name(), described(error) if error else "it returned")
    return 0 if stop.is_set() else 1


def _raise_ends(work: asyncio.Task[None], listen: asyncio.Task[None]) -> None:
    """Raise what ended the worker (DatabaseBroken), or discord.LoginFailure: main() has sentences for them."""
    if work.done() and not work.cancelled():
        work.result()
    error = listen.exception() if listen.done() and not listen.cancelled() else None
    if isinstance(error, discord.LoginFailure):
        raise error


COMMANDS: Mapping[str, Callable[[Settings], Coroutine[Any, Any, int]]] = {
    "": partial(run, role=Role.BOT),
    "worker": partial(run, role=Role.WORKER),
    **SHORT_COMMANDS,
}


def main(arguments: list[str]) -> int:
    """Read the settings, then do what *arguments* say. Return the exit code."""
    gc.freeze()  # what was imported
    gc.enable()
    if answer := ANSWERS.get(" ".join(arguments)):
        print(answer)
        return 0
    os.umask(0o077)  # only this user may read the data folder and the database with its -wal and -shm
    forbid_core_files()
    if arguments[:1] == ["move"] and len(arguments) == 2:
        os.environ["MOVE_TO_DATABASE_URL"] = arguments.pop()
    command = COMMANDS.get(" ".join(arguments)) or command_with_path(arguments)
    if arguments[:1] == ["doctor"] and any(word.startswith("--live") for word in arguments):
        command = partial(try_live, arguments=arguments[1:], port_is_given=bool(os.environ.get("PORT")))
    if arguments == ["doctor"]:
        return asyncio.run(
            diagnose(examine_settings(), os.environ, list_commands, partial(end_by_force, FORCE_SECONDS))
        )
    if command is None:
        print(USAGE, file=sys.stderr)
        return EXIT_USAGE
    try:
        loaded = load_settings(alone=arguments != ["worker"])
    except SettingsError as error:
        print("\n".join(map(Redactor().line, (*error.faults, *error.warnings))), file=sys.stderr)
        return EXIT_SETTINGS
    set_up_logging(loaded.settings.log_level, loaded.settings.secrets(), loaded.settings.log_format)
    quiet_library()
    for warning in loaded.warnings:
        log.warning(warning)
    try:
        return asyncio.run(command(loaded.settings))
    except discord.LoginFailure:
        log.critical("DISCORD_TOKEN was refused by Discord: copy it again from the developer portal.")
        return EXIT_SETTINGS
    except StoreError as error:
        log.critical("%s", error)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
