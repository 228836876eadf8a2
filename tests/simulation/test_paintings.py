"""That the simulation can tell its images apart, however small they were made."""

from __future__ import annotations

import random

import pytest

from images.shrinking import CannotShrink, shrink
from qwen.models import OutputFormat
from tests.simulation.paintings import frame_of, number_in, painting_of, task_in
from tests.simulation.promises_of_sizes import SMALLEST_BYTES
from tests.simulation.scenario import LIMITS


@pytest.mark.parametrize("number", [0, 1, 90, 165, 255])
def test_a_painting_tells_its_number_in_every_size(number: int) -> None:
    painting = painting_of("task-1", number, random.Random(number))
    assert task_in(painting) == "task-1"
    for limit in (3000, 1500, 900, 600, SMALLEST_BYTES):
        for wanted in (OutputFormat.PNG, OutputFormat.WEBP):
            smaller = shrink(painting, limit, wanted).data
            assert task_in(smaller) == ""
            assert number_in(smaller) == number


def test_the_smallest_limit_that_is_drawn_can_only_be_met_with_a_link() -> None:
    painting = painting_of("task-1", 7, random.Random(7))
    with pytest.raises(CannotShrink):
        shrink(painting, min(LIMITS), OutputFormat.PNG)


def test_a_frame_tells_its_task() -> None:
    assert task_in(frame_of("task-0-0-0")) == "task-0-0-0"
