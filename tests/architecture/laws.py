"""The tree as the house tests see it: every module of ours, what it imports, and its syntax tree."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    *("backoff", "bot", "command_line", "policies", "services", "setting_parsers", "settings"),
    *("version", "web"),
    *(
        "charts",
        "cogs",
        "credits",
        "discord_api",
        "doctor",
        "generations",
        "images",
        "limits",
        "observability",
        "people",
        "processes",
        "qwen",
        "reports",
        "store",
        "ui",
    ),
    *("sandbox", "scripts"),
)


@dataclass(frozen=True)
class Module:
    name: str
    path: Path

    @property
    def room(self) -> str:
        return self.name.split(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text("utf-8"))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Modules imported anywhere in this one, in full names; those for type checking alone count too."""
        return frozenset(_imported(self))

    def uses(self, library: str) -> bool:
        return any(name == library or name.startswith(f"{library}.") for name in self.imports)

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product and the sandbox, tests left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    found = []
    for name in sorted(listed):
        path = ROOT / name
        dotted = ".".join(Path(name).with_suffix("").parts)
        if path.is_file() and dotted.split(".")[0] in OURS:
            found.append(Module(dotted.removesuffix(".__init__"), path))
    assert len(found) > 30, "the tree was not found"
    return tuple(found)


def product() -> tuple[Module, ...]:
    return tuple(module for module in modules() if module.room not in ("sandbox", "scripts"))


def _imported(module: Module) -> Iterator[str]:
    for node in module.nodes():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name} imports relatively; modules are named in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_module(inner) else str(node.module)


@cache
def _is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
