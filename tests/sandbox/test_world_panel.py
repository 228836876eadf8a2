"""The panel's routes and the guard, in an application without the local Discord."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sandbox.bot_process import BotProcess
from sandbox.clock import SandboxClock
from sandbox.guard import guard, is_loopback_host, refusal
from sandbox.image_api import ImageApi, Mood
from sandbox.local_discord import Lie, LocalDiscord
from sandbox.panel import Panel
from sandbox.shards import ProcessShards

READY = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"


class PanelApp:
    def __init__(self, folder: Path) -> None:
        (folder / "bot.py").write_text(READY)
        self.url = ""
        self.session: aiohttp.ClientSession
        self.clock = SandboxClock(folder / "offset")
        self.images = ImageApi(self.clock, rng=random.Random(1))
        self.discord = LocalDiscord(self.clock, rng=random.Random(1))
        self.shards = [ProcessShards(self.discord.gateway, number, 3) for number in range(3)]
        self.bots = [
            BotProcess(folder / "bot.py", environment=dict, data_dir=folder, now_ms=self.clock.now_ms)
            for _ in self.shards
        ]

    async def show(self) -> dict:
        async with self.session.get(f"{self.url}/sandbox/panel") as answer:
            assert answer.status == 200
            return await answer.json()

    async def act(self, what: str, body: object) -> tuple[int, dict]:
        async with self.session.post(f"{self.url}/sandbox/panel/{what}", json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def panel_app(tmp_path: Path) -> AsyncIterator[PanelApp]:
    made = PanelApp(tmp_path)
    app = web.Application(middlewares=[guard])
    Panel(bots=made.bots, shards=made.shards, images=made.images, discord=made.discord, clock=made.clock).attach(app)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as made.session:
        yield made
        await asyncio.gather(*(bot.kill() for bot in made.bots))
    await runner.cleanup()


async def test_the_panel_describes_bot_image_api_and_clock(panel_app: PanelApp) -> None:
    panel = await panel_app.show()
    first = panel["bots"][0]
    assert (first["state"], first["pid"], first["restarts"], first["log"]) == ("stopped", None, 0, [])
    assert [[(shard["id"], shard["places"]) for shard in bot["shards"]] for bot in panel["bots"]] == [
        [(0, ["Lighthouse", "direct messages"]), (1, [])],
        [(2, ["Orchard"]), (3, ["Harbour"])],
        [(4, ["Boatyard"]), (5, [])],
    ]
    assert panel["image_api"]["mood"] == "normal"
    assert {"id", "label", "help", "group"} == set(panel["image_api"]["moods"][0])
    assert [mood["id"] for mood in panel["image_api"]["moods"]] == [mood.value for mood in Mood]
    assert panel["image_api"]["tasks"] == {"running": 0, "done": 0, "failed": 0}
    assert (panel["image_api"]["remaining"], panel["image_api"]["posts"]) == (None, 0)
    assert panel["clock"]["offset_ms"] == 0
    assert abs(panel["clock"]["now_ms"] - panel_app.clock.now_ms()) < 10_000


async def test_a_mood_is_set_until_changed_or_for_a_count_of_tasks(panel_app: PanelApp) -> None:
    status, panel = await panel_app.act("mood", {"mood": "declined"})
    assert (status, panel["image_api"]["mood"], panel["image_api"]["remaining"]) == (200, "declined", None)
    status, panel = await panel_app.act("mood", {"mood": "busy", "count": 3})
    assert (status, panel["image_api"]["mood"], panel["image_api"]["remaining"]) == (200, "busy", 3)
    assert panel_app.images.mood is Mood.BUSY


async def test_an_outage_of_a_server_begins_and_ends(panel_app: PanelApp) -> None:
    orchard = next(server for server in (await panel_app.show())["servers"] if server["name"] == "Orchard")
    assert orchard["unavailable"] is False
    for unavailable in (True, False):
        _, panel = await panel_app.act("outage", {"guild_id": orchard["id"], "unavailable": unavailable})
        assert {server["name"]: server["unavailable"] for server in panel["servers"]} == {
            "Lighthouse": False,
            "Orchard": unavailable,
        }
    for wrong in ({"guild_id": "1", "unavailable": True}, {"guild_id": orchard["id"], "unavailable": "yes"}):
        assert (await panel_app.act("outage", wrong))[0] == 400


async def test_a_process_is_started_killed_started_again_and_stopped_and_the_others_are_left_alone(
    panel_app: PanelApp,
) -> None:
    pids = []
    for action, state in [("start", "starting"), ("kill", "died"), ("start", "starting"), ("stop", "stopped")]:
        status, panel = await panel_app.act("bot", {"action": action, "process": 1})
        state_now = panel["bots"][1]["state"]
        assert (status, state_now) in {(200, state), (200, "running" if action == "start" else state)}
        if action == "start":
            await panel_app.bots[1].wait_ready(60)
        panel = await panel_app.show()
        pids.append(panel["bots"][1]["pid"])
    assert panel["bots"][1]["restarts"] == 1
    assert pids[1] is pids[3] is None
    assert pids[0] != pids[2]
    assert "ready" in panel["bots"][1]["log"]
    assert [bot.starts for bot in panel_app.bots] == [0, 2, 0]


async def test_the_clock_moves_forward_and_the_panel_shows_the_offset(panel_app: PanelApp) -> None:
    status, panel = await panel_app.act("clock", {"advance_seconds": 3600})
    assert (status, panel["clock"]["offset_ms"]) == (200, 3_600_000)
    assert (await panel_app.act("clock", {"advance_seconds": 0.5}))[1]["clock"]["offset_ms"] == 3_600_500


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("mood", {"mood": "sunny"}),
        ("mood", {"mood": ["busy"]}),
        ("mood", {}),
        ("mood", {"mood": "busy", "count": 0}),
        ("mood", {"mood": "busy", "count": "2"}),
        ("mood", {"mood": "busy", "count": True}),
        ("bot", {"action": "dance"}),
        ("bot", {"action": {}}),
        *(("bot", {"action": "start", "process": process}) for process in (3, -1, "0", True, None)),
        ("bot", []),
        ("clock", {"advance_seconds": -5}),
        ("clock", {"advance_seconds": "5"}),
        ("clock", {"advance_seconds": 1e308}),
        ("clock", {"advance_seconds": 10**400}),
        ("clock", {"advance_seconds": float("nan")}),
        ("clock", None),
    ],
)
async def test_an_invalid_request_gets_400_with_a_sentence_and_changes_nothing(
    panel_app: PanelApp, what: str, body: object
) -> None:
    status, answer = await panel_app.act(what, body)
    assert status == 400
    assert answer["error"].endswith(".")
    assert panel_app.images.mood is Mood.NORMAL
    assert panel_app.clock.offset_ms == 0
    assert [bot.starts for bot in panel_app.bots] == [0, 0, 0]


async def test_a_body_that_is_not_json_gets_400(panel_app: PanelApp) -> None:
    async with panel_app.session.post(f"{panel_app.url}/sandbox/panel/mood", data=b"{") as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "The body must be a JSON object."})


async def test_the_live_panel_is_pushed_when_something_changes_and_only_then(panel_app: PanelApp) -> None:
    async with panel_app.session.ws_connect(f"{panel_app.url}/sandbox/panel/live") as socket:
        assert (await socket.receive_json(timeout=60))["image_api"]["mood"] == "normal"
        await panel_app.act("mood", {"mood": "slow"})
        assert (await socket.receive_json(timeout=60))["image_api"]["mood"] == "slow"
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=1.2)


async def test_the_live_panel_comes_at_most_twice_a_second(panel_app: PanelApp) -> None:
    async with panel_app.session.ws_connect(f"{panel_app.url}/sandbox/panel/live") as socket:
        pushes = 0
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.2
        while loop.time() < end:
            await panel_app.act("clock", {"advance_seconds": 1})
            await socket.send_str("noise")
            try:
                await socket.receive(timeout=0.05)
                pushes += 1
            except TimeoutError:
                continue
        assert 2 <= pushes <= 4


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8025", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8025"])
def test_host_headers_of_this_machine_are_accepted(host: str) -> None:
    assert is_loopback_host(host)
    assert refusal(host, f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "127.0.0.1.example.com", "example.com:8025", "localhost:x", "localhost:", "::1", "[::1]x", "@"],
)
def test_other_host_headers_are_refused(host: str) -> None:
    assert not is_loopback_host(host)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (None, "http://example.com"),
        (None, "null"),
        (None, "https://{own}"),
        (None, "http://127.0.0.1:1"),
        ("example.com", None),
        ("rebound.example.com:8025", "http://rebound.example.com:8025"),
    ],
)
async def test_a_wrong_origin_or_host_gets_403_on_routes_and_sockets(
    panel_app: PanelApp, host: str | None, origin: str | None
) -> None:
    own = panel_app.url.partition("//")[2]
    headers = {"Host": host or own, **({"Origin": origin.format(own=own)} if origin else {})}
    async with panel_app.session.get(f"{panel_app.url}/sandbox/panel", headers=headers) as answer:
        assert answer.status == 403
    async with panel_app.session.post(
        f"{panel_app.url}/sandbox/panel/bot", json={"action": "start"}, headers=headers
    ) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await panel_app.session.ws_connect(f"{panel_app.url}/sandbox/panel/live", headers=headers)
    assert [bot.starts for bot in panel_app.bots] == [0, 0, 0]


async def test_the_sandboxs_own_page_is_accepted(panel_app: PanelApp) -> None:
    async with panel_app.session.get(f"{panel_app.url}/sandbox/panel", headers={"Origin": panel_app.url}) as answer:
        assert answer.status == 200


async def test_a_lie_of_discord_is_told_and_ended_from_the_panel(panel_app: PanelApp) -> None:
    assert [lie["told"] for lie in (await panel_app.show())["lies"]] == [False] * len(Lie)
    status, panel = await panel_app.act("lie", {"lie": "no_text_limit", "told": True})
    assert status == 200 and [lie["id"] for lie in panel["lies"] if lie["told"]] == ["no_text_limit"]
    assert panel_app.discord.faults.lies == {Lie.NO_TEXT_LIMIT}
    await panel_app.act("lie", {"lie": "no_text_limit", "told": False})
    assert panel_app.discord.faults.lies == set()
    assert (await panel_app.act("lie", {"lie": "no_text_limit", "told": "yes"}))[0] == 400
    assert (await panel_app.act("lie", {"lie": "white", "told": True}))[0] == 400
