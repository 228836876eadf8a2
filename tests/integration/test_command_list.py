"""A command list that Discord refuses: sent again without a restart, and what the log says about it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from discord import app_commands
from discord.http import Route

from discord_api.command_sync import RETRY_SECONDS, RETRY_SECONDS_MAX, keep_commands_current, sync_commands
from discord_api.stored_commands import (
    COMMANDS_LEASE,
    COMMANDS_LEASE_MS,
    COMMANDS_POLL_SECONDS,
    sync_stored_commands,
)
from store.database import Database
from store.leases import take_lease
from tests.doubles import ManualClock

REFUSED = {
    "code": 50035,
    "message": "Invalid Form Body",
    "errors": {"0": {"name": {"_errors": [{"code": "X", "message": "Name is taken"}]}}},
}
USED_UP = {"code": 30034, "message": "Max number of daily application command creates has been reached (200)"}
ME = {"id": "5", "username": "imagine", "discriminator": "0", "avatar": None}
COMMAND = {
    **{"id": "1", "application_id": "5", "type": 1, "name": "imagine", "version": "1"},
    **{"description": "makes an image", "default_member_permissions": None, "nsfw": False},
}


class CommandListRoute:
    """Discord's route for the command list, with the answers to each PUT in order. It waits while *open* is not set.

    *taken*: what GET lists. *unread*: the answers to each GET instead, in order.
    """

    def __init__(self) -> None:
        self.puts = 0
        self.open = asyncio.Event()
        self.open.set()
        self.answers = list[tuple[int, Any]]()
        self.unread = list[tuple[int, Any]]()
        self.taken: Any = []

    async def handle(self, request: web.Request) -> web.Response:
        status, body = 200, ME
        if request.method == "PUT":
            self.puts += 1
            await self.open.wait()
            if self.answers:
                status, body = self.answers.pop(0)
            else:
                body = self.taken = [COMMAND]
        elif request.path.endswith("/commands"):
            status, body = self.unread.pop(0) if self.unread else (200, self.taken)
        text = json.dumps(body).encode()
        return web.Response(body=text, status=status, headers={"Content-Type": "application/json"})


class SendingProcess:
    """One process with a command list to send."""

    def __init__(self, route: CommandListRoute, tree: app_commands.CommandTree[Any]) -> None:
        self.route = route
        self.clock = ManualClock()
        self.memory = dict[str, str]()
        self.tried = asyncio.Event()
        self.tree = tree
        self.going = asyncio.create_task(keep_commands_current(self._send, self.clock, tried=self.tried))

    async def _send(self) -> bool:
        async def save(key: str, value: str) -> None:
            self.memory[key] = value

        return await sync_commands(self.tree, save=save, api_url="x")

    async def puts(self) -> int:
        """Wait until nothing more happens by itself, and return how many PUTs were sent."""
        await self.tried.wait()
        for _ in range(15):
            await asyncio.sleep(0.005)
        return self.route.puts

    async def pass_time_until(self, task: asyncio.Task[bool]) -> None:
        """Let time pass until *task* ends."""
        async with asyncio.timeout(60):
            while not task.done():
                self.clock.advance(COMMANDS_POLL_SECONDS)
                await asyncio.sleep(0.005)


@pytest.fixture
async def process() -> Any:
    route = CommandListRoute()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", route.handle)
    async with TestServer(app) as server:
        before, Route.BASE = Route.BASE, str(server.make_url("/api/v10"))
        client = discord.Client(intents=discord.Intents.none(), application_id=5)
        client.http.loop = asyncio.get_running_loop()
        await client.http.static_login("token")
        tree: app_commands.CommandTree[Any] = app_commands.CommandTree(client)

        async def imagine(interaction: discord.Interaction) -> None: ...

        tree.add_command(app_commands.Command(name="imagine", description="makes an image", callback=imagine))

        def begin(*answers: tuple[int, Any], unread: tuple[tuple[int, Any], ...] = ()) -> SendingProcess:
            route.answers += answers
            route.unread += unread
            return SendingProcess(route, tree)

        yield begin
        await client.http.close()
        Route.BASE = before


@pytest.mark.parametrize(
    "answer", [(400, REFUSED), (400, USED_UP), (403, {"code": 50001, "message": "Missing Access"})]
)
async def test_a_refused_command_list_is_sent_again_less_and_less_often(process: Any, answer: tuple[int, Any]) -> None:
    one: SendingProcess = process(*[answer] * 10)
    wait, puts = RETRY_SECONDS, 1
    for _ in range(9):
        assert await one.puts() == puts
        one.clock.advance(wait - 1)
        assert await one.puts() == puts
        one.clock.advance(1)
        wait, puts = min(RETRY_SECONDS_MAX, wait * 2), puts + 1
    assert await one.puts() == 10 and not one.memory
    one.clock.advance(RETRY_SECONDS_MAX)
    await asyncio.wait_for(one.going, 60)
    assert one.memory, "taken"


async def test_the_log_names_discords_code_and_message_and_the_place(
    process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    one: SendingProcess = process((400, REFUSED))
    await one.puts()
    [said] = [record for record in caplog.records if record.name == "qwen_imagine.commands"]
    assert said.levelno == logging.ERROR
    for fact in ("CommandSyncFailure (HTTP 400, code 50035)", "Name is taken", "tree.py:"):
        assert fact in said.getMessage()
    one.going.cancel()


@pytest.mark.parametrize("body", [[{}], [{"name": "imagine"}], "a page", 5])
async def test_a_200_that_lists_no_ids_is_an_unreadable_answer_and_sent_again(process: Any, body: Any) -> None:
    one: SendingProcess = process((200, body))
    assert await one.puts() == 1 and not one.memory
    one.clock.advance(RETRY_SECONDS)
    await asyncio.wait_for(one.going, 60)
    assert one.memory


@pytest.mark.parametrize("answer", [(200, "a page"), (200, [5]), (403, {"code": 0, "message": "no"})])
async def test_a_list_that_discord_does_not_tell_is_not_sent_blindly_but_asked_for_again(
    process: Any, answer: tuple[int, Any]
) -> None:
    one: SendingProcess = process(unread=(answer,))
    assert await one.puts() == 0 and not one.memory
    one.clock.advance(RETRY_SECONDS)
    await asyncio.wait_for(one.going, 60)
    assert await one.puts() == 1 and one.memory


async def test_of_two_processes_that_start_at_once_one_sends_the_command_list(
    process: Any, empty_sqlite: Database
) -> None:
    one: SendingProcess = process()
    await one.going
    sent_before, one.route.taken = one.route.puts, []
    one.route.open.clear()

    def start(holder: str) -> asyncio.Task[bool]:
        return asyncio.create_task(sync_stored_commands(one.tree, empty_sqlite, "x", clock=one.clock, holder=holder))

    first = start("first")
    while one.route.puts == sent_before:  # noqa: ASYNC110 - the other side of a socket
        await asyncio.sleep(0.005)
    second = start("second")
    await empty_sqlite.in_background().run(lambda _: None)  # after the second one asked for the lease
    one.route.open.set()
    assert await first
    assert await empty_sqlite.run(take_lease, COMMANDS_LEASE, "third", 1, 1), "the first one gave it back"
    await one.pass_time_until(second)
    assert second.result() is False
    assert one.route.puts == sent_before + 1


async def test_the_command_list_of_a_process_that_died_while_it_sent_it_is_sent_by_another_one(
    process: Any, empty_sqlite: Database
) -> None:
    one: SendingProcess = process()
    await one.going
    now_ms, one.route.taken = one.clock.now_ms(), []
    await empty_sqlite.run(take_lease, COMMANDS_LEASE, "dead", now_ms, now_ms + COMMANDS_LEASE_MS)
    other = asyncio.create_task(sync_stored_commands(one.tree, empty_sqlite, "x", clock=one.clock, holder="other"))
    await one.pass_time_until(other)
    assert other.result()
    assert one.clock.now_ms() >= now_ms + COMMANDS_LEASE_MS
