"""The doctor against the sandbox and real files: all is well, then each fault made on purpose."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from bot import list_commands
from discord_api.command_lists import CommandLists
from doctor.model import Finding, Level
from doctor.service import CHECK_SECONDS, Doctor, Machine
from generations.clock import SystemClock
from qwen.client import QwenClient, Sessions, open_sessions
from qwen.pages import PageFetcher
from qwen.protocol import HttpAnswer
from sandbox.world import Sandbox
from settings import Settings, parse_settings
from store.database import open_database
from store.key_values import save_value
from store.sole_use import sole_use
from store.transactions import Transaction
from tests.databases import PostgresqlMaker, SqliteMaker
from tests.doubles import ManualClock, make_settings
from version import VERSION

POLICIES = "https://policies.example"
GIB = 1024**3
KEPT = "/dev/sda1 / ext4 rw 0 0"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class LateClock(SystemClock):
    """The machine's clock, *ahead_ms* wrong."""

    def __init__(self, ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms


@dataclass
class PolicyFetcher:
    """Fetches over real sockets; the https addresses of the policies lead to *server*, which has no certificate."""

    fetch: PageFetcher
    server: str
    agents: set[str] = field(default_factory=set[str])  # User-Agent of calls with a token

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, redirects: int = 0
    ) -> HttpAnswer:
        if headers is not None and "Authorization" in headers:
            self.agents.add(headers["User-Agent"])
        return await self.fetch(method, url.replace(POLICIES, self.server), headers, redirects=redirects)


@dataclass
class Installation:
    """A well-configured bot that is not running. A test changes a part of it before it calls examine()."""

    box: Sandbox
    file: Path
    settings: Settings
    machine: Machine
    sessions: Sessions
    fetcher: PolicyFetcher
    pages: str  # the address of a server with the pages /privacy and /terms, and a fault at /broken/
    commands: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def change(self, **settings: Any) -> None:
        self.settings = replace(self.settings, **settings)
        key = self.settings.qwen_api_key
        client = QwenClient(self.sessions, api_url=self.settings.qwen_api_url, api_key=key)
        self.machine = replace(self.machine, ask_task=client.get_task)

    async def put_commands(self, commands: list[dict[str, Any]]) -> None:
        """Have Discord take a command list."""
        address = f"{self.box.discord.api_url}/applications/{self.box.discord.application_id}/commands"
        headers = {"Authorization": f"Bot {self.box.discord.token}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.put(address, json=commands) as answer:
            assert answer.status == 200, await answer.text()

    async def write(self, work: Callable[..., Any], *arguments: Any) -> None:
        async with open_database(self.settings.database_url) as database:
            await database.run(work, *arguments)

    async def examine(self) -> list[Finding]:
        return await Doctor(self.settings, self.machine).examine()

    async def faults(self) -> list[Finding]:
        return [finding for finding in await self.examine() if finding.level is not Level.OK]


async def answer_page(request: web.Request) -> web.Response:
    if request.path in ("/privacy", "/terms", "/moved"):
        if request.path == "/moved":
            raise web.HTTPFound("/terms")
        return web.Response(text="a page")
    return web.Response(status=500 if request.path.startswith("/broken/") else 404)


@pytest.fixture(scope="module")
def commands() -> CommandLists:
    """What this version sends; read once, since it takes a while."""
    return asyncio.run(list_commands(make_settings(discord_token="token", qwen_api_key="sk-key")))


@pytest.fixture
async def installation(
    tmp_path: Path, sqlite_maker: SqliteMaker, commands: CommandLists
) -> AsyncIterator[Installation]:
    file = tmp_path / "bot.sqlite3"
    shutil.copy(sqlite_maker.template, file)
    pages = web.Application()
    pages.router.add_route("*", "/{path:.*}", answer_page)

    async def listed(_: Settings) -> CommandLists:
        return commands

    async with Sandbox(data_dir=tmp_path) as box, open_sessions() as sessions, TestServer(pages) as server:
        address = str(server.make_url("")).rstrip("/")
        port = free_port()
        settings, _ = parse_settings(
            box.bot_environment()
            | {"PRIVACY_URL": f"{POLICIES}/privacy", "TERMS_URL": f"{POLICIES}/moved", "PORT": str(port)}
            | {"PUBLIC_URL": f"http://127.0.0.1:{port}"}
        )
        assert settings is not None
        box.discord.portal.update(privacy_policy_url=settings.privacy_url, terms_of_service_url=settings.terms_url)
        fetcher = PolicyFetcher(PageFetcher(sessions.posts), address)
        machine = Machine(
            clock=SystemClock(),
            environment={},
            mounts=KEPT,
            free_bytes=lambda _: 10 * GIB,
            listen_host="127.0.0.1",
            fetch=fetcher,
            ask_task=lambda _: asyncio.sleep(0),
            list_commands=listed,
        )
        opened = Installation(
            box, file, settings, machine, sessions, fetcher, address, [*map(dict, commands.everywhere)]
        )
        opened.change()
        await opened.put_commands(opened.commands)
        yield opened


async def test_every_check_is_ok_and_nothing_is_changed(installation: Installation) -> None:
    before, folder = installation.file.read_bytes(), installation.file.parent
    names, calls = sorted(each.name for each in folder.iterdir()), len(installation.box.discord.requests)
    found = await installation.examine()
    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert [finding.check for finding in found] == [
        *("token", "clock", "application", "installs", "invite link", "servers", "commands"),
        *("API key", "database", "migrations", "disk", "free space", "PUBLIC_URL", "links", "links"),
    ]
    assert sorted(each.name for each in folder.iterdir()) == names
    assert installation.file.read_bytes() == before
    assert {call.method for call in installation.box.discord.requests[calls:]} == {"GET"}
    assert installation.box.discord.violations == []
    assert installation.box.images.posts == []
    assert installation.fetcher.agents == {f"DiscordBot (https://discord.com, {VERSION})"}


async def test_it_works_beside_a_process_that_has_locked_the_database(installation: Installation) -> None:
    with sole_use(installation.settings.database_url):
        async with open_database(installation.settings.database_url) as database:
            await database.run(save_value, "a", "b")
            assert await installation.faults() == []


Break = Callable[[Installation], Awaitable[None] | None]


def with_portal(**changed: Any) -> Break:
    return lambda it: it.box.discord.portal.update(changed)


def with_settings(**changed: Any) -> Break:
    return lambda it: it.change(**changed)


def with_machine(**changed: Any) -> Break:
    def change(it: Installation) -> None:
        it.machine = replace(it.machine, **changed)

    return change


def with_discord_fault(route: str, **fault: Any) -> Break:
    return lambda it: void(it.box.discord.faults.rest("GET", route, times=None, **fault))


def void(_: object) -> None:
    """Drop a result."""


def with_revision(number: str) -> Break:
    return lambda it: it.write(Transaction.execute, text(f"UPDATE alembic_version SET version_num = '{number}'"))


def move_api_elsewhere(it: Installation) -> None:
    """Set QWEN_API_URL to another machine's, which is not called."""
    it.settings = replace(it.settings, qwen_api_url="https://qwen-image-2512.invalid/api")


def install_params(scopes: list[str], permissions: int) -> dict[str, Any]:
    return {"0": {"oauth2_install_params": {"scopes": scopes, "permissions": str(permissions)}}, "1": {}}


NEEDED = 274879056896
BOTH = ["bot", "applications.commands"]
DAY_MS = 86_400_000
NOTHING = "http://127.0.0.1:9"

FAULTS: dict[str, tuple[Break, str, Level, str]] = {
    "token": (with_settings(discord_token="wrong.token"), "token", Level.FAIL, "refuses DISCORD_TOKEN"),
    "discord away": (with_settings(discord_api_url=NOTHING), "token", Level.FAIL, "no connection can be made"),
    "discord 503": (with_discord_fault("/users/@me$", status=503), "token", Level.FAIL, "a fault (HTTP 503)"),
    "discord 429": (with_discord_fault("/users/@me$", status=429), "token", Level.WARN, "slow down"),
    "clock": (with_machine(clock=LateClock(DAY_MS)), "clock", Level.FAIL, "ahead of"),
    "clock a little": (with_machine(clock=LateClock(-30_000)), "clock", Level.WARN, "behind"),
    "intent": (with_portal(flags=1 << 19), "application", Level.WARN, "Message Content Intent"),
    "endpoint": (
        with_portal(interactions_endpoint_url="https://x.example"),
        "application",
        Level.FAIL,
        "sends commands",
    ),
    "portal policy": (with_portal(privacy_policy_url=None), "application", Level.WARN, "names none for PRIVACY_URL"),
    "bot scope": (
        with_portal(integration_types_config=install_params(["applications.commands"], 0)),
        *("installs", Level.WARN, "lacks the scope bot"),
    ),
    "permissions": (
        with_portal(integration_types_config=install_params(BOTH, 8 | NEEDED)),
        *("installs", Level.WARN, "does not use: Administrator"),
    ),
    "no guild install": (
        with_portal(integration_types_config={"1": {}}),
        "installs",
        Level.FAIL,
        "Guild Install is off",
    ),
    "servers 500": (with_discord_fault("/guilds", status=500), "servers", Level.FAIL, "HTTP 500"),
    "no commands": (lambda it: it.put_commands([]), "commands", Level.WARN, "no command yet"),
    "a command less": (lambda it: it.put_commands(it.commands[1:]), "commands", Level.WARN, "(missing: "),
    "old commands": (
        lambda it: it.put_commands([it.commands[0] | {"default_member_permissions": "8"}, *it.commands[1:]]),
        *("commands", Level.WARN, "(changed: "),
    ),
    "key": (with_settings(qwen_api_key="sk-wrong"), "API key", Level.FAIL, "refuses QWEN_API_KEY"),
    "api away": (with_settings(qwen_api_url=NOTHING), "API key", Level.FAIL, "ClientConnectorError"),
    "api 500": (lambda it: it.change(qwen_api_url=f"{it.pages}/broken/api"), "API key", Level.FAIL, "HTTP 500"),
    "api elsewhere": (lambda it: it.change(qwen_api_url=f"{it.pages}/api"), "API key", Level.FAIL, "HTTP 404"),
    "no file": (lambda it: it.file.unlink(), "database", Level.WARN, "The first start makes it"),
    "no database": (lambda it: void(it.file.write_bytes(b"x" * 9999)), "database", Level.FAIL, "not a SQLite database"),
    "behind": (with_revision("0001"), "migrations", Level.WARN, "of an older version (schema 0001"),
    "ahead": (with_revision("9999"), "migrations", Level.FAIL, "of a newer version (schema 9999"),
    "host": (with_machine(environment={"DYNO": "worker.1"}), "disk", Level.FAIL, "Heroku empties a disk"),
    "memory": (with_machine(mounts="tmpfs / tmpfs rw 0 0"), "disk", Level.WARN, "in memory"),
    "room": (with_machine(free_bytes=lambda _: 1_000_000), "free space", Level.FAIL, "Only 1 MiB"),
    "public url away": (with_settings(public_url=NOTHING), "PUBLIC_URL", Level.FAIL, "can't be reached"),
    "public url wrong": (lambda it: it.change(public_url=it.pages), "PUBLIC_URL", Level.FAIL, "reaches something else"),
    "public url inside": (
        move_api_elsewhere,
        *("PUBLIC_URL", Level.FAIL, "address of this machine alone"),
    ),
    "port": (with_machine(listen_host="192.0.2.1"), "PUBLIC_URL", Level.FAIL, "can't listen on PORT"),
    "no policy": (
        with_settings(terms_url=f"{POLICIES}/gone"),
        "links",
        Level.FAIL,
        "leads to no page (HTTP 404)",
    ),
    "policy fault": (with_settings(terms_url=f"{POLICIES}/broken/"), "links", Level.WARN, "HTTP 500"),
    "policy unset": (with_settings(terms_url=""), "links", Level.WARN, "TERMS_URL is not set"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_made_on_purpose_is_found(installation: Installation, name: str) -> None:
    break_it, check, level, words = FAULTS[name]
    broken = break_it(installation)
    if broken is not None:
        await broken
    found = await installation.faults()
    assert [(each.check, each.level) for each in found if each.check == check] == [(check, level)], found
    assert any(words in each.text for each in found if each.check == check), found
    assert all(each.advice for each in found)


@pytest.mark.postgres
async def test_on_postgresql_the_servers_clock_is_compared_and_no_disk_is_needed(
    installation: Installation, postgresql_maker: PostgresqlMaker
) -> None:
    address = await postgresql_maker.create()
    installation.change(database_url=address)
    found = {finding.text for finding in await installation.examine() if finding.check in ("clock", "disk", "database")}
    assert {text.partition(",")[0].partition(" 1")[0] for text in found} == {
        *("This machine's clock agrees with that of Discord.", "Not needed: the database is on a server."),
        *("This machine's clock agrees with that of the database server.", "PostgreSQL"),
    }
    installation.machine = replace(installation.machine, clock=LateClock(DAY_MS))
    skewed = [finding for finding in await installation.faults() if finding.check == "clock"]
    assert [finding.level for finding in skewed] == [Level.FAIL, Level.FAIL]
    await postgresql_maker.drop(address)


async def test_without_a_token_the_rest_is_checked_all_the_same(installation: Installation) -> None:
    installation.change(discord_token="wrong.token")
    assert [finding.check for finding in await installation.examine()] == [
        *("token", "clock", "API key", "database", "migrations", "disk", "free space", "PUBLIC_URL", "links", "links")
    ]


async def test_another_program_on_the_port_is_found(installation: Installation) -> None:
    installation.change(port=int(installation.pages.rpartition(":")[2]))
    (found,) = await installation.faults()
    assert (found.check, found.level) == ("PUBLIC_URL", Level.FAIL)
    assert "Another program has taken PORT" in found.text


async def test_a_check_that_fails_itself_is_a_finding_beside_the_others(installation: Installation) -> None:
    async def fail(_: Settings) -> CommandLists:
        raise RuntimeError("sk-canary")

    installation.machine = replace(installation.machine, list_commands=fail)
    (found,) = await installation.faults()
    assert (found.check, found.level) == ("commands", Level.FAIL)
    assert "RuntimeError" in found.text and "canary" not in found.text


async def test_a_check_that_does_not_end_is_a_finding(installation: Installation) -> None:
    clock, cancelled = ManualClock(), asyncio.Event()

    async def hang(_: str) -> None:
        try:
            while True:
                clock.advance(CHECK_SECONDS)
                await asyncio.sleep(0.01)
        finally:
            cancelled.set()

    installation.machine = replace(installation.machine, clock=clock, ask_task=hang)
    found = [finding for finding in await installation.examine() if finding.check == "API key"]
    assert [(each.level, each.text) for each in found] == [(Level.FAIL, "It did not end within 30 s.")]
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_the_commands_of_owner_guilds_are_compared_and_a_server_without_the_bot_is_found(
    installation: Installation,
) -> None:
    guild_ids = (next(guild.id for guild in installation.box.discord.guilds if guild.installed), 7)
    installation.change(owner_guilds=guild_ids)
    installation.machine = replace(installation.machine, list_commands=list_commands)
    found = [finding.text for finding in await installation.examine() if finding.check == "commands"]
    assert found[0].startswith("Discord's list is not that of this version (unknown: /owner)")
    assert found[1].startswith(f"The list of server {guild_ids[0]} is not that of this version (missing: /owner)")
    assert found[2].startswith("The bot is not in server 7 of OWNER_GUILDS")
