"""Tell the bot's owners and the server's log channel of a report, and keep those messages up to date. Never raises.

A report is due from the moment that it is stored, so one whose process dies, or that Discord can't take now, is told
later by run_due().
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, auto
from typing import Any

import discord

from discord_api.errors import NO_ANSWER, Verdict, asking, described, trying, verdict_of
from limits.model import BOT
from limits.request_limits import RequestLimits
from reports.errors import ReportGone
from reports.model import Notice, ReportFile
from reports.service import Reports
from store.errors import DatabaseLost
from ui.views.cards_reports import ReportButtons, build_report

log = logging.getLogger("qwen_imagine.reports")

DRAIN_SECONDS = 2.0
NOBODY = discord.AllowedMentions.none()

Owners = Callable[[], Awaitable[frozenset[int]]]  # raises discord.HTTPException and NO_ANSWER


class _Outcome(Enum):
    SENT = auto()
    REFUSED = auto()  # and would be again
    LATER = auto()


class _OfAnotherServer(Exception):
    """The log channel that is set is in another server, or in none."""


class ReportNotices:
    """*owners*: ask who owns the bot. *buttons*: build those of a report."""

    def __init__(
        self, client: discord.Client, reports: Reports, rules: RequestLimits, owners: Owners, buttons: ReportButtons
    ) -> None:
        self._client = client
        self._reports = reports
        self._rules = rules
        self.owners = owners
        self._buttons = buttons
        self._working: set[asyncio.Task[None]] = set()
        self._draining = False

    def tell(self, report_id: int) -> None:
        """Tell of a report soon, unless another process does. Whoever was told already gets no second message."""
        self._begin(self._tell(report_id))

    async def run_due(self) -> None:
        """Begin to tell of all reports that are due. Called regularly."""
        for report_id in await self._reports.due():
            self.tell(report_id)

    def refresh(self, file: ReportFile, *, but: int | None) -> None:
        """Edit the messages that tell of a report soon, without *but*, which shows the newest state."""
        self._begin(self._refresh(file, but))

    def build(self, file: ReportFile, scope_id: int) -> discord.ui.LayoutView:
        """Build the message for a scope."""
        return build_report(file, scope_id, self._buttons)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Begin nothing new, and wait for messages under way, for *seconds* at most."""
        self._draining = True
        if self._working:
            await asyncio.wait(self._working, timeout=seconds)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        if self._draining:
            work.close()
            return
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DatabaseLost | ReportGone):
            log.warning("a report could not be told of now (%s)", type(error).__name__)
        elif error is not None:
            log.error("a report could not be told of: %s", described(error))

    async def _tell(self, report_id: int) -> None:
        file = await self._reports.begin_telling(report_id)
        if file is not None:
            is_told = await self._tell_all(file)
            await self._reports.end_telling(file.report, is_told=is_told)

    async def _tell_all(self, file: ReportFile) -> bool:
        """Tell everybody who was not told. Return whether one owner at least knows of it, and nobody is left for later.

        A log channel that refuses the bot is left out; the owner is told in any case.
        """
        told = {notice.recipient_id for notice in file.notices}
        outcomes = [await self._tell_log_channel(file, told)]
        try:
            owner_ids = await self.owners()
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.warning("report %s: the bot's owner can't be asked for (%s)", file.report.id, type(error).__name__)
            return False
        for owner_id in sorted(owner_ids - told):
            outcome = await self._send(file, BOT, owner_id, self._direct_messages(owner_id))
            outcomes.append(outcome)
            if outcome is _Outcome.SENT:
                told.add(owner_id)
        return bool(owner_ids & told) and _Outcome.LATER not in outcomes

    async def _tell_log_channel(self, file: ReportFile, told: set[int]) -> _Outcome:
        guild_id = file.report.guild_id
        channel_id = None if guild_id is None else (await self._rules.rules_for(guild_id)).guild.log_channel_id
        if guild_id is None or channel_id is None or channel_id in told:
            return _Outcome.SENT
        return await self._send(file, guild_id, channel_id, self._log_channel(channel_id, guild_id))

    async def _send(
        self, file: ReportFile, scope_id: int, recipient_id: int, channel: Coroutine[Any, Any, discord.abc.Messageable]
    ) -> _Outcome:
        """Send one message and note it. The nonce makes one message of two tries (Discord docs: "Create Message")."""
        nonce, view = f"{file.report.id}-{recipient_id % 100_000}", self.build(file, scope_id)
        try:
            with asking(self._client):
                message = await (await channel).send(view=view, allowed_mentions=NOBODY, nonce=nonce)
        except (discord.HTTPException, _OfAnotherServer, *NO_ANSWER) as error:
            log.warning("report %s: %s can't be told (%s)", file.report.id, recipient_id, type(error).__name__)
            return _outcome_of(error)
        notice = Notice(scope_id, recipient_id, message.channel.id, message.id)
        await self._reports.note_told(file.report.id, notice)
        return _Outcome.SENT

    async def _direct_messages(self, user_id: int) -> discord.abc.Messageable:
        return await self._client.create_dm(discord.Object(user_id))

    async def _log_channel(self, channel_id: int, guild_id: int) -> discord.abc.Messageable:
        """Return a channel of this server. Raises _OfAnotherServer: what an admin's client sends may be any id."""
        data = await self._client.http.get_channel(channel_id)
        if data.get("guild_id") != str(guild_id):
            raise _OfAnotherServer
        return self._client.get_partial_messageable(channel_id, guild_id=guild_id)

    async def _refresh(self, file: ReportFile, but: int | None) -> None:
        for notice in file.notices:
            if notice.message_id == but:
                continue
            channel = self._client.get_partial_messageable(notice.channel_id)
            message, view = channel.get_partial_message(notice.message_id), self.build(file, notice.scope_id)
            with trying(self._client):  # the buttons there say the same when they are pressed
                await message.edit(view=view, allowed_mentions=NOBODY)


def _outcome_of(error: BaseException) -> _Outcome:
    if isinstance(error, _OfAnotherServer):
        return _Outcome.REFUSED
    if isinstance(error, discord.HTTPException) and verdict_of(error, by_token=False) is not Verdict.LATER:
        return _Outcome.REFUSED
    return _Outcome.LATER
