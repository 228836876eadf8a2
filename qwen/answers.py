"""Read the JSON of the image API's answers: the envelope {code, message, data} and the task in its data. Pure.

Knows neither HTTP nor what an answer means for a request. Whatever stands in a body, nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from qwen.cleaning import clean_line
from qwen.models import Task, TaskStatus, parse_status

TASK_ID_MAX = 200
IMAGE_URLS_MAX = 16
IMAGE_URL_MAX = 8192
CREDITS_SANE_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer of the API has around it. `data` is empty where it is null or no object."""

    code: int
    message: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)


def read_envelope(body: bytes) -> Envelope | None:
    """The envelope of an answer, or None: not JSON, no object, or without a whole number as its code."""
    try:
        # Bytes that are no text, no JSON, or numbers too long are ValueErrors; brackets without end are the other.
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    fields = cast("dict[str, object]", content)
    code = _whole_number(fields.get("code"))
    if code is None:
        return None
    message, data = fields.get("message"), fields.get("data")
    return Envelope(
        code=code,
        message=message if isinstance(message, str) else "",
        data=cast("dict[str, object]", data) if isinstance(data, dict) else {},
    )


def read_task(data: Mapping[str, Any], key: str) -> Task | None:
    """The task that an envelope's data describes, or None without a usable id. `key` is hidden in its texts."""
    task_id = read_task_id(data.get("task_id"))
    if task_id is None:
        return None
    request = data.get("request")  # "request": { ... } in the document, so any part of it may be missing
    asked = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    consumed = _whole_number(data.get("consumed_credits"))
    error_message = clean_line(data.get("error_message"), secret=key) or None
    image_urls = _read_urls(data.get("response"))
    return Task(
        task_id=task_id,
        status=_read_status(data.get("status"), image_urls, error_message),
        status_text=clean_line(data.get("status"), limit=60, secret=key),
        consumed_credits=consumed if consumed is not None and 0 <= consumed <= CREDITS_SANE_MAX else None,
        error_message=error_message,
        image_urls=image_urls,
        asked_prompt=prompt if isinstance(prompt := asked.get("prompt"), str) else None,
        asked_seed=_whole_number(asked.get("seed")),
    )


def _read_status(status: object, image_urls: tuple[str, ...], error_message: str | None) -> TaskStatus:
    """A status of the document as it is. Any other (sibling services say `completed`, `succeeded`, `fail`, `error`) is
    judged by what comes with it: an image's address is SUCCESS, else an error message is FAILED, else it still runs.

    Beside PENDING or IN_PROGRESS an error message decides nothing: the service may speak of a try that it makes again,
    and a task that never ends gives its credits back at the deadline.
    """
    known = parse_status(status)
    if known is not TaskStatus.UNKNOWN:
        return known
    if image_urls:
        return TaskStatus.SUCCESS
    return TaskStatus.FAILED if error_message else TaskStatus.UNKNOWN


def read_task_id(value: object) -> str | None:
    """A task's id: 1 to 200 printable ASCII characters without a space; else None."""
    if not isinstance(value, str) or not 0 < len(value) <= TASK_ID_MAX:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def _read_urls(response: object) -> tuple[str, ...]:
    listed = cast("list[object]", response) if isinstance(response, list) else [response]
    texts = (entry.strip() for entry in listed if isinstance(entry, str) and len(entry) <= IMAGE_URL_MAX)
    return tuple(text for text in texts if text.isprintable() and text)[:IMAGE_URLS_MAX]


def _whole_number(value: object) -> int | None:
    """A whole number of at most nine digits, also where it is written 5.0 or "5"; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return int(cast("float", value)) if whole and -1e9 < cast("float", value) < 1e9 else None
