"""Count what is asked for and made, and refuse what a limit of spending does not allow. All SQL about the counters.

Each function takes the open transaction first and is called last in it, after the ledger: every request and every end
of an image of a day changes the same row. The rows are written in one order, so that no two transactions wait for each
other. A request is counted under the day on which it was asked for, also when its images end on a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Executable, bindparam, delete, or_, select, tuple_, update

from credits.allowance import Allowance, CreditPeriod, Window
from limits.errors import Budget, BudgetUsedUp
from limits.model import Cap, GuildRules, UsageKey
from limits.tables import usage
from store.statements import insert_on_conflict
from store.transactions import Transaction

CAP_PERIODS = (CreditPeriod.DAY, CreditPeriod.WEEK, CreditPeriod.MONTH)
_COUNTERS = ("held", "charged", "unknown", "images", "made", "failed")
_TOTALS = (
    *(usage.c.guild_id, usage.c.user_id, usage.c.day_ms, usage.c.images),
    (usage.c.held + usage.c.charged + usage.c.unknown).label("spent"),
)
_EARLIER = select(*_TOTALS).where(
    tuple_(usage.c.guild_id, usage.c.user_id).in_(bindparam("owners", expanding=True)),
    usage.c.day_ms >= bindparam("from_ms"),
)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The operator's days, weeks and months."""

    timezone: ZoneInfo

    def window(self, period: CreditPeriod, now_ms: int) -> Window:
        """Return the period of this length that *now_ms* falls into."""
        return Allowance(0, period, self.timezone).window(now_ms)

    def key(self, guild_id: int | None, user_id: int, now_ms: int) -> UsageKey:
        """Return under what a request is counted now."""
        return UsageKey(self.window(CreditPeriod.DAY, now_ms).starts_at_ms, guild_id or 0, user_id)

    def windows(self, now_ms: int) -> dict[CreditPeriod, Window]:
        """Return the running day, week and month."""
        return {period: self.window(period, now_ms) for period in CAP_PERIODS}

    def running(self, now_ms: int) -> Window:
        """Return from the first day that a cap may still count to the end of the last such period."""
        windows = self.windows(now_ms).values()
        ends = [window.ends_at_ms or now_ms for window in windows]
        return Window(min(window.starts_at_ms for window in windows), max(ends))


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """The operator's own limits, in API credits of a day and of a month; 0: none."""

    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """API credits: of images that have not ended, that the service took, and that it may have taken."""

    held: int
    charged: int
    unknown: int

    @property
    def total(self) -> int:
        """What counts for a limit."""
        return self.held + self.charged + self.unknown


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit that a request must keep. *most*: API credits for the bot, else images. *owner*: guild and person."""

    budget: Budget
    owner: tuple[int, int]
    period: CreditPeriod
    most: int
    cap: Cap | None = None


def count_request(
    tx: Transaction,
    key: UsageKey,
    *,
    images: int,
    price: int,
    spend: SpendLimits,
    guild: GuildRules,
    is_exempt: bool,
    calendar: Calendar,
    now_ms: int,
) -> None:
    """Count *images* at *price* API credits each as held. The caller holds the lock of the line: one request at a time.

    *is_exempt*: caps of the server and of its people don't count, the operator's own limits do.
    Raises BudgetUsedUp, on which the caller rolls back.
    """
    totals = _add(tx, key, held=images * price, images=images)
    limits = [*_bot_limits(spend), *([] if is_exempt else _guild_limits(guild, key))]
    windows = {limit.period: calendar.window(limit.period, now_ms) for limit in limits}
    if windows.keys() - {CreditPeriod.DAY}:
        from_ms = min(window.starts_at_ms for window in windows.values())
        owners = sorted({limit.owner for limit in limits})
        totals = tx.execute(_EARLIER, {"owners": owners, "from_ms": from_ms}).all()
    for limit in limits:
        window = windows[limit.period]
        own = [row for row in totals if (row.guild_id, row.user_id) == limit.owner]
        rows = [row for row in own if row.day_ms >= window.starts_at_ms]
        total = sum(row.images if limit.cap else row.spent for row in rows)
        if total > limit.most:
            used = total - images if limit.cap else 0
            raise BudgetUsedUp(limit.budget, window.ends_at_ms or now_ms, limit.cap, used)


@dataclass(frozen=True, slots=True)
class Returned:
    """How an image ended whose hold was returned. *may_be_paid*: the service may have made it and taken credits.

    *is_failure*: it was not cancelled.
    """

    may_be_paid: bool
    is_failure: bool = True


def count_returned(tx: Transaction, key: UsageKey | None, *, images: int, price: int, returned: Returned) -> None:
    """Count images that ended without a result. *key* None: of a request that was never counted."""
    if key is None:
        return
    unknown = images if returned.may_be_paid else 0
    _add(
        tx,
        key,
        held=-images * price,
        unknown=unknown * price,
        images=unknown - images,
        failed=images if returned.is_failure else 0,
    )


def count_made(tx: Transaction, key: UsageKey | None, *, price: int, charged: int, is_late: bool) -> None:
    """Count one image that was made, for which the service took *charged* API credits.

    *is_late*: it had been counted as one that may have been paid.
    """
    if key is None:
        return
    before = {"unknown": -price, "failed": -1} if is_late else {"held": -price}
    _add(tx, key, charged=charged, made=1, **before)


def load_guild_images(tx: Transaction, guild_id: int, from_ms: int) -> list[tuple[int, int]]:
    """Return a server's days since *from_ms*, each with the images that its budget counts."""
    own = (usage.c.guild_id == guild_id, usage.c.user_id == 0, usage.c.day_ms >= from_ms)
    return [(row.day_ms, row.images) for row in tx.execute(select(usage.c.day_ms, usage.c.images).where(*own))]


def load_spent_by_outcome(tx: Transaction, calendar: Calendar, now_ms: int) -> tuple[Spent, Spent]:
    """Return what everybody together spent today and this month, by one statement."""
    day, month = (calendar.window(period, now_ms).starts_at_ms for period in (CreditPeriod.DAY, CreditPeriod.MONTH))
    everybody = (usage.c.guild_id == 0, usage.c.user_id == 0, usage.c.day_ms >= min(day, month))
    rows = tx.execute(select(usage.c.day_ms, usage.c.held, usage.c.charged, usage.c.unknown).where(*everybody)).all()
    return _spent(rows, day), _spent(rows, month)


def load_spent(tx: Transaction, from_ms: int) -> int:
    """Return the API credits that everybody's images hold or have cost, or may have cost, since the day *from_ms*."""
    return sum(row.spent for row in tx.execute(_EARLIER, {"owners": [(0, 0)], "from_ms": from_ms}))


def load_own(tx: Transaction, user_id: int) -> list[dict[str, Any]]:
    """Return a person's own rows, oldest first, every column."""
    own = select(usage).where(usage.c.user_id == user_id).order_by(usage.c.day_ms, usage.c.guild_id)
    return [dict(row) for row in tx.execute(own).mappings()]


def forget_person(tx: Transaction, user_id: int, running: Window) -> None:
    """Delete a person's own rows. Those that a cap may still count are deleted when that period has ended.

    *running*: Calendar.running.
    """
    own = usage.c.user_id == user_id
    tx.execute(delete(usage).where(own, usage.c.day_ms < running.starts_at_ms))
    tx.execute(update(usage).where(own).values(forget_at_ms=running.ends_at_ms))


def delete_old(tx: Transaction, now_ms: int, before_ms: int | None) -> None:
    """Delete the rows of people who had everything deleted, when they are due, and all people's own rows of days before
    *before_ms* (None: keep them)."""
    due = usage.c.forget_at_ms <= now_ms
    old = due if before_ms is None else or_(due, usage.c.day_ms < before_ms)
    tx.execute(delete(usage).where(usage.c.user_id != 0, old))


def _spent(rows: Sequence[Any], from_ms: int) -> Spent:
    counted = [row for row in rows if row.day_ms >= from_ms]
    return Spent(*(sum(getattr(row, name) for row in counted) for name in ("held", "charged", "unknown")))


def _bot_limits(spend: SpendLimits) -> list[_Limit]:
    both = ((CreditPeriod.DAY, spend.day), (CreditPeriod.MONTH, spend.month))
    return [_Limit(Budget.BOT, (0, 0), period, most) for period, most in both if most]


def _guild_limits(guild: GuildRules, key: UsageKey) -> list[_Limit]:
    """Direct messages have none."""
    if not key.guild_id:
        return []
    both = ((Budget.SERVER, 0, guild.budget), (Budget.PERSON, key.user_id, guild.person_cap))
    return [
        _Limit(budget, (key.guild_id, user_id), cap.period, cap.images, cap) for budget, user_id, cap in both if cap
    ]


def _add(tx: Transaction, key: UsageKey, **changes: int) -> Sequence[Any]:
    """Add to the counters of everybody, the server and the person, and return their totals of that day."""
    owners = [(0, 0), (key.guild_id, 0), (key.guild_id, key.user_id)]
    if not key.guild_id:
        del owners[1]
    ids = {f"g_{row}": guild_id for row, (guild_id, _) in enumerate(owners)}
    ids |= {f"u_{row}": user_id for row, (_, user_id) in enumerate(owners)}
    counters = {name: changes.get(name, 0) for name in _COUNTERS}
    return tx.execute(_upsert(tx.dialect.name, len(owners)), {**ids, **counters, "day": key.day_ms}).all()


@cache
def _upsert(dialect: str, owners: int) -> Executable:
    counters = {name: bindparam(name, type_=usage.c[name].type) for name in _COUNTERS}
    rows: list[dict[str, Any]] = [
        {"guild_id": bindparam(f"g_{row}"), "user_id": bindparam(f"u_{row}"), "day_ms": bindparam("day"), **counters}
        for row in range(owners)
    ]
    insert = insert_on_conflict(dialect, usage).values(rows)
    added = {name: usage.c[name] + insert.excluded[name] for name in _COUNTERS}
    key = ("guild_id", "user_id", "day_ms")
    return insert.on_conflict_do_update(index_elements=key, set_=added).returning(*_TOTALS)
