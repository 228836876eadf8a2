"""The log's redaction: no secret is logged in any form, and no text can forge a line of the log."""

from __future__ import annotations

import io
import json
import logging
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.redaction import MESSAGE_MAX, RedactingFilter, Redactor, one_line

BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.canaryabcdefghijklmnopqrstuvw"
API_KEY = "sk-canary0123456789"
PASSWORD = "canary p@ss/wö\"r'd"
HEAD = "2026-01-01 00:00:00,000 ERROR   qwen_imagine: "


def redactor() -> Redactor:
    return Redactor([BOT_TOKEN, API_KEY, PASSWORD])


class CapturedLog:
    """A separate logger with the product's filter, and its output."""

    def __init__(self, *secrets: str) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(logging.Formatter("HEAD %(name)s: %(message)s"))
        handler.addFilter(RedactingFilter(Redactor(secrets)))
        self.log = logging.Logger("tape")
        self.log.addHandler(handler)

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"logging in with {BOT_TOKEN}",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde.canaryOfAnotherBot_abcdefghijk is nobody's setting",
        "the key sk-canaryOfAnotherAccount was refused",
        "Authorization: Bearer canary",
        "authorization=Bot canary",
        "{'Authorization': 'Bot canary', 'X': 1}",
        "[(b'authorization', b'Basic canary')]",
        "sent bearer canary-token-0123",
        "PATCH https://discord.com/api/v10/webhooks/123/canary/messages/@original",
        "POST https://discord.com/api/v10/interactions/123/canary/callback",
        "https%3A%2F%2Fdiscord.com%2Fapi%2Fwebhooks%2F123%2Fcanary",
        "POST /callbacks/canary HTTP/1.1",
        '{"callback_url": "https://bot.example/callbacks/canary"}',
        "https://bot.example/callbacks/canary?x=1",
        "postgresql://bot:canary@db.example/bot",
        "postgresql+asyncpg://bot:can%40ary-canary@db.example:5432/bot?ssl=require",
        f"postgresql://bot:{quote(PASSWORD, safe='')}@db.example/bot",
        f"the server said {PASSWORD}",
        f"the server said {quote(PASSWORD, safe='')}",
        f"repr {PASSWORD!r}",
        json.dumps({"dsn": PASSWORD}),
        "https://cdn.example.com/a.png?X-Amz-Signature=canary&Expires=1",
        "<a href='https://cdn.example.com/a.png?sig=canary'>",
        "/attachments/1/2/a.png?ex=1&is=2&hm=canary",
        "{'t': 'INTERACTION_CREATE', 'd': {'token': 'canary', 'id': '1'}}",
        '{"token":"canary","id":"1"}',
        '{"token":"can\\"ary-canary","id":"1"}',
        '"{\\"token\\": \\"canary\\", \\"a\\": 1}"',
        '{"token": "canary cut off he',
        "{'session_id': 'canary'}",
        "DISCORD_TOKEN=canary and more",
        "aW50ZXJhY3Rpb246canary0123456789 stands alone",
        "{'name': 'prompt', 'type': 3, 'value': 'a canary in a mine'}",
        '{"content":"**a \\"canary\\" in a mine**"}',
        "DETAIL:  Failing row contains (1, a (canary), canary, null).",
        "<class 'asyncpg.exceptions.DataError'>: invalid input for query argument $2: 'canary' (expected int)",
        "[parameters: ('canary', 1)]",
    ],
)
def test_a_secret_is_masked_anywhere_in_a_line(text: str) -> None:
    assert "canary" not in redactor().line(text)
    assert "canary" not in redactor().lines(f"Traceback:\n  {text}\nValueError: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "image 123-0: submitted as task task-0123456789abcdef",
        "generation 1234567890: published at card",
        "ready: shard 0 of 1, application 123",
        "task n9f8-disk-storage: poll failed (The image service cannot be reached or used for now: TimeoutError)",
        "PATCH https://discord.com/api/v10/channels/1/messages/2 has returned 200",
        "http://127.0.0.1:8025/api/v10/@me and a@b.example",
        "the bot token is missing; its key, too",
        "/webhooks/123",
    ],
)
def test_text_that_operators_need_stays_readable(text: str) -> None:
    assert redactor().line(text) == text


def test_a_password_with_an_at_sign_is_masked_up_to_the_host() -> None:
    assert redactor().line("postgresql://bot:can@ary@db.example/bot") == "postgresql://bot:(password)@db.example/bot"


def test_a_secret_that_begins_with_another_secret_is_masked_whole() -> None:
    nested = Redactor(["canary", "canary-and-its-tail", "canary-and"])
    assert (
        nested.line("one canary-and-its-tail, one canary-and, one canary") == "one (secret), one (secret), one (secret)"
    )


def test_nothing_is_left_of_a_secret_in_the_quoting_of_an_address_of_json_or_of_repr() -> None:
    forms = (PASSWORD, quote(PASSWORD, safe=""), quote_plus(PASSWORD), json.dumps(PASSWORD)[1:-1], repr(PASSWORD)[1:-1])
    assert [redactor().line(f"<{form}>") for form in forms] == ["<(secret)>"] * 5


def test_each_line_of_a_traceback_stays_a_line_and_is_indented() -> None:
    assert redactor().lines("Traceback:\n  at one\nValueError") == "    Traceback:\n      at one\n    ValueError"


def test_the_text_around_a_secret_stays() -> None:
    assert (
        redactor().line("PATCH /webhooks/12/abc/messages/@original 404")
        == "PATCH /webhooks/12/(token)/messages/@original 404"
    )
    assert redactor().line("postgresql://bot:x@db/bot") == "postgresql://bot:(password)@db/bot"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=6), st.text(), st.text())
def test_no_configured_secret_is_logged(secret: str, before: str, after: str) -> None:
    masked = Redactor([secret]).mask
    for form in (secret, quote(secret, safe=""), json.dumps(secret), repr(secret)):
        text = f"{before} {form} {after}"
        if secret not in f"{before} (secret) {after}":
            assert secret not in masked(text)


@given(st.text(), st.text())
def test_every_record_is_one_line_without_control_characters(text: str, name: str) -> None:
    line = redactor().line(text + name)
    assert line.isprintable() or not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)
    assert len(line.splitlines()) <= 1
    line.encode("utf-8")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_cannot_be_forged_by_a_message_nor_by_an_exception(end: str) -> None:
    captured_log = CapturedLog()
    try:
        raise ValueError(f"no{end}{HEAD}all credits were stolen")
    except ValueError:
        captured_log.log.exception("failed for %s", f"mira{end}{HEAD}forged", stack_info=True)
    lines = captured_log.text.splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [lines[0]]
    assert lines[0].startswith("HEAD tape: failed for mira\\")


def test_terminal_control_sequences_are_escaped() -> None:
    assert (
        one_line("\x1b[2J\x1b]0;title\x07\x9b31m\u202egnp\u200b")
        == "\\x1b[2J\\x1b]0;title\\x07\\x9b31m\\u202egnp\\u200b"
    )
    assert one_line("\ud800") == "\\ud800"


def test_exceptions_causes_stacks_and_arguments_are_masked() -> None:
    captured_log = CapturedLog("canary-secret")
    try:
        try:
            raise ConnectionError("canary-secret refused")
        except ConnectionError as error:
            raise RuntimeError({"token": "canary"}) from error
    except RuntimeError as error:
        error.add_note("tried with Bearer canary-0123456789")
        captured_log.log.error("%(what)s", {"what": "canary-secret"}, exc_info=True, stack_info=True)
        captured_log.log.error("%s and %r", error, error)
    assert captured_log.text.count("HEAD") == 2
    assert "ConnectionError" in captured_log.text and "direct cause" in captured_log.text
    assert "    Stack (most recent call last):\n" in captured_log.text
    assert "canary-secret" not in captured_log.text
    assert "Bearer (secret)" in captured_log.text
    assert "'canary'" not in captured_log.text


def test_a_message_that_cannot_be_formatted_is_logged_and_masked() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise OSError("canary")

    captured_log = CapturedLog("canary-secret")
    captured_log.log.error("canary-secret %d", "no number")
    captured_log.log.error("%s", Hostile())
    captured_log.log.error(Hostile())
    captured_log.log.error("%s %s", "one")
    assert captured_log.text.splitlines() == [
        f"HEAD tape: a message that could not be put together ({fault}): {template}"
        for fault, template in (
            ("TypeError", "(secret) %d"),
            ("OSError", "%s"),
            ("OSError", "Hostile"),
            ("TypeError", "%s %s"),
        )
    ]


def test_a_record_that_two_handlers_share_is_masked_once() -> None:
    captured_log = CapturedLog("canary-secret")
    again = logging.StreamHandler(io.StringIO())
    again.addFilter(RedactingFilter(Redactor(["canary-secret"])))
    captured_log.log.addHandler(again)
    try:
        raise ValueError("canary-secret")
    except ValueError:
        captured_log.log.exception("100 %% of it")
    assert "canary" not in captured_log.text + again.stream.getvalue()
    assert captured_log.text.split("\n", 1)[1] == again.stream.getvalue().split("\n", 1)[1]


def test_a_secret_in_the_name_of_a_logger_is_masked() -> None:
    captured_log = CapturedLog("canary-secret")
    captured_log.log.name = "tape of canary-secret"
    captured_log.log.error("hello")
    assert captured_log.text == "HEAD tape of (secret): hello\n"


def test_a_percent_sign_in_a_finished_message_is_a_percent_sign() -> None:
    captured_log = CapturedLog()
    captured_log.log.error("%s", "100 %s done %(x)d")
    assert captured_log.text == "HEAD tape: 100 %s done %(x)d\n"


def test_a_message_is_cut_at_its_limit_and_counted_up_to_four_times_that() -> None:
    texts = ("0123456789", "word " * 8, "word " * 9)
    assert [redactor().line(text, limit=10) for text in texts] == [
        "0123456789",
        "word word … (30 more characters)",
        "word word … (29 more characters)",
    ]


def test_a_very_long_message_is_cut_but_not_inside_a_secret() -> None:
    text = ("x" * 97 + " sk-canary0123456789 ") * 60_000
    line = redactor().line(text)
    assert len(line) < MESSAGE_MAX + 100
    assert "canary" not in line
    assert line.endswith("more characters)")


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "http://",
        "\\",
        '"token":"\\',
        "Failing row contains (",
        "a",
        "webhooks/1/",
        "token=",
        "'",
        "a-",
        "://a:",
        "authorization ",
    ],
)
def test_no_text_makes_masking_slow(piece: str) -> None:
    """A mask whose time grew with the square of the length would take hours here."""
    started = time.process_time()
    redactor().lines(piece * (2_000_000 // len(piece)))
    assert time.process_time() - started < 20.0
