"""Escape what a person typed: no Markdown, mention, link or hidden character of it has an effect.

Pure. Must not know Discord's library, cards or sentences.

Discord's Markdown takes a backslash before any ASCII punctuation as "show this character" (Discord docs: Reference,
"Message Formatting"; the client's own escape rule), so escaping leaves no invisible character in what people copy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from qwen.cleaning import DROPPED_CATEGORIES, SPACING_CATEGORIES

NO_VISIBLE_TEXT = "(no visible text)"
ALT_TEXT_MAX = 1024  # Discord docs: Message, "Attachment object", description
FILE_STEM_MAX = 40
MARKS_MAX = 4  # combining marks on one character; real scripts need three, "zalgo" text uses dozens
WORD_MAX = 40  # visible characters; a longer word is divided at the limit
CLUSTER_MAX = 16  # code points of one visible character; a family of four with skin tones has eleven

_FENCED = "```\n{}\n```"
_JOINER = "\u200d"
_BLACK_FLAG = "\U0001f3f4"  # starts the flags that are spelled with tag characters
# Letters that draw nothing: Hangul fillers, Khmer inherent vowels, the combining grapheme joiner.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f")
_BLANK_SPACES = frozenset("\u2800")  # the Braille pattern without dots
_ESCAPED = frozenset("\\*_~|`<>[]()@:/#")
_LEADING = re.compile(r"[-+]|\d+(?=\.)")  # what makes a list or small print, at the start of a line only
_PINGING = re.compile(r"@(?=everyone|here)")


def escape(text: str, limit: int) -> str:
    """Escape *text* as one line of at most *limit* UTF-16 units after escaping, with "…" where it was cut.

    Never empty; never ends inside an escape or a visible character. Of the counts that Discord's clients and servers
    use, UTF-16 units give the largest number, so the limit holds under each.
    """
    plain = _PINGING.sub("＠", _plain(text))  # after hidden characters were dropped, or "@\u200beveryone" would pass
    clusters = [_escape(cluster) for cluster in _clusters(plain)]
    if not clusters:
        return NO_VISIBLE_TEXT
    clusters = _escape_start(clusters)
    return _cut(clusters, limit)


def escape_parts(text: str, limit: int) -> list[str]:
    """Escape all of *text* in parts of at most *limit* UTF-16 units, each for the start of a line.

    Never empty; no part begins or ends inside an escape or a visible character.
    """
    parts: list[list[str]] = [[]]
    room = limit - 1  # one for the backslash at the start of a line
    for cluster in map(_escape, _clusters(_PINGING.sub("＠", _plain(text)))):
        if units(cluster) > room:
            parts.append(_last_word(parts[-1]))
            room = limit - 1 - sum(map(units, parts[-1]))
        parts[-1].append(cluster)
        room -= units(cluster)
    return ["".join(_escape_start(part)).strip() for part in parts if part] or [NO_VISIBLE_TEXT]


def _last_word(clusters: list[str]) -> list[str]:
    """Remove the last word from *clusters* and return it; nothing if it is longer than WORD_MAX."""
    begun = next(
        (at for at in range(len(clusters), max(0, len(clusters) - WORD_MAX), -1) if clusters[at - 1] == " "),
        len(clusters),
    )
    word = clusters[begun:]
    del clusters[begun:]
    return word


def copyable(text: str, limit: int) -> list[str]:
    """Return *text* in code blocks of at most *limit* UTF-16 units, to be copied by the person who typed it.

    It is unchanged but for two things: an invisible character breaks up "```", and half surrogate pairs become "?".
    """
    whole = text.encode("utf-8", "replace").decode("utf-8")
    if "```" in whole:
        whole = whole.replace("``", "`\u200b`")  # so that there are never three in a row
    blocks: list[str] = []
    while whole:
        part = cut(whole, limit - len(_FENCED) + 2)
        blocks.append(_FENCED.format(part))
        whole = whole[len(part) :]
    return blocks


def cut(text: str, limit: int) -> str:
    """Return the start of *text*, at most *limit* UTF-16 units, without halving a character."""
    if units(text) <= limit:
        return text
    room = limit
    for index, character in enumerate(text):
        room -= units(character)
        if room < 0:
            return text[:index]
    return text


def units(text: str) -> int:
    """Return the length of *text* in UTF-16 code units."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def alt_text(prompt: str, most_bytes: int = 3 * ALT_TEXT_MAX) -> str:
    """Return the prompt as an image's description: one plain line of at most 1024 UTF-16 units and *most_bytes* UTF-8
    bytes, with "…" where it was cut, never empty."""
    clusters = list(_clusters(_plain(prompt)))
    text = _cut(clusters, ALT_TEXT_MAX)
    if _utf8_bytes(text) > most_bytes:
        text = _cut(clusters, most_bytes, _utf8_bytes)
    return text or NO_VISIBLE_TEXT


def file_stem(prompt: str, seed: int) -> str:
    """Return a file name without its extension: the prompt's first words and the seed, at most 40 of [a-z0-9-].

    Never empty, never one of Windows' reserved names (those have no "-<seed>"), nothing that names a folder.
    """
    ending = f"-{seed}"
    ascii_text = unicodedata.normalize("NFKD", prompt[:400]).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", ascii_text)
    stem = ""
    for word in words:
        longer = f"{stem}-{word}" if stem else word
        if len(longer) + len(ending) > FILE_STEM_MAX:
            break
        stem = longer
    if not stem and words:
        stem = words[0][: FILE_STEM_MAX - len(ending)]
    return (stem or "image") + ending


def _plain(text: str) -> str:
    """*text* as one line of visible characters, white space folded."""
    visible = text if _is_simple(text) else "".join(_clusters(_visible(text)))
    return " ".join(visible.split())


def _is_simple(text: str) -> bool:
    """Whether each character of *text* is drawn by itself, as most prompts are. Saves most of the work on them."""
    return text.isascii() and text.isprintable()


def _visible(text: str) -> str:
    """Drop what draws nothing or changes the direction of others' text. Joiners and tags stay for now."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if category in SPACING_CATEGORIES or character in _BLANK_SPACES:
            kept.append(" ")
        elif character == _JOINER or _is_tag(character) or _draws(character, category):
            kept.append(character)
    return "".join(kept)


def _draws(character: str, category: str) -> bool:
    point = ord(character)
    noncharacter = point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF
    return category not in DROPPED_CATEGORIES and character not in _BLANK_LETTERS and not noncharacter


def _clusters(text: str) -> Iterator[str]:
    """Split into visible characters (a simplified UAX #29), dropping joiners and marks that belong to nothing."""
    if _is_simple(text):
        yield from text
        return
    cluster = ""
    for character in text:
        if cluster and _extends(cluster, character):
            if _has_room(cluster, character):
                cluster += character
            continue
        if character == _JOINER or _is_mark(character) or _is_tag(character):
            continue
        if cluster:
            yield cluster.rstrip(_JOINER)
        cluster = character
    if cluster:
        yield cluster.rstrip(_JOINER)


def _extends(cluster: str, character: str) -> bool:
    """Return whether *character* is drawn as a part of *cluster*."""
    if cluster[-1] == _JOINER:
        return _is_pictorial(character)
    if character == _JOINER:
        return _is_pictorial(cluster[0])
    if _is_mark(character):
        return not cluster.isspace()
    if _is_tag(character):
        return cluster[0] == _BLACK_FLAG
    if _is_regional(character):
        return len(cluster) == 1 and _is_regional(cluster)
    return "\U0001f3fb" <= character <= "\U0001f3ff" and _is_pictorial(cluster[0])


def _has_room(cluster: str, character: str) -> bool:
    marks = sum(1 for part in cluster if _is_mark(part))
    return len(cluster) < CLUSTER_MAX and not (_is_mark(character) and marks >= MARKS_MAX and _JOINER not in cluster)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def _is_tag(character: str) -> bool:
    return "\U000e0020" <= character <= "\U000e007f"


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_pictorial(character: str) -> bool:
    """Return whether *character* is an emoji or a skin tone. Other modifier symbols, such as the backtick, are none."""
    return unicodedata.category(character) == "So" or "\U0001f3fb" <= character <= "\U0001f3ff"


def _escape(cluster: str) -> str:
    return "".join("\\" + part if part in _ESCAPED else part for part in cluster)


def _escape_start(clusters: list[str]) -> list[str]:
    """Escape what would begin a list at the start of a line."""
    found = _LEADING.match("".join(clusters[:12]))
    if found is None:
        return clusters
    at = found.end() if found.group()[0].isdigit() else 0
    return [*clusters[:at], "\\" + clusters[at], *clusters[at + 1 :]]


def _utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _cut(clusters: list[str], limit: int, length: Callable[[str], int] = units) -> str:
    """Join as many whole clusters as fit into *limit*, measured by *length*."""
    if sum(map(length, clusters)) <= limit:
        return "".join(clusters)
    kept: list[str] = []
    room = limit - length("…")
    for cluster in clusters:
        room -= length(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + "…"
