"""Find out what a refusal is about from its message. Pure. The API document has examples only, so these are guesses.

A message may repeat the prompt, and a person could write such words into a prompt: words that are in the prompt too
are ignored.
"""

from __future__ import annotations

import re

from qwen.cleaning import clean_line
from qwen.models import PROMPT_MAX

_EMPTY_ACCOUNT = re.compile(
    r"\b(?:insufficient|not enough)\s+(?:\w+\s+)?(?:credits?|balance|funds)\b"
    r"|\b(?:out of|no|no more|no remaining)\s+credits?\b"
    r"|\b(?:credits?|balance)\s+(?:(?:is|are)\s+)?(?:insufficient|exhausted|not enough|too low)\b"
    r"|(?:^|[.!;]\s*|\bplease\s+)top[ -]?up\b"
    r"|\btop[ -]?up\s+(?:your\s+)?(?:account|balance|credits?)\b",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"\btoo long\b"
    r"|\b(?:max(?:imum)?|prompt'?s?|exceeds?|limit)\W+(?:\w+\W+){0,3}length\b"
    r"|\blength\W+(?:\w+\W+){0,2}(?:limit|exceed(?:s|ed)?|must|at most|maximum|no more)\b"
    r"|\b[0-9]+ ?(?:characters?|chars?|tokens?|utf-?16)\b"
    r"|\bcharacters?\W+(?:limit|maximum|max|or less|or fewer)\b",
    re.IGNORECASE,
)
_POLICY = (
    "policy",
    "moderation",
    "violat",
    "safety",
    "nsfw",
    "prohibited",
    "sensitive",
    "not allowed",
    "inappropriate",
)


def speaks_of_policy(message: str) -> bool:
    """Whether the message of a failed task says that its prompt was refused."""
    lowered = message.lower()
    return any(word in lowered for word in _POLICY)


def speaks_of_an_empty_account(message: str, prompt: str) -> bool:
    """Whether a refusal says that the operator's account has no credits left."""
    return _says(_EMPTY_ACCOUNT, message, prompt)


def speaks_of_length(message: str, prompt: str) -> bool:
    """Whether a refusal says that the prompt is too long."""
    return _says(_LENGTH, message, prompt)


def _says(words: re.Pattern[str], message: str, prompt: str) -> bool:
    asked = clean_line(prompt, limit=PROMPT_MAX).casefold()
    return any(match[0].casefold() not in asked for match in words.finditer(message))
