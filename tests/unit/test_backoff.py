"""How pauses between failing tries grow."""

from __future__ import annotations

import pytest

from backoff import doubled_seconds


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5.0), (1, 5.0), (2, 10.0), (3, 20.0), (4, 40.0), (5, 60.0), (6, 60.0), (10**9, 60.0)]
)
def test_a_pause_doubles_with_each_failure_up_to_its_maximum(failures: int, seconds: float) -> None:
    assert doubled_seconds(failures, first=5.0, most=60.0) == seconds
