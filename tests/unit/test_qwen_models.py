"""The values of the image API: its limits, and what is kept out of their repr."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen.models import PROMPT_MAX, SEED_MAX, OutputFormat, Size, TaskRequest, TaskStatus, parse_status


def a_request(**changes: Any) -> TaskRequest:
    values: dict[str, Any] = {
        "prompt": "a lighthouse",
        "size": Size.SQUARE,
        "seed": 7,
        "output_format": OutputFormat.PNG,
    }
    return TaskRequest(**(values | changes))


def test_the_sizes_are_the_five_of_the_document() -> None:
    assert [size.value for size in Size] == ["1024*1024", "1024*1536", "1536*1024", "768*1024", "1024*768"]
    assert (Size.PORTRAIT.width, Size.PORTRAIT.height) == (1024, 1536)
    assert Size.PORTRAIT.label == "1024×1536"
    assert [size.title for size in Size] == [
        "Square 1024×1024",
        "Portrait 1024×1536",
        "Landscape 1536×1024",
        "Portrait 768×1024",
        "Landscape 1024×768",
    ]


def test_formats_know_their_file_ending_and_content_type() -> None:
    assert [(f.value, f.extension, f.content_type) for f in OutputFormat] == [
        ("jpeg", "jpg", "image/jpeg"),
        ("png", "png", "image/png"),
        ("webp", "webp", "image/webp"),
    ]


@pytest.mark.parametrize("written", ["PENDING", "IN_PROGRESS", "SUCCESS", "FAILED"])
def test_the_four_statuses_of_the_document_are_read_in_any_case(written: str) -> None:
    assert parse_status(written) == TaskStatus(written)
    assert parse_status(f" {written.lower()} ") == TaskStatus(written)


@given(st.none() | st.integers() | st.text() | st.lists(st.text()))
def test_any_other_status_is_unknown_and_never_raises(written: object) -> None:
    known = isinstance(written, str) and written.strip().upper() in TaskStatus.__members__
    assert known or parse_status(written) is TaskStatus.UNKNOWN


def test_a_prompt_at_the_limit_is_accepted() -> None:
    assert len(a_request(prompt="🦊" * PROMPT_MAX).prompt) == PROMPT_MAX


EMPTY, NO_TEXT = "The prompt must not be empty.", "The prompt must be text."
HALF = "The prompt holds half of a character (a lone surrogate), which cannot be sent."


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        *((blank, EMPTY) for blank in ("", " ", "\n\n\n", "\u3000")),
        *((value, NO_TEXT) for value in (None, 5)),
        *((f"here {half} is half", HALF) for half in ("\ud800", "\ud83d", "\udfff")),
        ("x" * 2001, "The prompt has 2001 characters; at most 2000 are allowed."),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_refused(prompt: object, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        a_request(prompt=prompt)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("seed", [-1, 0, SEED_MAX])
def test_the_smallest_and_largest_seed_are_accepted(seed: int) -> None:
    assert a_request(seed=seed).seed == seed


@pytest.mark.parametrize("seed", [-2, SEED_MAX + 1, 1.0, "7", True, None])
def test_seeds_outside_the_range_and_other_types_are_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        a_request(seed=seed)


def test_size_and_format_may_be_words_of_the_api_and_nothing_else() -> None:
    assert a_request(size="768*1024").size is Size.PORTRAIT_SMALL
    assert a_request(output_format="webp").output_format is OutputFormat.WEBP
    with pytest.raises(
        ValueError, match=r"^The size must be one of 1024\*1024, 1024\*1536, 1536\*1024, 768\*1024, 1024\*768\.$"
    ):
        a_request(size="640*480")
    with pytest.raises(ValueError, match=r"^The output format must be one of jpeg, png, webp\.$"):
        a_request(output_format="gif")


@pytest.mark.parametrize("url", ["https://bot.example/callback/token", "http://127.0.0.1:8025/c", "https://[::1]/c"])
def test_a_callback_address_is_a_full_http_address(url: str) -> None:
    assert a_request(callback_url=url).callback_url == url


@pytest.mark.parametrize(
    "url", ["", "bot.example/c", "ftp://bot.example/", "https://", "https://a b/", "https://h:x/", 7]
)
def test_an_invalid_callback_address_is_refused(url: object) -> None:
    with pytest.raises(ValueError, match="callback address"):
        a_request(callback_url=url)


def test_a_request_shows_neither_prompt_nor_callback_address() -> None:
    shown = repr(a_request(prompt="secret fox", callback_url="https://bot.example/token"))
    assert "fox" not in shown
    assert "token" not in shown
