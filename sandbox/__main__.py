"""`python -m sandbox`: opens the sandbox, its page in the browser, and starts the bot in it, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.postgresql import PostgresqlUnavailable, open_postgresql
from sandbox.shards import SHARD_COUNT
from sandbox.world import CLOCK_FILE, HOST, Sandbox

PORT = 8025


def parse_arguments(arguments: list[str], platform: str = sys.platform) -> argparse.Namespace:
    """Return the options. Raises SystemExit, after a sentence, where they or *platform* can't be used."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Try the bot in a browser, on this machine.")
    parser.add_argument("--port", type=int, default=PORT, help=f"the page's port (default {PORT})")
    parser.add_argument(
        "--data-dir", type=Path, help="where the bot keeps its data (default: a folder that is deleted)"
    )
    parser.add_argument("--no-bot", action="store_true", help="do not start the bot; the page can")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in the browser")
    parser.add_argument("--callbacks", action="store_true", help="let the image API call the bot back")
    parser.add_argument(
        "--processes", type=int, default=1, help="how many processes of the bot share a PostgreSQL and six shards"
    )
    wanted = parser.parse_args(arguments)
    if platform == "win32":
        parser.error("the sandbox stops and kills processes by signals, which Windows lacks: use WSL, Linux or macOS")
    if not 1 <= wanted.processes <= SHARD_COUNT:
        parser.error(f"--processes must be from 1 to {SHARD_COUNT}: there are {SHARD_COUNT} shards")
    if wanted.callbacks and wanted.processes > 1:
        parser.error("--callbacks is for one process: several need a load balancer in front of them")
    if not 0 <= wanted.port <= 65_535:
        parser.error("--port must be from 0 to 65535")
    return wanted


async def run(
    port: int,
    data_dir: Path,
    *,
    start_bot: bool,
    callbacks: bool = False,
    processes: int = 1,
    open_page: Callable[[str], None] | None = None,
) -> int:
    """Keep the sandbox open until Ctrl-C, SIGTERM or the end of the terminal. Return the exit code.

    *open_page* gets the page's address once it is served.
    """
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            settings = find_callback_settings() if callbacks else {}
            if processes > 1:
                print("Starting PostgreSQL …", flush=True)
                database = open_postgresql(data_dir / "postgresql", data_dir / CLOCK_FILE)
                settings["DATABASE_URL"] = (await stack.enter_async_context(database)).address
            box = Sandbox(port=port, data_dir=data_dir, bot_settings=settings, processes=processes)
            await stack.enter_async_context(box)
        except OSError as error:
            print(explain(error, port), file=sys.stderr)
            return 1
        except PostgresqlUnavailable as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Open {box.url}/")
        if callbacks:
            print(f"The bot's figures: {settings['PUBLIC_URL']}/metrics")
        print("Ctrl-C ends everything.", flush=True)
        if open_page is not None:
            open_page(f"{box.url}/")
        if start_bot:
            await asyncio.gather(*(bot.start() for bot in box.bots))
        await ended.wait()
    return 0


def opens_browser(
    wanted: argparse.Namespace, environment: Mapping[str, str], *, platform: str, is_terminal: bool
) -> bool:
    """Return whether to open the page in a browser: it is wanted, and would open in front of the person who asked.

    Not where no terminal reads what is printed (a test, a script), in CI, over SSH without a display, or on a system
    with X or Wayland where neither runs.
    """
    if wanted.no_browser or not is_terminal or environment.get("CI"):
        return False
    if environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        return True
    return platform == "darwin" and not (environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))


def open_in_browser(address: str) -> None:
    """Open *address* in the default browser. A browser that fails or blocks changes nothing here."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def find_callback_settings() -> dict[str, str]:
    """Return the bot's settings for callbacks on a port that is free now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port = found.getsockname()[1]
    return {"PUBLIC_URL": f"http://{HOST}:{port}", "PORT": str(port)}


def explain(error: OSError, port: int) -> str:
    """Return why the sandbox could not be opened, in one sentence."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program; choose another with --port."
    if error.filename is not None:
        return f"The data folder cannot be used: {error.filename}: {error.strerror}."
    return f"Port {port} cannot be opened: {error.strerror}."


def main() -> int:
    wanted = parse_arguments(sys.argv[1:])
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with contextlib.ExitStack() as stack:
        folder = wanted.data_dir
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qwen-imagine-sandbox-")))
        opens = opens_browser(wanted, os.environ, platform=sys.platform, is_terminal=sys.stdout.isatty())
        sandbox = run(
            wanted.port,
            folder.resolve(),
            start_bot=not wanted.no_bot,
            callbacks=wanted.callbacks,
            processes=wanted.processes,
            open_page=open_in_browser if opens else None,
        )
        return asyncio.run(sandbox)


if __name__ == "__main__":
    sys.exit(main())
