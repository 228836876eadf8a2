"""Every exception that can reach a person has a sentence; an exception's own text is never sent."""

from __future__ import annotations

import inspect
from types import ModuleType

import discord
import pytest
from discord import app_commands

import credits.errors
import generations.errors
import qwen.errors
import reports.errors
import ui.interactions.errors
from credits.errors import InsufficientCredits
from credits.model import Balance
from discord_api.errors import described
from generations.errors import LineFull, NotYours, TooManyRequests
from ui.interactions.errors import SENTENCES, CardRefused, RequestFailed, is_unanswerable, sentence_for

# These have no sentence: the worker turns them into endings, or they are faults of the bot, which are logged and sent
# as a reference number.
INTERNAL = {
    generations.errors.GenerationError,
    generations.errors.IllegalMove,
    generations.errors.MovedOn,
    generations.errors.LostClaim,
    generations.errors.DeliveryDelayed,
    credits.errors.CreditsError,
    reports.errors.ReportError,
    app_commands.AppCommandError,
    app_commands.CommandInvokeError,
    app_commands.CommandOnCooldown,  # no command has one: limits live in the database
    app_commands.TranslationError,
    app_commands.CommandAlreadyRegistered,
    app_commands.CommandLimitReached,
    app_commands.MissingApplicationID,
    app_commands.CommandSyncFailure,
    *(kind for _, kind in inspect.getmembers(qwen.errors, inspect.isclass) if issubclass(kind, Exception)),
}
SECRET = "a prompt that nobody else may read"


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, BaseException)]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for module in (
            *(generations.errors, credits.errors, qwen.errors, reports.errors),
            *(app_commands, ui.interactions.errors),
        )
        for kind in exceptions_of(module)
    ],
)
def test_every_exception_has_a_sentence_or_is_listed_as_internal(kind: type[BaseException]) -> None:
    assert (kind in SENTENCES) != (kind in INTERNAL), f"{kind.__name__} stands in neither list, or in both"


def test_a_fault_of_the_bot_has_no_sentence_of_its_own() -> None:
    assert sentence_for(RuntimeError(SECRET), 1) is None


def test_a_refusal_for_credits_says_what_is_missing_held_and_when_it_refills() -> None:
    sentence = sentence_for(InsufficientCredits(5, Balance(1, 3, 2, 50, 1_767_312_000_000)), 1)
    assert sentence == (
        "This needs 5 credits and you have 3; 2 more are held by images being made. Nothing was charged. "
        "Your credits refill to 50 <t:1767312000:R>."
    )


def test_a_refusal_for_credits_says_how_many_images_are_still_affordable() -> None:
    sentence = sentence_for(InsufficientCredits(20, Balance(1, 12, 0, 50, None)), 1) or ""
    assert "You have enough for 2 images." in sentence
    assert "not refilled" in sentence


def test_a_refusal_for_credits_says_how_many_images_a_refill_affords() -> None:
    sentence = sentence_for(InsufficientCredits(20, Balance(1, 0, 0, 10, 1_767_312_000_000)), 1) or ""
    assert "at most 2 images at once" in sentence


@pytest.mark.parametrize(("free_at_ms", "when"), [(None, "in a few minutes"), (1_767_312_000_000, "<t:1767312000:R>")])
def test_a_full_line_says_when_to_try_again(free_at_ms: int | None, when: str) -> None:
    sentence = sentence_for(LineFull(500, free_at_ms), 1) or ""
    assert "500 images" in sentence and "Nothing was charged." in sentence and when in sentence


def test_too_many_requests_says_when_the_next_one_is_accepted_rounded_up_to_seconds() -> None:
    assert sentence_for(TooManyRequests(10, 1_767_312_000_001), 1) == (
        "This bot takes 10 requests a minute from each person. Nothing was charged. "
        "Your next one is taken <t:1767312001:R>."
    )


def test_a_refusal_to_a_stranger_names_the_requester() -> None:
    assert "<@42>" in (sentence_for(NotYours(42), 1) or "")


@pytest.mark.parametrize("kind", [RequestFailed, CardRefused])
def test_nothing_was_charged_is_written_only_if_it_is_sure(kind: type[RequestFailed]) -> None:
    sure, unsure = sentence_for(kind(nothing_held=True), 9), sentence_for(kind(nothing_held=False), 9)
    assert sure and "Nothing was charged." in sure and "9" in sure
    assert unsure and "charged" not in unsure and "/credits" in unsure and "9" in unsure


def test_the_sentence_is_that_of_the_nearest_base_class() -> None:
    class Particular(app_commands.CheckFailure):
        pass

    assert sentence_for(Particular(SECRET), 1) == sentence_for(app_commands.CheckFailure(SECRET), 1)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_the_log_has_the_class_and_place_of_an_exception_and_not_its_text() -> None:
    text = described(raised(RuntimeError(SECRET), raised(ValueError(SECRET))))
    assert "RuntimeError" in text and "ValueError" in text and "test_errors.py" in text
    assert SECRET not in text


def test_logging_an_exception_that_is_its_own_cause_ends() -> None:
    one, two = RuntimeError("1"), RuntimeError("2")
    one.__cause__, two.__cause__ = two, one
    assert described(one).count("RuntimeError") == 2


class Response:
    """The part of an HTTP response that discord.py's exceptions read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = "reason"


@pytest.mark.parametrize(
    ("status", "code", "expected"), [(404, 10062, True), (404, 10015, True), (400, 40060, True), (400, 50035, False)]
)
def test_which_errors_mean_that_discord_takes_no_response(status: int, code: int, expected: bool) -> None:
    error = discord.HTTPException(Response(status), {"code": code, "message": SECRET})  # type: ignore[arg-type]
    assert is_unanswerable(error) is expected
    assert SECRET not in described(error) and str(code) in described(error)
