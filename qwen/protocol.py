"""Build the two requests of the image API and read its answers, without any network.

What is known of the API stands here, in answers.py (the JSON) and in refusals.py (its words). Must not know sockets,
clocks, Discord or the database. Source: the Qwen-Image-2512 API document. What it leaves open is read so: the envelope
{code, message, data} decides when there is one, whatever the HTTP status. An answer without an envelope may come from a
CDN or proxy in front of the service: it is judged by its HTTP status, and tells nothing of key, account, path or task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

from qwen.answers import Envelope, read_envelope, read_object, read_task, read_task_id
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
from qwen.models import Task, TaskRequest
from qwen.refusals import speaks_of_an_empty_account
from qwen.retry_after import find_header, read_retry_after

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
# Without the envelope these may come from a proxy that did not pass the request on.
_TURNED_AWAY = frozenset({401, 402, 403, 404, 405, 407, 410, 451})
# A 400 for a poll may be a proxy's fault while the image is being made: not listed, so temporary.
_POLL_REFUSALS: Mapping[int, type[RequestRefused]] = {
    401: KeyRefused,
    402: AccountEmpty,
    403: KeyRefused,
    404: TaskNotFound,
    410: TaskNotFound,
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request. Its headers hold the key and its body the prompt: neither is in repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One HTTP response: status, headers (read in any case), and the body, cut off where it was too long."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


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
    """Return the new task, or raise the QwenError that says what became of the POST; nothing else is raised.

    `key` and `prompt` are what was sent: the key is hidden in the service's message, and words of the prompt that the
    service repeats are not taken for its own.

    A refusal without the envelope (a challenge page, a proxy's 403 or 404) raises ServiceUnavailable: surely not taken,
    so it may be posted again later. Whoever answers 401, 403 or 404 has not done what was asked, and a proxy that
    passed a request on and got no usable answer must say 502 or 504 (RFC 9110, 15.5 and 15.6): those stay unknown.
    400, 413 and the like concern the request itself, and would be answered the same again: PromptRefused.
    """
    envelope = read_envelope(answer.body)
    if envelope is not None and 200 <= envelope.code < 300:
        task = read_task(envelope.data, key)
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
    """Return the task, or raise the QwenError of this poll; nothing else is raised.

    An answer about another task than `task_id` is a fault of the service (somebody else's image): temporary.
    """
    envelope = read_envelope(answer.body)
    number, facts = _number(answer, envelope), _facts(answer, envelope, key)
    if envelope is not None and 200 <= envelope.code < 300:
        if not envelope.data:
            raise ServiceUnavailable("it answered success without the task", **facts)
        task = read_task({**envelope.data, "task_id": envelope.data.get("task_id") or task_id}, key)
        if task is None or task.task_id != task_id:
            raise ServiceUnavailable("it answered about another task", **facts)
        return task
    _raise_turned_away(answer, envelope, facts)
    _raise_refusal(number, _POLL_REFUSALS, facts, prompt="")
    if number == 429 or (number == 503 and find_header(answer.headers, "retry-after")):
        raise RateLimited(retry_after_seconds=read_retry_after(answer.headers), **facts)
    raise ServiceUnavailable(_reason(answer, envelope), **facts)


def parse_callback(body: bytes) -> str | None:
    """Return the task id that a callback names, or None. Anybody may have written the body, so the id is only a claim.

    The document names callback_url but not what is sent there. An id is taken from where the API's other answers have
    it (`data`), then from the top, in either of the two usual spellings; last from a top-level `id`, which sibling
    services use, and which may as well be the id of the call.
    """
    top = read_object(body)
    if top is None:
        return None
    data = top.get("data")
    inner = cast("dict[str, object]", data) if isinstance(data, dict) else {}
    named = (fields.get(name) for fields in (inner, top) for name in ("task_id", "taskId"))
    return next((found for value in (*named, top.get("id")) if (found := read_task_id(value)) is not None), None)


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Accept": "application/json"}


def _number(answer: HttpAnswer, envelope: Envelope | None) -> int:
    return answer.status if envelope is None else envelope.code


def _facts(answer: HttpAnswer, envelope: Envelope | None, key: str) -> dict[str, Any]:
    return {
        "http_status": answer.status,
        "code": None if envelope is None else envelope.code,
        "service_message": "" if envelope is None else clean_line(envelope.message, secret=key),
    }


def _raise_turned_away(answer: HttpAnswer, envelope: Envelope | None, facts: Mapping[str, Any]) -> None:
    if envelope is None and (answer.status in _TURNED_AWAY or is_challenge(answer.headers)):
        raise ServiceUnavailable("the request was turned away in front of it", **facts)


def _raise_refusal(
    number: int, refusals: Mapping[int, type[RequestRefused]], facts: Mapping[str, Any], prompt: str
) -> None:
    if number in (400, 403) and speaks_of_an_empty_account(facts["service_message"], prompt):
        raise AccountEmpty(**facts)
    refusal = refusals.get(number)
    if refusal is not None:
        raise refusal(**facts)


def _reason(answer: HttpAnswer, envelope: Envelope | None) -> str:
    if envelope is not None:
        return ""
    return "it leads elsewhere" if 300 <= answer.status < 400 else "its answer is not in the API's form"
