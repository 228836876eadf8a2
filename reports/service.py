"""The use-cases of reports: take one, tell of it, decide about it. Each method is one transaction.

Knows no SQL and no Discord library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from generations import records as generation_records
from generations.clock import Clock
from generations.errors import NotThere
from generations.finished_images import fetch
from generations.model import MADE, Generation
from generations.ports import ImageStore
from images.image_memory import ImageMemory
from limits import audit
from limits.model import BOT, Actor
from qwen.errors import ImageError
from qwen.images import FoundImage
from reports import records
from reports.errors import AlreadyReported, NothingToReport, ReportGone, TooManyReports
from reports.model import HOUR_MS, PER_HOUR, TEXT_MAX, Decided, Decision, Notice, Reason, Report, ReportFile, home_guild
from store.database import Database
from store.statements import serialize
from store.transactions import Transaction

TELL_AT_ONCE = 20  # reports in one round
TRY_MS = 120_000  # one try to tell of a report takes no longer: whoever began it and has not ended it by then is dead
RETRY_MAX_MS = 6 * HOUR_MS

_Load = Callable[[Transaction, int], Generation | None]


@dataclass(frozen=True, slots=True)
class Filed:
    """A report that was taken. *is_new*: by this call, not by an earlier one of the same interaction."""

    report: Report
    is_new: bool


class Reports:
    """The use-cases of reports. *store* and *images*: for a private image, which Discord shows its person alone."""

    def __init__(self, database: Database, clock: Clock, store: ImageStore, images: ImageMemory) -> None:
        self._database = database
        self._clock = clock
        self._store = store
        self._images = images

    # ---- the reporter ----------------------------------------------------------------------------------------

    async def find_separate(self, channel_id: int, message_id: int) -> int | None:
        """Return the id of the generation with an image in that message beside its card."""
        return await self._database.read(generation_records.find_by_separate, channel_id, message_id)

    async def check(self, generation_id: int, user_id: int) -> None:
        """Raises what file() would raise now."""
        await self._database.read(_check, generation_id, user_id, self._clock.now_ms())

    async def file(self, interaction_id: int, user_id: int, generation_id: int, reason: Reason, text: str) -> Filed:
        """Take a report: from then on the person is no longer shown that image. The same interaction again changes
        nothing.

        Raises NotThere, NothingToReport, AlreadyReported and TooManyReports.
        """
        now_ms = self._clock.now_ms()
        file = partial(_file, user_id=user_id, generation_id=generation_id, reason=reason, text=text, now_ms=now_ms)
        return await self._database.run(file, interaction_id)

    # ---- those who are told ----------------------------------------------------------------------------------

    async def due(self) -> list[int]:
        """Return the ids of reports of which somebody has yet to be told now."""
        return await self._database.read(records.due, self._clock.now_ms(), TELL_AT_ONCE)

    async def begin_telling(self, report_id: int) -> ReportFile | None:
        """Take the report for one try to tell of it; None: another process does that, or all were told."""
        return await self._database.run(_begin_telling, report_id, self._clock.now_ms())

    async def note_told(self, report_id: int, notice: Notice) -> None:
        """Note a message that tells of it, so that its recipient gets no second one."""
        await self._database.run(records.insert_notice, report_id, notice)

    async def end_telling(self, report: Report, *, is_told: bool) -> None:
        """Note that all were told, or put the rest off: for the longer, the older the report is."""
        now_ms = self._clock.now_ms()
        if is_told:
            await self._database.run(records.set_told, report.id, now_ms)
            return
        pause_ms = min(RETRY_MAX_MS, max(TRY_MS, (now_ms - report.at_ms) // 2))
        await self._database.run(records.set_due, report.id, now_ms + pause_ms)

    # ---- those who decide ------------------------------------------------------------------------------------

    async def load(self, report_id: int) -> ReportFile:
        """Return the report with all that belongs to it. Raises ReportGone."""
        return await self._database.read(_load, report_id)

    async def decide(self, report_id: int, decision: Decision, scope_id: int, actor: Actor) -> ReportFile:
        """Note a decision and its audit; a second one of the same kind in a scope changes nothing. Raises ReportGone.

        What it says has been done: the image's messages are deleted, the person is blocked.
        """
        return await self._database.run(_decide, report_id, decision, scope_id, actor, self._clock.now_ms())

    async def open(self, report_id: int, actor: Actor) -> Generation:
        """Write into the audit that the owner looks at a reported image, and return it. Raises ReportGone."""
        return await self._database.run(_open, report_id, actor, self._clock.now_ms())

    async def download(self, generation: Generation) -> Mapping[int, FoundImage]:
        """Return its images, by position, as far as the image service still has them."""
        made = [image for image in generation.images if image.state in MADE and image.image_url]
        found: dict[int, FoundImage] = {}
        async with self._images.reserve(image.image_id for image in made) as reservation:
            for image in made:
                try:
                    found[image.position] = await fetch(self._store, reservation, image.image_id, image.image_url or "")
                except ImageError:
                    continue
        return found


def check_removable(file: ReportFile, scope_id: int) -> Generation:
    """Return the generation whose messages may be deleted for *scope_id*. Raises ReportGone: it is no longer known, or
    stands in another server by now. Pure."""
    if file.generation is None or scope_id not in (BOT, home_guild(file.generation)):
        raise ReportGone
    return file.generation


def _check(
    tx: Transaction, generation_id: int, user_id: int, now_ms: int, load: _Load = generation_records.load
) -> Generation:
    generation = load(tx, generation_id)
    if generation is None or (generation.request.private and generation.origin.user_id != user_id):
        raise NotThere
    if not any(image.state in MADE for image in generation.images):
        raise NothingToReport
    if records.is_reported(tx, generation_id, user_id):
        raise AlreadyReported
    earlier_ms = records.newest_at_ms(tx, user_id, PER_HOUR)
    # Later than now: another process's clock is ahead of ours. Much later: the clock was set back.
    if earlier_ms is not None and abs(now_ms - earlier_ms) < HOUR_MS:
        raise TooManyReports(PER_HOUR, earlier_ms + HOUR_MS)
    return generation


def _file(
    tx: Transaction,
    interaction_id: int,
    *,
    user_id: int,
    generation_id: int,
    reason: Reason,
    text: str,
    now_ms: int,
) -> Filed:
    serialize(tx, f"reports of {user_id}")
    known = records.load(tx, interaction_id)
    if known is not None:
        return Filed(known, is_new=False)
    # Locked: an erasure of its person at this moment must not leave their ids in a new report.
    generation = _check(tx, generation_id, user_id, now_ms, generation_records.load_locked)
    person_id, guild_id = generation.origin.user_id, home_guild(generation)
    report = Report(
        interaction_id, generation_id, person_id, user_id, guild_id, reason, text.strip()[:TEXT_MAX], now_ms
    )
    records.insert(tx, report)
    return Filed(report, is_new=True)


def _load(tx: Transaction, report_id: int) -> ReportFile:
    report = records.load(tx, report_id)
    if report is None:
        raise ReportGone
    generation = None
    if report.generation_id is not None:
        generation = generation_records.load(tx, report.generation_id)
    return ReportFile(report, generation, records.load_decisions(tx, report_id), records.load_notices(tx, report_id))


def _begin_telling(tx: Transaction, report_id: int, now_ms: int) -> ReportFile | None:
    return _load(tx, report_id) if records.claim(tx, report_id, now_ms, now_ms + TRY_MS) else None


def _decide(
    tx: Transaction, report_id: int, decision: Decision, scope_id: int, actor: Actor, now_ms: int
) -> ReportFile:
    file = _load(tx, report_id)
    is_new = records.insert_decision(tx, report_id, Decided(decision, scope_id, actor.user_id, now_ms))
    if is_new:
        _write_audit(tx, file.report, f"report_{decision.value}", scope_id, actor, now_ms)
    if decision is Decision.REMOVED and file.generation is not None:
        generation_records.set_removed(tx, file.generation.id, now_ms)
    return _load(tx, report_id)


def _open(tx: Transaction, report_id: int, actor: Actor, now_ms: int) -> Generation:
    file = _load(tx, report_id)
    if file.generation is None:
        raise ReportGone
    _write_audit(tx, file.report, "report_opened", BOT, actor, now_ms)
    return file.generation


def _write_audit(tx: Transaction, report: Report, action: str, scope_id: int, actor: Actor, now_ms: int) -> None:
    change_id = audit.change_id_of(actor, scope_id, action, report.id)
    if audit.find_change(tx, change_id) is not None:
        return
    audit.write_change(
        tx,
        change_id,
        scope_id=scope_id,
        action=action,
        actor_id=actor.user_id,
        subject_id=report.person_id,
        reason=report.reason.value,
        before="",
        after=str(report.id),
        at_ms=now_ms,
    )
