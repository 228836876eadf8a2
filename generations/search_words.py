"""What a search in prompts finds: text that stands at the beginning of a word, in any case. Pure.

Every character that is no letter or digit begins a word, and so does each letter of a script that is written without
spaces (Thai, Burmese, Khmer, Chinese, Japanese).
"""

from __future__ import annotations

import re

WORD_BYTES = 32  # of UTF-8: so much of a prompt, from a word's beginning on, is one entry of the index
INDEXED_MAX = 5  # words of a search for which the index is asked; all are compared with the prompt itself

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
LETTER = rf"[^\W_{_UNSPACED}]"  # a pattern: one character that continues a word
_BEGINNING = re.compile(rf"(?<!{LETTER}).|(?!{LETTER}).")


class Search:
    """The words that a person searches for. *text*: as typed, without surrogates."""

    def __init__(self, text: str) -> None:
        self.words = tuple(dict.fromkeys(text.casefold().split()))
        longest_first = sorted(self.words, key=len, reverse=True)
        self.indexed = tuple(dict.fromkeys(_cut(word) for word in longest_first[:INDEXED_MAX]))
        self._patterns = [(word, _pattern(word)) for word in self.words]

    def finds(self, prompt: str) -> bool:
        """Whether *prompt* has all the words."""
        folded = prompt.casefold()
        return all(word in folded and pattern.search(folded) for word, pattern in self._patterns)


def words_of(prompt: str) -> set[bytes]:
    """Return the entries of the index for *prompt*: the next WORD_BYTES at most, without spaces, of each beginning."""
    return {
        _cut(chunk[found.start() : found.start() + WORD_BYTES])
        for chunk in set(prompt.casefold().split())
        for found in _BEGINNING.finditer(chunk)
    }


def _pattern(word: str) -> re.Pattern[str]:
    begins_with_letter = re.match(LETTER, word) is not None
    return re.compile((rf"(?<!{LETTER})" if begins_with_letter else "") + re.escape(word))


def _cut(word: str) -> bytes:
    return word.encode()[:WORD_BYTES]
