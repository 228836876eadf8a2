"""What every folder of tests may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No test may fail for being slow: machines are noisy.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

pytest_plugins = ["tests.databases"]

# Files that mostly wait come first, so that the others fill their pauses and none of them is left over at the end.
WAITING_FIRST = ("journeys", "e2e", "simulation", "page", "chaos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return WAITING_FIRST.index(folder) if folder in WAITING_FIRST else len(WAITING_FIRST)

    items.sort(key=rank)
