"""What is counted while the bot runs, and the names under which /metrics shows it. Knows no library and no row.

Labels have few values and never an id. Counters and histograms are of this process since its start. Gauges of rows are
the same in every process that shares the database: take their max, not their sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Stage(StrEnum):
    """What an image waits for."""

    LINE = "line"  # from the request to the POST
    MADE = "made"  # from the POST to the downloaded image
    POSTED = "posted"  # from the downloaded image to its card


class Reading(NamedTuple):
    """The value of a gauge (a name in GAUGES) now. *labels*: the values of its labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Metrics(Protocol):
    """Count what happens, where it happens. No call waits, raises or logs."""

    is_on: bool  # False: nobody reads them, so nothing need be found out for them alone

    def image_moved(self, state: str, ending: str) -> None:
        """An image came to *state*; *ending*: why it ended without a result, else empty."""
        ...

    def waited(self, stage: Stage, seconds: float) -> None: ...

    def credits_moved(self, kind: str, credits: int) -> None:
        """*kind*: hold, settle, release or refund, as in the ledger."""
        ...

    def api_called(self, call: str, status: str, seconds: float) -> None:
        """*call*: post, poll or download. *status*: as QwenClient understood the answer."""
        ...

    def discord_called(self, method: str, status: str, seconds: float) -> None:
        """*status*: the HTTP status, or the class of the error."""
        ...

    def rate_limited(self, service: str, seconds: float) -> None:
        """*service*, api or discord, asked to wait for so long."""
        ...

    def leases_taken_over(self, count: int) -> None: ...

    def loop_stalled(self, seconds: float) -> None:
        """The event loop came back so much too late."""
        ...

    def expose(self, readings: Iterable[Reading]) -> bytes:
        """Return the text of /metrics (Prometheus docs: Exposition formats), with *readings* as its gauges."""
        ...


class NoMetrics:
    """Count nothing."""

    is_on = False

    def image_moved(self, state: str, ending: str) -> None:
        pass

    def waited(self, stage: Stage, seconds: float) -> None:
        pass

    def credits_moved(self, kind: str, credits: int) -> None:
        pass

    def api_called(self, call: str, status: str, seconds: float) -> None:
        pass

    def discord_called(self, method: str, status: str, seconds: float) -> None:
        pass

    def rate_limited(self, service: str, seconds: float) -> None:
        pass

    def leases_taken_over(self, count: int) -> None:
        pass

    def loop_stalled(self, seconds: float) -> None:
        pass

    def expose(self, readings: Iterable[Reading]) -> bytes:
        return b""


NO_METRICS = NoMetrics()


@dataclass(frozen=True, slots=True)
class Described:
    """The help of a metric, and the names of its labels."""

    help: str
    labels: tuple[str, ...] = ()


PREFIX = "qwen_imagine_"
COUNTERS: Mapping[str, Described] = {
    "images_total": Described("Images that came to a state, and why without a result", ("state", "ending")),
    "credits_total": Described("Credits of people moved by images", ("kind",)),
    "api_calls_total": Described("Calls of the image API and downloads", ("call", "status")),
    "discord_calls_total": Described("HTTP calls of Discord, with repeated ones", ("method", "status")),
    "rate_limit_wait_seconds_total": Described("Seconds that a service asked to wait", ("service",)),
    "leases_taken_over_total": Described("Generations taken over after the lease of a process ran out"),
}
_CALL_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAIT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
HISTOGRAMS: Mapping[str, tuple[Described, tuple[float, ...]]] = {  # with the upper ends of the buckets
    "wait_seconds": (Described("How long images waited", ("stage",)), _WAIT_SECONDS),
    "api_call_seconds": (Described("How long calls of the image API took", ("call",)), _CALL_SECONDS),
    "discord_call_seconds": (Described("How long HTTP calls of Discord took"), _CALL_SECONDS),
    "loop_stall_seconds": (
        Described("How much too late the event loop came back"),
        (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    ),
}
GAUGES: Mapping[str, Described] = {
    "build_info": Described("Always 1", ("version", "role")),
    "healthy": Described("1 while /healthz says 200"),
    "ready": Described("1 while /readyz says 200"),
    "database_up": Described("1 while the database answers"),
    "worker_round_age_seconds": Described("Since the worker's last whole round"),
    "steps": Described("Generations that this process works on"),
    "shards": Described("Shards of this process"),
    "shards_up": Described("Shards of this process that are connected"),
    "gateway_silent_seconds": Described("Since the most silent connected shard was heard"),
    "task_slots": Described("Images that may be made at once, as learned"),
    "task_slots_max": Described("QWEN_MAX_TASKS"),
    "api_pause_seconds": Described("How long calls of the image API are still paused", ("calls",)),
    "images_stopped": Described("1 while nothing is submitted for this reason", ("reason",)),
    "disk_free_bytes": Described("Free on the disk of the SQLite file"),
    "line_images": Described("Images that wait in line, of all processes"),
    "images_in_flight": Described("Images that are being made, of all processes"),
    "oldest_due_seconds": Described("Since when the oldest work has been due, of all processes"),
    "credits_held": Described("Credits of people that are held, of all processes"),
    "api_credits_spent": Described("Credits of the image API in the operator's day and month", ("period", "kind")),
    "api_credits_limit": Described("SPEND_LIMIT_DAY and SPEND_LIMIT_MONTH, where they are set", ("period",)),
    "ledger_faults": Described("Accounts that differed from their entries at the last daily check"),
}


def metric_names() -> frozenset[str]:
    """Every name that /metrics may show."""
    series = {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "count", "sum")}
    return frozenset(PREFIX + name for name in {*COUNTERS, *GAUGES, *series})
