"""The whole sandbox: its port, the page, the bot's settings, and `python -m sandbox` as a program."""

import asyncio
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sandbox.__main__ import opens_browser, parse_arguments
from sandbox.clock import SandboxClock
from sandbox.local_discord import LocalDiscord
from sandbox.shards import SHARD_COUNT, ProcessShards
from sandbox.world import Sandbox

ROOT = Path(__file__).resolve().parents[2]
SHOW_SETTINGS = (
    "import os, time\n"
    "for name, value in sorted(os.environ.items()): print(f'{name}={value}')\n"
    "print('now', time.time())\n"
)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    (tmp_path / "bot.py").write_text(SHOW_SETTINGS)
    async with Sandbox(
        data_dir=tmp_path / "data", bot_settings={"LOG_LEVEL": "DEBUG"}, bot_script=tmp_path / "bot.py"
    ) as opened:
        yield opened


async def settings_seen_by_the_bot(box: Sandbox) -> dict[str, str]:
    await box.bot.start()
    for _ in range(3000):
        if box.bot.pid is None:
            break
        await asyncio.sleep(0.02)
    return dict(line.split("=", 1) for line in box.bot.log if "=" in line)


async def test_the_bot_gets_its_settings_and_none_of_the_developers_environment(box: Sandbox, tmp_path: Path) -> None:
    seen = await settings_seen_by_the_bot(box)
    assert seen["DISCORD_TOKEN"] == box.discord.token
    assert seen["DISCORD_API_URL"] == f"{box.url}/api/v10"
    assert seen["DISCORD_GATEWAY_URL"] == f"{box.url.replace('http', 'ws')}/gateway"
    assert seen["QWEN_API_KEY"] == box.images.key
    assert seen["QWEN_API_URL"] == f"{box.url}/image-api/api"
    assert seen["QWEN_IMAGE_HOSTS"] == "127.0.0.1"
    assert seen["DATABASE_URL"] == f"sqlite:///{tmp_path}/data/bot.sqlite3"
    assert seen["OWNER_IDS"] == str(box.discord.people["olga"].id)
    assert seen["LOG_LEVEL"] == "DEBUG"
    assert set(os.environ) & set(seen) <= {"PATH", "HOME", "LANG", "LC_CTYPE", "PYTHONPATH", "PYTHONUNBUFFERED"}


async def test_several_bots_share_a_database_and_divide_the_shards_each_with_a_log_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(SHOW_SETTINGS)
    address = {"DATABASE_URL": "postgresql://postgres@/imagine"}
    box = Sandbox(data_dir=tmp_path / "data", bot_settings=address, bot_script=tmp_path / "bot.py", processes=3)
    async with box:
        for bot in box.bots:
            await bot.start()
        for _ in range(3000):
            if not any(bot.pid for bot in box.bots):
                break
            await asyncio.sleep(0.02)
        for number, bot in enumerate(box.bots):
            seen = dict(line.split("=", 1) for line in bot.log if "=" in line)
            names = ("SHARD_COUNT", "SHARD_PROCESS", "SHARD_PROCESSES", "DATABASE_URL")
            assert [seen[name] for name in names] == ["6", str(number), "3", address["DATABASE_URL"]]
            assert (tmp_path / "data" / f"process-{number}" / "bot.log").read_text().count("SHARD_PROCESS=") == 1
        assert (box.discord.gateway.shards, box.discord.gateway.max_concurrency) == (6, 2)


async def test_a_single_bot_asks_discord_for_its_shards(box: Sandbox) -> None:
    assert not [name for name in await settings_seen_by_the_bot(box) if name.startswith("SHARD")]


def test_every_number_of_processes_gets_each_shard_once() -> None:
    gateway = LocalDiscord(SandboxClock(), rng=random.Random(1)).gateway
    for processes in range(2, SHARD_COUNT + 1):
        shares = [ProcessShards(gateway, number, processes).ids for number in range(processes)]
        assert [shard for share in shares for shard in share] == list(range(SHARD_COUNT))
        assert {len(share) for share in shares} <= {SHARD_COUNT // processes, -(-SHARD_COUNT // processes)}


async def test_the_bots_clock_is_the_sandboxs(box: Sandbox) -> None:
    box.clock.advance(86_400)
    await settings_seen_by_the_bot(box)
    told = next(float(line.split()[1]) for line in box.bot.log if line.startswith("now"))
    assert abs(told * 1000 - box.clock.now_ms()) < 10_000


async def test_the_page_is_served_from_its_folder_uncached_with_a_strict_policy(box: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(box.url) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
            own_files = re.findall(r'(?:src|href)="(/page/[^"]+)"', await answer.text())
            assert answer.headers["Cache-Control"] == "no-store"
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert own_files
        for path in own_files:
            async with session.get(box.url + path) as answer:
                assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store"), path
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for path in ("/page/", "/page/../world.py", "/page/%2e%2e/world.py", "/page/nothing.js"):
            async with session.get(box.url + path) as answer:
                assert answer.status in {403, 404}, path


async def test_a_request_for_localhost_is_redirected_to_127_0_0_1(box: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        port = box.url.rpartition(":")[2]
        async with session.get(box.url, headers={"Host": f"localhost:{port}"}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, f"{box.url}/")


@pytest.mark.parametrize(
    "path", ["/", "/sandbox/panel", "/sandbox/violations", "/api/v10/gateway/bot", "/image-api/api/status"]
)
async def test_every_part_refuses_other_sites(box: Sandbox, path: str) -> None:
    async with aiohttp.ClientSession() as session:
        for headers in ({"Origin": "http://example.com"}, {"Host": "example.com"}):
            async with session.get(box.url + path, headers=headers) as answer:
                assert answer.status == 403


async def test_discord_image_api_and_panel_share_one_port(box: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        bot = {"Authorization": f"Bot {box.discord.token}"}
        async with session.get(f"{box.url}/api/v10/gateway/bot", headers=bot) as answer:
            assert (await answer.json())["url"].startswith(box.url.replace("http", "ws"))
        key = {"Authorization": f"Bearer {box.images.key}"}
        async with session.post(f"{box.url}/image-api/api/generate", json={"prompt": "x"}, headers=key) as answer:
            assert answer.status == 200
        async with session.get(f"{box.url}/sandbox/panel") as answer:
            assert (await answer.json())["image_api"]["tasks"]["running"] == 1


async def test_the_same_seed_gives_the_same_secrets_and_another_seed_gives_others(tmp_path: Path) -> None:
    first, again, other = [Sandbox(data_dir=tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2))]
    assert first.discord.token == again.discord.token
    assert first.images.key == again.images.key != other.images.key


async def test_closing_the_sandbox_ends_the_bot_and_frees_the_port(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    async with Sandbox(data_dir=tmp_path, bot_script=tmp_path / "bot.py") as box:
        await box.bot.start()
        process_id = box.bot.pid
        assert process_id is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2])), timeout=1)


async def test_open_pages_and_unanswered_requests_do_not_delay_closing(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with Sandbox(data_dir=tmp_path) as box:
            live = await session.ws_connect(f"{box.url}/sandbox/panel/live")
            people = await session.ws_connect(f"{box.url}/sandbox/live?as=mira")
            box.images.set_mood("silent")
            key = {"Authorization": f"Bearer {box.images.key}"}
            unanswered = asyncio.create_task(
                session.post(f"{box.url}/image-api/api/generate", json={"prompt": "x"}, headers=key)
            )
            await asyncio.sleep(0.1)
            before = time.monotonic()
        assert time.monotonic() - before < 30
        with pytest.raises(aiohttp.ClientError):
            await unanswered
        await live.close()
        await people.close()


def program(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_program_prints_one_address_and_ends_with_0_on_ctrl_c_sigterm_and_the_end_of_its_terminal(
    number: int, tmp_path: Path
) -> None:
    with program("--port", "0", "--no-bot", "--data-dir", str(tmp_path / "new" / "data")) as running:
        try:
            assert running.stdout is not None
            first, second = running.stdout.readline(), running.stdout.readline()
            assert re.fullmatch(r"Open http://127\.0\.0\.1:\d+/\n", first)
            assert second == "Ctrl-C ends everything.\n"
            address = first.split("//")[1].rstrip("/\n").split(":")
            socket.create_connection((address[0], int(address[1])), timeout=60).close()
            running.send_signal(number)
            rest, errors = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, rest, errors) == (0, "", "")


DESKTOP = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("environment", "platform", "is_opened"),
    [
        (DESKTOP, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({**DESKTOP, "SSH_CONNECTION": "a"}, "linux", True),
        ({"SSH_CONNECTION": "a"}, "linux", False),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a"}, "darwin", False),
        ({"SSH_TTY": "a"}, "darwin", False),
        ({**DESKTOP, "CI": "true"}, "linux", False),
    ],
)
def test_a_browser_is_opened_on_a_desktop_alone(environment: dict[str, str], platform: str, is_opened: bool) -> None:
    wanted, refused = parse_arguments([]), parse_arguments(["--no-browser"])
    assert opens_browser(wanted, environment, platform=platform, is_terminal=True) is is_opened
    assert not opens_browser(wanted, environment, platform=platform, is_terminal=False)
    assert not opens_browser(refused, environment, platform=platform, is_terminal=True)


def test_in_a_terminal_the_page_opens_by_itself_once_it_is_served(tmp_path: Path) -> None:
    """The browser here asks for the page as a real one does, notes address and status, and presses Ctrl-C."""
    noted, browser = tmp_path / "noted", tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\nimport os, sys, urllib.request\n"
        "status = urllib.request.urlopen(sys.argv[1]).status\n"
        f"open({str(noted)!r}, 'w').write(f'{{sys.argv[1]}} {{status}}')\n"
        f"os.kill(os.getppid(), {signal.SIGINT:d})\n"
    )
    browser.chmod(0o755)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", "--no-bot"],
        cwd=ROOT,
        env={**os.environ, **DESKTOP, "CI": "", "BROWSER": f"{browser} %s"},
        stdout=theirs,
        start_new_session=True,
    ) as running:
        os.close(theirs)
        try:
            told = ""
            while "Ctrl-C" not in told:
                told += os.read(ours, 1000).decode()
            assert running.wait(60) == 0
        finally:
            running.kill()
            os.close(ours)
    assert noted.read_text() == re.sub(r"Open (\S+)[\s\S]*", r"\1 200", told)


def test_on_windows_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments([], "win32")
    assert "use WSL, Linux or macOS" in capsys.readouterr().err


def test_without_a_data_folder_the_temporary_folder_is_deleted(tmp_path: Path) -> None:
    with program("--port", "0", "--no-bot", environment={"TMPDIR": str(tmp_path)}) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert [path.name[:8] for path in tmp_path.iterdir()] == ["qwen-ima"]
        running.terminate()
        running.communicate(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_ends_the_program_with_a_sentence_and_exit_code_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with program("--port", str(port), "--no-bot") as running:
            told, errors = running.communicate(timeout=60)
    assert (running.returncode, told) == (1, "")
    assert errors == f"Port {port} is taken by another program; choose another with --port.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--port", "99999"), "--port must be from 0 to 65535"),
        (("--processes", "7"), "--processes must be from 1 to 6"),
        (("--processes", "0"), "--processes must be from 1 to 6"),
        (("--processes", "2", "--callbacks"), "--callbacks is for one process"),
    ],
)
def test_an_invalid_port_and_a_number_of_processes_that_cannot_be_are_refused_with_a_sentence_and_exit_code_2(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([*arguments])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and told in said.err


def test_an_unusable_data_folder_ends_the_program_with_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "clock_offset_ms").write_text("an hour")
    (tmp_path / "file").write_text("")
    told_of = {
        tmp_path / "file": "file: File exists",
        tmp_path: "clock_offset_ms: does not hold a number of milliseconds",
    }
    for folder, reason in told_of.items():
        with program("--port", "0", "--no-bot", "--data-dir", str(folder)) as running:
            told, errors = running.communicate(timeout=60)
        assert (running.returncode, told) == (1, "")
        assert errors == f"The data folder cannot be used: {tmp_path}/{reason}.\n"
