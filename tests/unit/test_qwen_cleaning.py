"""Text of the service becomes one short line without secrets, links and control characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen.cleaning import LINE_MAX, clean_line


@given(st.text(alphabet=st.characters(), max_size=1000))
def test_any_text_becomes_one_line_without_control_characters(text: str) -> None:
    line = clean_line(text)
    line.encode("utf-8")
    assert len(line) <= LINE_MAX
    assert line == line.strip()
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.mark.parametrize("value", [None, 5, ["text"], b"text"])
def test_a_value_that_is_no_text_becomes_empty(value: object) -> None:
    assert clean_line(value) == ""


def test_long_text_ends_with_an_ellipsis_at_the_limit() -> None:
    assert clean_line("ab" * 500, limit=10) == "ababababa…"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("ab\u202ecd\u200bef\u2066gh", "abcdefgh"),
        ("Invalid key sk-abcdef123456", "Invalid key (key)"),
        ("sent Bearer abcdef.ghi-jkl", "sent (key)"),
        ("see https://host.example/a?sig=1 now", "see (link) now"),
    ],
)
def test_line_ends_invisible_characters_keys_and_links_are_removed(text: str, line: str) -> None:
    assert clean_line(text) == line


def test_a_known_secret_of_any_shape_is_hidden_even_when_split_by_invisible_characters() -> None:
    assert clean_line("key myown\u200bsecret1 is bad", secret="myownsecret1") == "key (key) is bad"
