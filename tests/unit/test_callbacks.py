"""Rules of callbacks: tokens, awaited images, when the poll is due, what the body claims."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generations.callbacks import (
    INTEREST_SECONDS,
    TOKEN_BYTES,
    Address,
    Callbacks,
    Poll,
    after_poll,
    due_after_call,
    encode_token,
    hash_token,
    is_awaited,
    is_called,
    noted_call,
)
from generations.clock import SystemClock
from generations.model import Generation, Image, Origin, Request, State
from generations.poll_schedule import BACKSTOP_SECONDS, PollSchedule
from generations.records import Callback
from generations.worker.recover import is_task_of
from qwen.models import OutputFormat, Size, Task, TaskRequest, TaskStatus
from qwen.protocol import parse_callback
from qwen.public_url import check_public_url, is_loopback
from tests.doubles import START_MS
from web.limits import CallBudget
from web.server import listen_host

if TYPE_CHECKING:
    from store.database import Database

SECOND = 1000
WAITING_FOR = Callback(1, 0, "hash")


def image(state: State, **columns: object) -> Image:
    return Image(1, 0, 42, state, **{"submitted_at_ms": START_MS, **columns})


def callbacks(public_url: str = "https://bot.example") -> Callbacks:
    """Callbacks without a database, for what needs none. The "random" bytes of a token are 0, 1, 2 and so on."""
    return Callbacks(
        cast("Database", None),
        SystemClock(),
        public_url=public_url,
        nudge=lambda: None,
        token_bytes=lambda count: bytes(range(count)),
    )


@given(st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES))
def test_a_token_is_url_safe_and_its_hash_does_not_contain_it(raw: bytes) -> None:
    token = encode_token(raw)
    assert re.fullmatch("[A-Za-z0-9_-]{43}", token)
    assert re.fullmatch(r"[0-9a-f]{64}", hash_token(token))


@given(st.text())
@example("\udcff")  # a byte that is not UTF-8
def test_any_text_in_the_path_can_be_hashed(token: str) -> None:
    assert len(hash_token(token)) == 64


def test_no_text_of_a_callback_address_holds_its_token() -> None:
    assert "canary" not in repr(Address("https://example.com/callbacks/canary", "hash"))


def test_an_address_holds_a_token_of_32_random_bytes_below_the_public_url() -> None:
    address = callbacks(public_url="https://bot.example/").new_address()
    token = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert address == Address(f"https://bot.example/callbacks/{token}", hash_token(token))


def test_five_images_in_a_row_that_are_ready_without_a_call_are_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counting = callbacks()
    for called in (*[False] * 4, True, *[False] * 4):
        counting.image_was_ready(called=called)
    assert caplog.messages == []
    for _ in range(6):
        counting.image_was_ready(called=False)
    (warning,) = caplog.messages
    assert warning.startswith("the last 5 images were ready without a callback: can the image API reach PUBLIC_URL? ")
    assert warning.endswith("? Until it can, images come up to 10 s later than without PUBLIC_URL")


@pytest.mark.parametrize("state", State)
def test_a_token_is_kept_as_long_as_its_image_may_be_called_about(state: State) -> None:
    fresh = is_awaited(image(state), START_MS + SECOND)
    old = is_awaited(image(state), START_MS + INTEREST_SECONDS * SECOND)
    assert fresh == (state in (State.SUBMITTING, State.RUNNING, State.EXPIRED, State.UNKNOWN))
    assert old == (state in (State.SUBMITTING, State.RUNNING))
    assert not is_awaited(image(State.EXPIRED, submitted_at_ms=None), START_MS)


def test_a_call_makes_a_poll_due_at_once_whenever_the_last_one_was() -> None:
    for last_ms in (None, START_MS + 8 * SECOND):
        running = image(State.RUNNING, task_id="t", last_poll_at_ms=last_ms)
        called = noted_call(WAITING_FOR, running, None, START_MS + 9 * SECOND)
        assert due_after_call(called, running, START_MS + 9 * SECOND) == START_MS + 9 * SECOND
        assert is_called(called, running)


def test_the_next_poll_that_follows_a_call_comes_five_seconds_after_the_last_one_that_did() -> None:
    looked = image(State.RUNNING, task_id="t", last_poll_at_ms=START_MS)
    spent = Callback(1, 0, "hash", START_MS)
    assert not is_called(spent, looked)
    soon = noted_call(spent, looked, None, START_MS + SECOND)
    assert due_after_call(soon, looked, START_MS + SECOND) == START_MS + 5 * SECOND
    assert is_called(soon, looked)
    later = noted_call(spent, looked, None, START_MS + 6 * SECOND)
    assert due_after_call(later, looked, START_MS + 6 * SECOND) == START_MS + 6 * SECOND


def test_a_call_in_the_millisecond_of_a_poll_comes_after_it() -> None:
    looked = image(State.RUNNING, task_id="t", last_poll_at_ms=START_MS)
    assert is_called(noted_call(WAITING_FOR, looked, None, START_MS), looked)


def test_a_wall_clock_set_back_delays_no_poll_for_longer_than_five_seconds() -> None:
    looked = image(State.RUNNING, task_id="t", last_poll_at_ms=START_MS + 600 * SECOND)
    spent = Callback(1, 0, "hash", START_MS + 600 * SECOND)
    assert noted_call(spent, looked, None, START_MS).called_at_ms == START_MS + 5 * SECOND


def test_a_poll_uses_up_its_call_and_a_call_during_it_makes_another_poll_due() -> None:
    look, ended_ms = Poll(START_MS, START_MS - SECOND), START_MS + 2 * SECOND
    spent, again = Callback(1, 0, "hash", START_MS), Callback(1, 0, "hash", START_MS + 5 * SECOND)
    assert after_poll(spent, look, ended_ms).called_at_ms == ended_ms
    assert after_poll(again, look, ended_ms).called_at_ms == ended_ms + 5 * SECOND
    later = replace(again, called_at_ms=ended_ms + 6 * SECOND)
    assert after_poll(later, look, ended_ms) == later
    assert after_poll(again, Poll(START_MS), ended_ms) == again, "a look of its own has no say in it"


@given(st.lists(st.tuples(st.integers(0, 9000), st.sampled_from(["call", "look"])), max_size=60))
def test_however_many_calls_come_their_polls_are_five_seconds_apart(moments: list[tuple[int, str]]) -> None:
    known, running, now_ms, polls = WAITING_FOR, image(State.RUNNING, task_id="t"), START_MS, list[int]()
    for pause, what in moments:
        now_ms += pause
        if what == "call":
            known = noted_call(known, running, None, now_ms)
            assert is_called(known, running), "each is followed by a poll, at the latest 5 s from now"
            assert (due_after_call(known, running, now_ms) or 0) <= now_ms + 5 * SECOND
        elif is_called(known, running) and now_ms >= (known.called_at_ms or 0):
            polled = Poll(now_ms, known.called_at_ms)
            known = after_poll(replace(known, called_at_ms=now_ms), polled, now_ms)
            running = replace(running, last_poll_at_ms=now_ms)
            polls.append(now_ms)
    assert all(later - earlier >= 5 * SECOND for earlier, later in itertools.pairwise(polls))


def test_where_there_is_no_task_there_is_nothing_to_poll_at() -> None:
    claimed = Callback(1, 0, "hash", START_MS, "t")
    assert due_after_call(claimed, image(State.SUBMITTING), START_MS) is None
    assert due_after_call(WAITING_FOR, image(State.UNKNOWN), START_MS) is None
    assert due_after_call(claimed, image(State.UNKNOWN), START_MS + 6 * SECOND) == START_MS + 6 * SECOND


def test_of_several_calls_that_wait_for_one_poll_the_first_counts_and_the_rest_write_nothing() -> None:
    running = image(State.RUNNING, task_id="t", last_poll_at_ms=START_MS)
    first = noted_call(WAITING_FOR, running, "claim", START_MS + SECOND)
    assert first == Callback(1, 0, "hash", START_MS + SECOND, claimed_task_id=None)
    assert noted_call(first, running, None, START_MS + 2 * SECOND) == first


def test_a_claim_is_kept_for_an_image_without_a_task_and_the_newest_one_wins() -> None:
    lost = image(State.UNKNOWN)
    first = noted_call(WAITING_FOR, lost, "one", START_MS)
    assert noted_call(first, lost, None, START_MS).claimed_task_id == "one"
    assert noted_call(first, lost, "two", START_MS).claimed_task_id == "two"


@pytest.mark.parametrize(
    ("body", "claim"),
    [
        (b'{"code": 200, "data": {"task_id": "n43abc"}}', "n43abc"),
        (b'{"data": {"taskId": "n43abc"}}', "n43abc"),
        (b'{"task_id": "n43abc", "data": null}', "n43abc"),
        (b'{"taskId": "n43abc"}', "n43abc"),
        (b'{"id": "n43abc", "status": "completed"}', "n43abc"),
        (b'{"task_id": "top", "data": {"task_id": "inner"}}', "inner"),
        (b'{"id": "call-1", "data": {"taskId": "inner"}}', "inner"),
        (b'{"id": "call-1", "taskId": "top"}', "top"),
        (b'{"id": "n43abc", "data": {"task_id": 7}}', "n43abc"),
        (b'{"id": 7}', None),
        (b'{"data": {"id": "of-the-data"}}', None),
        (b"", None),
        (b"null", None),
        (b"[]", None),
        (b'{"task_id": 7}', None),
        (b'{"task_id": ""}', None),
        (b'{"task_id": "two words"}', None),
        (b'{"task_id": "line\\nbreak"}', None),
        (json.dumps({"task_id": "x" * 201}).encode(), None),
        (b"[" * 60_000, None),
        (b'{"a":' * 12_000, None),
        (b'{"task_id": ' + b"9" * 60_000 + b"}", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_a_body_claims_a_task_or_nothing(body: bytes, claim: str | None) -> None:
    assert parse_callback(body) == claim


def test_a_claimed_task_must_have_the_prompt_and_seed_of_the_image() -> None:
    first, second = image(State.UNKNOWN), Image(1, 1, 43, State.UNKNOWN)
    origin = Origin(1, 1, 1, 1, None, token="", attachment_size_limit=1)
    generation = Generation(1, Request("a lighthouse in a storm", seed=42, count=2), origin, 0, (first, second))

    def task(prompt: str | None = None, seed: int | None = None) -> Task:
        return Task("t", TaskStatus.PENDING, "PENDING", None, None, (), prompt, seed)

    assert is_task_of(task(), generation, first)
    assert is_task_of(task("a lighthouse  in a storm\n", 42), generation, first)
    assert not is_task_of(task("a lighthouse"), generation, first)
    assert not is_task_of(task("a lighthouse in a storm", 42), generation, second)


def test_the_backstop_polls_when_nearly_every_image_should_have_called() -> None:
    schedule = PollSchedule()
    assert schedule.backstop_seconds(Size.SQUARE) == BACKSTOP_SECONDS
    for seconds in range(10, 30):
        schedule.observe_duration(Size.SQUARE, float(seconds))
    assert schedule.backstop_seconds(Size.SQUARE) == 29.0
    assert schedule.first_poll_seconds(Size.SQUARE) == 12.0, "without callbacks one image in ten is ready by then"
    for _ in range(64):
        schedule.observe_duration(Size.SQUARE, 0.1)
    assert schedule.backstop_seconds(Size.SQUARE) == 5.0
    for _ in range(64):
        schedule.observe_duration(Size.SQUARE, 500.0)
    assert schedule.backstop_seconds(Size.SQUARE) == 60.0


def test_a_flood_of_calls_is_polled_at_a_steady_rate() -> None:
    budget = CallBudget(per_second=10.0, burst=5.0, left=5.0)
    assert [budget.spend(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert sum(budget.spend(100.0 + step / 1000) for step in range(1, 2001)) == 20
    assert [budget.spend(9999.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://imagine.example.com", "https://imagine.example.com"),
        (" https://imagine.example.com/ ", "https://imagine.example.com"),
        ("https://imagine.example.com:8443", "https://imagine.example.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("", ""),
    ],
)
def test_a_public_url_is_accepted_and_normalised(text: str, url: str) -> None:
    assert check_public_url(text) == url
    if url:
        TaskRequest("x", Size.SQUARE, 1, OutputFormat.PNG, f"{url}/callbacks/{'x' * 43}")


@pytest.mark.parametrize(
    "text",
    [
        "imagine.example.com", "http://imagine.example.com", "http://10.0.0.1", "https://", "https://x:0", "https://x:a",
        "https://[", "ftp://x", "https://u:p@x", "https://x/path", "https://x?", "https://x/#", "https://ü.example.com",
        "https://a b", "http://127.0.0.1.example.com", "https://x\n", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_called_back_is_refused_with_a_sentence(text: str) -> None:
    if text.strip() != text:
        assert check_public_url(text) == text.strip()
        return
    with pytest.raises(ValueError, match=r"^must (be|hold|start) "):
        check_public_url(text)


def test_it_listens_everywhere_only_where_a_platform_hands_over_the_port() -> None:
    assert listen_host("https://imagine.example.com", port_is_given=False) == "127.0.0.1"
    assert listen_host("https://imagine.example.com", port_is_given=True) == "0.0.0.0"
    assert listen_host("http://127.0.0.1:1", port_is_given=True) == "127.0.0.1"
    assert not is_loopback("https://imagine.example.com")


HOST_ONLY = "must hold a host and perhaps a port, and nothing after them"
EXAMPLE = "must be an address such as https://imagine.example.com"
SECRET = "must start with https://: a callback's address is a secret"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        *(
            (text, EXAMPLE)
            for text in ("ftp://x", "https://", "https://x:0", "https://x:a", "https://ü.example", "https://a b")
        ),
        *((text, HOST_ONLY) for text in ("https://u@x", "https://x/path", "https://x?", "https://x/?", "https://x/#")),
        *(
            (text, SECRET)
            for text in ("http://10.0.0.1", "http://imagine.example.com", "http://[::2]", "http://1.example")
        ),
    ],
)
def test_each_fault_of_a_public_url_has_its_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_public_url(text)
    assert str(caught.value) == sentence


def test_only_this_machine_is_a_loopback() -> None:
    names = (
        "http://localhost",
        "http://127.3.2.1:80",
        "http://[::1]",
        "http://localhost.example",
        "http://10.0.0.1",
        "x",
    )
    assert [is_loopback(name) for name in names] == [True, True, True, False, False, False]
