"""Whether Discord answers at all, learned from the calls of all cards together.

A call that gets 5xx takes half a minute, since discord.py tries it five times; while Discord is away, one such call at
a time is enough to notice that it is back. Pure: time comes in as monotonic seconds. Must not know cards (but by
their ids), places or errors.
"""

from __future__ import annotations

AWAY_AFTER = 3  # cards in a row whose calls got no answer; one card's own payload may be what Discord fails over
TRY_FIRST_SECONDS = 5.0
TRY_MAX_SECONDS = 30.0
FORGOTTEN_SECONDS = 60.0  # of a try nothing was heard for so long: it won't tell any more
INVITED_SECONDS = 10.0  # so long nobody else prepares a call: a download may take as long
SPACING_SECONDS = 0.1  # between those that are put off, so that they don't come back all at once
SPACING_MAX_SECONDS = 15.0


class Breaker:
    """After failures of AWAY_AFTER cards, with no answer in between, Discord is away: then one call at a time tries it,
    and from one try to the next lies a pause that grows while others wait for it. Any answer ends that.

    Calls don't say which of them they are. Those that were under way when Discord was found to be away began before
    the first try, so the failures that follow are taken for theirs until they have all ended.
    """

    def __init__(self) -> None:
        self._failed: set[object] = set()  # cards whose calls failed since the last answer
        self._under_way = 0  # calls that have not ended yet
        self._older = 0  # of these, begun before Discord was known to be away
        self._trying = False
        self._tried_at = 0.0
        self._pause = TRY_FIRST_SECONDS
        self._next_try_at = 0.0
        self._invited_until = 0.0  # who was told to prepare a call may make it until then
        self._put_off = 0  # since the last try failed

    @property
    def away(self) -> bool:
        return len(self._failed) >= AWAY_AFTER

    def wait_seconds(self, now: float) -> float:
        """How long a call that is about to be made has to wait. 0: it is made now, and its end will be told."""
        if self.away:
            wait = self._seconds_to_try(now)
            if wait > 0:
                return wait + self._gap()
            self._trying, self._tried_at = True, now
        self._under_way += 1
        return 0.0

    def preparing_seconds(self, now: float) -> float:
        """How long a call has to wait that needs to be prepared. 0: it is prepared now, and asks again when it is made.

        Begins no try. While Discord is away one asker at a time is told 0, so that nothing is prepared in vain.
        """
        if not self.away:
            return 0.0
        wait = self._seconds_to_try(now) or max(0.0, self._invited_until - now)
        if wait > 0:
            return wait + self._gap()
        self._invited_until = now + INVITED_SECONDS
        return 0.0

    def answered(self) -> None:
        """A call was answered, in whatever sense."""
        self._ended()
        self._failed.clear()
        self._older, self._trying = 0, False

    def failed(self, now: float, card: int | None = None) -> None:
        """A call got no answer, or one that says no more than that Discord has a fault. *card*: whose it was; None: it
        counts as one of its own."""
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
        """A call ended, and nothing can be learned of it."""
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
