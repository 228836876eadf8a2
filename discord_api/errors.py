"""What a refusal of Discord's means for a card. Pure; knows no cards, places or generations.

Codes and statuses: Discord docs, Opcodes and Status Codes; those that the docs leave open were seen in public issue
threads (401 with 50027 after 15 minutes, 413 with 40005, 429 with 30046, 403 with 40003, 400 with 50083).

A refusal of a place, a message or a token has a code. Without a code a 401 is about the bot's token, and a 404 about
an address that Discord does not have ("404: Not Found", code 0), which the bot never calls. discord.py 2.7.1 sets
code 0 also for the page of a proxy or a CDN (errors.py, HTTPException).
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Generator, Iterator
from enum import StrEnum

import discord

from generations.errors import DeliveryDelayed
from qwen.connections import NETWORK_FAULTS

UNKNOWN_CHANNEL = 10003
UNKNOWN_GUILD = 10004
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
UNKNOWN_INTERACTION = 10062
MISSING_ACCESS = 50001
INVALID_WEBHOOK_TOKEN = 50027
TOO_MANY_OLD_EDITS = 30046
DM_CHANNELS_TOO_FAST = 40003
THREAD_ARCHIVED = 50083
ENTITY_TOO_LARGE = 40005
CLOUDFLARE_BLOCK = 40333
API_OVERLOADED = 130000
TOO_MANY_FOLLOW_UPS = 40094  # at most 5 for a user-installed app; the HTTP status is not documented

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 300.0
RETRY_SECONDS = 5.0  # where Discord names no time; ui/delivery/cards makes it longer with each delay


class UnreadableAnswer(Exception):
    """The response is not Discord's JSON, such as a proxy's page of HTML."""


class ClientClosed(Exception):
    """discord.py has closed its HTTP session: this process is about to end."""


class NotLoggedIn(Exception):
    """The call was not made: the client has not logged in yet, and has no HTTP session."""


# Discord did not answer, or discord.py did not make the call: the outcome is unknown. discord.py 2.7.1 raises the
# errors of its HTTP library as they are (http.py and webhook/async_.py, `request`).
NO_ANSWER = (*NETWORK_FAULTS, discord.RateLimited, UnreadableAnswer, ClientClosed, NotLoggedIn)
NOT_MADE = (discord.RateLimited, ClientClosed, NotLoggedIn)  # those of them for calls that discord.py did not make


def is_logged_in(client: discord.Client) -> bool:
    """Whether *client* may make calls. One that does not tell (ui.interactions.client does) is used after its login."""
    return getattr(client, "is_logged_in", True)


@contextlib.contextmanager
def asking(client: discord.Client, *, to_log_in: bool = False) -> Generator[None]:
    """Raise UnreadableAnswer and ClientClosed for what a call of discord.py 2.7.1 raises: it expects every response to
    be JSON of the right shape (webhook/async_.py, `data['retry_after']`; message.py, `int(data['id'])`), and a call of
    a closed client is a RuntimeError of its HTTP library. Raise NotLoggedIn before the call if the client can't make
    it yet, except *to_log_in*. Put only the call inside, not what prepares it."""
    if not (to_log_in or is_logged_in(client)):
        raise NotLoggedIn
    try:
        yield
    except (TypeError, LookupError, AttributeError, ValueError) as fault:
        raise UnreadableAnswer from fault
    except RuntimeError as fault:
        if not client.is_closed():
            raise
        raise ClientClosed from fault


@contextlib.contextmanager
def trying(client: discord.Client) -> Generator[None]:
    """Ignore that Discord refuses a call or doesn't answer it: for calls on which nothing depends."""
    with contextlib.suppress(discord.HTTPException, *NO_ANSWER), asking(client):
        yield


class Verdict(StrEnum):
    """What to do after a refusal."""

    TOKEN_DEAD = "token_dead"  # noqa: S105 - the interaction's token will never work again
    NEXT = "next"  # this place refuses the bot, try the next one
    ARCHIVED = "archived"  # nothing in this thread can be edited; a new message opens it again
    REFUSED = "refused"  # the place takes messages, but not this payload
    TOO_LARGE = "too_large"  # the place takes messages, but not so many bytes
    LATER = "later"  # nothing is wrong with the place or the payload


def names_no_cause(error: discord.HTTPException) -> bool:
    """Whether a 401, 403 or 404 has no code, and so says nothing of the place, the message or the token."""
    return error.status in (401, 403, 404) and not error.code


def verdict_of(error: discord.HTTPException, *, by_token: bool) -> Verdict:
    """Return what to do after a refusal. *by_token*: the call was made with the interaction's token, not the bot's."""
    if error.status >= 500 or error.code in (CLOUDFLARE_BLOCK, API_OVERLOADED, DM_CHANNELS_TOO_FAST):
        return Verdict.LATER
    if names_no_cause(error):
        return Verdict.LATER
    if error.code == TOO_MANY_FOLLOW_UPS:
        return Verdict.NEXT
    if error.code == THREAD_ARCHIVED:
        return Verdict.ARCHIVED
    if error.status == 413 or error.code == ENTITY_TOO_LARGE:
        return Verdict.TOO_LARGE
    match error.status:
        case 429:
            return Verdict.NEXT if error.code == TOO_MANY_OLD_EDITS else Verdict.LATER
        case 401:
            return Verdict.TOKEN_DEAD if by_token else Verdict.LATER
        case 404 if by_token and error.code in (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION):
            return Verdict.TOKEN_DEAD
        case 400:
            return Verdict.REFUSED
        case _:
            return Verdict.NEXT


def delayed(error: BaseException) -> DeliveryDelayed:
    """Build a DeliveryDelayed with the time that Discord asks for. Holds nothing of the call."""
    return DeliveryDelayed(retry_seconds(error))


def retry_seconds(error: BaseException) -> float:
    """Return how long Discord asks to wait, 1 to 300 s; RETRY_SECONDS where it does not say."""
    seconds = RETRY_SECONDS
    if isinstance(error, discord.RateLimited):
        seconds = error.retry_after
    elif isinstance(error, discord.HTTPException) and error.status == 429:
        seconds = _seconds(error.response.headers.get("Retry-After", ""))
    return min(RETRY_SECONDS_MAX, max(RETRY_SECONDS_MIN, seconds))


def _seconds(header: str) -> float:
    try:
        return float(header)
    except ValueError:
        return RETRY_SECONDS


def described(error: BaseException) -> str:
    """Return the classes, codes and places (file:line) of *error* and its causes, for the log: no message, so no prompt
    and no token."""
    return " <- ".join(f"{_named(link)} at {_place(link)}" for link in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _named(error: BaseException) -> str:
    name, status = f"{type(error).__module__}.{type(error).__qualname__}", getattr(error, "status", None)
    facts = [f"HTTP {status}"] if isinstance(status, int) else []
    if isinstance(error, discord.HTTPException | discord.ConnectionClosed):
        facts.append(f"code {error.code}")
    return f"{name} ({', '.join(facts)})" if facts else name


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames) or "?"
