"""Judge what the image API, PUBLIC_URL and the policy links answer. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from doctor.model import Finding, Level
from qwen.errors import AccountEmpty, KeyRefused, QwenError, RateLimited, RequestRefused, TaskNotFound
from qwen.pages import Unreached
from qwen.protocol import HttpAnswer
from qwen.public_url import is_loopback
from qwen.retry_after import find_header

API_KEY, PUBLIC, LINKS = "API key", "PUBLIC_URL", "links"
NO_TASK = "n00doctorcheck0qwenimg"  # in the form of the API document's example; asking for it costs nothing
CHECK_ROUTE = (
    "Check its DNS entry and the proxy: /callbacks/ must be passed on to PORT. Some routers don't let a machine call "
    "its own public address; then call it from elsewhere. Without callbacks the bot polls, and nothing is missing."
)


def judge_key(outcome: QwenError | None) -> Finding:
    """Judge how the image API answered to GET /status for a task that does not exist. None: with a task."""
    match outcome:
        case TaskNotFound():
            return Finding(API_KEY, Level.OK, "The image API accepts it, and answers as its document says.")
        case None:
            return Finding(
                API_KEY, Level.WARN, "The image API answers with a task where none exists.", "Check QWEN_API_URL."
            )
        case AccountEmpty():
            return Finding(
                API_KEY, Level.FAIL, "The image API's account has no credits left.", "Top it up at the image service."
            )
        case KeyRefused():
            return Finding(
                API_KEY,
                Level.FAIL,
                "The image API refuses QWEN_API_KEY.",
                "Create another key at the image service and put it into QWEN_API_KEY.",
            )
        case RateLimited():
            return Finding(API_KEY, Level.WARN, "The image API asks to slow down.", "Run this again in a minute.")
        case RequestRefused():
            return Finding(API_KEY, Level.WARN, f"{outcome}.", "Check QWEN_API_URL.")
        case _:
            return _judge_unavailable(outcome)


def _judge_unavailable(error: QwenError) -> Finding:
    """Judge an answer that says nothing of the key."""
    if error.code == 400:  # the key was read before the id was
        return Finding(
            API_KEY, Level.WARN, "The image API does not refuse the key, but the id of the task that was asked for."
        )
    if error.http_status is not None and error.http_status >= 500:
        advice = "Wait and run this again."
    else:
        advice = "Check this machine's network and QWEN_API_URL; a block of its address may stand before the service."
    return Finding(API_KEY, Level.FAIL, f"{error}.", advice)


class Listener(StrEnum):
    """Who listens on PORT of this machine."""

    DOCTOR = "doctor"  # nobody did, so this command does for a moment
    BOT = "bot"
    STUCK = "stuck"  # a bot whose worker or database does not answer
    OTHER = "other"
    NOBODY = "nobody"  # the port can't be opened


@dataclass(frozen=True, slots=True)
class PublicAnswer:
    """*listener*: who listens on this machine. *answer*: what came from PUBLIC_URL; None: it was not asked.

    *proof*: what this command answers there, if it is who listens.
    """

    listener: Listener
    answer: HttpAnswer | Unreached | None
    proof: bytes


def judge_listener(callback: HttpAnswer | Unreached, health: HttpAnswer | Unreached | None) -> Listener:
    """Tell who has taken the port by its answers to a *callback* that nobody expects and, where PORT is set, to GET
    /healthz."""
    if isinstance(callback, Unreached) or not is_answer_of_a_bot(callback):
        return Listener.OTHER
    return Listener.STUCK if isinstance(health, HttpAnswer) and health.status == 503 else Listener.BOT


def judge_public_url(found: PublicAnswer, port: int, *, others_may_answer: bool) -> list[Finding]:
    """Judge whether PUBLIC_URL leads to this bot. *others_may_answer*: other processes may share the database."""
    if found.listener is Listener.OTHER:
        return [Finding(PUBLIC, Level.FAIL, f"Another program has taken PORT {port}.", "Choose another PORT.")]
    if found.listener is Listener.NOBODY:
        return [Finding(PUBLIC, Level.FAIL, f"This user can't listen on PORT {port}.", "Choose another PORT.")]
    judged = [_judge_answer(found, others_may_answer=others_may_answer)]
    if found.listener is Listener.STUCK:
        text = "The bot that runs here answers on PORT, but its worker or its database does not."
        judged.insert(0, Finding(PUBLIC, Level.WARN, text, "Look into its log."))
    return judged


def _judge_answer(found: PublicAnswer, *, others_may_answer: bool) -> Finding:
    answer = found.answer
    if answer is None or isinstance(answer, Unreached):
        reason = "it was not asked" if answer is None else answer.reason
        return Finding(PUBLIC, Level.FAIL, f"PUBLIC_URL can't be reached: {reason}.", CHECK_ROUTE)
    if found.listener is Listener.DOCTOR and answer.body == found.proof:
        return Finding(PUBLIC, Level.OK, "It leads to PORT of this machine, where the bot will listen.")
    if is_answer_of_a_bot(answer):
        if found.listener is not Listener.DOCTOR:
            return Finding(PUBLIC, Level.OK, "It answers as the bot does, which runs here.")
        if others_may_answer:
            return Finding(PUBLIC, Level.OK, "It leads to another process of a bot.")
    return Finding(PUBLIC, Level.FAIL, f"PUBLIC_URL reaches something else (HTTP {answer.status}).", CHECK_ROUTE)


def is_answer_of_a_bot(answer: HttpAnswer) -> bool:
    """Whether *answer* is what a bot gives for a callback that nobody expects: an empty 404."""
    return (answer.status, answer.body, find_header(answer.headers, "cache-control")) == (404, b"", "no-store")


def judge_loopback(public_url: str, api_url: str) -> Finding | None:
    """Return the finding for a PUBLIC_URL that only this machine can reach, while the image API is elsewhere."""
    if not is_loopback(public_url) or is_loopback(api_url):
        return None
    return Finding(
        PUBLIC,
        Level.FAIL,
        "PUBLIC_URL is an address of this machine alone: the image API can't call it.",
        "Set it to the address by which the internet reaches this machine, or leave it empty.",
    )


def judge_link(name: str, answer: HttpAnswer | Unreached | None) -> list[Finding]:
    """Judge the page of the setting *name*. *answer* None: it is not set."""
    if answer is None:
        return [] if name == "SUPPORT_URL" else [_missing_link(name)]
    if isinstance(answer, Unreached):
        return [
            Finding(LINKS, Level.FAIL, f"{name} can't be opened: {answer.reason}.", "Publish the page, or correct it.")
        ]
    if 200 <= answer.status < 300:
        return [Finding(LINKS, Level.OK, f"{name} can be opened.")]
    if answer.status in (404, 410):
        text = f"{name} leads to no page (HTTP {answer.status})."
        return [Finding(LINKS, Level.FAIL, text, "Publish it, or correct the address.")]
    text = f"{name} answers this machine with HTTP {answer.status}."
    return [Finding(LINKS, Level.WARN, text, "Open it in a browser to see whether people can read it.")]


def _missing_link(name: str) -> Finding:
    return Finding(
        LINKS,
        Level.WARN,
        f"{name} is not set.",
        "Discord asks for the page; `python bot.py policies` writes a draft of it.",
    )
