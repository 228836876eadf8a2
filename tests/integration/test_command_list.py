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
from tests.doubles import ManualClock

REFUSED = {
    "code": 50035,
    "message": "Invalid Form Body",
    "errors": {"0": {"name": {"_errors": [{"code": "X", "message": "Name is taken"}]}}},
}
USED_UP = {"code": 30034, "message": "Max number of daily application command creates has been reached (200)"}
ME = {"id": "5", "username": "imagine", "discriminator": "0", "avatar": None}
COMMAND = {
    **{"id": "1", "application_id": "5", "type": 1, "name": "imagine", "description": "x", "version": "1"},
    **{"default_member_permissions": None, "nsfw": False},
}


class CommandListRoute:
    """Discord's route for the command list, with the answers to each PUT in order."""

    def __init__(self) -> None:
        self.puts = 0
        self.answers = list[tuple[int, Any]]()

    async def handle(self, request: web.Request) -> web.Response:
        status, body = 200, ME
        if request.method == "PUT":
            self.puts += 1
            status, body = self.answers.pop(0) if self.answers else (200, [COMMAND])
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
        async def load(key: str) -> str | None:
            return self.memory.get(key)

        async def save(key: str, value: str) -> None:
            self.memory[key] = value

        return await sync_commands(self.tree, load=load, save=save, api_url="x")

    async def puts(self) -> int:
        """Wait until nothing more happens by itself, and return how many PUTs were sent."""
        await self.tried.wait()
        for _ in range(15):
            await asyncio.sleep(0.005)
        return self.route.puts


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

        def begin(*answers: tuple[int, Any]) -> SendingProcess:
            route.answers += answers
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
    assert one.memory, "taken, and not sent again at the next start"


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
