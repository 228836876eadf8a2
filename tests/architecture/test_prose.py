"""README, .env.example and the docs say what the code says, and nothing else."""

from __future__ import annotations

import ast
import re
import subprocess

import discord

from scripts import architecture
from settings import SETTINGS, env_example, markdown_table
from tests.architecture.laws import ROOT, Module, modules
from tests.conftest import LONGEST_FIRST


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_env_example_is_what_the_settings_print() -> None:
    assert read(".env.example") == env_example()


def test_the_page_of_the_settings_is_their_table_word_for_word() -> None:
    assert read("docs/settings.md").endswith(f"\n\n{markdown_table()}")


def test_the_readme_has_one_screen_before_it_says_how_the_bot_is_built() -> None:
    assert len(read("README.md").partition("## How it is built")[0].splitlines()) <= 65


def test_no_setting_is_named_in_the_docs_that_does_not_exist() -> None:
    known = set(SETTINGS)
    for name in ("README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        mentioned = set(re.findall(r"\b(?:DISCORD|QWEN|SHARD)_[A-Z_]+\b", read(name)))
        assert mentioned <= known, f"{name} names {mentioned - known}"


def test_the_procfile_migrates_and_runs_the_worker() -> None:
    assert read("Procfile") == "release: python bot.py migrate\nworker: python bot.py\n"


def test_make_words_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", read("README.md"))) <= targets


def test_readme_lists_every_command_and_no_other() -> None:
    section = read("README.md").split("## Commands")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `/([a-z]+)`", section, re.MULTILINE))
    assert listed == {name for module in modules() if module.room == "cogs" for name in commands_in(module)}


def test_the_invite_link_asks_for_what_the_bot_uses_and_no_more() -> None:
    needed = discord.Permissions(
        view_channel=True,
        send_messages=True,
        send_messages_in_threads=True,
        attach_files=True,
        read_message_history=True,  # a look at a message, and a reply
        connect=True,
    )
    assert re.findall(r"permissions=(\d+)", read("README.md")) == [str(needed.value)]


def test_every_link_inside_the_project_leads_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sandbox/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_every_bad_day_names_tests_that_exist() -> None:
    written = {
        name for path in ROOT.glob("tests/**/*.py") for name in re.findall(r"def (\w+)", path.read_text("utf-8"))
    }
    rows = [row.split("|")[-2] for row in read("docs/bad-days.md").splitlines() if row.startswith("| ")]
    named = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 30
    assert named <= written, f"docs/bad-days.md names {named - written}"


def literals() -> list[str]:
    """Return every string of the code but docstrings, with "…" in the place of what is filled in."""
    found: list[str] = []
    for module in modules():
        docstrings = {node.value for node in module.nodes() if isinstance(node, ast.Expr)}
        for node in module.nodes():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                found.append(re.sub(r"%[-.0-9]*[a-z]", "…", node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
    return found


def test_every_sentence_that_troubleshooting_quotes_is_one_that_the_bot_says() -> None:
    said = "\n".join(literals())
    quoted = re.findall(r'"([^"\n]+)"', read("docs/troubleshooting.md"))
    assert len(quoted) > 30
    of_discord = {"The application did not respond"}
    for sentence in set(quoted) - {"…"} - of_discord:
        assert re.search(".*".join(map(re.escape, sentence.split("…"))), said), f"nothing says: {sentence}"


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "docs/decisions").glob("*.md"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_the_drawing_of_the_architecture_is_made_from_the_imports_of_today() -> None:
    page = read("docs/architecture.md")
    drawn = page.partition(architecture.BEGIN)[2].partition(architecture.END)[0]
    assert drawn == architecture.block(), "run: python scripts/architecture.py write"


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.(?:py|md))?)`", read("docs/architecture.md")))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_decision_that_is_named_anywhere_exists() -> None:
    kept = {path.stem for path in (ROOT / "docs/decisions").glob("*.md")}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    named: dict[str, set[str]] = {}
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and name.endswith((".py", ".md", ".txt", ".toml", "run", "Makefile")):
            for decision in re.findall(r"\bdecisions/([0-9]{4}(?:-[a-z0-9-]+)?)", read(name)):
                named.setdefault(decision, set()).add(name)
    assert len(named) > 10
    for decision, names in named.items():
        known = decision in kept or decision in {stem[:4] for stem in kept}
        assert known, f"{', '.join(sorted(names))}: there is no docs/decisions/{decision}"


def commands_in(module: Module) -> list[str]:
    """The names that @app_commands.command and app_commands.Group give in one cog."""
    found: list[str] = []
    for node in module.nodes():
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("app_commands.command", "app_commands.Group"):
            words = {word.arg: word.value for word in node.keywords}
            found += [str(ast.literal_eval(words["name"]))] if "name" in words and "parent" not in words else []
    return found


def test_the_files_that_are_to_be_run_first_exist() -> None:
    assert set(LONGEST_FIRST) <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
