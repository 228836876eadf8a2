"""Twenty seeds violate no invariant, and a run can be repeated exactly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.architecture.laws import ROOT
from tests.simulation.campaign import run
from tests.simulation.run import play
from tests.simulation.scenario import Scenario, draw

SEEDS = range(20)  # CI plays 500, `make simulate` 10,000


def test_twenty_seeds_violate_no_invariant() -> None:
    output: list[str] = []
    failed = run(SEEDS, min(2, os.cpu_count() or 1), output.append)
    assert failed == 0, "\n".join(output)


@pytest.mark.parametrize("seed", [3, 26, 453])
def test_a_seed_gives_the_same_history_again(seed: int) -> None:
    first = play(draw(seed), record=True)
    assert len(first.history) > 10
    assert play(draw(seed), record=True).history == first.history


def test_a_seed_gives_the_same_history_in_another_process() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "26", "--history"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "\n".join(play(draw(26), record=True).history) in output


def test_each_smaller_scenario_differs_and_has_no_more_parts() -> None:
    scenario = draw(3)
    smaller = list(scenario.smaller())
    assert smaller
    assert all(isinstance(one, Scenario) and one != scenario and one.parts() <= scenario.parts() for one in smaller)
