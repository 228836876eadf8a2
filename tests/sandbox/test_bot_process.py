"""BotProcess with small scripts in the bot's place, and the clock in such a process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.bot_process import BotNotReady, BotProcess, BotState
from sandbox.clock import SandboxClock

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = "print('I am ready', flush=True)\nimport time\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER

Make = Callable[..., BotProcess]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[BotProcess] = []

    def make_one(source: str | None, *, environment: dict[str, str] | None = None, **more: Any) -> BotProcess:
        script = tmp_path / "bot.py"
        if source is not None:
            script.write_text(source)
        data_dir = tmp_path / "data"
        data_dir.mkdir(exist_ok=True)
        made.append(
            BotProcess(script, environment=lambda: environment or {}, data_dir=data_dir, now_ms=lambda: 1, **more)
        )
        return made[-1]

    yield make_one
    for bot in made:
        await bot.kill()


def exists(process_id: int | None) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(process_id: int) -> bool:
    for _ in range(3000):
        if not exists(process_id):
            return True
        await asyncio.sleep(0.03)
    return False


async def ended(bot: BotProcess) -> None:
    for _ in range(3000):
        if bot.pid is None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the process did not end")


async def test_a_process_is_starting_until_it_prints_ready(make: Make) -> None:
    bot = make("import time; time.sleep(0.2); print('already up'); time.sleep(0.2)\n" + SLEEPER)
    assert (bot.state, bot.pid) == (BotState.STOPPED, None)
    await bot.start()
    assert bot.state is BotState.STARTING
    await bot.wait_ready(60)
    assert bot.state is BotState.RUNNING
    assert exists(bot.pid)
    assert list(bot.log)[-2:] == ["already up", "I am ready"]


async def test_with_is_connected_a_process_is_running_once_connected_whatever_it_prints(make: Make) -> None:
    connected = False
    bot = make(SLEEPER, is_connected=lambda: connected)
    await bot.start()
    with pytest.raises(BotNotReady, match="The bot is starting"):
        await bot.wait_ready(0.5)
    connected = True
    await bot.wait_ready(60)
    assert bot.state is BotState.RUNNING


async def test_kill_ends_a_process_that_ignores_sigterm(make: Make) -> None:
    bot = make(STUBBORN)
    await bot.start()
    await bot.wait_ready(60)
    process_id = bot.pid
    await bot.kill()
    assert (bot.state, bot.pid, exists(process_id)) == (BotState.DIED, None, False)
    assert bot.log[-1] == "[sandbox] ended by signal 9"


async def test_stop_lets_the_process_finish_its_work(make: Make) -> None:
    bot = make(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('drained', flush=True), sys.exit(0)))\n" + SLEEPER
    )
    await bot.start()
    await bot.wait_ready(60)
    await bot.stop()
    assert bot.state is BotState.STOPPED
    assert list(bot.log)[-2:] == ["drained", "[sandbox] ended with exit code 0"]


async def test_stop_kills_a_process_that_ignores_sigterm(make: Make) -> None:
    bot = make(STUBBORN)
    await bot.start()
    await bot.wait_ready(60)
    await bot.stop(timeout_seconds=0.2)
    assert (bot.state, bot.pid) == (BotState.STOPPED, None)
    assert bot.log[-1] == "[sandbox] ended by signal 9"


async def test_a_process_that_ends_by_itself_is_stopped_for_exit_code_0_else_died_and_is_not_restarted(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bot = make("import sys; print('no token'); sys.exit(78)")
    await bot.start()
    await ended(bot)
    assert bot.state is BotState.DIED
    assert "exit code 78; its last line: no token" in caplog.text
    with pytest.raises(BotNotReady, match="no token"):
        await bot.wait_ready(60)
    bot = make("print('done')")
    await bot.start()
    await ended(bot)
    assert (bot.state, bot.starts) == (BotState.STOPPED, 1)


async def test_starting_twice_starts_once_and_a_restart_is_another_process(make: Make) -> None:
    bot = make(SLEEPER)
    await asyncio.gather(bot.start(), bot.start())
    await bot.wait_ready(60)
    first = bot.pid
    await bot.start()
    assert (bot.pid, bot.restarts) == (first, 0)
    await bot.restart()
    await bot.wait_ready(60)
    assert (bot.restarts, exists(first)) == (1, False)
    assert bot.pid != first


async def test_a_start_during_a_stop_waits_for_the_end_and_then_starts(make: Make) -> None:
    bot = make(STUBBORN)
    await bot.start()
    await bot.wait_ready(60)
    stopping = asyncio.create_task(bot.stop(timeout_seconds=0.3))
    await asyncio.sleep(0.05)
    await bot.start()
    await stopping
    await bot.wait_ready(60)
    assert (bot.state, bot.starts) == (BotState.RUNNING, 2)


@pytest.mark.parametrize("end", [BotProcess.kill, BotProcess.stop])
async def test_child_processes_of_the_bot_end_with_it(make: Make, end: Callable[[BotProcess], Awaitable[None]]) -> None:
    bot = make(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('child', child.pid, flush=True)\n" + SLEEPER
    )
    await bot.start()
    await bot.wait_ready(60)
    child = int(next(line for line in bot.log if line.startswith("child")).split()[1])
    assert exists(child)
    await end(bot)
    assert await gone(child)


async def test_the_process_gets_only_the_given_environment_and_its_data_folder(make: Make, tmp_path: Path) -> None:
    bot = make(
        "import os, sys\nfor name in sorted(os.environ): print(name)\nprint(os.getcwd())\nprint(sys.argv[0])\n",
        environment={"DISCORD_TOKEN": "a.b.c"},
    )
    await bot.start()
    await ended(bot)
    _, *names, folder, script, _ = bot.log
    assert set(names) - {"LC_CTYPE", "LANG", "HOME", "__CF_USER_TEXT_ENCODING"} == {
        "DISCORD_TOKEN",
        "PATH",
        "PYTHONUNBUFFERED",
    }
    assert (folder, script) == (str(tmp_path / "data"), str(tmp_path / "bot.py"))


async def test_the_last_200_lines_are_kept_and_all_lines_are_in_the_log_file(make: Make, tmp_path: Path) -> None:
    bot = make("import sys\nfor n in range(500): print(n)\nprint('x' * 100_000)\nsys.stdout.buffer.write(b'\\xff')\n")
    await bot.start()
    await ended(bot)
    lines = (tmp_path / "data" / "bot.log").read_text().splitlines()
    assert len(bot.log) == 200
    assert lines[1:501] == [str(n) for n in range(500)]
    assert [len(line) for line in lines[501:503]] == [4000, 1]
    assert list(bot.log) == lines[-200:]


async def test_colour_codes_are_removed_from_lines(make: Make) -> None:
    bot = make("print('\\x1b[34;1mINFO\\x1b[0m logged \\x1b[35min\\x1b[0m')")
    await bot.start()
    await ended(bot)
    assert bot.log[1] == "INFO logged in"


async def test_a_missing_script_is_died_with_the_reason_in_the_log(make: Make) -> None:
    bot = make(None)
    await bot.start()
    await ended(bot)
    assert bot.state is BotState.DIED
    assert any("can't open file" in line for line in bot.log)


async def test_a_missing_data_folder_is_died_with_the_reason_in_the_log(tmp_path: Path) -> None:
    nowhere = tmp_path / "gone"
    nowhere.mkdir()
    bot = BotProcess(tmp_path / "bot.py", environment=dict, data_dir=nowhere, now_ms=int)
    nowhere.rmdir()
    await bot.start()
    assert bot.state is BotState.DIED
    assert bot.log[-1] == "[sandbox] could not be started: No such file or directory"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_the_bot_ends_when_the_sandbox_is_killed(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(SLEEPER)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, pathlib, sys\n"
            "from sandbox.bot_process import BotProcess\n"
            "async def main():\n"
            "    here = pathlib.Path(sys.argv[1])\n"
            "    bot = BotProcess(here / 'bot.py', environment=dict, data_dir=here, now_ms=int)\n"
            "    await bot.start()\n"
            "    await bot.wait_ready(60)\n"
            "    print(bot.pid, flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())\n",
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        bot_id = int(parent.stdout.readline())
        assert exists(bot_id)
        parent.send_signal(signal.SIGKILL)
    assert asyncio.run(gone(bot_id))


def run_with_shim(source: str, clock_file: Path | None) -> str:
    environment = {
        "PYTHONPATH": str(ROOT / "sandbox" / "clock_shim"),
        **({"SANDBOX_CLOCK_FILE": str(clock_file)} if clock_file else {}),
    }
    return subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_time_in_the_process_follows_the_sandbox_clock_and_monotonic_time_does_not(tmp_path: Path) -> None:
    clock = SandboxClock(tmp_path / "offset")
    clock.advance(3600)
    told = run_with_shim(
        "import pathlib, sys, time\n"
        f"offset = pathlib.Path({str(tmp_path / 'offset')!r})\n"
        "print(time.time()); print(time.time_ns() / 1e9); before = time.monotonic()\n"
        "offset.write_text('90000000'); time.sleep(0.06)\n"
        "print(time.time()); offset.unlink(); time.sleep(0.06); print(time.time()); print(time.monotonic() - before)\n",
        tmp_path / "offset",
    )
    first, first_ns, later, without_file, monotonic_seconds = map(float, told.split())
    assert abs(first - time.time() - 3600) < 10
    assert abs(first - first_ns) < 1
    assert abs(later - first - 25 * 3600 + 3600) < 10
    assert abs(without_file - later) < 10
    assert monotonic_seconds < 10


def test_without_a_clock_file_time_is_unchanged() -> None:
    assert run_with_shim("import time; print(time.time.__module__)", None).strip() == "time"


def test_the_sandbox_clock_keeps_its_offset_for_the_next_run_and_only_moves_forward(tmp_path: Path) -> None:
    clock = SandboxClock(tmp_path / "offset", real_now_ms=lambda: 1000)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.offset_ms) == (2500, 1500)
    assert SandboxClock(tmp_path / "offset", real_now_ms=lambda: 1000).now_ms() == 2500
    for seconds in (0, -1, float("nan"), float("inf"), 400 * 86_400):
        with pytest.raises(ValueError, match="forward only"):
            clock.advance(seconds)
    assert clock.now_ms() == 2500
    assert os.listdir(tmp_path) == ["offset"]
