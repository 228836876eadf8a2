"""Reduce a failing scenario to a smaller one that still fails."""

from __future__ import annotations

from tests.simulation.run import Verdict, play
from tests.simulation.scenario import Scenario

TRIES = 150


def shrink(scenario: Scenario) -> Verdict:
    """Leave out parts while an invariant is still violated. Return the verdict of the rest, with its history."""
    tries = 0
    found = True
    while found:
        found = False
        for smaller in scenario.smaller():
            tries += 1
            if tries > TRIES:
                break
            if play(smaller).broken:
                scenario, found = smaller, True
                break
    return play(scenario, record=True)
