"""Build the views of /owner: how the bot is, and a page of somebody's ledger. Pure; must not know the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discord import ui

from credits.model import Entry
from generations.circuit import StopReason
from generations.credit_changes import LedgerPage
from generations.poll_schedule import quantile
from processes.model import Process, Role
from processes.status import BotStatus
from ui.texts import owner as texts
from ui.texts import owner_status as texts_status
from ui.texts.escaping import escape, units
from ui.texts.formatting import mention
from ui.views.text_view import build_text_view

REASON_UNITS = 100
NAME_UNITS = 60
PROCESSES_UNITS = 2400  # of the rows of processes; Discord allows 4000 characters in a message, the rest needs 1200


def build_status(status: BotStatus, *, is_discord_away: bool) -> ui.LayoutView:
    """Build the view. It has no buttons, and for any number of processes less than 4000 characters."""
    return build_text_view([texts_status.TITLE, "\n".join(_status_lines(status, is_discord_away=is_discord_away))])


def _status_lines(status: BotStatus, *, is_discord_away: bool) -> list[str]:
    counts, api, check = status.counts, status.api, status.counts.check
    return [
        *_version_lines(status),
        *_process_lines(status),
        texts_status.line_line(counts.waiting, counts.in_flight, api.slots, api.ceiling, counts.overdue_seconds),
        _delays_line(status.delays_ms),
        texts_status.api_line(_stopped(counts.circuit.reason), api.polls_paused, api.posts_paused, api.typical_seconds),
        texts_status.discord_line(is_away=is_discord_away),
        *(
            texts_status.spend_line(period, spent.total, spent.held, spent.unknown, limit)
            for period, spent, limit in (
                ("today", counts.today, counts.spend.day),
                ("this month", counts.month, counts.spend.month),
            )
        ),
        texts_status.not_checked_line()
        if check is None
        else texts_status.check_line(check.at_ms, check.accounts, check.faults),
        texts_status.database_line(
            status.database.kind, status.database.version, status.database.bytes, status.database.revision
        ),
    ]


def _version_lines(status: BotStatus) -> list[str]:
    versions = sorted({each.version for each in status.processes if each.version})
    mine = [each for each in status.processes if each.name == status.me]
    lines = [texts_status.version_line(each.version or "?", each.started_at_ms) for each in mine]
    if len(versions) > 1:
        lines.append(texts_status.versions_line(versions[:5]))
    if status.pause is not None:
        reason = status.pause.reason
        lines.append(texts_status.paused_line(escape(reason, 2 * REASON_UNITS) if reason else "", status.pause.at_ms))
    return lines


def _process_lines(status: BotStatus) -> list[str]:
    """A line for all, and one for each, as many as fit: those that were heard of longest ago come first."""
    alive = status.processes
    bots = sum(each.role is Role.BOT for each in alive)
    shards_up, steps = sum(each.shards_up for each in alive), sum(each.steps for each in alive)
    shard_count = max((each.shard_count or 0 for each in alive), default=0) or None
    lines = [texts_status.processes_line(bots, len(alive) - bots, shards_up, shard_count, steps)]
    room = PROCESSES_UNITS
    for number, each in enumerate(sorted(alive, key=lambda process: process.seen_at_ms)):
        line = _process_line(each, status.counts.now_ms)
        room -= units(line) + 1
        if room < 0:
            return [*lines, texts_status.more_processes(len(alive) - number)]
        lines.append(line)
    return lines


def _process_line(process: Process, now_ms: int) -> str:
    return texts_status.process_line(
        escape(process.name, NAME_UNITS),
        process.role,
        process.version or "?",
        process.shard_ids,
        process.shards_up,
        process.steps,
        (now_ms - process.seen_at_ms) / 1000,
        process.started_at_ms,
    )


def _stopped(reason: StopReason | None) -> str | None:
    return None if reason is None else reason.replace("_", " ")


def _delays_line(delays_ms: Sequence[int]) -> str:
    if not delays_ms:
        return texts_status.no_delays_line()
    median, p95 = quantile(delays_ms, 0.5), quantile(delays_ms, 0.95)
    return texts_status.delays_line(round(median), round(p95), len(delays_ms))


def build_ledger(page: LedgerPage, buttons: Sequence[ui.Item[Any]]) -> ui.LayoutView:
    """Build a page of entries, far below 4000 characters. *buttons*: new ones for every view."""
    if page.balance is None:
        return build_text_view([f"{mention(page.user_id)} {texts.NO_ACCOUNT}"])
    lines = "\n".join(map(_entry_line, page.entries))
    return build_text_view([texts.ledger_title(page.user_id, page.balance), *([lines] if lines else [])], buttons)


def _entry_line(entry: Entry) -> str:
    what: str = entry.kind
    if entry.image_id:
        what += f" of image {escape(entry.image_id, NAME_UNITS)}"
    if entry.reason:
        what += f": {escape(entry.reason, REASON_UNITS)}"
    amount, bonus = entry.available_delta, entry.bonus_delta
    return texts.ledger_line(entry.number, amount, bonus, what, entry.actor_id, entry.created_at_ms)
