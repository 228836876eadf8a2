"""Find blocked words in a prompt. Pure.

A prompt and a rule are compared after the same normalisation (`normalise`), so that capitals, full-width or
mathematical letters, invisible characters and letters of other scripts that look like Latin ones make no difference. A
pattern is a regular expression of RE2, whose time grows with the length of the prompt alone, whatever the pattern; it
releases the interpreter's lock, so that in a thread it holds nobody up (docs/decisions/0026-blocked-words.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import re2

from generations.search_words import LETTER

WORD_MAX = 100  # characters of one word or pattern, and of a rule's name
WORDS_MAX = 200  # rules of one server
PATTERNS_MAX = 20  # of these, patterns
PATTERN_BYTES = 256 * 1024  # of memory for a compiled pattern; a larger one is refused when it is set


class WordKind(StrEnum):
    """How a rule's text is compared; SQL stores the values."""

    PLAIN = "plain"  # anywhere, also inside of a word
    WHOLE = "whole"  # as a word of its own
    PATTERN = "pattern"  # a regular expression


@dataclass(frozen=True, slots=True)
class WordRule:
    """One rule of a server. *name*: what a refusal shows of it; empty: its number."""

    number: int
    kind: WordKind
    text: str
    name: str = ""


class BadWordRule(Exception):
    """A rule that can't be kept. *fault*: empty, long, unreadable or large; *detail*: what RE2 says of a pattern."""

    def __init__(self, fault: str, detail: str = "") -> None:
        super().__init__(f"a word rule is {fault}")
        self.fault = fault
        self.detail = detail


class BlockedWords:
    """The word rules of one server, compiled when they are first needed."""

    def __init__(self, rules: Iterable[WordRule]) -> None:
        self.rules = tuple(rules)

    @property
    def are_slow(self) -> bool:
        """Whether a search may take more than a millisecond, so that it belongs in a thread."""
        return any(rule.kind is WordKind.PATTERN for rule in self.rules)

    def find(self, prompt: str) -> WordRule | None:
        """Return the first rule that *prompt* breaks."""
        if not self.rules:
            return None
        texts = _texts(prompt)
        return next((rule for rule, matcher in self._matchers if matcher.finds(texts)), None)

    @cached_property
    def _matchers(self) -> Sequence[tuple[WordRule, _Matcher]]:
        return [(rule, _Matcher(rule.kind, rule.text)) for rule in self.rules]


def check_word_rule(kind: WordKind, text: str, name: str = "") -> None:
    """Raises BadWordRule for a rule that would find nothing or everything, or that can't be compiled."""
    if len(text) > WORD_MAX or len(name) > WORD_MAX:
        raise BadWordRule("long")
    if kind is WordKind.PATTERN:
        if _compile_pattern(text).search("") is not None:  # finds every prompt
            raise BadWordRule("empty")
    elif not normalise(text):
        raise BadWordRule("empty")


def normalise(text: str) -> str:
    """Return *text* in one form for all its spellings: NFKC, no invisible characters, no case, look-alikes as Latin
    letters, one space between words. Accents stay."""
    return _latin(_fold(text))


@dataclass(frozen=True, slots=True)
class _Texts:
    """A prompt, normalised in the ways in which rules are compared. *folded*: without the change of look-alikes."""

    folded: str
    plain: str
    unaccented: str


class _Matcher:
    """One compiled rule."""

    def __init__(self, kind: WordKind, text: str) -> None:
        word = normalise(text)
        self._pattern = _compile_pattern(text) if kind is WordKind.PATTERN else None
        self._is_accented = word != _unaccented(word)
        self._search = re.compile(_whole(word) if kind is WordKind.WHOLE else re.escape(word)).search

    def finds(self, texts: _Texts) -> bool:
        """Whether a prompt breaks the rule. A word that is written without accents finds accented ones too."""
        if self._pattern is not None:
            search = self._pattern.search
            return search(texts.folded) is not None or search(texts.unaccented) is not None
        return self._search(texts.plain if self._is_accented else texts.unaccented) is not None


def _texts(prompt: str) -> _Texts:
    folded = _fold(prompt)
    plain = _latin(folded)
    return _Texts(folded, plain, _unaccented(plain))


def _fold(text: str) -> str:
    """Half of a character (a lone surrogate) becomes "?": RE2 takes UTF-8."""
    readable = text.encode("utf-8", "replace").decode("utf-8")
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", readable))
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split())


def _latin(text: str) -> str:
    return text.translate(_CONFUSABLES)


def _unaccented(text: str) -> str:
    """Return *text* without the accents of Latin, Greek and Cyrillic letters, and with look-alikes that had one."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", bare).translate(_CONFUSABLES)


def _whole(word: str) -> str:
    """Return a pattern for *word* between two characters that continue no word. Scripts that are written without
    spaces have no such borders: there any occurrence counts."""
    before = rf"(?<!{LETTER})" if re.match(LETTER, word) else ""
    after = rf"(?!{LETTER})" if re.match(LETTER, word[-1:]) else ""
    return before + re.escape(word) + after


def _compile_pattern(text: str) -> re2.Pattern:
    """Raises BadWordRule."""
    options = re2.Options()
    options.max_mem = PATTERN_BYTES
    options.log_errors = False
    try:
        return re2.compile(text.encode("utf-8", "replace").decode("utf-8"), options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        detail = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadWordRule("large" if "too large" in detail else "unreadable", detail) from None


# Unicode's category Cf (zero-width characters, marks of direction, soft hyphen, tags), variation selectors, the
# combining grapheme joiner and fillers that have no width.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ACCENTS = re.compile("[\u0300-\u036f]")

# Letters that look like a Latin one in common fonts, in lower case and after NFKC (Unicode Technical Standard 39,
# confusables.txt; only letters of living scripts, not signs or digits).
_CONFUSABLES = {
    ord(letter): latin
    for latin, letters in {
        "a": "аɑα",
        "b": "ьƅ",
        "c": "сϲᴄ",
        "d": "ԁɗ",
        "e": "еҽ℮",
        "f": "ꞙẝք",
        "g": "ɡցƍ",
        "h": "һհ",
        "i": "іıɩιӏ",
        "j": "јϳ",
        "k": "кκ",
        "l": "ǀ",
        "n": "ոռ",
        "o": "оοσօ",
        "p": "рρ",
        "q": "ԛգ",
        "r": "гᴦ",
        "s": "ѕꜱ",
        "t": "тτ",
        "u": "υսᴜ",
        "v": "ѵν",
        "w": "ԝѡա",
        "x": "хχ",
        "y": "уүγ",
        "z": "ᴢ",
    }.items()
    for letter in letters
}
