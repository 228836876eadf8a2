"""Ids above 2^53 keep every digit in settings, custom_ids, forms and columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest
from discord import ui
from sqlalchemy import BigInteger

import services.build  # noqa: F401 - so that all controls and tables are there
from store.tables import Text, metadata
from tests.unit.test_settings import load
from ui.interactions.admin_forms import parse_ids
from ui.interactions.buttons import DYNAMIC_ITEMS
from ui.interactions.history import HISTORY_ITEMS, PostButton, TurnButton
from ui.interactions.items import InteractionItem
from ui.interactions.owner import OWNER_ITEMS, LedgerButton
from ui.interactions.owner_inputs import parse_image, parse_tier_place
from ui.interactions.report_decisions import REPORT_ITEMS
from ui.interactions.reports import FORM_PREFIX, SubmittedReport

# No float holds one of these.
IDS = (2**53 + 1, 1_456_074_443_980_800_013, 2**63 - 1)


def test_ids_in_settings_keep_every_digit() -> None:
    listed = ", ".join(map(str, IDS))
    settings = load(OWNER_IDS=listed, OWNER_GUILDS=listed)
    assert settings.owner_ids == settings.owner_guilds == IDS


@pytest.mark.parametrize("number", IDS)
async def test_every_button_keeps_the_ids_in_its_custom_id(number: int) -> None:
    items: list[ui.DynamicItem[Any]] = [
        *(kind(number) for kind in (*DYNAMIC_ITEMS, *REPORT_ITEMS)),
        *(PostButton(number), TurnButton("older", number, ""), TurnButton("newer", number, "a fox")),
        LedgerButton(number, number - 2),
    ]
    assert {type(item) for item in items} == {*DYNAMIC_ITEMS, *REPORT_ITEMS, *HISTORY_ITEMS, *OWNER_ITEMS}
    pressed = cast("discord.Interaction[Any]", SimpleNamespace())
    for item in items:
        found = item.template.fullmatch(item.custom_id)
        assert found is not None, item.custom_id
        again = await type(item).from_custom_id(pressed, item.item, found)
        assert again.custom_id == item.custom_id and str(number) in item.custom_id


def test_every_control_with_an_id_is_among_those() -> None:
    """A new one is to be built in the test above too."""
    with_id = {
        kind for kind in kinds_below(InteractionItem) if "[0-9]{1,20}" in template_of(kind) and "<" in template_of(kind)
    }
    assert with_id == {*DYNAMIC_ITEMS, *REPORT_ITEMS, *HISTORY_ITEMS, *OWNER_ITEMS}


def kinds_below(kind: type) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds_below(each)


def template_of(kind: type[Any]) -> str:
    return kind.__discord_ui_compiled_template__.pattern


@pytest.mark.parametrize("number", IDS)
def test_forms_lists_and_options_keep_every_digit(number: int) -> None:
    assert parse_ids([str(number), str(number - 1)]) == [number, number - 1]
    form = SubmittedReport(f"{FORM_PREFIX}{number}:{number}", {"reason": "hateful"})
    assert form.parse()[0] == number
    assert parse_tier_place(str(number), f"<@&{number - 1}>") == (number, number - 1)
    named = parse_image(f"https://discord.com/channels/1/2/{number}", None)
    assert str(number) in repr(named) and str(number) in repr(parse_image(str(number), None))


def test_every_column_for_an_id_has_64_bits() -> None:
    """PostgreSQL's INTEGER has 32; a text holds any id."""
    ids = [
        column
        for table in metadata.sorted_tables
        for column in table.c
        if re.search(r"(^|_)id$|^image_of$", column.name)
    ]
    assert {column.table.name for column in ids} >= {"accounts", "images", "blocks", "reports", "preferences"}
    wrong = [str(column) for column in ids if not isinstance(column.type, BigInteger | Text)]
    assert wrong == []
