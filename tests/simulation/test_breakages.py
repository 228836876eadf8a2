"""That the simulation can fail: each breakage of the product is noticed within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.run import play
from tests.simulation.scenario import draw
from tests.simulation.shrink import shrink


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_simulation_notices(name: str) -> None:
    breakage = BREAKAGES[name]
    with breakage.in_place():
        for scenario in breakage.scenarios():
            if play(scenario).broken:
                return
    pytest.fail(f"no day noticed: {name}")


def test_a_failure_is_told_by_a_shorter_story() -> None:
    breakage = BREAKAGES["settle twice"]
    with breakage.in_place():
        told = shrink(draw(breakage.seen_at[0]))
    assert told.broken
    assert told.scenario.parts() == 1, told.scenario.described()
    assert any("credits" in line for line in told.history)
