"""The promises of the product, kept in twenty bad days; and that a bad day can be had again."""

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


def test_twenty_seeds_keep_every_promise() -> None:
    said: list[str] = []
    failed = run(SEEDS, min(2, os.cpu_count() or 1), said.append)
    assert failed == 0, "\n".join(said)


@pytest.mark.parametrize("seed", [3, 26, 453])
def test_a_seed_gives_the_same_history_again(seed: int) -> None:
    first = play(draw(seed), record=True)
    assert len(first.history) > 10
    assert play(draw(seed), record=True).history == first.history


def test_a_seed_gives_the_same_history_in_another_process() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "26", "--history"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "\n".join(play(draw(26), record=True).history) in told


def test_a_smaller_scenario_has_one_part_less() -> None:
    scenario = draw(3)
    smaller = list(scenario.smaller())
    assert smaller
    assert all(isinstance(one, Scenario) and one != scenario and one.parts() <= scenario.parts() for one in smaller)
