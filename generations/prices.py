"""What an image costs. Pure."""

from __future__ import annotations

from qwen.models import CREDITS_PER_IMAGE


def price_of(count: int) -> int:
    """The credits for a request of *count* images; each image is a task of its own and costs the same."""
    return CREDITS_PER_IMAGE * count
