"""A death at every await and statement: part of the sweep here, all of it in `python -m tests.simulation --sweep`."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.sweep import DAYS, deaths, play_death

EACH = 131  # one death in so many is run; a prime, so that other steps are hit when the days change


@pytest.mark.parametrize("day", DAYS)
def test_no_invariant_is_violated_by_a_death_at_any_await_or_statement(day: str) -> None:
    played = [play_death(death) for death in islice(deaths(day), 0, None, EACH)]
    assert len(played) > 5
    assert [verdict.broken for verdict in played if verdict.broken] == []


def test_the_sweep_notices_a_breakage_that_only_deaths_reveal() -> None:
    breakage = BREAKAGES["post again after a crash"]
    day = next(iter(DAYS))
    with breakage.in_place():
        assert any(play_death(death).broken for death in islice(deaths(day), 0, None, 10))
