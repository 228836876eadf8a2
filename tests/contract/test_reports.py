"""Reports: rows, the limit of an hour, who is told, decisions, and what an erasure and a purge leave of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import update

from generations.errors import NotThere
from generations.export import build_export
from generations.history import History
from generations.records.tables import generations
from images.image_memory import ImageMemory
from limits.audit import load_changes
from limits.model import BOT, Actor
from qwen.errors import ImageUnavailable
from reports.errors import AlreadyReported, NothingToReport, ReportGone, TooManyReports
from reports.model import HOUR_MS, Decision, Notice, Reason, ReportFile
from reports.service import RETRY_MAX_MS, TRY_MS, Reports, check_removable
from reports.tables import report_decisions, report_notices, reports
from store.database import Database
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, GUILD, MIRA, ON_SQLITE, OTTO, YUKI, Harness, make_harness
from tests.contract.test_history import Store, make
from tests.contract.test_privacy import everything, privacy_of, rows

SARA, OLGA = 901, 900  # an admin, an owner
LARGE = 2**62 + 1


def reports_of(harness: Harness, store: Store | None = None) -> Reports:
    return Reports(harness.database, harness.clock, store or Store(), ImageMemory())


@pytest.fixture
def service(harness: Harness) -> Reports:
    return reports_of(harness)


async def file(service: Reports, report_id: int, generation_id: int, user_id: int = OTTO, text: str = "") -> ReportFile:
    await service.file(report_id, user_id, generation_id, Reason.HATEFUL, text)
    return await service.load(report_id)


def admin(interaction_id: int) -> Actor:
    return Actor(SARA, interaction_id, GUILD)


# ---- the reporter --------------------------------------------------------------------------------------------------


async def test_a_report_is_one_row_with_bounded_text_and_large_ids(harness: Harness, service: Reports) -> None:
    await make(harness, LARGE)
    report = (await file(service, LARGE + 2, LARGE, 2**63 - 1, f"  {'x' * 600}\0  ")).report
    assert (report.id, report.generation_id, report.reporter_id) == (LARGE + 2, LARGE, 2**63 - 1)
    assert (report.person_id, report.guild_id, len(report.text)) == (MIRA, GUILD, 500)
    assert (report.reason, report.at_ms, report.told_at_ms) == (Reason.HATEFUL, harness.clock.at_ms, None)


async def test_the_same_interaction_and_the_same_image_are_reported_once(harness: Harness, service: Reports) -> None:
    await make(harness, 1)
    assert (await service.file(50, OTTO, 1, Reason.OTHER, "a")).is_new
    assert not (await service.file(50, OTTO, 1, Reason.OTHER, "b")).is_new
    with pytest.raises(AlreadyReported):
        await service.file(51, OTTO, 1, Reason.OTHER, "c")
    assert (await service.file(52, YUKI, 1, Reason.OTHER, "d")).is_new
    assert [row["text"] for row in await rows(harness, reports)] == ["a", "d"]


async def test_of_reports_at_the_same_moment_three_are_taken(
    harness: Harness, other_database: Database, service: Reports
) -> None:
    other = reports_of(make_harness(other_database))
    for generation_id in range(1, 13):
        await make(harness, generation_id, 200 + generation_id)
    # Each process has its connections open already, so that transactions overlap.
    await asyncio.gather(*(each.due() for each in (service, other) for _ in range(6)))
    filing = [
        (service, other)[number % 2].file(100 + number, OTTO, number, Reason.OTHER, "") for number in range(1, 13)
    ]
    done = await asyncio.gather(*filing, return_exceptions=True)
    assert sum(isinstance(each, TooManyReports) for each in done) == 9
    assert len(await rows(harness, reports)) == 3


async def test_the_limit_of_an_hour_names_the_time_of_the_next(harness: Harness, service: Reports) -> None:
    for generation_id in (1, 2, 3, 4):
        await make(harness, generation_id)
    first_ms = harness.clock.at_ms
    for generation_id in (1, 2, 3):
        await file(service, 50 + generation_id, generation_id)
        harness.clock.at_ms += 1000
    with pytest.raises(TooManyReports) as refused:
        await service.check(4, OTTO)
    assert (refused.value.limit, refused.value.next_at_ms) == (3, first_ms + HOUR_MS)
    harness.clock.at_ms = first_ms + HOUR_MS - 1
    with pytest.raises(TooManyReports):
        await file(service, 60, 4)
    harness.clock.at_ms += 1
    await file(service, 60, 4)


async def test_an_image_that_is_private_unknown_or_not_made_is_refused(harness: Harness, service: Reports) -> None:
    await make(harness, 1, private=True)
    await harness.ask(2)
    for generation_id, refusal in ((1, NotThere), (99, NotThere), (2, NothingToReport)):
        with pytest.raises(refusal):
            await file(service, 50, generation_id)
    await file(service, 51, 1, MIRA)


async def test_the_reporter_no_longer_finds_the_image_and_others_do(harness: Harness, service: Reports) -> None:
    for generation_id in (1, 2):
        await make(harness, generation_id)
    await file(service, 50, 1, MIRA)
    await file(service, 51, 2, OTTO)
    for user_id, generation_id in ((MIRA, 1), (OTTO, 2)):
        with pytest.raises(AlreadyReported):
            await harness.generations.find(generation_id, user_id=user_id)
    await harness.generations.find(1, user_id=OTTO)
    assert (await harness.generations.find_removable(1, user_id=MIRA, may_manage=False)).id == 1
    history = History(harness.database, harness.ledger, harness.clock, Store(), owner="history")
    for words in ("", "lighthouse"):
        page = await history.page(MIRA, words=words)
        assert [generation.id for generation in page.generations] == [2], words


# ---- who is told ---------------------------------------------------------------------------------------------------


async def test_a_report_is_due_until_all_were_told_and_one_process_tells_at_a_time(
    harness: Harness, service: Reports
) -> None:
    await make(harness, 1)
    report = (await file(service, 50, 1)).report
    assert await service.due() == [50]
    assert await service.begin_telling(50) is not None
    assert await service.begin_telling(50) is None and await service.due() == []
    await service.note_told(50, Notice(BOT, OLGA, 7, LARGE))
    await service.note_told(50, Notice(BOT, OLGA, 7, LARGE + 1))
    harness.clock.at_ms += TRY_MS  # the process died
    begun = await service.begin_telling(50)
    assert begun is not None and [notice.message_id for notice in begun.notices] == [LARGE]
    await service.end_telling(report, is_told=True)
    harness.clock.at_ms += DAY_MS
    assert await service.due() == [] and (await service.load(50)).report.told_at_ms is not None


@ON_SQLITE
async def test_a_report_that_nobody_took_is_due_again_later_and_later(harness: Harness, service: Reports) -> None:
    await make(harness, 1)
    report, pauses = (await file(service, 50, 1)).report, list[int]()
    for _ in range(30):
        assert await service.begin_telling(50) is not None
        await service.end_telling(report, is_told=False)
        (row,) = await rows(harness, reports)
        pauses.append(row["due_at_ms"] - harness.clock.at_ms)
        harness.clock.at_ms = row["due_at_ms"]
    assert pauses[0] == TRY_MS and pauses == sorted(pauses) and pauses[-1] == RETRY_MAX_MS


# ---- decisions -----------------------------------------------------------------------------------------------------


async def test_a_decision_is_taken_once_in_a_scope_and_audited_once(harness: Harness, service: Reports) -> None:
    await make(harness, 1)
    await file(service, 50, 1)
    for interaction_id in (70, 70, 71):
        await service.decide(50, Decision.REMOVED, GUILD, admin(interaction_id))
    decided = await service.decide(50, Decision.DISMISSED, BOT, Actor(OLGA, 72, None))
    assert [(each.decision, each.scope_id, each.by_id) for each in decided.decisions] == [
        *((Decision.DISMISSED, BOT, OLGA), (Decision.REMOVED, GUILD, SARA)),
    ]
    assert decided.decided(Decision.REMOVED, BOT) and not decided.decided(Decision.DISMISSED, GUILD)
    (change,) = await harness.database.run(load_changes, GUILD, 9)
    assert (change.action, change.actor_id, change.subject_id) == ("report_removed", SARA, MIRA)
    history = History(harness.database, harness.ledger, harness.clock, Store(), owner="history")
    assert (await history.page(MIRA)).removed == {1}


async def test_who_looks_at_an_image_stands_in_the_audit(harness: Harness, service: Reports) -> None:
    await make(harness, 1, prompt="my secret", private=True)
    await file(service, 50, 1, MIRA)
    opened = [await service.open(50, Actor(OLGA, interaction_id, None)) for interaction_id in (70, 70, 71)]
    assert {generation.request.prompt for generation in opened} == {"my secret"}
    changes = await harness.database.run(load_changes, BOT, 9)
    assert [(change.action, change.actor_id) for change in changes] == [("report_opened", OLGA)] * 2
    with pytest.raises(ReportGone):
        await service.open(99, Actor(OLGA, 73, None))


@ON_SQLITE
async def test_a_reported_image_that_the_service_no_longer_has_is_left_out(harness: Harness) -> None:
    generation = await make(harness, 1, count=2)
    store = Store([ImageUnavailable("gone", temporary=False)])
    assert list(await reports_of(harness, store).download(generation)) == [1]


async def test_an_admin_removes_nothing_that_stands_elsewhere_by_now(harness: Harness, service: Reports) -> None:
    await make(harness, 1)
    await file(service, 50, 1)
    for place in ({"guild_id": GUILD + 1}, {"guild_id": GUILD, "card_channel_id": 9}):
        await harness.database.run(Transaction.execute, update(generations).values(place))
        moved = await service.load(50)
        with pytest.raises(ReportGone):
            check_removable(moved, GUILD)
        assert check_removable(moved, BOT).id == 1


# ---- what is kept of people ----------------------------------------------------------------------------------------


async def test_a_reporters_name_and_text_go_and_the_report_stays(harness: Harness, service: Reports) -> None:
    reporter, privacy = 111_222_333_444_555, privacy_of(harness)
    for generation_id in (1, 2):
        await make(harness, generation_id)
    await file(service, 50, 1, reporter, "an old text")
    harness.clock.at_ms += HOUR_MS
    await file(service, 51, 2, reporter, "a new text")
    await privacy.erase(reporter)
    assert [row["text"] for row in await rows(harness, reports)] == ["", ""]
    kept = {row["id"]: (row["reporter_id"], row["image_of"]) for row in await rows(harness, reports)}
    assert kept == {50: (None, 1), 51: (reporter, 2)}, "the limit of an hour still counts the second"
    harness.clock.at_ms += HOUR_MS - 1
    await privacy.run_maintenance()
    assert str(reporter) in await everything(harness)
    harness.clock.at_ms += 1
    await privacy.run_maintenance()
    assert str(reporter) not in await everything(harness)
    assert len(await rows(harness, reports)) == 2


async def test_an_erasure_does_not_reset_the_limit_of_an_hour(harness: Harness, service: Reports) -> None:
    for generation_id in (1, 2, 3, 4):
        await make(harness, generation_id)
    for generation_id in (1, 2, 3):
        await file(service, 50 + generation_id, generation_id)
    await privacy_of(harness).erase(OTTO)
    with pytest.raises(TooManyReports):
        await service.check(4, OTTO)


async def test_an_erased_person_is_in_no_report_about_their_images(harness: Harness, service: Reports) -> None:
    person = 111_222_333_444_555
    await make(harness, 71_717_171, person, prompt="a secret garden")
    await file(service, 50, 71_717_171, text="look at this")
    await service.note_told(50, Notice(BOT, OLGA, 7, 8))
    await privacy_of(harness).erase(person)
    kept = await service.load(50)
    assert kept.generation is None and (kept.report.generation_id, kept.report.person_id) == (None, None)
    assert (kept.report.reporter_id, kept.report.text) == (OTTO, "look at this")
    texts = str([await rows(harness, table) for table in (reports, report_notices, report_decisions)])
    assert str(person) not in texts and "71717171" not in texts
    with pytest.raises(ReportGone):
        check_removable(kept, BOT)


async def test_texts_are_purged_with_the_prompts(harness: Harness, service: Reports) -> None:
    for generation_id in (1, 2):
        await make(harness, generation_id)
    await file(service, 50, 1, text="old")
    harness.clock.at_ms += DAY_MS
    await file(service, 51, 2, text="new")
    harness.clock.at_ms += 1
    await privacy_of(harness, days=1).run_maintenance()
    assert {(row["id"], row["text"], row["reporter_id"]) for row in await rows(harness, reports)} == {
        *((50, "", OTTO), (51, "new", OTTO)),
    }


async def test_own_reports_are_counted_and_exported_without_whose_images_they_are(
    harness: Harness, service: Reports
) -> None:
    person, privacy = 111_222_333_444_555, privacy_of(harness)
    await make(harness, LARGE, person)
    await file(service, LARGE + 2, LARGE, text="it mocks me")
    assert (await privacy.holdings(OTTO)).reports == 1 and (await privacy.holdings(person)).reports == 0
    (exported,) = build_export(OTTO, await privacy.collect(OTTO), exported_at_ms=1, max_bytes=10**6)
    expected: dict[str, Any] = {"id": str(LARGE + 2), "image_of": str(LARGE), "guild_id": str(GUILD)}
    expected |= {"reason": "hateful", "text": "it mocks me", "at_ms": harness.clock.at_ms}
    assert json.loads(exported.data)["reports"] == [expected]
    assert str(person) not in exported.data.decode()


async def test_a_report_of_an_image_that_is_erased_at_this_moment_keeps_nothing_of_its_person(
    harness: Harness, other_database: Database, service: Reports
) -> None:
    await make(harness, 1)
    other, privacy = reports_of(make_harness(other_database)), privacy_of(harness)
    await asyncio.gather(*(each.due() for each in (service, other) for _ in range(6)))
    filing = [other.file(50 + number, 1000 + number, 1, Reason.OTHER, "") for number in range(8)]
    erasing = [asyncio.ensure_future(work) for work in (*filing[:4], privacy.erase(MIRA), *filing[4:])]
    done = await asyncio.gather(*erasing, return_exceptions=True)
    assert all(not isinstance(each, Exception) or isinstance(each, NotThere) for each in done)
    assert all(row["person_id"] is None and row["image_of"] is None for row in await rows(harness, reports))
