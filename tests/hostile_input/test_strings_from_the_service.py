"""Hostile answers of the image service, from the HTTP body to the card: only QwenError is raised, no ping, no limit
exceeded, nothing of them in the log."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from typing import Any

import discord
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.model import Ending, Generation, Image, Origin, Progress, Request, State
from generations.worker.poll import ending_of_failure
from qwen.cleaning import LINE_MAX
from qwen.errors import QwenError
from qwen.models import Task
from qwen.protocol import HttpAnswer, parse_create, parse_status_answer
from tests.hostile_input.corpus import ANY_TEXT, ODD_VALUES, STRINGS
from ui.interactions.buttons import card_buttons
from ui.views.cards import build_card, plain_text

KEY = "sk-canary0123456789"
FIELDS = ("code", "message", "data", "task_id", "status", "consumed_credits", "error_message", "response", "request")
VALUES = st.one_of(
    ANY_TEXT,
    st.sampled_from(ODD_VALUES),
    st.lists(ANY_TEXT, max_size=3),
    st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2),
)
ORIGIN = Origin(1399999999999999999, 5, 77, 88, 99, "", 10 << 20)


def answer_of(envelope: object, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, json.dumps(envelope).encode("utf-8", "surrogatepass"))


def outcomes(answer: HttpAnswer) -> list[Task | QwenError]:
    """Return the outcomes of one answer for POST and poll; any error but a QwenError is raised."""
    found: list[Task | QwenError] = []
    for parse in (lambda: parse_create(answer, key=KEY, prompt="x"), lambda: parse_status_answer(answer, "t", key=KEY)):
        try:
            found.append(parse())
        except QwenError as error:
            assert "canary" not in f"{error}{error.service_message}"
            found.append(error)
    return found


def card_of(ending: Ending, detail: str) -> discord.ui.LayoutView:
    image = Image(1, 0, 42, State.FAILED, ending=ending, ending_detail=detail)
    return build_card(Generation(1, Request("x"), ORIGIN, 0, (image,)), Progress(), attached={}, buttons=card_buttons)


def text_of(components: list[Any]) -> str:
    found = [part.get("content") or text_of(part.get("components", [])) for part in components]
    return "\n".join(text for text in found if text)


@given(
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.sampled_from([200, 400, 429, 500]),
)
@settings(deadline=None)
def test_any_value_in_any_field_gives_a_task_or_a_qwen_error(
    envelope: dict[str, object], data: dict[str, object], status: int
) -> None:
    for outcome in outcomes(
        answer_of({"code": 200, "data": {"task_id": "t", "status": "FAILED", **data}, **envelope}, status)
    ):
        said = outcome.error_message or "" if isinstance(outcome, Task) else outcome.service_message
        assert len(said) <= LINE_MAX
        assert not {unicodedata.category(character) for character in said} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        assert len(str(outcome)) < 1000 if isinstance(outcome, QwenError) else len(outcome.status_text) <= 60


@given(ANY_TEXT)
@settings(deadline=None)
def test_a_reason_of_the_service_is_one_harmless_line_on_the_card(reason: str) -> None:
    (_, task) = outcomes(
        answer_of({"code": 200, "data": {"task_id": "t", "status": "FAILED", "error_message": reason}})
    )
    assert isinstance(task, Task)
    shown = text_of(card_of(ending_of_failure(task.error_message or ""), task.error_message or "").to_components())
    assert len(shown) <= 4000
    assert len(shown.split("\n")) == 4, "prompt, reason, credits, small print"
    assert not re.search(r"(?<!\\)@(everyone|here)|<@&|<@(?!77>)|(?<!\\)\]\(|https?://|discord\.gg/", shown)


def test_megabytes_in_any_field_are_handled_quickly() -> None:
    for text in (string * (1_000_000 // len(string)) for string in STRINGS[:12]):
        for field in ("message", "task_id", "status", "error_message", "response"):
            data: dict[str, object] = {"task_id": "t", "status": "FAILED", "error_message": "x"}
            envelope = {"code": 200, "message": "m", "data": data}
            (envelope if field == "message" else data)[field] = text
            for outcome in outcomes(answer_of(envelope)):
                assert len(str(outcome)) < 2000
                assert len(repr(outcome)) < 2000


def test_deeply_nested_and_huge_answers_are_refused() -> None:
    for body in (
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b"9" * 200_000,
        b'{"code":' + b"9" * 100_000 + b"}",
        b"\xff\xfe" * 1000,
        b'{"code":200,"code":NaN}',
        b"\x00",
    ):
        for outcome in outcomes(HttpAnswer(200, {}, body)):
            assert isinstance(outcome, QwenError)


def test_no_image_address_is_in_an_error_or_a_repr() -> None:
    task = outcomes(
        answer_of({"code": 200, "data": {"task_id": "t", "status": "SUCCESS", "response": ["https://x/?sig=canary"]}})
    )[1]
    assert isinstance(task, Task) and task.image_urls
    assert "canary" not in repr(task) + repr(replace(task, error_message="canary"))


def test_an_image_address_cannot_break_out_of_its_line() -> None:
    url = "https://cdn.example.com/a.png>[free](https://evil.example)<@1>@everyone" + "x" * 500
    large = Generation(1, Request("x"), ORIGIN, 0, (Image(1, 0, 42, State.DELIVERED, image_url=url),))
    card = text_of(build_card(large, Progress(), attached={}, linked={0: url}, buttons=card_buttons).to_components())
    for shown in (card, plain_text(large, {0: url})):
        (line,) = [line for line in shown.split("\n") if "cdn.example.com" in line]
        assert line.startswith("<https://") and line.count("<") == line.count(">") == 1 and line.endswith(">")
