"""Invariants of what is counted: each counter is what the rows of images add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import HELD, MADE, Ending, State
from tests.simulation.rows import ImageRow

if TYPE_CHECKING:
    from tests.simulation.run import Run

PRICE = 5
NAMES = ("held", "unknown", "images", "made", "failed")
UNUSABLE = (Ending.NO_IMAGE, Ending.IMAGE_UNUSABLE)


def counters_are_sums(run: Run, images: list[ImageRow]) -> Iterator[str]:
    """Yield a message for each counter that differs from the images that were asked for under it."""
    ask, expected = run.environment.disk.ask, dict[tuple[int, int, int], Counter[str]]()
    keys = {row[0]: row[1:] for row in ask("SELECT id, usage_day_ms, usage_guild_id FROM generations")}
    charges = dict(ask("SELECT image_id, -held_delta - available_delta FROM entries WHERE kind = 'settle'"))
    for image in images:
        day_ms, guild_id = keys[image.generation_id]
        for owner in {(0, 0), (guild_id, 0), (guild_id, image.user_id)}:
            counted = expected.setdefault((*owner, day_ms), Counter())
            counted.update(_expected(image))
            counted["charged"] += charges.get(image.id, 0)
    found = ask("SELECT guild_id, user_id, day_ms, held, unknown, images, made, failed, charged FROM usage")
    for guild_id, user_id, day_ms, *numbers, charged in found:
        wanted = expected.pop((guild_id, user_id, day_ms), Counter())
        if numbers != [wanted[name] for name in NAMES]:
            yield f"the counters of {guild_id}/{user_id} are {numbers}, the images say {dict(wanted)}"
        if charged < wanted["charged"]:
            yield f"{charged} credits are counted as charged for {guild_id}/{user_id}, {wanted['charged']} were settled"
    if expected:
        yield f"nothing is counted for {sorted(expected)}"


def _expected(image: ImageRow) -> Counter[str]:
    lost = image.state is State.FAILED and image.ending is Ending.IMAGE_LOST  # it was made and paid for
    if image.state in MADE or lost:
        return Counter(images=1, made=1)
    if image.state in HELD:
        return Counter(images=1, held=PRICE)
    if image.state is State.CANCELLED:
        return Counter()
    expired = image.state is State.EXPIRED and image.task_id is not None
    if image.state is State.UNKNOWN or expired or image.ending in UNUSABLE:
        return Counter(images=1, unknown=PRICE, failed=1)
    return Counter(failed=1)
