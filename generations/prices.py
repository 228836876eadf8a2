"""Prices in credits. Pure."""

from __future__ import annotations

from generations.model import MADE, Image
from qwen.models import CREDITS_PER_IMAGE


def price_of(count: int) -> int:
    """The credits for a request of *count* images; each image is a task of its own and costs the same."""
    return CREDITS_PER_IMAGE * count


def charged_for(image: Image) -> int:
    """Return the credits that *image* took: 0 with an ending, since its hold was returned (late images are free)."""
    if image.state not in MADE or image.ending is not None:
        return 0
    return price_of(1) if image.consumed_credits is None else min(image.consumed_credits, price_of(1))
