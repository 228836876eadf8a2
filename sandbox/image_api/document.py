"""The rules of the image API's document: what a request may hold, and what an answer looks like.

Source of every rule: the Qwen-Image-2512 API documentation ("Create Task", "Check Status", "Error Codes"). Written from
the document alone, independently of the product's own reading of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

SIZES = {
    "1024*1024": (1024, 1024),
    "1024*1536": (1024, 1536),
    "1536*1024": (1536, 1024),
    "768*1024": (768, 1024),
    "1024*768": (1024, 768),
}
OUTPUT_FORMATS = ("jpeg", "png", "webp")
PROMPT_MAX_CHARACTERS = 2000
SEED_RANDOM = -1
SEED_MAX = 2_147_483_647
CREDITS_PER_IMAGE = 5
DECLINED_MESSAGE = "Content policy violation detected"
TASK_ID_PATTERN = re.compile(r"n[0-9]{2}[a-z0-9]{12}qwenimg")  # the document's example: n43abc123def456qwenimg

Json = dict[str, object]


class Refused(Exception):
    """An answer that is no success. `code`: the HTTP status and the envelope's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class GenerateBody:
    """The five body parameters of POST /api/generate, with the document's defaults."""

    prompt: str
    size: str
    seed: int
    output_format: str
    callback_url: str | None

    def echo(self) -> Json:
        """Return the `request` object of a status answer. The document shows it only as `{ ... }`."""
        given: Json = {
            "prompt": self.prompt,
            "size": self.size,
            "seed": self.seed,
            "output_format": self.output_format,
        }
        return given if self.callback_url is None else {**given, "callback_url": self.callback_url}


def envelope(code: int, message: str, data: Json | None) -> Json:
    return {"code": code, "message": message, "data": data}


def check_authorization(header: str | None, key: str) -> None:
    """Raise Refused(401) unless the header is exactly `Bearer <key>`."""
    if header != f"Bearer {key}":
        raise Refused(401, "Unauthorized: missing or invalid API key.")


def parse_generate(content_type: str, body: object) -> GenerateBody:
    """Return the parameters of a decoded JSON body. Raises Refused(400), also for an unknown key."""
    if content_type != "application/json":
        raise _bad("Content-Type must be application/json.")
    if not isinstance(body, dict):
        raise _bad("the body must be a JSON object.")
    fields = cast("Json", body)
    unknown = sorted(fields.keys() - {"prompt", "size", "seed", "output_format", "callback_url"})
    if unknown:
        raise _bad(f"unknown parameter {unknown[0]!r}.")
    return GenerateBody(
        prompt=_prompt(fields.get("prompt")),
        size=_choice("size", fields.get("size", "1024*1024"), tuple(SIZES)),
        seed=_seed(fields.get("seed", SEED_RANDOM)),
        output_format=_choice("output_format", fields.get("output_format", "jpeg"), OUTPUT_FORMATS),
        callback_url=_callback_url(fields["callback_url"]) if "callback_url" in fields else None,
    )


def check_utf16_length(prompt: str) -> None:
    """Raise Refused(400) for more than 2000 UTF-16 units, as `length` counts in JavaScript."""
    _check_length(len(prompt.encode("utf-16-le")) // 2)


def parse_status(query: dict[str, str]) -> str:
    """Return the task id of GET /api/status. Raises Refused(400) without one, or with another parameter."""
    if not query.get("task_id"):
        raise _bad("'task_id' is required.")
    unknown = sorted(query.keys() - {"task_id"})
    if unknown:
        raise _bad(f"unknown parameter {unknown[0]!r}.")
    return query["task_id"]


def _bad(sentence: str) -> Refused:
    return Refused(400, f"Bad Request: {sentence}")


def _prompt(value: object) -> str:
    if value is None or value == "":
        raise _bad("'prompt' is required.")
    if not isinstance(value, str):
        raise _bad("'prompt' must be a string.")
    _check_length(len(value))
    return value


def _check_length(length: int) -> None:
    if length > PROMPT_MAX_CHARACTERS:
        raise _bad(f"'prompt' must be at most {PROMPT_MAX_CHARACTERS} characters, got {length}.")


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise _bad(f"{name!r} must be one of {', '.join(allowed)}.")
    return value


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not SEED_RANDOM <= value <= SEED_MAX:
        raise _bad(f"'seed' must be a whole number from {SEED_RANDOM} to {SEED_MAX}.")
    return value


def _callback_url(value: object) -> str:
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = None
        if parts and parts.scheme in {"http", "https"} and parts.hostname:
            return value
    raise _bad("'callback_url' must be an http or https URL.")
