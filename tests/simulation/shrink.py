"""From a scenario that fails to the smallest one that still does."""

from __future__ import annotations

from tests.simulation.run import Verdict, play
from tests.simulation.scenario import Scenario

TRIES = 150


def shrink(scenario: Scenario) -> Verdict:
    """Leave out one thing after another while something is still broken; the history of what is left."""
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
