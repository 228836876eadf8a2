"""Load what was used in the last days, and draw it. Knows no SQL and no Discord library."""

from __future__ import annotations

from collections.abc import Mapping

from charts.plot import UsageDrawer
from charts.records import load_usage
from charts.usage_report import UsageReport
from limits.usage import Calendar
from store.database import Database

DAY_MS = 24 * 3600 * 1000


class UsageCharts:
    """One for a process, since its charts are drawn one after another."""

    def __init__(self, database: Database, calendar: Calendar, drawer: UsageDrawer | None = None) -> None:
        self._database = database
        self._calendar = calendar
        self._drawer = drawer or UsageDrawer()

    async def load(self, guild_id: int, days: int, now_ms: int) -> UsageReport:
        """Return what a server used on today and the days before it, *days* in all. *guild_id* 0: the whole bot."""
        today_ms = self._calendar.key(None, 0, now_ms).day_ms
        first_ms = self._calendar.key(None, 0, today_ms - (days - 1) * DAY_MS + DAY_MS // 2).day_ms
        return await self._database.read(load_usage, guild_id, first_ms, today_ms, self._calendar.timezone)

    async def draw(self, report: UsageReport, title: str, labels: Mapping[int, str]) -> bytes:
        """Return a PNG. *labels*: by the ids of report.top."""
        return await self._drawer.draw(report, title, labels)
