"""All SQL about reports. Each function takes the open transaction first; knows no generations and no Discord."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, exists, func, select, update

from reports.model import HOUR_MS, Decided, Decision, Notice, Reason, Report
from reports.tables import has_text, report_decisions, report_notices, reports
from store.statements import insert_if_new
from store.transactions import Transaction

PURGED_AT_ONCE = 500

_COLUMNS = tuple(reports.c[name] for name in ("id", "image_of", "person_id", "reporter_id", "guild_id", "reason"))
_SELECT = select(*_COLUMNS, reports.c.text, reports.c.at_ms, reports.c.told_at_ms)


def insert(tx: Transaction, report: Report) -> None:
    """Add a report, of which others are to be told at once."""
    tx.execute(
        reports.insert().values(
            id=report.id,
            image_of=report.generation_id,
            person_id=report.person_id,
            reporter_id=report.reporter_id,
            guild_id=report.guild_id,
            reason=report.reason.value,
            text=report.text,
            at_ms=report.at_ms,
            due_at_ms=report.at_ms,
        )
    )


def load(tx: Transaction, report_id: int) -> Report | None:
    row = tx.execute(_SELECT.where(reports.c.id == report_id)).one_or_none()
    return None if row is None else _read(row)


def is_reported(tx: Transaction, generation_id: int, user_id: int) -> bool:
    """Whether this person has reported this generation."""
    own = exists().where(reports.c.reporter_id == user_id, reports.c.image_of == generation_id)
    return bool(tx.scalar(select(own)))


def newest_at_ms(tx: Transaction, user_id: int, number: int) -> int | None:
    """Return when the *number*-th newest report of a person was made, counted from 1; None: there are fewer."""
    own = select(reports.c.at_ms).where(reports.c.reporter_id == user_id).order_by(reports.c.at_ms.desc())
    return tx.scalar(own.limit(1).offset(number - 1))


# ---- telling those who are to know ---------------------------------------------------------------------------------


def due(tx: Transaction, now_ms: int, limit: int) -> list[int]:
    """Return the ids of reports of which somebody has yet to be told, those that are due first."""
    waiting = select(reports.c.id).where(reports.c.due_at_ms <= now_ms).order_by(reports.c.due_at_ms)
    return list(tx.scalars(waiting.limit(limit)))


def claim(tx: Transaction, report_id: int, now_ms: int, until_ms: int) -> bool:
    """Put a report off until *until_ms*, so that nobody else tells of it meanwhile. False: it is not due."""
    its = (reports.c.id == report_id) & (reports.c.due_at_ms <= now_ms)
    return tx.execute(update(reports).where(its).values(due_at_ms=until_ms)).rowcount == 1


def set_due(tx: Transaction, report_id: int, due_at_ms: int) -> None:
    """Have it told later."""
    unfinished = (reports.c.id == report_id) & reports.c.due_at_ms.is_not(None)
    tx.execute(update(reports).where(unfinished).values(due_at_ms=due_at_ms))


def set_told(tx: Transaction, report_id: int, now_ms: int) -> None:
    """Note that everybody who is to know was told."""
    tx.execute(update(reports).where(reports.c.id == report_id).values(due_at_ms=None, told_at_ms=now_ms))


def insert_notice(tx: Transaction, report_id: int, notice: Notice) -> None:
    """Note a message that tells of a report; the first to one recipient stays."""
    insert_if_new(
        tx,
        report_notices,
        {
            "report_id": report_id,
            "recipient_id": notice.recipient_id,
            "scope_id": notice.scope_id,
            "channel_id": notice.channel_id,
            "message_id": notice.message_id,
        },
    )


def load_notices(tx: Transaction, report_id: int) -> tuple[Notice, ...]:
    its = select(report_notices).where(report_notices.c.report_id == report_id)
    rows = tx.execute(its.order_by(report_notices.c.message_id))
    return tuple(Notice(row.scope_id, row.recipient_id, row.channel_id, row.message_id) for row in rows)


# ---- decisions -----------------------------------------------------------------------------------------------------


def insert_decision(tx: Transaction, report_id: int, decided: Decided) -> bool:
    """Note a decision. False: it was decided so in this scope before."""
    return insert_if_new(
        tx,
        report_decisions,
        {
            "report_id": report_id,
            "scope_id": decided.scope_id,
            "decision": decided.decision.value,
            "by_id": decided.by_id,
            "at_ms": decided.at_ms,
        },
    )


def load_decisions(tx: Transaction, report_id: int) -> tuple[Decided, ...]:
    """Return them, oldest first."""
    its = select(report_decisions).where(report_decisions.c.report_id == report_id)
    rows = tx.execute(its.order_by(report_decisions.c.at_ms, report_decisions.c.decision))
    return tuple(Decided(Decision(row.decision), row.scope_id, row.by_id, row.at_ms) for row in rows)


# ---- what is kept of people ----------------------------------------------------------------------------------------


def count_own(tx: Transaction, user_id: int) -> int:
    """Count the reports that a person has made."""
    return tx.scalar(select(func.count()).select_from(reports).where(reports.c.reporter_id == user_id)) or 0


def load_own(tx: Transaction, user_id: int) -> list[dict[str, Any]]:
    """Return what is kept of the reports that a person has made, oldest first; nothing about whose images they are."""
    names = ("id", "image_of", "guild_id", "reason", "text", "at_ms")
    own = select(*(reports.c[name] for name in names)).where(reports.c.reporter_id == user_id)
    return [dict(row) for row in tx.execute(own.order_by(reports.c.id)).mappings()]


def forget_person(tx: Transaction, user_id: int, now_ms: int) -> None:
    """Take a person out of all reports: as the one whose images they are about, and as the reporter, with their text.

    The id of a reporter is kept until their last hour is over, for the limit of an hour.
    """
    about = reports.c.person_id == user_id
    tx.execute(update(reports).where(about).values(image_of=None, person_id=None))
    own = reports.c.reporter_id == user_id
    tx.execute(update(reports).where(own).values(text="", forget_at_ms=reports.c.at_ms + HOUR_MS))
    forget_due(tx, now_ms)


def forget_due(tx: Transaction, now_ms: int) -> None:
    """Delete the ids of reporters that are due."""
    is_due = reports.c.forget_at_ms <= now_ms
    tx.execute(update(reports).where(is_due).values(reporter_id=None, forget_at_ms=None))


def purge(tx: Transaction, before_ms: int) -> bool:
    """Delete the texts of up to PURGED_AT_ONCE reports that were made before *before_ms*. Returns whether any went."""
    old = select(reports.c.id).where(reports.c.at_ms < before_ms, has_text).limit(PURGED_AT_ONCE)
    return tx.execute(update(reports).where(reports.c.id.in_(old)).values(text="")).rowcount > 0


def _read(row: Row[Any]) -> Report:
    reason = Reason(row.reason) if row.reason in set(Reason) else Reason.OTHER
    ids = (row.id, row.image_of, row.person_id, row.reporter_id, row.guild_id)
    return Report(*ids, reason, row.text, row.at_ms, row.told_at_ms)
