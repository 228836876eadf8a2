"""The policies: they name every table and column, and say what the settings say."""

from __future__ import annotations

import importlib
import re

import pytest

from limits.records import GUILD_COLUMNS
from policies import TABLES, TEMPLATES, fill_policies
from store.tables import metadata
from tests.architecture.laws import product
from tests.doubles import make_settings

for module in product():  # a table belongs to the metadata once its module is imported
    if module.name.endswith(".tables"):
        importlib.import_module(module.name)

PERSONAL = re.compile(r"(\w+_)?user_id|actor_id|generation_id|\w+_by")  # names a person, or a request of one
OPERATOR = {"operator_name": "Ada's Bots", "operator_contact": "ada@example.com"}


def privacy(**settings: object) -> str:
    return fill_policies(make_settings(**OPERATOR, **settings))["privacy.md"]


def test_the_policy_has_a_line_for_every_table_and_for_no_other() -> None:
    without_line = sorted(set(metadata.tables) - set(TABLES))
    assert not without_line, f"add a line for each of these tables to TABLES in policies.py: {without_line}"
    gone = sorted(set(TABLES) - set(metadata.tables))
    assert not gone, f"take these tables out of TABLES in policies.py: {gone}"


def test_each_line_knows_every_column_of_its_table() -> None:
    for name, line in TABLES.items():
        columns = set(metadata.tables[name].c.keys())
        new = sorted(columns - set(line.columns.split()))
        assert not new, f"TABLES[{name!r}] in policies.py: add the columns {new}, and say in its words what they hold"
        gone = sorted(set(line.columns.split()) - columns)
        assert not gone, f"TABLES[{name!r}] in policies.py names columns that are gone: {gone}"


def test_a_table_with_a_persons_id_says_why_and_for_how_long() -> None:
    for name, line in TABLES.items():
        is_personal = [
            c for c in line.columns.split() if re.fullmatch(r"(\w+_)?user_id|actor_id|generation_id|\w+_by", c)
        ]
        assert line.until or not line.why, name
        assert line.why or not is_personal, f"TABLES[{name!r}] holds {is_personal}: say why, and for how long"


def test_it_says_of_what_a_server_set_and_of_nothing_else_that_it_goes_thirty_days_after_the_server() -> None:
    said = re.findall(r"^- `(\w+)`: .* until 30 days after the server removed the bot\.$", privacy(), re.MULTILINE)
    assert sorted(said) == sorted(column.table.name for column in GUILD_COLUMNS)


def test_the_policy_names_each_table_in_its_text() -> None:
    text = privacy()
    assert set(re.findall(r"^- `(\w+)`: ", text, re.MULTILINE)) == set(TABLES)


def test_the_files_say_what_the_settings_say() -> None:
    text = privacy(support_url="https://discord.gg/abc", qwen_api_url="https://images.example:8443/api")
    assert "run by **Ada's Bots**" in text and "ada@example.com" in text
    assert "Help: <https://discord.gg/abc>." in text and "`images.example`" in text
    assert "no longer than 365 days after the request" in text
    assert "a SQLite file" in text and "random address" not in text
    terms = fill_policies(make_settings(**OPERATOR, privacy_url="https://example.com/privacy"))["terms.md"]
    assert "<https://example.com/privacy>" in terms and "ada@example.com" in terms


def test_the_files_say_what_other_settings_say() -> None:
    text = privacy(
        retention_days=0, database_url="postgresql://me:canary@db.example/n", public_url="https://bot.example.com"
    )
    assert "longer than" not in text and "a PostgreSQL database" in text and "random address" in text
    assert "canary" not in text and "db.example" not in text and "Help:" not in text


@pytest.mark.parametrize("name", ["privacy.md", "terms.md"])
def test_only_the_template_says_that_it_is_one(name: str) -> None:
    template = (TEMPLATES / f"{name}.template").read_text("utf-8")
    assert template.startswith("<!-- This is a template, not legal advice.")
    filled = fill_policies(make_settings(**OPERATOR))[name]
    assert filled.startswith("# ") and "template" not in filled and "$" not in filled
