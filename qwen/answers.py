"""Read the JSON of the image API's answers: the envelope {code, message, data} and the task in its data. Pure.

Knows neither HTTP nor what an answer means for a request. Whatever stands in a body, nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from qwen.cleaning import clean_line, is_ascii_word
from qwen.models import Task, TaskStatus, parse_status

TASK_ID_MAX = 200
IMAGE_URLS_MAX = 16
IMAGE_URL_MAX = 8192
CREDITS_SANE_MAX = 1_000_000
URL_FIELDS = ("url", "image_url", "image")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What each answer of the API consists of. `data` is empty where it is null or no object."""

    code: int
    message: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)


def read_object(body: bytes) -> Mapping[str, object] | None:
    """Return the JSON object in a body, or None: not JSON, or no object."""
    try:
        # ValueError: no text, no JSON, or a number that is too long; RecursionError: nested too deeply.
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", content) if isinstance(content, dict) else None


def read_envelope(body: bytes) -> Envelope | None:
    """Return the envelope of an answer, or None: not JSON, no object, or without a whole number as its code."""
    fields = read_object(body)
    code = None if fields is None else _whole_number(fields.get("code"))
    if fields is None or code is None:
        return None
    message, data = fields.get("message"), fields.get("data")
    return Envelope(
        code=code,
        message=message if isinstance(message, str) else "",
        data=cast("dict[str, object]", data) if isinstance(data, dict) else {},
    )


def read_task(data: Mapping[str, Any], key: str) -> Task | None:
    """Return the task that an envelope's data describes, or None without a usable id. `key` is hidden in its texts."""
    task_id = read_task_id(data.get("task_id"))
    if task_id is None:
        return None
    request = data.get("request")  # "request": { ... } in the document, so any part of it may be missing
    asked = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    error_message = clean_line(data.get("error_message"), secret=key) or None
    response = data.get("response")
    image_urls = _read_urls(response)
    return Task(
        task_id=task_id,
        status=_read_status(data.get("status"), response, image_urls, error_message),
        status_text=clean_line(data.get("status"), limit=60, secret=key),
        consumed_credits=_read_credits(data.get("consumed_credits")),
        error_message=error_message,
        image_urls=image_urls,
        asked_prompt=prompt if isinstance(prompt := asked.get("prompt"), str) else None,
        asked_seed=_whole_number(asked.get("seed")),
    )


def _read_status(
    status: object, response: object, image_urls: tuple[str, ...], error_message: str | None
) -> TaskStatus:
    """Return a status of the document as it is. Any other (sibling services say `completed`, `succeeded`, `fail`,
    `error`) is judged by the other fields: an image's address is SUCCESS, else an error message is FAILED, else any
    other text in the response is SUCCESS without an image (a result that can't be read), else it still runs. Numbers
    alone, as in {"progress": 40}, are no result.

    An error message beside PENDING or IN_PROGRESS is ignored: the service may try again by itself, and the credits of
    a task that never ends are returned at the deadline.
    """
    known = parse_status(status)
    if known is not TaskStatus.UNKNOWN:
        return known
    if image_urls:
        return TaskStatus.SUCCESS
    if error_message:
        return TaskStatus.FAILED
    return TaskStatus.SUCCESS if _holds_text(response) else TaskStatus.UNKNOWN


def read_task_id(value: object) -> str | None:
    """A task's id: 1 to 200 printable ASCII characters without a space; else None."""
    if not isinstance(value, str) or not 0 < len(value) <= TASK_ID_MAX:
        return None
    return value if is_ascii_word(value) else None


def _read_urls(response: object) -> tuple[str, ...]:
    """Return the addresses in a response: a list of strings, as the document has it; or one string or object, or a
    list of objects, as sibling services write it. Whether an address may be fetched is judged later: addresses.py.
    """
    listed = cast("list[object]", response) if isinstance(response, list) else [response]
    found = (_read_url_field(entry) for entry in listed)
    texts = (entry.strip() for entry in found if isinstance(entry, str) and len(entry) <= IMAGE_URL_MAX)
    return tuple(text for text in texts if text.isprintable() and text)[:IMAGE_URLS_MAX]


def _read_url_field(entry: object) -> object:
    """Return the first string among an object's address fields; anything that is no object, as it is."""
    if not isinstance(entry, dict):
        return entry
    fields = cast("dict[str, object]", entry)
    return next((value for name in URL_FIELDS if isinstance(value := fields.get(name), str)), None)


def _holds_text(response: object) -> bool:
    """Whether a string that is not blank is anywhere in *response*, at any depth."""
    left = [response]
    while left:
        value = left.pop()
        if isinstance(value, str) and value.strip():
            return True
        if isinstance(value, dict):
            left.extend(cast("dict[str, object]", value).values())
        elif isinstance(value, list):
            left.extend(cast("list[object]", value))
    return False


def _read_credits(value: object) -> int | None:
    """A whole number of 0 or more, also where it is written 5.0 or "5"; a larger one is read as
    CREDITS_SANE_MAX, so that the owner is alerted. Else None."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
        digits = value.lstrip("0") or "0"
        return min(int(digits[:9]), CREDITS_SANE_MAX)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(min(value, CREDITS_SANE_MAX)) if isinstance(value, int) or value.is_integer() else None


def _whole_number(value: object) -> int | None:
    """A whole number of at most nine digits, also where it is written 5.0 or "5"; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return int(cast("float", value)) if whole and -1e9 < cast("float", value) < 1e9 else None
