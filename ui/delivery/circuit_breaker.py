"""Notice from the calls of all cards that Discord does not answer, and let one call at a time through until it does.

A call that gets 5xx takes half a minute, since discord.py tries it five times. Pure: time comes in as monotonic
seconds. Knows cards by their ids only, and no places or errors.
"""

from __future__ import annotations

AWAY_AFTER = 3  # cards in a row whose calls got no answer; one card's own payload may be the cause
TRY_FIRST_SECONDS = 5.0
TRY_MAX_SECONDS = 30.0
FORGOTTEN_SECONDS = 60.0  # a try that has not ended for so long is no longer waited for
INVITED_SECONDS = 10.0  # for so long no other call is prepared: a download may take as long
SPACING_SECONDS = 0.1  # between the calls that are put off, so that they don't all come back at once
SPACING_MAX_SECONDS = 15.0


class Breaker:
    """Count Discord as away after failures of AWAY_AFTER cards with no answer in between. Then let one call at a time
    try it, after a pause that grows while other calls wait. Any answer ends that.

    Calls have no identity here. Those under way when Discord was found to be away began before the first try, so the
    failures that follow are counted as theirs until all of them have ended.
    """

    def __init__(self) -> None:
        self._failed: set[object] = set()  # cards whose calls failed since the last answer
        self._under_way = 0  # calls that have not ended yet
        self._older = 0  # of these, begun before Discord was known to be away
        self._trying = False
        self._tried_at = 0.0
        self._pause = TRY_FIRST_SECONDS
        self._next_try_at = 0.0
        self._invited_until = 0.0  # a caller was allowed to prepare a call, and may make it until then
        self._put_off = 0  # since the last try failed

    @property
    def away(self) -> bool:
        return len(self._failed) >= AWAY_AFTER

    def wait_seconds(self, now: float) -> float:
        """Return how long to wait before a call. 0: the caller makes it now, and reports its end."""
        if self.away:
            wait = self._seconds_to_try(now)
            if wait > 0:
                return wait + self._gap()
            self._trying, self._tried_at = True, now
        self._under_way += 1
        return 0.0

    def preparing_seconds(self, now: float) -> float:
        """Return how long to wait before preparing a call. 0: prepare it now, and ask wait_seconds() before it is made.

        Begins no try. While Discord is away one caller at a time gets 0, so that nothing is prepared in vain.
        """
        if not self.away:
            return 0.0
        wait = self._seconds_to_try(now) or max(0.0, self._invited_until - now)
        if wait > 0:
            return wait + self._gap()
        self._invited_until = now + INVITED_SECONDS
        return 0.0

    def answered(self) -> None:
        """Note that a call was answered, also with a refusal."""
        self._ended()
        self._failed.clear()
        self._older, self._trying = 0, False

    def failed(self, now: float, card: int | None = None) -> None:
        """Note that a call got no answer, or a 5xx. *card*: the id of its generation; None: counts as another card."""
        self._ended()
        if not self.away:
            self._failed.add(object() if card is None else card)
            if self.away:
                self._older, self._put_off = self._under_way, 0
                self._pause, self._next_try_at = TRY_FIRST_SECONDS, now + TRY_FIRST_SECONDS
        elif self._older:
            self._older -= 1
        elif self._trying:
            self._trying = False
            if self._put_off:
                self._pause = min(TRY_MAX_SECONDS, 2 * self._pause)
                self._put_off = 0
            self._next_try_at = max(now, self._tried_at + self._pause)

    def came_to_nothing(self) -> None:
        """Note that a call was not made after all, which says nothing of Discord."""
        self._ended()
        if self._older:
            self._older -= 1
        else:
            self._trying = False

    def _seconds_to_try(self, now: float) -> float:
        if self._trying and now < self._tried_at + FORGOTTEN_SECONDS:
            return TRY_FIRST_SECONDS
        return max(0.0, self._next_try_at - now)

    def _ended(self) -> None:
        self._under_way = max(0, self._under_way - 1)

    def _gap(self) -> float:
        self._put_off += 1
        return self._put_off * SPACING_SECONDS % SPACING_MAX_SECONDS
