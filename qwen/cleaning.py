"""Clean text from elsewhere: one short line without invisible characters, links and keys. Pure.

The shape of the image API's keys and the character tables are also used by observability.redaction and
ui.texts.escaping.
"""

from __future__ import annotations

import re
import unicodedata

LINE_MAX = 300

KEY_SHAPE = r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{6,}"  # of the image API's keys
# Unicode categories of control, format (bidi overrides, zero width), surrogate and private-use characters: nothing a
# person can read. Those that stand for a space or a line end become a space.
DROPPED_CATEGORIES = frozenset({"Cf", "Cs", "Co"})
SPACING_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Zs"})

_KEY = re.compile(KEY_SHAPE, re.ASCII)
_BEARER = re.compile(r"\bbearer\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE | re.ASCII)
_LINK = re.compile(r"\b[a-z][a-z0-9+.\-]{0,15}://[^\s\"'<>]+", re.IGNORECASE | re.ASCII)


def clean_line(text: object, *, limit: int = LINE_MAX, secret: str = "") -> str:
    """Return one line of at most *limit* characters without control or invisible characters, links and keys.

    *secret*: a known secret (the API key), hidden wherever it stands; anything shaped like a key is hidden too. What is
    not a str becomes an empty line.
    """
    if not isinstance(text, str):
        return ""
    # Cutting early keeps the cost of a huge text small; ten times the limit leaves room for what is dropped.
    start = text[: limit * 10]
    if not (start.isascii() and start.isprintable()):
        start = "".join(map(_without_invisible, start))
    line = " ".join(start.split())
    if secret:
        line = line.replace(secret, "(key)")
    line = _KEY.sub("(key)", _BEARER.sub("(key)", line))
    line = _LINK.sub("(link)", line)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _without_invisible(character: str) -> str:
    category = unicodedata.category(character)
    if category in SPACING_CATEGORIES:
        return " "
    return "" if category in DROPPED_CATEGORIES else character


def is_ascii_word(text: str) -> bool:
    """Whether *text* is printable ASCII without a space."""
    return text.isascii() and text.isprintable() and " " not in text
