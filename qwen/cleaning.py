"""Turns text that came from elsewhere into one short, inert line that holds no secret.

Pure. Must not know where the text came from or where it goes.
"""

from __future__ import annotations

import re
import unicodedata

LINE_MAX = 300

_KEY_SHAPED = re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_\-]{6,}", re.ASCII)
_BEARER = re.compile(r"\bbearer\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE | re.ASCII)
_LINK = re.compile(r"\b[a-z][a-z0-9+.\-]{0,15}://[^\s\"'<>]+", re.IGNORECASE | re.ASCII)
# Control, format (bidi overrides, zero width), surrogate and private-use characters say nothing a person can read.
_DROPPED_CATEGORIES = frozenset({"Cf", "Cs", "Co"})
_SPACING_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Zs"})


def clean_line(text: object, *, limit: int = LINE_MAX, secret: str = "") -> str:
    """One line of at most `limit` characters: no control or invisible characters, no link, no key. Not a str: empty.

    `secret` is a known secret (the API key), hidden wherever it stands; anything shaped like a key is hidden too.
    """
    if not isinstance(text, str):
        return ""
    # Cutting early keeps the cost of a huge text small; ten times the limit leaves room for what is dropped.
    line = " ".join("".join(map(_without_unseen, text[: limit * 10])).split())
    if secret:
        line = line.replace(secret, "(key)")
    line = _KEY_SHAPED.sub("(key)", _BEARER.sub("(key)", line))
    line = _LINK.sub("(link)", line)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _without_unseen(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACING_CATEGORIES:
        return " "
    return "" if category in _DROPPED_CATEGORIES else character
