"""The pages of docs/deploy: each command in them is run, or is listed here with the reason why it can't be."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import SHORT_COMMANDS
from store.address import parse_database_url
from tests.deploy.dockerfile import ROOT, Layers, can_carry_out, context_files, require_systemd
from tests.e2e.commands import SECRETS

PAGES = sorted((ROOT / "docs/deploy").glob("*.md"))
# What a command begins with -> why it is not run. What such a command runs in the container is run all the same.
NOT_RUN = {
    "docker": "no Docker engine; docker's client checks the options in a test below",
    "docker compose": "no Docker engine; compose.yaml is checked in test_manifests.py",
    "kubectl": "no cluster; the manifests are checked in test_manifests.py",
    "heroku": "needs an account; the processes of the Procfile are run in test_manifests.py",
    "git push heroku": "needs an account",
    "systemctl": "systemd does not run the machine of the tests; the unit is verified below",
    "journalctl": "as systemctl",
    "systemd-run": "as systemctl; what it runs is run below, as the unit's user",
}
INSIDE = re.compile(r"(?:docker exec imagine|docker compose exec bot|kubectl exec imagine-0 --|heroku run) (python .*)")
TABLES = "import sqlite3; print(*sqlite3.connect('/data/copy.db').execute('SELECT name FROM sqlite_master'))"
NO_ENGINE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DOCKER_HOST": "tcp://127.0.0.1:9"}
CANNOT_CONNECT = re.compile(r"cannot connect to the docker daemon|failed to connect to the docker API", re.IGNORECASE)


def blocks(page: Path, language: str) -> list[list[str]]:
    """The fenced blocks of a *language*, each a list of commands."""
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(r"\\\n\s*", "", block).splitlines() for block in found]


def commands(name: str = "*") -> list[str]:
    return [line for page in PAGES if page.match(f"{name}.md") for block in blocks(page, "sh") for line in block]


def reason(command: str) -> str | None:
    """What in NOT_RUN a command begins with, the longest if there are several."""
    return max((words for words in NOT_RUN if command.startswith(f"{words} ")), key=len, default=None)


def test_each_reason_is_of_a_command_in_the_pages() -> None:
    assert {reason(command) for command in commands()} - {None} == NOT_RUN.keys()


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "systemd"], ids=lambda page: page.stem)
def test_what_a_page_does_on_the_machine_itself_works(page: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path)
    for command in commands(page.stem):
        if reason(command) is None:
            ended = subprocess.run(["sh", "-ec", command], cwd=tmp_path, capture_output=True, text=True)
            assert ended.returncode == 0, f"{command}: {ended.stderr}"
    if any(".env" in command for command in commands(page.stem) if reason(command) is None):
        assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_the_password_that_compose_gets_makes_an_address_of_a_database(tmp_path: Path) -> None:
    test_what_a_page_does_on_the_machine_itself_works(ROOT / "docs/deploy/compose.md", tmp_path)
    password = re.findall(r"^POSTGRES_PASSWORD=(.*)$", (tmp_path / ".env").read_text("utf-8"), re.MULTILINE)[0]
    template = re.findall(r"DATABASE_URL: (.*)", (ROOT / "compose.yaml").read_text("utf-8"))[0]
    url = parse_database_url(re.sub(r"\$\{POSTGRES_PASSWORD:\?[^}]*\}", password, template))
    assert (url.password, url.host, url.database) == (password, "database", "imagine")


@pytest.mark.parametrize("command", [command for command in commands() if reason(command) == "docker"])
def test_dockers_client_takes_every_option_and_then_misses_its_engine(command: str, tmp_path: Path) -> None:
    if shutil.which("docker") is None:
        pytest.skip("the options of docker's commands need its client: sudo apt install docker.io")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n", "utf-8")
    (tmp_path / ".env").touch()
    (tmp_path / "copy.db").touch()
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=NO_ENGINE)
    assert ended.returncode != 0
    assert CANNOT_CONNECT.search(ended.stderr), ended.stderr


def test_what_the_pages_run_in_the_container_can_be_run_there(image: Layers) -> None:
    inside = {found[1] for command in commands() if (found := INSIDE.fullmatch(command))}
    assert len(inside) == 2
    image.run("python", "bot.py", "migrate", environment=SECRETS)
    for command in inside:
        image.run(*shlex.split(command), environment=SECRETS)
    assert "generations" in image.run("python", "-c", TABLES)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Layers]:
    """A machine with this project in /srv/qwen-imagine."""
    if not can_carry_out():
        pytest.skip("the steps of the Dockerfile need Linux and root, who may make mounts")
    with Layers(tmp_path / "machine") as layers:
        layers.outside("mkdir -p $ROOT/srv/qwen-imagine $ROOT/etc/systemd/system")
        names = [*context_files(), "requirements.txt", ".env.example", "deploy/qwen-imagine.service"]
        archive = subprocess.run(
            ["tar", "-c", "-C", str(ROOT), "-T", "-"], input="\n".join(names).encode(), capture_output=True, check=True
        ).stdout
        subprocess.run(layers.argv(["tar", "-x", "-C", "/srv/qwen-imagine"]), input=archive, check=True)
        yield layers


def test_a_machine_that_is_set_up_by_the_page_for_systemd_runs_the_bot(machine: Layers) -> None:
    require_systemd()
    for command in commands("systemd"):
        if command.startswith("cd "):
            machine.workdir = command.removeprefix("cd ")
        elif reason(command) is None:
            said = machine.shell(f"{command} 2>&1")
            assert said == "" or not command.startswith("systemd-analyze"), said
    unit = (ROOT / "deploy/qwen-imagine.service").read_text("utf-8")
    user = f"{machine.run('id', '-u', 'imagine').strip()}:{machine.run('id', '-g', 'imagine').strip()}"
    machine.shell("install --directory --mode 700 --owner imagine /var/lib/qwen-imagine")  # StateDirectory
    machine.workdir = re.findall("^WorkingDirectory=(.*)$", unit, re.MULTILINE)[0]
    with pytest.raises(AssertionError, match="Permission denied"):
        machine.run("cat", "/etc/qwen-imagine.env", user=user)
    start = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)[0].split()
    machine.run(*start, "migrate", environment=SECRETS, user=user)
    (later,) = (command for command in commands("systemd") if command.startswith("systemd-run "))
    words = [*start, *later.split()[-2:]]
    assert later.endswith(" ".join(words))
    assert machine.run(*words, environment=SECRETS, user=user) == "The ledger has no fault.\n"
    assert machine.run("stat", "-c", "%a", "data/imagine.db", user=user) == "600\n"


def test_every_process_type_in_a_page_runs_the_bot() -> None:
    lines = [line for page in PAGES for block in blocks(page, "procfile") for line in block]
    lines += (ROOT / "Procfile").read_text("utf-8").splitlines()
    assert len(lines) == 4
    known = {"", "worker", *SHORT_COMMANDS}
    for line in lines:
        assert line.partition("python bot.py")[2].strip() in known, line
