"""The sentences of /owner status. Pure; must not know Discord's library. Names of processes must be escaped before.

Times are unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ui.texts.formatting import credits_text, duration, images_text, relative_time

TITLE = "**How the bot is**"
NO_DELAYS = "no image was posted yet"
NOT_CHECKED = "not checked yet; that is done once a day"
DISCORD_ANSWERS = "answers"
DISCORD_AWAY = "does not answer; cards wait"
KIB = 1024


def version_line(version: str, started_at_ms: int) -> str:
    return f"**Version** {version} · running since {relative_time(started_at_ms)}"


def paused_line(reason: str, at_ms: int) -> str:
    because = f": {reason}" if reason else ""
    return f"**Paused** since {relative_time(at_ms)}{because}"


def processes_line(bots: int, workers: int, shards_up: int, shard_count: int | None, steps: int) -> str:
    total = f"{_count(bots, 'bot')}, {_count(workers, 'worker')}"
    return f"**Processes** {total} · shards {shards_up} of {shard_count or '?'} up · {_count(steps, 'step')} under way"


def process_line(
    name: str, role: str, version: str, shards: str, up: int, steps: int, seen_seconds: float, started_at_ms: int
) -> str:
    """*shards*: such as "0-5", empty: none."""
    of_shards = f" · shards {shards}, {up} up" if shards else ""
    heard = "now" if seen_seconds < 1 else f"{duration(seen_seconds)} ago"
    since = relative_time(started_at_ms)
    return f"- {name} · {role} {version}{of_shards} · {_count(steps, 'step')} · heard {heard} · since {since}"


def more_processes(count: int) -> str:
    return f"- and {count} more"


def line_line(waiting: int, in_flight: int, slots: int, ceiling: int, overdue_seconds: float) -> str:
    """*overdue_seconds*: for how long the oldest work has been due; 0: nothing is."""
    due = "nothing is due" if overdue_seconds <= 0 else f"the oldest work is due for {duration(overdue_seconds)}"
    made = f"{images_text(in_flight)} being made · {slots} slots of at most {ceiling}"
    return f"**Line** {images_text(waiting)} waiting · {made} · {due}"


def delays_line(median_ms: int, p95_ms: int, requests: int) -> str:
    times = f"median {seconds_text(median_ms)}, 95 % within {seconds_text(p95_ms)}"
    return f"**Ready → posted** {times}, of the last {_count(requests, 'request')}"


def no_delays_line() -> str:
    return f"**Ready → posted** {NO_DELAYS}"


def api_line(stopped: str | None, polls_paused: float, posts_paused: float, typical_seconds: float | None) -> str:
    """*stopped*: why nothing is submitted; None: that is not so."""
    if stopped is not None:
        state = f"nothing is submitted or taken on until a try succeeds ({stopped})"
    elif polls_paused:
        state = f"asks for a pause: no call for {duration(polls_paused)}"
    elif posts_paused:
        state = f"takes no new tasks for {duration(posts_paused)}"
    else:
        state = "no pause"
    usual = "not known yet how long an image takes"
    return (
        f"**Image API** {state} · {usual if typical_seconds is None else f'an image takes {duration(typical_seconds)}'}"
    )


def discord_line(*, is_away: bool) -> str:
    return f"**Discord** {DISCORD_AWAY if is_away else DISCORD_ANSWERS}"


def spend_line(period: str, total: int, held: int, unknown: int, limit: int) -> str:
    """*period*: today or this month. *limit* 0: none."""
    of = f" of {limit} ({total * 100 // limit} %)" if limit else ", no limit"
    return f"**Spent {period}** {credits_text(total)}{of} · of these {held} held, {unknown} unknown"


def check_line(at_ms: int, accounts: int, faults: int) -> str:
    if faults:
        return (
            f"**Ledger** {faults} of {_count(accounts, 'account')} differ from their entries: `ledger check` says how"
        )
    return f"**Ledger** no fault in {_count(accounts, 'account')}, checked {relative_time(at_ms)}"


def not_checked_line() -> str:
    return f"**Ledger** {NOT_CHECKED}"


def database_line(kind: str, version: str, bytes: int, revision: str) -> str:
    return f"**Database** {kind} {version} · {size_text(bytes)} · schema {revision}"


def size_text(bytes: int) -> str:
    """For example 12 KiB, 3.4 MiB, 1.2 GiB."""
    for unit, size in (("GiB", KIB**3), ("MiB", KIB**2)):
        if bytes >= size:
            return f"{bytes / size:.1f} {unit}"
    return f"{bytes // KIB} KiB"


def seconds_text(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else duration(milliseconds / 1000)


def versions_line(versions: Sequence[str]) -> str:
    return f"**Versions** {', '.join(versions)} at once: an update is under way"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
