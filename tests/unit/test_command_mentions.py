"""Commands that a sentence names become mentions; what a person typed does not."""

from __future__ import annotations

import pytest

from ui.texts.command_mentions import MENTION_UNITS, mention_commands
from ui.texts.escaping import escape

IDS = {"imagine": 2**60 + 1, "privacy": 7}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`/imagine` makes one.", "</imagine:1152921504606846977> makes one."),
        ("`/privacy show` · `/privacy`", "</privacy show:7> · </privacy:7>"),
        ("`/credits` and `make try`", "`/credits` and `make try`"),
        ("`/imagine", "`/imagine"),
        ("`/privacy one two three`", "`/privacy one two three`"),
    ],
)
def test_a_command_whose_id_is_known_becomes_a_mention(text: str, shown: str) -> None:
    assert mention_commands(text, IDS) == shown


@pytest.mark.parametrize("typed", ["`/imagine`", "x `/privacy show` y", "\\`/imagine`"])
def test_what_a_person_typed_never_does(typed: str) -> None:
    assert mention_commands(escape(typed, 300), IDS) == escape(typed, 300)


def test_a_mention_is_longer_than_the_name_by_no_more_than_views_reckon_with() -> None:
    longest = {"imagine": 2**64 - 1}
    assert len(mention_commands("`/imagine`", longest)) - len("`/imagine`") == MENTION_UNITS
