"""Which rules a prompt breaks, and which rules can't be kept."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.words import BadWordRule, BlockedWords, WordKind, WordRule, check_word_rule, normalise

PLAIN, WHOLE, PATTERN = WordKind.PLAIN, WordKind.WHOLE, WordKind.PATTERN

BROKEN = [
    (PLAIN, "gun", "a GUNboat"),
    (PLAIN, "gun", "ｇｕｎ"),  # full-width
    (PLAIN, "gun", "𝐠𝓾𝖓"),  # mathematical
    (PLAIN, "gun", "g\u200bu\u2060n\ufeff"),  # zero-width
    (PLAIN, "gun", "g\u00adu\ufe0fn\U000e0041"),  # soft hyphen, variation selector, tag
    (PLAIN, "nice", "nісе"),  # Cyrillic
    (PLAIN, "cock", "a cοcк"),  # Greek and Cyrillic
    (PLAIN, "cafe", "a CAFÉ"),
    (PLAIN, "cafe", "a cafe\u0301"),
    (PLAIN, "café", "CAFE\u0301"),
    (PLAIN, "strasse", "Große Straße"),
    (PLAIN, "рак", "большой рак"),
    (PLAIN, "two words", "TWO\n  words"),
    (PLAIN, "ﬁre", "fire"),  # a ligature in the rule
    (WHOLE, "gun", "a gun, loaded"),
    (WHOLE, "gun", "gun"),
    (WHOLE, "血", "一滴血在雪上"),  # no spaces between words
    (WHOLE, "c++", "in c++ style"),
    (PATTERN, "gu+n", "a GUUUN"),
    (PATTERN, r"\bgun\b", "g\u200bun"),
    (PATTERN, "gun", "gυn"),
    (PATTERN, "р.к", "рок"),  # a pattern in Cyrillic
    (PATTERN, "^gun$", " gun "),
]
KEPT = [
    (PLAIN, "gun", "a gnu"),
    (PLAIN, "café", "a cafe"),
    (WHOLE, "gun", "a gunboat, begun"),
    (WHOLE, "gun", "gun2"),
    (WHOLE, "血", "雪"),
    (PATTERN, "^gun$", "a gun"),
    (PLAIN, "a.b", "axb"),
]


def broken(kind: WordKind, text: str, prompt: str) -> bool:
    return BlockedWords([WordRule(1, kind, text)]).find(prompt) is not None


@pytest.mark.parametrize(("kind", "text", "prompt"), BROKEN)
def test_a_rule_finds_every_spelling_of_its_word(kind: WordKind, text: str, prompt: str) -> None:
    check_word_rule(kind, text)
    assert broken(kind, text, prompt)


@pytest.mark.parametrize(("kind", "text", "prompt"), KEPT)
def test_a_rule_lets_other_words_pass(kind: WordKind, text: str, prompt: str) -> None:
    assert not broken(kind, text, prompt)


def test_the_first_rule_that_is_broken_is_returned() -> None:
    rules = [WordRule(1, PLAIN, "cat"), WordRule(2, PLAIN, "dog", "animals"), WordRule(3, PLAIN, "og")]
    assert BlockedWords(rules).find("a hot dog") == rules[1]


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (PLAIN, " \u200b ", "empty"),
        (WHOLE, "", "empty"),
        (PATTERN, "", "empty"),
        (PATTERN, "a*", "empty"),
        (PATTERN, "(", "unreadable"),
        (PATTERN, "(?=a)", "unreadable"),  # RE2 has no look-ahead: nothing in it can go back
        (PATTERN, r"(a)\1", "unreadable"),
        (PATTERN, "(?:a{1,100}){1,100}b", "unreadable"),
        (PATTERN, r"[\pL\pN]{1,900}b", "large"),
        (PLAIN, "x" * 101, "long"),
    ],
)
def test_a_rule_that_finds_nothing_or_everything_or_is_too_large_is_refused(
    kind: WordKind, text: str, fault: str
) -> None:
    with pytest.raises(BadWordRule) as caught:
        check_word_rule(kind, text)
    assert caught.value.fault == fault


@given(st.text(max_size=80), st.text(max_size=20), st.sampled_from([PLAIN, WHOLE]))
def test_any_prompt_and_any_word_can_be_compared(prompt: str, word: str, kind: WordKind) -> None:
    try:
        check_word_rule(kind, word)
    except BadWordRule:
        return
    found = broken(kind, word, prompt)
    assert found <= broken(PLAIN, word, prompt)
    assert broken(PLAIN, word, f"{prompt} {word}")


@given(st.text(max_size=80))
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(max_size=200), st.text(max_size=12))
def test_any_pattern_is_refused_or_can_be_searched_for(prompt: str, pattern: str) -> None:
    try:
        check_word_rule(PATTERN, pattern)
    except BadWordRule:
        return
    broken(PATTERN, pattern, prompt)


async def test_a_pattern_that_would_hold_a_backtracking_engine_for_years_lets_the_loop_go_on() -> None:
    """Python's own `re` never ends with the first of these. The search stands in a thread and gives the lock back:
    the loop turns while it is under way, whatever it takes."""
    hostile = ["(a+)+$", "(a|a)*b", "((((a*)*)*)*)*b", "(.*){20}b", "(?:.?){100}b", "(x+x+)+y"]
    words = BlockedWords([WordRule(number, PATTERN, text) for number, text in enumerate(hostile)])
    prompt = "a漢" * 999 + "!"
    searching = asyncio.get_running_loop().run_in_executor(None, lambda: [words.find(prompt) for _ in range(20)])
    turns = 0
    while not searching.done():
        await asyncio.sleep(0)
        turns += 1
    assert await searching == [None] * 20
    assert turns > 20
