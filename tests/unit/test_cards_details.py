"""The page of details: options, seeds, endings, prices and ids, complete and escaped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import discord
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credits.model import Balance
from generations.model import Ending, Generation, Image, Origin, Request, State
from qwen.models import OutputFormat, Size
from tests.unit.test_cards import HOSTILE, NOW_MS
from ui.texts.escaping import escape, escape_parts, units
from ui.views.cards_details import build_details

BALANCE = Balance(77, 35, 5, 50, NOW_MS)
ORIGIN = Origin(1399999999999999999, 5, 77, 88, 99, "token", 10 << 20)


def details(*images: Image, prompt: str = "a lighthouse in a storm", **options: Any) -> list[discord.ui.LayoutView]:
    request = Request(prompt, Size.PORTRAIT, 42, OutputFormat.PNG, len(images), **options)
    return build_details(Generation(ORIGIN.interaction_id, request, ORIGIN, NOW_MS - 60_000, images), BALANCE)


def texts(view: discord.ui.LayoutView) -> list[str]:
    return [item.content for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay)]


def four_images() -> Iterator[Image]:
    yield Image(1, 0, 42, State.DELIVERED, submitted_at_ms=NOW_MS, ready_at_ms=NOW_MS + 14_000, task_id="abc-1")
    yield Image(1, 1, 43, State.RUNNING, submitted_at_ms=NOW_MS, task_id="abc-2")
    yield Image(1, 2, 44, State.FAILED, ending=Ending.DECLINED)
    yield Image(1, 3, 45, State.SUCCEEDED, ending=Ending.DEADLINE, consumed_credits=5)


def test_details_name_options_seeds_states_times_prices_and_ids() -> None:
    (view,) = details(*four_images(), private=True, spoiler=True)
    prompt, facts = texts(view)
    assert prompt == "a lighthouse in a storm"
    assert facts.splitlines() == [
        "Portrait 1024×1536 · png · private · spoiler",
        "Image 1 · seed 42 · posted · 14 s · 5 credits · task abc-1",
        "Image 2 · seed 43 · being made · task abc-2",
        "Image 3 · seed 44 · not made, credits returned",
        "Image 4 · seed 45 · ready, being posted · 0 credits",
        "Asked for by <@77> <t:1799999940:R>",
        "-# Number 1399999999999999999",
        "",
        "Your credits:",
        "▰▰▰▰▰▰▰▱▱▱  **35 of 50 credits · 7 images**",
        "Refills to 50 <t:1800000000:R>",
    ]


@pytest.mark.parametrize("prompt", [*HOSTILE, "🦊" * 2000, "*" * 2000], ids=lambda prompt: ascii(prompt[:6]))
def test_no_prompt_breaks_a_limit_or_pings(prompt: str) -> None:
    views = details(*four_images(), prompt=prompt)
    assert len(views) <= 3
    for view in views:
        assert sum(map(units, texts(view))) <= 4000
        assert all("@everyone" not in text and "<@1>" not in text and "](" not in text for text in texts(view))
        assert not any(item.is_dispatchable() for item in view.walk_children())


@settings(deadline=None)
@given(st.text(max_size=2000), st.integers(40, 200))
def test_a_divided_text_is_complete_and_each_part_fits(text: str, limit: int) -> None:
    parts = escape_parts(text, limit)
    assert all(0 < units(part) <= limit for part in parts)
    whole = escape(text, 10**6)
    assert squeezed("".join(parts)) == squeezed(whole)


def squeezed(shown: str) -> str:
    """Remove spaces, and escapes that only the start of a line needs."""
    return "".join(shown.replace("\\", "").split())


def test_a_word_is_not_divided_between_two_parts() -> None:
    parts = escape_parts("storm " * 100, 64)
    assert {word for part in parts for word in part.split()} == {"storm"}


def test_a_word_longer_than_the_limit_is_divided_at_it() -> None:
    parts = escape_parts("storm " * 10 + "x" * 200, 64)
    assert parts == ["storm " * 9 + "storm", "x" * 63, "x" * 63, "x" * 63, "x" * 11]
    assert max(map(units, escape_parts("storm " * 9 + "x" * 200, 64))) <= 64
