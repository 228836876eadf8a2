"""Load what was used on some days. All SQL of the report; nothing is written."""

from __future__ import annotations

import datetime
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, bindparam, func, select

from charts.usage_report import DayUsage, TopEntry, UsageReport, Waits
from discord_api.snowflakes import snowflake_at
from generations.records.tables import generations, images
from limits.tables import usage
from store.transactions import Transaction

MAX_WAITS = 10_000  # the newest images at most, whose waits are measured
MAX_TOP = 10
_CLOCKS_DIFFER_MS = 3_600_000  # more than Discord's clock and ours: an id has the time of the first one

_COUNTERS = ("made", "failed", "charged", "held", "unknown")
_in_time = usage.c.day_ms.between(bindparam("from_ms"), bindparam("to_ms"))
_of_guild = usage.c.guild_id == bindparam("guild_id")
_is_person = usage.c.user_id != 0
_DAYS = select(usage).where(_of_guild, usage.c.user_id == 0, _in_time)
_MADE = func.sum(usage.c.made)


def _top(of: Any, *conditions: Any) -> Select[Any, Any]:
    found = select(of.label("id"), _MADE.label("made")).where(_in_time, *conditions)
    return found.group_by(of).having(_MADE > 0).order_by(_MADE.desc(), of).limit(MAX_TOP)


# Without people who had everything deleted, whose rows are kept for a while for the caps alone.
_PEOPLE = _top(usage.c.user_id, _of_guild, _is_person, usage.c.forget_at_ms.is_(None))
_SERVERS = _top(usage.c.guild_id, usage.c.guild_id != 0, usage.c.user_id == 0)
_WAITS = (
    select(generations.c.usage_day_ms, (images.c.ready_at_ms - generations.c.created_at_ms).label("wait_ms"))
    .join(images, images.c.generation_id == generations.c.id)
    .where(
        generations.c.id >= bindparam("oldest_id"),  # the index that ends the search
        generations.c.usage_day_ms.between(bindparam("from_ms"), bindparam("to_ms")),
        images.c.ready_at_ms.is_not(None),
    )
    .order_by(generations.c.id.desc())
    .limit(bindparam("most"))
)
# A server's generations are found by its people, since there is no index of servers.
_WAITS_OF_GUILD = _WAITS.where(
    generations.c.usage_guild_id == bindparam("guild_id"),
    generations.c.user_id.in_(select(usage.c.user_id).where(_of_guild, _is_person, _in_time)),
)


def load_usage(
    tx: Transaction,
    guild_id: int,
    from_day_ms: int,
    to_day_ms: int,
    timezone: ZoneInfo,
    *,
    max_waits: int = MAX_WAITS,
) -> UsageReport:
    """Return what a server used, or with *guild_id* 0 the whole bot, from one day of the operator to another, both
    included. The days are given by their first moments.

    Waits are those of the newest days that have at most *max_waits* images together; of the newest day alone, if that
    has more, the newest *max_waits*.
    """
    window = {"guild_id": guild_id, "from_ms": from_day_ms, "to_ms": to_day_ms, "most": max_waits}
    rows = tx.execute(_DAYS, window).mappings().all()
    waits = _load_waits(tx, window, _measured_from_ms(rows, to_day_ms, max_waits))
    top = tx.execute(_PEOPLE if guild_id else _SERVERS, window)
    return UsageReport(
        days=_days(rows, waits, _date(from_day_ms, timezone), _date(to_day_ms, timezone), timezone),
        waits=_summary([wait for of_day in waits.values() for wait in of_day]),
        top=[TopEntry(row.id, int(row.made)) for row in top],
        of_server=guild_id != 0,
    )


def _measured_from_ms(rows: Sequence[Any], newest_ms: int, most: int) -> int:
    """Return the oldest of the newest days that have at most *most* images together, or the newest with an image."""
    measured_from_ms, made = newest_ms, 0
    for row in sorted(rows, key=lambda row: -row["day_ms"]):
        if made and made + row["made"] > most:
            break
        made += row["made"]
        measured_from_ms = row["day_ms"]
    return measured_from_ms


def _load_waits(tx: Transaction, window: dict[str, int], from_ms: int) -> dict[int, list[float]]:
    """Return the waits in seconds by the day under which their images are counted."""
    statement = _WAITS_OF_GUILD if window["guild_id"] else _WAITS
    parameters = {**window, "from_ms": from_ms, "oldest_id": snowflake_at(from_ms - _CLOCKS_DIFFER_MS)}
    waits: defaultdict[int, list[float]] = defaultdict(list)
    for row in tx.execute(statement, parameters):
        waits[row.usage_day_ms].append(max(0, row.wait_ms) / 1000)
    return waits


def _days(
    rows: Iterable[Any], waits: dict[int, list[float]], first: datetime.date, last: datetime.date, timezone: ZoneInfo
) -> list[DayUsage]:
    """Return all days from *first* to *last*. Days that began at other moments, in a time zone of before, count too."""
    totals: defaultdict[datetime.date, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTERS, 0))
    seconds: defaultdict[datetime.date, list[float]] = defaultdict(list)
    for row in rows:
        of_date = totals[_date(row["day_ms"], timezone)]
        for name in _COUNTERS:
            of_date[name] += row[name]
    for day_ms, of_day in waits.items():
        seconds[_date(day_ms, timezone)] += of_day
    dates = [first + datetime.timedelta(days) for days in range((last - first).days + 1)]
    return [DayUsage(date, **totals[date], waits=_summary(seconds[date])) for date in dates]


def _summary(seconds: Sequence[float]) -> Waits | None:
    """The 95th percentile is the nearest rank: a wait that somebody had."""
    if not seconds:
        return None
    p95 = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    return Waits(statistics.median(seconds), p95, len(seconds))


def _date(day_ms: int, timezone: ZoneInfo) -> datetime.date:
    return datetime.datetime.fromtimestamp(day_ms / 1000, timezone).date()
