"""The images of the simulation can be told apart, also after re-encoding to any size."""

from __future__ import annotations

import random

import pytest

from images.reencoded_image import CannotShrink
from images.shrinking import shrink
from qwen.models import OutputFormat
from tests.simulation.png_images import empty_png, number_in, numbered_png, task_id_in
from tests.simulation.promises_of_sizes import SMALLEST_BYTES
from tests.simulation.scenario import LIMITS


@pytest.mark.parametrize("number", [0, 1, 90, 165, 255])
def test_the_number_of_an_image_can_be_read_at_every_size(number: int) -> None:
    image_file = numbered_png("task-1", number, random.Random(number))
    assert task_id_in(image_file) == "task-1"
    for limit in (3000, 1500, 900, 600, SMALLEST_BYTES):
        for wanted in (OutputFormat.PNG, OutputFormat.WEBP):
            smaller = shrink(image_file, limit, wanted).data
            assert task_id_in(smaller) == ""
            assert number_in(smaller) == number


def test_no_image_can_be_reencoded_to_the_smallest_limit() -> None:
    image_file = numbered_png("task-1", 7, random.Random(7))
    with pytest.raises(CannotShrink):
        shrink(image_file, min(LIMITS), OutputFormat.PNG)


def test_the_task_id_can_be_read_from_an_empty_png() -> None:
    assert task_id_in(empty_png("task-0-0-0")) == "task-0-0-0"
