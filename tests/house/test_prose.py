"""README, .env.example and the docs say what the code says, and nothing else."""

from __future__ import annotations

import re

from settings import Settings, env_example, markdown_table
from tests.house.laws import ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_env_example_is_what_the_settings_print() -> None:
    assert read(".env.example") == env_example()


def test_readme_holds_the_settings_table_word_for_word() -> None:
    assert markdown_table() in read("README.md")


def test_no_setting_is_named_in_the_docs_that_does_not_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in ("README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        mentioned = set(re.findall(r"\b(?:DISCORD|QWEN)_[A-Z_]+\b", read(name)))
        assert mentioned <= known, f"{name} names {mentioned - known}"


def test_the_procfile_runs_the_worker() -> None:
    assert read("Procfile") == "worker: python bot.py\n"


def test_make_words_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", read("README.md"))) <= targets
