"""Mask secrets in log lines, and escape what people typed so that it cannot look like a line of the bot.

Pure. Must not know where the secrets come from (they are handed in) nor where the lines go (observability/logging.py).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

from qwen.cleaning import KEY_SHAPE

SECRET_MIN = 6  # a shorter one would be found in half of all words
MESSAGE_MAX = 3_500
TRACE_MAX = 64_000
TRACE_INDENT = "    "

# A quoted text as repr() and JSON write it, one inside another quoted text, and one whose end is missing.
_VALUE = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\\{1,8}"[^"\\\n]*\\{0,8}"?|['"][^\n]*)"""
_HIDDEN_NAMES = (
    r"(?:[a-z0-9_-]{0,40}(?:token|secret|password)|passwd|passphrase|api[_-]?key|qwen_api_key|session_id"
    r"|(?:set-)?cookie|(?:proxy-)?authorization|callback_url)"
)
# Discord's and our own names for what people type, and what the API calls it.
_TYPED_NAMES = r"(?:value|content|prompt|description|placeholder|label|topic|global_name|username|nick)"
_SIGNATURE_NAMES = r"(?:x-[a-z0-9-]+|sig|signature|token|api_?key|key|access_token|hm|policy|key-pair-id|password)"

# Pattern and replacement, applied in this order: whole values first, then what may be a part of other text.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(shape, re.IGNORECASE | re.DOTALL), kept)
    for shape, kept in (
        # Discord's interactions and webhooks, and our own callbacks: the token is a part of the path.
        (r"((?:webhooks|interactions)(?:/|%2F)\d+(?:/|%2F))[^/\s?#\"'<>,;)\]}%]+", r"\1(token)"),
        (r"(callbacks(?:/|%2F))[^/\s?#\"'<>,;)\]}%]+", r"\1(token)"),
        # {'token': 'x'}, {"token":"x"}, \"token\": \"x\", ('Authorization', b'Bot x')
        (rf"(\\{{0,8}}['\"]{_HIDDEN_NAMES}\\{{0,8}}['\"]\s*[:,=]\s*b?){_VALUE}", r"\1'(secret)'"),
        (rf"(\\{{0,8}}['\"]{_TYPED_NAMES}\\{{0,8}}['\"]\s*:\s*){_VALUE}", r"\1'(text)'"),
        # Authorization: Bearer x, DISCORD_TOKEN=x, password: x
        (r"\b((?:proxy-)?authorization\s*[:=]\s*)(?:[a-z]+[ \t]+)?[^\s,;)\]}]+", r"\1(secret)"),
        (r"\b((?:[a-z0-9_]{0,40}(?:token|password|passwd|secret|api_?key))\s*=\s*)[^\s,;&)\]}]+", r"\1(secret)"),
        (r"\b(bearer|basic)\s+(?!auth)[a-z0-9._~+/=-]{8,}", r"\1 (secret)"),
        # scheme://user:password@host, and what is signed behind a question mark
        (r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@'\"]{0,200}:)[^\s/'\"]{1,1000}@", r"\1(password)@"),
        (r"(\b(?:https?|wss?)://[^\s?#\"'<>]{1,2000}\?)[^\s\"'<>]+", r"\1(query)"),
        (rf"([?&]{_SIGNATURE_NAMES}=)[^&\s\"'<>]+", r"\1(secret)"),
        # PostgreSQL and asyncpg repeat rows, with prompts and tokens, in their errors.
        (r"(Failing row contains )\(.{0,4000}?\)(?=\.?(?:\s|$))", r"\1(row)"),
        (r"(invalid input for query argument \$\d+: )[^\n]*", r"\1(value)"),
        (r"(\[parameters: )[^\n]*", r"\1(values)]"),
    )
) + tuple(
    (re.compile(shape), kept)
    for shape, kept in (
        (r"\b(?:mfa\.[\w-]{20,}|[A-Za-z\d_-]{23,28}\.[\w-]{6,7}\.[\w-]{27,})", "(bot token)"),
        (KEY_SHAPE, "(key)"),
        (r"\baW50ZXJhY3Rpb24[A-Za-z0-9+/_=-]{8,}", "(token)"),  # base64 of "interaction": how Discord's begin
    )
)

# Without one of these, text has none of the forms above. Of ASCII in lower case only: some other letters are equal to
# ASCII ones where case is ignored.
_FORM_SIGNS = re.compile(r"""['"/%?&=]|\.[\w-]{6}|[spr]k-""", re.ASCII)
_FORM_WORDS = ("authorization", "bearer", "basic", "aw50zxjh", "failing row", "invalid input", "[parameters")

# Line ends, control codes, characters that change the text's direction, invisible ones, and unpaired surrogates.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


class Redactor:
    """Masks known *secrets* in every quoting, and text that has the form of a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= SECRET_MIN}
        longest_first = sorted(forms, key=len, reverse=True)
        self._forms = tuple(longest_first)
        self._known = re.compile("|".join(map(re.escape, longest_first)))
        self.name = lru_cache(maxsize=256)(self.line)  # of a logger: there are few, and each has many lines

    def mask(self, text: str) -> str:
        """Return *text* with each secret replaced by a word in brackets."""
        for form in self._forms:
            if form in text:
                text = self._known.sub("(secret)", text)
                break
        if not may_have_form(text):
            return text
        for shape, kept in _SHAPES:
            text = shape.sub(kept, text)
        return text

    def line(self, text: str, limit: int = MESSAGE_MAX) -> str:
        """Return masked *text* as one line: control characters are escaped, so that it can't look like two."""
        return _cut(one_line(self.mask(_head(text, limit))), limit)

    def lines(self, text: str, limit: int = TRACE_MAX) -> str:
        """Return a masked traceback: its lines are kept and indented, so that none looks like an event's."""
        indented = (TRACE_INDENT + one_line(line) for line in self.mask(_head(text, limit)).split("\n"))
        return _cut("\n".join(indented), limit)


class RedactingFilter(logging.Filter):
    """Formats each record and masks all of its texts. Never drops a record, never raises.

    Put it on a handler, which gets the records of every logger, also those of libraries.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "redacted", False):  # by the filter of another handler
            return True
        record.msg, record.args = self._redactor.line(_message_of(record)), None
        record.name = self._redactor.name(record.name)
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = self._formatter.formatException(record.exc_info)
        record.exc_info = None  # else a formatter would format it again, unmasked
        if record.exc_text:
            record.exc_text = self._redactor.lines(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.lines(record.stack_info)
        record.redacted = True
        return True


def may_have_form(text: str) -> bool:
    """Return whether *text* may have the form of a secret. Quick; few lines of the bot have a sign of one."""
    if not text.isascii():
        return True
    lower = text.lower()
    for word in _FORM_WORDS:
        if word in lower:
            return True
    return _FORM_SIGNS.search(lower) is not None


def one_line(text: str) -> str:
    """Return *text* with every control, invisible and direction character escaped as in a Python literal."""
    if text.isprintable():  # then it has none of them
        return text
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - a value's own __str__ may raise anything, and a log call must not fail
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"a message that could not be put together ({type(error).__name__}): {template}"


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it may be written in an address, in JSON and in repr()."""
    for plain in {secret, unquote(secret)}:
        yield from (plain, quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1])
        yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])
        yield repr(plain.encode("utf-8", "surrogateescape"))[2:-1]


def _head(text: str, limit: int) -> str:
    """Cut *text* so that masking takes milliseconds, between two words: half a secret would not be recognised."""
    if len(text) <= 4 * limit:
        return text
    return text[: 4 * limit].rpartition(" ")[0] or text[:limit]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
