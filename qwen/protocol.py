"""The image API's protocol without any network: builds its two requests, judges its answers.

All knowledge of the service sits here. Must not know sockets, clocks, Discord or the database. Source: the
Qwen-Image-2512 API document. What the document leaves open is read so: the envelope {code, message, data} decides
when there is one, whatever the HTTP status. An answer without an envelope may come from a CDN or proxy in front of the
service: it is judged by its HTTP status, and says nothing about the key, the account, the path or the task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

from qwen.challenges import is_challenge
from qwen.cleaning import clean_line
from qwen.errors import (
    AccountEmpty,
    EndpointRefused,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    RateLimited,
    RequestRefused,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.models import PROMPT_MAX, Task, TaskRequest, parse_status
from qwen.retry_after import find_header, read_retry_after

TASK_ID_MAX = 200
IMAGE_URLS_MAX = 16
IMAGE_URL_MAX = 8192
CREDITS_SANE_MAX = 1_000_000

# Refusals of the POST after which it is sure that no task exists. 408, 409, 425 and the like are not among them.
_POST_REFUSALS: Mapping[int, type[RequestRefused]] = {
    400: PromptRefused,
    401: KeyRefused,
    402: AccountEmpty,
    403: KeyRefused,
    404: EndpointRefused,
    405: EndpointRefused,
    410: EndpointRefused,
    411: PromptRefused,
    413: PromptRefused,
    414: PromptRefused,
    415: PromptRefused,
    422: PromptRefused,
    431: PromptRefused,
}
# Refusals to pass a request on. Without the envelope nobody can say that the service itself meant them.
_TURNED_AWAY = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
# A look called invalid (400) may be a proxy's bad moment while the image is being made: not listed, so temporary.
_LOOK_REFUSALS: Mapping[int, type[RequestRefused]] = {
    401: KeyRefused,
    402: AccountEmpty,
    403: KeyRefused,
    404: TaskNotFound,
    410: TaskNotFound,
}
_EMPTY_ACCOUNT = re.compile(
    r"\b(?:insufficient|not enough)\s+(?:\w+\s+)?(?:credits?|balance|funds)\b"
    r"|\b(?:out of|no|no more|no remaining)\s+credits?\b"
    r"|\b(?:credits?|balance)\s+(?:(?:is|are)\s+)?(?:insufficient|exhausted|not enough|too low)\b"
    r"|(?:^|[.!;]\s*|\bplease\s+)top[ -]?up\b"
    r"|\btop[ -]?up\s+(?:your\s+)?(?:account|balance|credits?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to be sent as it is. Its headers hold the key and its body the prompt: neither is in repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer: HTTP status, headers (looked up in any case), and the body, cut off where it was too long."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Envelope:
    code: int
    message: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)


def build_create(api_url: str, key: str, request: TaskRequest) -> HttpRequest:
    """POST {api_url}/generate (API document, "Create Task"). `api_url` is without or with a slash at its end."""
    body: dict[str, object] = {
        "prompt": request.prompt,
        "size": request.size.value,
        "seed": request.seed,
        "output_format": request.output_format.value,
    }
    if request.callback_url is not None:
        body["callback_url"] = request.callback_url
    headers = {**_headers(key), "Content-Type": "application/json"}
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8")
    return HttpRequest("POST", f"{api_url.rstrip('/')}/generate", headers, encoded)


def build_status(api_url: str, key: str, task_id: str) -> HttpRequest:
    """GET {api_url}/status?task_id= (API document, "Check Status"). Raises ValueError for an empty id."""
    if not task_id:
        raise ValueError("A task's id must not be empty.")
    return HttpRequest("GET", f"{api_url.rstrip('/')}/status?{urlencode({'task_id': task_id})}", _headers(key))


def parse_create(answer: HttpAnswer, *, key: str = "", prompt: str = "") -> Task:
    """The new task, or the QwenError that tells what became of the POST; nothing else is ever raised.

    `key` and `prompt` are what was sent: the key is hidden in the service's words, and the prompt's words, when
    the service repeats them, are not taken for its own.

    A refusal without the envelope (a challenge page, a proxy's 403 or 404) raises ServiceUnavailable: surely not taken,
    so it may be posted again later. Whoever answers 401, 403 or 404 has not done what was asked, and a proxy that
    passed a request on and got no usable answer must say 502 or 504 (RFC 9110, 15.5 and 15.6): those stay unknown.
    400, 413 and the like concern the request itself, and would be answered the same again: PromptRefused.
    """
    envelope = _read_envelope(answer.body)
    if envelope is not None and 200 <= envelope.code < 300:
        task = _read_task(envelope.data, key)
        if task is None:
            raise OutcomeUnknown("it answered success without a task id", **_facts(answer, envelope, key))
        return task
    number, facts = _number(answer, envelope), _facts(answer, envelope, key)
    _raise_turned_away(answer, envelope, facts)
    _raise_refusal(number, _POST_REFUSALS, facts, prompt)
    if number == 429:  # not a 503: that may be said by a proxy in front of a service that did take it
        raise RateLimited(retry_after_seconds=read_retry_after(answer.headers), **facts)
    raise OutcomeUnknown(_reason(answer, envelope), **facts)


def parse_status_answer(answer: HttpAnswer, task_id: str, *, key: str = "") -> Task:
    """The task as it stands, or the QwenError of this look; nothing else is ever raised.

    An answer about another task than `task_id` is a fault of the service (somebody else's picture): temporary.
    """
    envelope = _read_envelope(answer.body)
    number, facts = _number(answer, envelope), _facts(answer, envelope, key)
    if envelope is not None and 200 <= envelope.code < 300:
        if not envelope.data:
            raise ServiceUnavailable("it answered success without the task", **facts)
        task = _read_task({**envelope.data, "task_id": envelope.data.get("task_id") or task_id}, key)
        if task is None or task.task_id != task_id:
            raise ServiceUnavailable("it answered about another task", **facts)
        return task
    _raise_turned_away(answer, envelope, facts)
    _raise_refusal(number, _LOOK_REFUSALS, facts, prompt="")
    if number == 429 or (number == 503 and find_header(answer.headers, "retry-after")):
        raise RateLimited(retry_after_seconds=read_retry_after(answer.headers), **facts)
    raise ServiceUnavailable(_reason(answer, envelope), **facts)


def parse_callback(body: bytes) -> str | None:
    """The task id that a callback names, or None. Anybody may have written the body: it is a claim and nothing more.

    The document names callback_url but not what is sent there, so an id is taken from where the API's other answers
    have it (`data`), or from the top, in either of the two usual spellings.
    """
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    top = cast("dict[str, object]", content)
    data = top.get("data")
    for fields in (cast("dict[str, object]", data) if isinstance(data, dict) else {}, top):
        for name in ("task_id", "taskId"):
            task_id = _read_task_id(fields.get(name))
            if task_id is not None:
                return task_id
    return None


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Accept": "application/json"}


def _read_envelope(body: bytes) -> _Envelope | None:
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
    return _Envelope(
        code=code,
        message=message if isinstance(message, str) else "",
        data=cast("dict[str, object]", data) if isinstance(data, dict) else {},
    )


def _read_task(data: Mapping[str, Any], key: str) -> Task | None:
    task_id = _read_task_id(data.get("task_id"))
    if task_id is None:
        return None
    request = data.get("request")  # "request": { ... } in the document, so any part of it may be missing
    asked = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    consumed = _whole_number(data.get("consumed_credits"))
    return Task(
        task_id=task_id,
        status=parse_status(data.get("status")),
        status_text=clean_line(data.get("status"), limit=60, secret=key),
        consumed_credits=consumed if consumed is not None and 0 <= consumed <= CREDITS_SANE_MAX else None,
        error_message=clean_line(data.get("error_message"), secret=key) or None,
        image_urls=_read_urls(data.get("response")),
        asked_prompt=prompt if isinstance(prompt := asked.get("prompt"), str) else None,
        asked_seed=_whole_number(asked.get("seed")),
    )


def _read_task_id(value: object) -> str | None:
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


def _number(answer: HttpAnswer, envelope: _Envelope | None) -> int:
    return answer.status if envelope is None else envelope.code


def _facts(answer: HttpAnswer, envelope: _Envelope | None, key: str) -> dict[str, Any]:
    return {
        "http_status": answer.status,
        "code": None if envelope is None else envelope.code,
        "service_message": "" if envelope is None else clean_line(envelope.message, secret=key),
    }


def _raise_turned_away(answer: HttpAnswer, envelope: _Envelope | None, facts: Mapping[str, Any]) -> None:
    if envelope is None and (answer.status in _TURNED_AWAY or is_challenge(answer.headers)):
        raise ServiceUnavailable("the request was turned away in front of it", **facts)


def _raise_refusal(
    number: int, refusals: Mapping[int, type[RequestRefused]], facts: Mapping[str, Any], prompt: str
) -> None:
    if number in (400, 403) and _speaks_of_an_empty_account(facts["service_message"], prompt):
        raise AccountEmpty(**facts)
    refusal = refusals.get(number)
    if refusal is not None:
        raise refusal(**facts)


def _speaks_of_an_empty_account(message: str, prompt: str) -> bool:
    # A person could write such words into a prompt that the service then repeats: those are not the service's own.
    asked = clean_line(prompt, limit=PROMPT_MAX).casefold()
    return any(match[0].casefold() not in asked for match in _EMPTY_ACCOUNT.finditer(message))


def _reason(answer: HttpAnswer, envelope: _Envelope | None) -> str:
    if envelope is not None:
        return ""
    return "it leads elsewhere" if 300 <= answer.status < 400 else "its answer is not in the API's form"
