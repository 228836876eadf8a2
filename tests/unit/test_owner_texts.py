"""How the answers of /owner say a balance, and how what was typed is read."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from credits.model import Balance
from generations.credit_changes import NamedImage
from ui.interactions.errors import Refusal
from ui.interactions.owner_inputs import parse_image, parse_tier_place, parse_until
from ui.texts import owner as texts

NUMBER = 2**60 + 7
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("available", "bonus", "held", "said"),
    [
        (85, 50, 0, "They have 85 now, 50 of them don't expire."),
        (85, 1, 0, "They have 85 now, 1 of them doesn't expire."),
        (50, 50, 0, "They have 50 now, which don't expire."),
        (1, 1, 5, "They have 1 now, which doesn't expire; 5 more are held."),
        (0, 0, 0, "They have 0 now."),
    ],
)
def test_a_balance_says_what_does_not_expire(available: int, bonus: int, held: int, said: str) -> None:
    balance = Balance(1, available, held, 50, None, bonus)
    assert (
        texts.granted(1, 50, "a present", balance, 1234) == f"50 bonus credits for <@1>: a present. {said} Entry 1234."
    )


@pytest.mark.parametrize(
    ("typed", "position", "named"),
    [
        (f" {NUMBER} ", None, NamedImage(NUMBER, None, None)),
        (f"{NUMBER}-0", None, NamedImage(NUMBER, None, 0)),
        (f"{NUMBER}-0", 2, NamedImage(NUMBER, None, 1)),
        (f"https://discord.com/channels/1/2/{NUMBER}", 1, NamedImage(None, NUMBER, 0)),
        (f"<https://canary.discord.com/channels/@me/2/{NUMBER}>", None, NamedImage(None, NUMBER, None)),
    ],
)
def test_an_image_is_named_by_number_id_or_link(typed: str, position: int | None, named: NamedImage) -> None:
    assert parse_image(typed, position) == named


@pytest.mark.parametrize(
    "typed",
    [
        *("", "12", "9" * 20, f"{NUMBER}-12"),
        f"https://evil.example/channels/1/2/{NUMBER}",
        f"https://discord.com/channels/1/2/{'9' * 20}",
    ],
)
def test_what_names_no_image_is_refused(typed: str) -> None:
    with pytest.raises(Refusal):
        parse_image(typed, None)


@pytest.mark.parametrize(
    ("days", "until", "until_ms"),
    [
        (None, None, None),
        (7, None, 1_000 + 7 * 86_400_000),
        (None, "2030-06-01", 1_906_495_200_000),
        (None, "2030-06-01 02:30", 1_906_504_200_000),
        (None, "2030-01-01T00:00", 1_893_452_400_000),
    ],
)
def test_the_end_of_a_block_is_by_the_operators_clock(
    days: int | None, until: str | None, until_ms: int | None
) -> None:
    assert parse_until(days, until, BERLIN, 1_000) == until_ms


@pytest.mark.parametrize(
    ("days", "until"), [(0, None), (3651, None), (None, "soon"), (None, "0001-01-01"), (1, "2030-06-01")]
)
def test_ends_that_cannot_be_are_refused(days: int | None, until: str | None) -> None:
    with pytest.raises(Refusal):
        parse_until(days, until, BERLIN, 1_000)


def test_a_tier_is_everybodys_a_servers_or_a_roles() -> None:
    assert parse_tier_place(None, None) == (0, 0)
    assert parse_tier_place(f" {NUMBER} ", None) == (NUMBER, 0)
    assert parse_tier_place(str(NUMBER), f"<@&{NUMBER + 1}>") == (NUMBER, NUMBER + 1)
    assert parse_tier_place(str(NUMBER), str(NUMBER + 1)) == (NUMBER, NUMBER + 1)
