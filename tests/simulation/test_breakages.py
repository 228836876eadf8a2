"""The simulation notices each deliberate breakage of the product within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.run import play
from tests.simulation.scenario import draw
from tests.simulation.shrink import shrink


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_run_fails_with_the_breakage(name: str) -> None:
    breakage = BREAKAGES[name]
    with breakage.in_place():
        noticed = next((scenario for scenario in breakage.scenarios() if play(scenario).broken), None)
    assert noticed is not None, f"no run failed: {name}"
    if breakage.is_endless:
        assert play(noticed).broken == (), "the product itself needs longer"


def test_a_failing_scenario_is_shrunk_to_one_part() -> None:
    breakage = BREAKAGES["settle twice"]
    with breakage.in_place():
        verdict = shrink(draw(breakage.seen_at[0]))
    assert verdict.broken
    assert verdict.scenario.parts() == 1, verdict.scenario.describe()
    assert any("credits" in line for line in verdict.history)
