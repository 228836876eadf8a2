"""Stop calls to Discord that would be refused, and put off all but one while Discord does not answer.

Discord bans an IP address for a while after 10,000 responses of 401, 403 or 429 within ten minutes (Discord docs: Rate
Limits, "Invalid Request Limit"), which many cards that try again could reach. Pure but for the clock and two lines of
log; knows no cards and no places.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import discord

from backoff import doubled_seconds
from discord_api.errors import CLOUDFLARE_BLOCK, INVALID_WEBHOOK_TOKEN, NOT_MADE, TOO_MANY_OLD_EDITS, retry_seconds
from generations.clock import Clock
from generations.errors import DeliveryDelayed
from observability.repeats import REPEATS
from ui.delivery.circuit_breaker import Breaker

log = logging.getLogger("qwen_imagine.delivery")

WINDOW_SECONDS = 600.0
REFUSALS_MAX = 1000  # a tenth of Discord's limit; other processes may share the address
LOGIN_SECONDS = 5.0  # until a call is tried that came before the login
PAUSE_FIRST_SECONDS = 5.0
PAUSE_MAX_SECONDS = 300.0


class RateGuard:
    """Decide whether a call may be made now. One for all cards of a process.

    After each check() that does not raise, report the end of the call by one of answered(), refused(), present(),
    unanswered() and unasked(). *is_logged_in*: before the login no call is made.
    """

    def __init__(self, clock: Clock, is_logged_in: Callable[[], bool] = lambda: True) -> None:
        self._clock = clock
        self._is_logged_in = is_logged_in
        self._refusals: deque[float] = deque(maxlen=REFUSALS_MAX)
        self._all_paused_until = float("-inf")
        self._bot_paused_until = float("-inf")
        self._bot_refusals = 0  # of the bot's own token, in a row
        self._breaker = Breaker()

    @property
    def away(self) -> bool:
        """Whether Discord does not answer."""
        return self._breaker.away

    def check(self, *, by_token: bool) -> None:
        """Raise DeliveryDelayed when no call may be made now. *by_token*: one with an interaction's token."""
        now = self._clock.monotonic()
        wait = self._paused_seconds(now, by_token=by_token) or self._breaker.wait_seconds(now)
        if wait > 0:
            raise DeliveryDelayed(wait)

    def preparing_seconds(self, *, by_token: bool) -> float:
        """Return how long to wait before preparing a call, such as by a download; 0: prepare it now, and call check()
        before it is made. See Breaker."""
        now = self._clock.monotonic()
        return self._paused_seconds(now, by_token=by_token) or self._breaker.preparing_seconds(now)

    def answered(self, *, by_token: bool) -> None:
        """Note that a call succeeded."""
        if not by_token:
            self._bot_refusals = 0
        self._is_there()

    def refused(self, error: discord.HTTPException, *, by_token: bool, card: int | None = None) -> None:
        """Count a refusal of a call for *card*, and pause the calls of all cards where it concerns them all."""
        now = self._clock.monotonic()
        if error.status >= 500:
            self._is_silent(now, card)
        else:
            self._is_there()
        if error.status in (401, 403, 429):
            self._refusals.append(now)
        if error.status == 401 and not by_token and error.code != INVALID_WEBHOOK_TOKEN:
            self._bot_refusals += 1
            pause = doubled_seconds(self._bot_refusals, first=PAUSE_FIRST_SECONDS, most=PAUSE_MAX_SECONDS)
            self._bot_paused_until = now + pause
        elif error.code == CLOUDFLARE_BLOCK or is_ban(error):
            self._all_paused_until = now + retry_seconds(error)

    def present(self) -> None:
        """Note that a call failed, and another one showed that Discord answers."""
        self._is_there()

    def unasked(self) -> None:
        """Note that the call was not made after all."""
        self._breaker.came_to_nothing()

    def unanswered(self, fault: BaseException, *, card: int | None = None) -> None:
        """Note that a call for *card* ended with *fault*, one of discord_api.errors.NO_ANSWER."""
        if isinstance(fault, NOT_MADE):
            self.unasked()
        else:
            self._is_silent(self._clock.monotonic(), card)

    def _paused_seconds(self, now: float, *, by_token: bool) -> float:
        if not self._is_logged_in():
            return LOGIN_SECONDS
        until = self._all_paused_until if by_token else max(self._all_paused_until, self._bot_paused_until)
        if len(self._refusals) == REFUSALS_MAX:
            until = max(until, self._refusals[0] + WINDOW_SECONDS)
        return min(PAUSE_MAX_SECONDS, max(0.0, until - now))

    def _is_there(self) -> None:
        if self._breaker.away:
            log.info("Discord answers again", extra=REPEATS)
        self._breaker.answered()

    def _is_silent(self, now: float, card: int | None) -> None:
        was_away = self._breaker.away
        self._breaker.failed(now, card)
        if self._breaker.away and not was_away:
            log.warning(
                "Discord does not answer: until it does, one call at a time is made, and the others are put off",
                extra=REPEATS,
            )


def is_ban(error: discord.HTTPException) -> bool:
    """Whether a 429 is not from Discord's own servers, which send the header Via (discord.py 2.7.1, http.py)."""
    return error.status == 429 and error.code != TOO_MANY_OLD_EDITS and "Via" not in error.response.headers
