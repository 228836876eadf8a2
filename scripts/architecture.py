"""Draw the rooms of the product and the arrows between them, as Mermaid text, from the imports of the code.

`python scripts/architecture.py` prints the drawing; `python scripts/architecture.py write` puts it into
docs/architecture.md. An arrow A --> B says that a module in A imports one in B; arrows that follow from others (A --> B
--> C) are left out.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawing: python scripts/architecture.py write -->\n", "<!-- end of drawing -->\n"
VALUES = "values and rules"
# The rooms that are drawn, and in what order; a module belongs to the longest name that it is or lies in.
ROOMS = (
    "bot", "doctor", "services", "web", "cogs", "ui.interactions", "ui.delivery", "ui.views", "ui.texts", "discord_api",
    "charts", "generations.worker", "generations", "generations.records", "credits", "limits", "people", "processes",
    "reports", "qwen", "images", "store", "observability", VALUES,
)  # fmt: skip
# Modules without I/O that every room may use, drawn as one.
PURE = (
    "setting_parsers", "settings", "credits.model", "credits.errors", "credits.allowance", "generations.model",
    "generations.circuit",
    "generations.errors", "generations.prices", "generations.poll_schedule", "generations.delivery_result",
    "generations.search_words", "charts.usage_report", "charts.labels", "limits.model", "limits.errors", "limits.check",
    "limits.words",
    "reports.model", "reports.errors", "doctor.model",
    "people.model", "processes.model", "qwen.models", "qwen.errors", "qwen.cleaning", "qwen.public_url",
    "qwen.service_url", "qwen.addresses", "store.address", "store.errors", "store.hosts", "discord_api.links",
    "discord_api.shards", "discord_api.snowflakes", "version",
)  # fmt: skip


def room_of(module: str) -> str | None:
    """Return the room of *module* (a dotted name), None for what is no part of the product."""
    if any(module == name or module.startswith(f"{name}.") for name in PURE):
        return VALUES
    found = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(found, key=len, default=None)


def read_arrows() -> dict[str, set[str]]:
    """Return for each room the rooms that its modules import, for type checking too."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    arrows: dict[str, set[str]] = {room: set() for room in ROOMS}
    for name in listed:
        room = room_of(".".join(Path(name).with_suffix("").parts).removesuffix(".__init__"))
        if room is None or not (ROOT / name).is_file():
            continue
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
            rooms = {room_of(module) for module in _imported(node)}
            arrows[room] |= {found for found in rooms if found is not None and found != room}
    return arrows


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def draw(arrows: Mapping[str, Set[str]]) -> str:
    """Return the drawing as Mermaid text, without arrows that follow from others."""
    lines = ["flowchart TD"]
    for room in ROOMS:
        reached = {far for near in arrows[room] for far in _all_below(near, arrows)}
        lines += [f"    {_id(room)}[{room}] --> {_id(other)}[{other}]" for other in sorted(arrows[room] - reached)]
    return "\n".join(lines) + "\n"


def _all_below(room: str, arrows: Mapping[str, Set[str]]) -> set[str]:
    below: set[str] = set()
    waiting = list(arrows[room])
    while waiting:
        other = waiting.pop()
        if other not in below:
            below.add(other)
            waiting += arrows[other]
    return below


def _id(room: str) -> str:
    return room.replace(".", "_").replace(" ", "_")


def block() -> str:
    """Return the text between BEGIN and END in docs/architecture.md."""
    return f"```mermaid\n{draw(read_arrows())}```\n"


def main(arguments: list[str]) -> None:
    """Print the drawing, or write it into the page."""
    if arguments != ["write"]:
        print(draw(read_arrows()), end="")
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + block() + END + rest.partition(END)[2], "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
