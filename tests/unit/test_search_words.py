"""What a search in prompts finds, and the entries of its index."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.search_words import WORD_BYTES, Search, words_of

FOUND = [
    ("a Lighthouse in a storm", "LIGHT storm"),
    ("a Lighthouse in a storm", "a"),
    ("100% wool", "100%"),
    ("100% wool", "%"),
    ("under_score, back\\slash", "score back"),
    ("light-house", "light-h -house house"),
    ("Über den Wolken", "über"),
    ("une ÉTOILE", "étoile"),
    ("ΟΔΟΣ", "οδος"),
    ("große Straße", "GROSSE STRASSE"),
    ("美丽的风景画", "风景"),
    ("灯台と海", "海"),
    ("ประภาคารในพายุ", "ในพายุ"),
    ("a fox 🦊🦊 and a hen", "🦊"),
    ("x" * 60 + "y", "x" * 60),
    ('he said "NEAR" AND left', '"near" and'),
]
NOT_FOUND = [
    ("a lighthouse", "house"),
    ("a lighthouse", "lighthouse ship"),
    ("100 wool", "%"),
    ("cat", "*"),
    ("cat", "c*"),
    ("x" * 59 + "y", "x" * 60),
    ("light house", "light-house"),
]


def is_letter(character: str) -> bool:
    unspaced = ("THAI", "LAO", "MYANMAR", "KHMER", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO")
    return character.isalnum() and not unicodedata.name(character, "").startswith(unspaced)


def plainly_finds(prompt: str, words: str) -> bool:
    """Say the same as Search.finds(), position by position."""
    folded, wanted = prompt.casefold(), words.casefold()
    return all(
        any(
            folded.startswith(word, at) and not (at and is_letter(folded[at - 1]) and is_letter(folded[at]))
            for at in range(len(folded))
        )
        for word in wanted.split()
    )


@pytest.mark.parametrize(("prompt", "words"), FOUND)
def test_a_word_is_found_by_its_beginning_in_any_case(prompt: str, words: str) -> None:
    assert Search(words).finds(prompt)
    assert plainly_finds(prompt, words)


@pytest.mark.parametrize(("prompt", "words"), NOT_FOUND)
def test_the_inside_of_a_word_is_not_found_and_no_sign_is_a_wildcard(prompt: str, words: str) -> None:
    assert not Search(words).finds(prompt)
    assert not plainly_finds(prompt, words)


hostile_texts = st.text(alphabet="aAbßéÉİ_%*\"':(-)^\\ \t美风กข🦊٣\u0301", max_size=12)


@given(st.one_of(hostile_texts, st.text(st.characters(codec="utf-8", max_codepoint=0x2FF))), hostile_texts)
def test_a_search_says_the_same_as_a_plain_comparison(prompt: str, words: str) -> None:
    assert Search(words).finds(prompt) is plainly_finds(prompt, words)


@given(hostile_texts, hostile_texts)
def test_the_index_of_a_prompt_has_every_word_that_is_found_and_no_other_short_one(prompt: str, words: str) -> None:
    search, entries = Search(words), words_of(prompt)
    named = all(any(entry.startswith(word) for entry in entries) for word in search.indexed)
    if search.finds(prompt):
        assert named
    if len(search.words) == len(search.indexed) and all(len(word.encode()) <= WORD_BYTES for word in search.words):
        assert named is search.finds(prompt)


def test_entries_and_words_asked_for_are_bounded() -> None:
    assert words_of("x" * 500 + " 美" + "丽" * 100) == {
        b"x" * 32,
        ("美" + "丽" * 10).encode()[:32],
        *(("丽" * count).encode()[:32] for count in range(1, 12)),
    }
    assert len(Search(" ".join("abcdefghijklmnopqrstuvwxyz")).indexed) == 5
    assert Search("a bb ccc a").indexed == (b"ccc", b"bb", b"a")
