"""Carry out a Dockerfile without a Docker engine: layers over this machine's own files, chroot and the image's user.

What stands for the base image is this machine (Debian, the Python of the tests). Needs root and Linux. Nothing outside
the layers changes: they and the mounts are in a mount namespace that ends with its holder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRESH_VENV = bool(os.environ.get("FRESH_VENV"))  # install what is required, which takes 15 s of CPU time
BASE_PATH = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALLED = "/installed"  # where the libraries of the tests are seen, for a venv that is not fresh
INSTALLING = re.compile(r"(?:python|\S+/python) -m pip .*?-r requirements\.txt")


def can_carry_out() -> bool:
    """Whether this process may make mounts of its own."""
    tried = ("unshare", "--mount", "true")
    has_tools = all(shutil.which(tool) for tool in ("unshare", "nsenter", "setpriv", "chroot"))
    return has_tools and os.geteuid() == 0 and subprocess.run(tried, capture_output=True).returncode == 0


def require_systemd() -> None:
    """Skip the test where systemd-analyze is missing; in CI, fail."""
    if shutil.which("systemd-analyze") is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("the unit is verified and rated by systemd: sudo apt install systemd")


@dataclass(frozen=True)
class Instruction:
    name: str  # in capitals
    text: str  # what follows it, in one line


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments, with continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", kept).splitlines()
    return [
        Instruction(name.upper(), rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())
    ]


def read_ignored(text: str) -> list[tuple[re.Pattern[str], bool]]:
    """Return the patterns of a .dockerignore, in order, each with whether what it matches is left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(_pattern(line.removeprefix("!")), not line.startswith("!")) for line in lines]


def _pattern(text: str) -> re.Pattern[str]:
    """Go's filepath.Match with `**`, for a path or any folder above it."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text.strip("/"))
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part) or re.escape(part) for part in parts) + "(?:/.*)?")


def is_in_context(path: str, ignored: Sequence[tuple[re.Pattern[str], bool]]) -> bool:
    """Whether COPY sees *path*: the last pattern that matches decides."""
    return not next((out for pattern, out in reversed(ignored) if pattern.fullmatch(path)), False)


def context_files(folder: Path = ROOT) -> Iterator[str]:
    """Yield the paths in *folder* that are sent to the engine, but for those in folders called .git or .venv."""
    ignored = read_ignored((folder / ".dockerignore").read_text("utf-8"))
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".venv")]
        names = (Path(where, file).relative_to(folder).as_posix() for file in files)
        yield from (name for name in names if is_in_context(name, ignored))


@dataclass
class Layers:
    """A folder that looks like this machine's `/`; what is written to it stays in a layer above. A context manager."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH, "LANG": "C.UTF-8", "HOME": "/root"})
    workdir: str = "/"
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    _holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Layers:
        self.folder.mkdir(parents=True)
        folder = shlex.quote(str(self.folder))
        script = f"""set -e
            mount -t tmpfs tmpfs {folder}
            mkdir -p {folder}/above{INSTALLED} {folder}/work {folder}/root
            mount -t overlay overlay -o lowerdir=/,upperdir={folder}/above,workdir={folder}/work {folder}/root
            mount --rbind /proc {folder}/root/proc
            mount --rbind /dev {folder}/root/dev
            mount -t tmpfs -o mode=1777 tmpfs {folder}/root/tmp
            mount --bind {shlex.quote(sysconfig.get_paths()["purelib"])} {folder}/root{INSTALLED}
            chmod a+x {folder}/root/root
            echo ready
            exec cat"""
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holder is not None
        self._holder.communicate()  # its input ends, so it does
        self.folder.rmdir()

    def outside(self, script: str) -> None:
        """Run *script* where the mounts are seen, with `$ROOT` as the folder."""
        subprocess.run([*self._inside(), "sh", "-ec", script], check=True, env={"PATH": BASE_PATH, "ROOT": self.root})

    @property
    def root(self) -> str:
        return str(self.folder / "root")

    def _inside(self) -> list[str]:
        assert self._holder is not None
        return ["nsenter", "--mount", "--target", str(self._holder.pid)]

    def argv(
        self, words: Sequence[str], environment: Mapping[str, str] | None = None, user: str | None = None
    ) -> list[str]:
        """Return the words that run *words* in the image, as its user, without a capability unless that is root."""
        uid, _, gid = (user or self.user).partition(":")
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        as_user += ["--bounding-set=-all"] if uid != "0" else []
        variables = [f"{name}={value}" for name, value in {**self.environment, **(environment or {})}.items()]
        enter = ["sh", "-c", 'cd "$0" && exec "$@"', self.workdir]
        return [*self._inside(), "chroot", self.root, *as_user, "env", "-i", *variables, *enter, *words]

    def run(self, *words: str, environment: Mapping[str, str] | None = None, user: str | None = None) -> str:
        """Run *words* to their end in the image and return what they wrote. Raises AssertionError if they fail."""
        ended = subprocess.run(self.argv(words, environment, user), capture_output=True, text=True)
        assert ended.returncode == 0, f"{words} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def shell(self, line: str) -> str:
        """Run a line of shell in the image. Only where FRESH_VENV asks for it does pip install anything."""
        if FRESH_VENV:
            return self.run("sh", "-ec", line, user="0:0")
        line = re.sub(r"-m venv (?!--without-pip)", "-m venv --without-pip ", line)
        if installing := INSTALLING.search(line):
            venv = re.search(r"(\S+)/bin/python", installing[0])
            assert venv is not None
            libraries = f"{venv[1]}/lib/python3.{sys.version_info.minor}/site-packages"
            line = line.replace(
                installing[0], f"test -f requirements.txt && echo {INSTALLED} > {libraries}/installed.pth"
            )
        return self.run("sh", "-ec", line, user="0:0")

    def make_read_only(self) -> None:
        """Let only /tmp, /proc, /dev and the volumes be written to, as `docker run --read-only --tmpfs /tmp` does."""
        for volume in self.volumes:
            options = f"$(stat -c mode=%a,uid=%u,gid=%g $ROOT{volume})"  # a new volume is a copy of the folder
            self.outside(f"mount -t tmpfs -o {options} tmpfs $ROOT{volume}")
        self.outside("mount -o remount,ro $ROOT")


def carry_out(text: str, folder: Path, stages: Mapping[str, Layers], layers: Layers) -> None:
    """Carry out one stage of a Dockerfile in *layers*: its *text* from after FROM. COPY reads *folder*."""
    for step in parse(text):
        match step.name:
            case "ENV":
                for word in shlex.split(step.text):
                    name, _, value = word.partition("=")
                    layers.environment[name] = value.replace("$PATH", layers.environment["PATH"])
            case "WORKDIR":
                layers.workdir = step.text
                layers.outside(f"mkdir -p $ROOT{step.text}")
            case "COPY":
                _copy(step.text.split(), folder, stages, layers)
            case "RUN":
                layers.shell(step.text)
            case "USER":
                layers.user = step.text
            case "VOLUME":
                layers.volumes.append(step.text)
            case "CMD":
                layers.command = json.loads(step.text)
            case "HEALTHCHECK":
                layers.health = json.loads(step.text.partition(" CMD ")[2])
            case "EXPOSE" | "STOPSIGNAL":
                pass
            case name:
                raise AssertionError(f"{name} is not known here")


def _copy(words: list[str], folder: Path, stages: Mapping[str, Layers], layers: Layers) -> None:
    target = PurePosixPath(layers.workdir, words[-1])
    if words[0].startswith("--from="):
        archive = subprocess.run(
            stages[words[0].removeprefix("--from=")].argv(["tar", "-c", words[1]], user="0:0"),
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run(layers.argv(["tar", "-x", "-C", "/"], user="0:0"), input=archive, check=True)
        return
    names = "\n".join(name for name in context_files(folder) if words[0] in (".", name))
    assert names, f"COPY finds no {words[0]}: .dockerignore leaves it out"
    archive = subprocess.run(
        ["tar", "-c", "-C", str(folder), "--owner=0", "--group=0", "--verbatim-files-from", "-T", "-"],
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    subprocess.run(layers.argv(["tar", "-x", "-C", str(target)], user="0:0"), input=archive, check=True)
