"""Whether images are made and sold at all: not while the image API's account is empty or its key is refused. Pure.

While the circuit is open no image is submitted and no request is taken on, but for one real image at growing intervals,
the probe. Only a probe that is taken closes it, and only one that is surely refused makes the interval grow.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

PROBE_SECONDS = (60, 120, 300, 600, 1800, 3600)  # from each refusal to the next probe; the last one again and again
PROBE_SPREAD = 0.1  # the share by which such an interval is shorter or longer, at random
CHANGE_INTERVAL_MS = 10 * 60_000  # the owner is told so often that it opened and that it closed again
REMINDER_MS = 6 * 3_600_000  # the owner is told again that it is open


class StopReason(StrEnum):
    """Why it is open: only the owner can do something about it."""

    ACCOUNT_EMPTY = "account_empty"
    KEY_REFUSED = "key_refused"


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state that all processes share. Closed as long as *reason* is None.

    *refusals*: since it opened, of the first image and of probes. *is_told*: the owner was told that it is open for
    this reason; *told_at_ms*: when they were told so last.
    """

    reason: StopReason | None = None
    refusals: int = 0
    probe_at_ms: int = 0
    is_told: bool = False
    told_at_ms: int | None = None

    def may_probe(self, now_ms: int) -> bool:
        """Whether an image may be submitted although it is open. A time that no interval reaches was written before the
        clock was set back."""
        longest_ms = round(PROBE_SECONDS[-1] * (1 + PROBE_SPREAD) * 1000)
        return not 0 < self.probe_at_ms - now_ms <= longest_ms

    def probing(self, now_ms: int, jitter: float) -> Circuit:
        """Return the circuit after a probe was begun: the next one comes an interval later, whatever becomes of it."""
        return replace(self, probe_at_ms=_next_probe_ms(self.refusals, now_ms, jitter))

    def refused(self, reason: StopReason, now_ms: int, jitter: float, *, is_probe: bool) -> Circuit:
        """Return the circuit after a sure refusal of a POST. *jitter*: from 0 to 1.

        POSTs that were under way when it opened change nothing.
        """
        if self.reason is not None and not is_probe:
            return self
        refusals = self.refusals + 1
        probe_at_ms = _next_probe_ms(refusals, now_ms, jitter)
        after = replace(self, reason=reason, refusals=refusals, probe_at_ms=probe_at_ms)
        if reason is not self.reason:
            after = replace(after, is_told=False)
        quiet_ms = REMINDER_MS if after.is_told else CHANGE_INTERVAL_MS
        if self.told_at_ms is not None and 0 <= now_ms - self.told_at_ms < quiet_ms:
            return after
        return replace(after, is_told=True, told_at_ms=now_ms)

    def closed(self) -> Circuit:
        """Return the circuit after a probe was taken."""
        return Circuit(told_at_ms=self.told_at_ms)

    def restarted(self, now_ms: int) -> Circuit:
        """Return the circuit after the start of a process, which may have another key: the next probe comes at once."""
        return replace(self, probe_at_ms=now_ms)

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


CLOSED = Circuit()


def load_circuit(text: str | None) -> Circuit:
    """Return what dump() wrote. What can't be read is a closed circuit: the next POST shows how things are."""
    try:
        known = json.loads(text or "")
        told_at_ms = known["told_at_ms"]
        return Circuit(
            reason=None if known["reason"] is None else StopReason(known["reason"]),
            refusals=int(known["refusals"]),
            probe_at_ms=int(known["probe_at_ms"]),
            is_told=bool(known["is_told"]),
            told_at_ms=None if told_at_ms is None else int(told_at_ms),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return CLOSED


def _next_probe_ms(refusals: int, now_ms: int, jitter: float) -> int:
    seconds = PROBE_SECONDS[min(max(1, refusals), len(PROBE_SECONDS)) - 1]
    return now_ms + round(seconds * (1 + PROBE_SPREAD * (2 * jitter - 1)) * 1000)
