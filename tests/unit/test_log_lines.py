"""The lines of the log as text and as JSON, the ids in them, and what is masked before they are encoded."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.correlation import SUBJECT, set_generation, set_interaction
from observability.logging import FORMATTERS, build_handler
from observability.redaction import _SHAPES, may_have_form  # pyright: ignore[reportPrivateUsage]
from setting_parsers import LOG_FORMATS

CREATED = 1_800_000_000.0625
LARGE = 2**63 + 11
HARD_SECRET = "pä\"ss\\wörd'日本 canary"


class Lines:
    """A logger of its own with the product's handler. Records are made at CREATED."""

    def __init__(self, form: str, *secrets: str) -> None:
        self.stream = io.StringIO()
        handler = build_handler(self.stream, secrets, form)
        handler.filters.insert(0, self._set_time)
        self.log = logging.Logger("qwen_imagine.worker")
        self.log.addHandler(handler)

    @staticmethod
    def _set_time(record: logging.LogRecord) -> bool:
        record.created, record.msecs = CREATED, 62.5
        return True

    def of(self, words: str, *values: object) -> str:
        self.log.info(words, *values)
        return self.stream.getvalue().splitlines()[-1]

    def fields(self, words: str, *values: object) -> dict[str, Any]:
        fields = json.loads(self.of(words, *values))
        assert [fields.pop(name) for name in ("time", "level", "logger")] == [
            *("2027-01-15T08:00:00.062Z", "INFO", "qwen_imagine.worker")
        ]
        return fields


@pytest.fixture(autouse=True)
def subject() -> Iterator[None]:
    before = SUBJECT.set(None)
    yield
    SUBJECT.reset(before)


def test_the_formats_are_those_that_the_setting_allows() -> None:
    assert tuple(FORMATTERS) == LOG_FORMATS


def test_a_text_line_is_what_pythons_own_formatter_writes() -> None:
    record = logging.LogRecord("qwen_imagine.worker", logging.WARNING, __file__, 1, "100 %% of %s", ("it",), None)
    record.exc_text, record.stack_info = "    Traceback\n    ValueError", "    Stack"
    own = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    formatter = FORMATTERS["text"]()
    for created in (CREATED, CREATED + 0.5, CREATED + 1):
        record.created, record.msecs = created, created % 1 * 1000
        assert formatter.format(record) == own.format(record)


def test_a_text_line_that_does_not_name_its_subject_has_its_id_behind_it() -> None:
    lines = Lines("text")
    assert lines.of("hello").endswith("worker: hello")
    set_interaction(7001, 41, None)
    assert lines.of("hello").endswith("worker: hello [7001]")
    assert lines.of("interaction %s: hello", 7001).endswith("worker: interaction 7001: hello")
    set_generation(7001, 41, None, 2)
    assert lines.of("task %s: poll failed", "t-1").endswith("worker: task t-1: poll failed [7001-2]")


def test_json_has_one_object_a_line_with_the_ids_of_an_interaction_as_text() -> None:
    lines = Lines("json")
    assert lines.fields("hello") == {"message": "hello"}
    set_interaction(LARGE, LARGE + 1, LARGE + 2)
    ids = {"correlation": str(LARGE), "user": str(LARGE + 1), "guild": str(LARGE + 2)}
    assert lines.fields("hello") == {"message": "hello", **ids}
    set_interaction(LARGE, None, None)
    assert lines.fields("hello") == {"message": "hello", "correlation": str(LARGE)}


def test_json_has_the_generation_and_the_image_of_a_step_and_those_that_a_line_names() -> None:
    lines = Lines("json")
    assert lines.fields("generation %s: published", 5) == {
        **{"message": "generation 5: published", "correlation": "5", "generation": "5"}
    }
    set_generation(7001, 41, None, 2)
    step = {"correlation": "7001", "user": "41", "generation": "7001", "image": 2}
    assert lines.fields("hello") == {"message": "hello", **step}
    assert lines.fields("generation %s: hello", 7001) == {"message": "generation 7001: hello", **step}
    other = lines.fields("image %s: hello", "8002-1")
    assert (other["correlation"], other["generation"], other["image"]) == ("7001", "8002", 1)
    other = lines.fields("generation %s: hello", 8002)
    assert (other["correlation"], other["generation"], "image" in other) == ("7001", "8002", False)


def test_json_has_both_states_of_a_move() -> None:
    moved = Lines("json").fields("image %s: requested -> submitting (%s)", "7001-0", "its turn")
    assert (moved["generation"], moved["image"], moved["from"], moved["to"]) == ("7001", 0, "requested", "submitting")


def test_a_task_begun_for_an_interaction_has_its_id_and_the_one_that_began_it_has_not() -> None:
    lines = Lines("text")

    async def handle() -> None:
        set_interaction(7001, 41, None)
        await asyncio.create_task(call())

    async def call() -> None:
        lines.of("called")

    async def serve() -> None:
        await asyncio.create_task(handle())
        lines.of("serving")

    asyncio.run(serve())
    called, serving = lines.stream.getvalue().splitlines()
    assert called.endswith("called [7001]") and serving.endswith("serving")


@pytest.mark.parametrize("form", LOG_FORMATS)
def test_a_secret_with_quotes_backslashes_and_foreign_letters_is_in_no_field_of_either_format(form: str) -> None:
    lines = Lines(form, HARD_SECRET)
    forms = (
        *(HARD_SECRET, repr(HARD_SECRET), repr(HARD_SECRET.encode()), json.dumps(HARD_SECRET)),
        json.dumps(HARD_SECRET, ensure_ascii=False),
    )
    for secret in forms:
        try:
            raise ConnectionError(f"refused for {secret}")
        except ConnectionError:
            lines.log.exception("image %s: %s", "7001-0", secret, stack_info=True)
    written = lines.stream.getvalue()
    assert "canary" not in written and "\\u65e5" not in written and "日" not in written
    assert written.count("ConnectionError: refused for") == len(forms)


def test_a_traceback_is_a_field_of_its_object_with_its_lines_as_python_writes_them() -> None:
    lines = Lines("json")
    try:
        raise ValueError("no\nnext")
    except ValueError:
        lines.log.exception("failed for %s", "mira\n{}", stack_info=True)
    (line,) = lines.stream.getvalue().splitlines()
    assert line.isascii()
    fields = json.loads(line)
    assert fields["message"] == "failed for mira\\n{}"
    assert fields["exception"].startswith('Traceback (most recent call last):\n  File "')
    assert fields["exception"].endswith("\nValueError: no\nnext")
    assert fields["stack"].startswith("Stack (most recent call last):\n  File ")


PIECES = (
    *("webhooks/1/", "callbacks/", "'token': ", '"content": "', "authorization: ", "TOKEN=", "bearer ", "://a:b@"),
    *("https://a?b", "&sig=", "Failing row contains (", "invalid input for query argument $1: ", "[parameters: "),
    *("mfa.", "sk-", "aW50ZXJhY3Rpb24", "x" * 30, ".abcdef.", "Ba\u017fic ", "generation 12: posted", " ", "1.5 s"),
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join))
def test_text_that_is_not_searched_for_forms_of_secrets_has_none(text: str) -> None:
    if not may_have_form(text):
        assert all(shape.search(text) is None for shape, _ in _SHAPES)


def test_the_bots_own_lines_are_not_searched() -> None:
    for text in ("image 7001-0: running -> succeeded (ready after 3 poll(s), 5 credits)", "task t-1: again in 1.5 s"):
        assert not may_have_form(text)
