"""What every folder of tests may use, the order of the files, and the last lines of a run."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# No test may fail for being slow: machines are noisy.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

pytest_plugins = ["tests.databases"]

gc.disable()  # until the tests are collected: there is little garbage in what is imported, and much to search

# The longest files come first. Most of them wait, so two that compute are among the first seven, which begin together.
LONGEST_FIRST = (
    "test_journeys_with_kills.py",
    "test_discord_away_for_a_minute.py",
    "test_full_disk.py",
    "test_lost_postgresql.py",
    "test_several_processes.py",
    "test_simulation.py",
    "test_breakages.py",
    "test_kept_orders.py",
    "test_hour_without_discord.py",
    "test_health_of_a_process.py",
    "test_gateway_of_several_processes.py",
    "test_api_bad_days.py",
    "test_gateway_bad_days.py",
    "test_sweep.py",
)
WAITING_FIRST = ("journeys", "e2e", "simulation", "page")


def _rank(item: pytest.Item) -> tuple[int, int]:
    file, folder = item.path.name, item.path.parent.name
    return (
        LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST),
        WAITING_FIRST.index(folder) if folder in WAITING_FIRST else len(WAITING_FIRST),
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking all that was imported, again and again, and let it walk less often than
    by default: that takes a twelfth of the time of tests that run in this process."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def skipped_lines(reports: Iterable[Any]) -> list[str]:
    """What was skipped, and why: one line a reason, which says what brings these tests."""
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
    return [f"{count} skipped: {reason}" for reason, count in reversed(reasons.most_common())]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    terminal: Any = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        for line in skipped_lines(terminal.stats.get("skipped", [])):
            terminal.write_line(line)
