"""The reason of a refusal is read from its message, without the prompt that it may repeat."""

from __future__ import annotations

import pytest

from qwen.refusals import speaks_of_length, speaks_of_policy


@pytest.mark.parametrize(
    "message",
    [
        "Bad Request: 'prompt' must be at most 2000 characters, got 2104.",
        "Prompt too long",
        "prompt exceeds the maximum length",
        "The prompt's length must be at most 2000",
        "Maximum prompt length is 2000",
        "length exceeds limit",
        "Input has 4001 tokens",
        "prompt: character limit reached",
        "String must contain at most 2000 character(s)",
    ],
)
def test_a_refusal_for_its_length_is_recognised(message: str) -> None:
    assert speaks_of_length(message, "a lighthouse")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Bad Request: Invalid parameters.",
        "invalid size",
        "Characters of Disney are not allowed",
        "no full-length nudes",
    ],
)
def test_other_refusals_are_not_about_the_length(message: str) -> None:
    assert not speaks_of_length(message, "a lighthouse")


def test_a_refusal_for_its_content_is_recognised_in_any_case() -> None:
    assert speaks_of_policy("Content POLICY violation detected")
    assert speaks_of_policy("This is not allowed")
    assert not speaks_of_policy("Out of memory")


def test_words_repeated_from_the_prompt_are_not_a_reason() -> None:
    assert not speaks_of_length("Not allowed: a scarf that is too long", "A scarf that is TOO  LONG")
