"""Whole numbers in JSON that lose digits in JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

EXACT_MAX = 2**53  # the last whole number that a JavaScript number tells from its neighbours


def numbers_too_large(body: Any, path: str = "") -> Iterator[str]:
    """Yield where a JSON body has a whole number that a JavaScript number can't hold."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from numbers_too_large(value, f"{path}.{name}")
    elif isinstance(body, list):
        for value in body:
            yield from numbers_too_large(value, f"{path}[]")
    elif isinstance(body, int) and abs(body) >= EXACT_MAX:
        yield path
