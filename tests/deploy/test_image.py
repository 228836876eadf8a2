"""The Dockerfile: linted, its steps carried out, and what they make run as `docker run --read-only` would."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.world import Sandbox
from tests.architecture.laws import OURS
from tests.deploy.dockerfile import ROOT, Layers, context_files, is_in_context, read_ignored

LONGEST_SECONDS = 120
SANDBOXED = ("PYTHONPATH", "SANDBOX_CLOCK_FILE", "DATABASE_URL")  # of the sandbox's bot; the image has its own database


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint has no wheel for this system")
    ended = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_image_has_the_python_of_the_file_that_names_it() -> None:
    bases = re.findall(r"^FROM python:([0-9.]+)-slim", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert set(bases) == {(ROOT / ".python-version").read_text("utf-8").strip()}


def test_every_module_of_the_bot_is_sent_to_the_engine() -> None:
    sent = set(context_files())
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rooms = {*OURS} - {"sandbox", "scripts"}
    assert {name for name in listed.split() if name.split("/")[0].removesuffix(".py") in rooms} <= sent
    assert "docs/policies/privacy.md.template" in sent


@pytest.mark.parametrize(
    "path",
    (
        *(".env", ".env.production", "data/imagine.db", "data/imagine.db-wal", "imagine.db", ".git/config"),
        *("tests/conftest.py", "sandbox/world.py", "deploy/kubernetes.yaml", ".venv/bin/python"),
        "cogs/__pycache__/imagine.cpython-311.pyc",
    ),
)
def test_secrets_data_and_what_the_bot_does_not_need_stay_out(path: str) -> None:
    assert not is_in_context(path, read_ignored((ROOT / ".dockerignore").read_text("utf-8")))


def test_the_image_is_run_by_a_user_who_can_write_to_its_data_and_tmp_alone(image: Layers) -> None:
    assert image.run("id", "-u") == "10001\n"
    assert image.run("sh", "-c", "touch /data/x /tmp/x && rm /data/x && stat -c %a:%U /data") == "700:imagine\n"
    for place in ("/app/x", "/venv/x", "/var/x", "/x"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            image.run("touch", place, user="0:0")
    assert image.run("grep", "CapBnd", "/proc/self/status").split()[1] == "0" * 16


def test_the_venv_of_the_image_has_its_bytecode_and_no_pip(image: Layers) -> None:
    assert "__pycache__" in image.run("ls", "-A", "/app")
    assert "pip" not in image.run("ls", "/venv/bin").split()


async def test_the_container_becomes_healthy_and_ends_after_sigterm(image: Layers, tmp_path: Path) -> None:
    async with Sandbox(data_dir=tmp_path) as box:
        settings = {name: value for name, value in box.bot_environment().items() if name not in SANDBOXED}
        settings |= {"PUBLIC_URL": "https://imagine.example.com", "PORT": str(free_port())}
        assert health(image, settings) != 0  # nobody listens yet
        container = await asyncio.create_subprocess_exec(
            *image.argv(image.command, settings), stderr=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            await read_until(container, "ready:")
            async with asyncio.timeout(LONGEST_SECONDS):
                while await asyncio.to_thread(health, image, settings) != 0:
                    assert container.returncode is None
            assert "imagine.db" in await asyncio.to_thread(image.run, "ls", "/data")
            ledger = await asyncio.to_thread(image.run, "python", "bot.py", "ledger", "check", environment=settings)
            assert ledger == "The ledger has no fault.\n"
            container.send_signal(signal.SIGTERM)
            async with asyncio.timeout(LONGEST_SECONDS):
                assert await container.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):  # whatever is left of it
                os.killpg(container.pid, signal.SIGKILL)
        assert health(image, settings) != 0


@pytest.mark.parametrize(("status", "healthy"), ((200, True), (503, False), (404, False)))
def test_the_health_check_fails_unless_the_bot_says_that_it_is_well(image: Layers, status: int, healthy: bool) -> None:
    with answering(status) as port:
        assert (health(image, {"PORT": str(port)}) == 0) is healthy


def test_wrong_settings_end_the_container_with_a_sentence_and_exit_code_78(image: Layers) -> None:
    ended = subprocess.run(image.argv(image.command), capture_output=True, text=True)
    assert ended.returncode == 78
    assert "DISCORD_TOKEN is missing" in ended.stderr


def health(image: Layers, settings: Mapping[str, str]) -> int:
    """Run the image's health check and return its exit code."""
    return subprocess.run(image.argv(image.health, settings), capture_output=True).returncode


async def read_until(process: asyncio.subprocess.Process, words: str) -> None:
    """Read what *process* writes to standard error until *words* come. Raises AssertionError if it ends before."""
    said = ""
    assert process.stderr is not None
    async with asyncio.timeout(LONGEST_SECONDS):
        while words not in said:
            line = (await process.stderr.readline()).decode()
            assert line, said
            said += line


def free_port() -> int:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        return server.server_port


@contextlib.contextmanager
def answering(status: int) -> Iterator[int]:
    """Answer /healthz with *status*. Yield the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
