"""A person's data: preferences, counts, export, erasure, purge."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from credits.accounts import Nobody, leave
from credits.errors import InsufficientCredits
from credits.model import Entitled
from credits.tables import accounts, entries
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.errors import LostClaim, StillAtWork, TooManyRequests
from generations.export import LEFT_OUT, build_export
from generations.privacy import Privacy
from generations.records import personal_data
from generations.records.personal_data import Tally
from generations.records.tables import callbacks, generations, images
from limits.tables import usage
from limits.usage import Calendar
from people.model import Language, Ping, PreferenceChanges, Preferences, parse_change
from people.service import People
from people.tables import departures
from qwen.models import OutputFormat, Size
from store.database import Database
from store.tables import metadata
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, MIRA, OTTO, Harness, make_harness
from tests.contract.test_history import make


def privacy_of(harness: Harness, *, days: int = 0) -> Privacy:
    calendar = Calendar(ZoneInfo("UTC"))
    return Privacy(harness.database, harness.ledger, harness.clock, random.Random(5), calendar, retention_days=days)


@pytest.fixture
def privacy(harness: Harness) -> Privacy:
    return privacy_of(harness)


async def rows(harness: Harness, table: Any) -> list[dict[str, Any]]:
    def load(tx: Transaction) -> list[dict[str, Any]]:
        return [dict(row) for row in tx.execute(select(table)).mappings()]

    return await harness.database.run(load)


async def everything(harness: Harness) -> str:
    """Return the whole database as text."""
    return str([await rows(harness, table) for table in metadata.sorted_tables])


async def assert_sound(harness: Harness) -> None:
    assert await harness.database.run(harness.ledger.audit) == []
    assert all(row["available"] >= 0 and row["held"] >= 0 for row in await rows(harness, accounts))


# ---- preferences ---------------------------------------------------------------------------------------------------


async def test_a_person_without_preferences_has_the_defaults(harness: Harness) -> None:
    assert await People(harness.database).defaults_for(MIRA) == Preferences()
    assert await rows(harness, accounts) == []


async def test_a_preference_is_stored_and_changes_no_other(harness: Harness) -> None:
    people = People(harness.database)
    await people.change(MIRA, size=Size.PORTRAIT, private=True)
    await people.change(MIRA, ping=Ping.NEVER, language=Language.ENGLISH)
    expected = Preferences(Size.PORTRAIT, OutputFormat.JPEG, True, Ping.NEVER, Language.ENGLISH)
    assert await People(harness.database).defaults_for(MIRA) == expected
    assert await people.defaults_for(OTTO) == Preferences()
    assert (await people.change(MIRA, language=None)).language is None


async def test_a_stored_value_of_a_newer_version_is_ignored(harness: Harness) -> None:
    await People(harness.database).change(MIRA, size=Size.PORTRAIT)
    await harness.database.run(
        Transaction.execute, text("UPDATE preferences SET size = '4096*4096', ping = 'sometimes', language = 'de'")
    )
    assert await People(harness.database).defaults_for(MIRA) == Preferences(language=Language.ENGLISH)


@pytest.mark.parametrize(
    ("name", "value", "change"),
    [
        ("size", "768*1024", {"size": Size.PORTRAIT_SMALL}),
        ("format", "webp", {"format": OutputFormat.WEBP}),
        ("private", "yes", {"private": True}),
        ("private", "no", {"private": False}),
        ("ping", "always", {"ping": Ping.ALWAYS}),
        ("language", "en", {"language": Language.ENGLISH}),
        ("language", "discord", {"language": None}),
    ],
)
def test_a_selected_value_is_parsed(name: str, value: str, change: PreferenceChanges) -> None:
    assert parse_change(name, value) == change


@pytest.mark.parametrize("pick", [("size", "1*1"), ("format", ""), ("private", "1"), ("ping", "x"), ("colour", "red")])
def test_a_value_that_is_not_offered_is_refused(pick: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        parse_change(*pick)


# ---- show and export -----------------------------------------------------------------------------------------------


async def test_holdings_are_counted_without_creating_an_account(harness: Harness, privacy: Privacy) -> None:
    nothing = await privacy.holdings(OTTO)
    assert (nothing.tally, nothing.entries, nothing.preferences) == (Tally(0, 0, 0), 0, None)
    assert await rows(harness, accounts) == []
    await make(harness, 1, count=2)
    await make(harness, 2, OTTO)
    held = await privacy.holdings(MIRA)
    assert (held.tally.generations, held.tally.images, held.tally.purged, held.entries) == (1, 2, 0, 5)
    await harness.ask(3)
    await harness.generations.cancel(3, user_id=MIRA, may_manage=False)
    assert (await privacy.holdings(MIRA)).tally == Tally(2, 0, 2), "what was cancelled was not made"


async def test_an_export_is_in_order_of_time_and_marks_removed_cards(harness: Harness, privacy: Privacy) -> None:
    for generation_id, user_id in ((5, MIRA), (3, MIRA), (4, OTTO)):
        await make(harness, generation_id, user_id)
    for generation_id in (5, 4):
        await harness.generations.removed(generation_id)
    collected = await privacy.collect(MIRA)
    assert [(row["id"], row["card_removed_at_ms"]) for row in collected.generations] == [
        *((3, None), (5, harness.clock.at_ms)),
    ]
    assert [row["id"] for row in await harness.database.run(personal_data.full_rows, MIRA, above=-1, limit=1)] == [3]


async def test_an_export_has_every_column_but_credentials_and_leases(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1, prompt="mine “ünï” 🦊", count=2)
    await make(harness, 2, OTTO, prompt="not mine")
    await People(harness.database).change(MIRA, private=True)
    (file,) = build_export(MIRA, await privacy.collect(MIRA), exported_at_ms=1, max_bytes=10**6)
    content = json.loads(file.data)
    assert file.name == "qwen-imagine.json"
    assert content["settings"]["private"] is True and content["user_id"] == str(MIRA)
    (generation,) = content["generations"]
    assert set(generation) - {"images", "card_removed_at_ms"} == set(generations.c.keys()) - LEFT_OUT
    assert generation["prompt"] == "mine “ünï” 🦊" and generation["id"] == "1"
    assert [set(image) for image in generation["images"]] == [set(images.c.keys()) - LEFT_OUT] * 2
    assert len(content["ledger"]) == 5 and set(content["ledger"][0]) == set(entries.c.keys()) - {"actor_id"}
    assert content["account"]["available"] == 40
    assert "token of" not in file.data.decode() and "not mine" not in file.data.decode()


async def test_an_unknown_person_gets_an_empty_export(privacy: Privacy) -> None:
    (file,) = build_export(OTTO, await privacy.collect(OTTO), exported_at_ms=1, max_bytes=10**6)
    content = json.loads(file.data)
    assert (content["settings"], content["account"], content["generations"], content["ledger"]) == (None, None, [], [])


# ---- delete --------------------------------------------------------------------------------------------------------


async def test_after_an_erasure_only_two_numbers_are_kept_of_the_person(harness: Harness, privacy: Privacy) -> None:
    mira = 111_222_333_444_555
    await make(harness, 71_717_171, mira, prompt="a secret garden", count=2)
    await make(harness, 2, OTTO)
    await People(harness.database).change(mira, private=True)
    await harness.database.run(harness.ledger.grant, mira, 3, "birthday", "for Mira", None, harness.clock.at_ms)
    before = await harness.numbers(mira)
    erased = await privacy.erase(mira)
    assert (erased.generations, erased.kept_credits) == (1, 43)
    assert await harness.numbers(mira) == before == (43, 0)
    kept = await everything(harness)
    for trace in ("secret garden", "71717171", "for Mira", "refill:111222333444555"):
        assert trace not in kept
    own = [row for row in await rows(harness, entries) if row["user_id"] == mira]
    assert [(row["kind"], row["available_delta"], row["reason"]) for row in own] == [("grant", 43, "kept")]
    assert kept.count(str(mira)) == 4  # the account, that one entry, the note when both may go, and today's counter
    (counter,) = [row for row in await rows(harness, usage) if row["user_id"] == mira]
    harness.clock.at_ms = counter["forget_at_ms"] - 1
    await privacy.run_maintenance()
    assert [row for row in await rows(harness, usage) if row["user_id"] == mira] == [counter]
    harness.clock.at_ms += 1
    await privacy.run_maintenance()
    assert sorted(row["user_id"] for row in await rows(harness, usage)) == [0, 0, OTTO], "the counters of all stay"
    assert (await privacy.holdings(OTTO)).tally.generations == 1
    await assert_sound(harness)


async def test_an_erasure_covers_every_table_with_a_generation_id(harness: Harness, privacy: Privacy) -> None:
    """Covers future tables: one that is not erased would keep its row or refuse the erasure."""
    await make(harness, 1)
    known = [table for table in metadata.sorted_tables if "generation_id" in table.c]
    assert {table.name for table in known} >= {"images", "callbacks", "removed_cards", "pings"}
    for table in (table for table in known if table is not images):
        row = {column.name: 1 for column in table.c if not column.nullable}
        row |= {"position": 0, "token_hash": "hash"} if "token_hash" in table.c else {}
        row |= {"word": b"lighthouse"} if "word" in table.c else {}
        await harness.database.run(Transaction.execute, table.insert().values(row))
    assert all([await rows(harness, table) for table in known])
    await privacy.erase(MIRA)
    assert [await rows(harness, table) for table in [*known, generations]] == [[]] * (len(known) + 1)


def test_every_table_about_people_is_listed_with_its_erasure() -> None:
    """A new table belongs into holdings, export and erasure too, or into docs/decisions/0012-leaving.md."""
    about_people = {table.name for table in metadata.sorted_tables if "user_id" in table.c}
    ledger = {"accounts", "refills", "entries"}
    limits = {"usage", "blocks", "exemptions"}
    assert about_people == ledger | limits | {"generations", "images", "prompt_words", "preferences", "departures"}


async def test_an_erasure_keeps_the_sums_of_the_ledger(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1, count=3)
    before = await rows(harness, entries)
    total = sum(row["available"] for row in await rows(harness, accounts))
    await privacy.erase(MIRA)
    after = [row for row in await rows(harness, entries) if row["user_id"] < 0 and row["reason"] != "kept"]
    numbers = ("number", "kind", "available_delta", "held_delta")
    assert [[row[key] for key in numbers] for row in after] == [[row[key] for key in numbers] for row in before]
    assert all(row["created_at_ms"] % DAY_MS == 0 for row in after)
    assert sum(row["available"] for row in await rows(harness, accounts)) == total
    held = [row["image_id"] for row in after if row["kind"] == "hold"]
    assert sorted(held) == sorted(row["image_id"] for row in after if row["kind"] == "settle") and len(set(held)) == 3


async def test_repeated_erasures_give_no_credits(harness: Harness, privacy: Privacy) -> None:
    for number in range(1, 11):
        await make(harness, number)
        await privacy.erase(MIRA)
    assert await harness.numbers() == (0, 0)
    with pytest.raises(InsufficientCredits):
        await harness.ask(99)
    await privacy.erase(MIRA)
    await privacy.run_maintenance()
    assert await harness.numbers() == (0, 0)
    await assert_sound(harness)


async def test_an_erasure_does_not_reset_the_request_limit(database: Database) -> None:
    harness = make_harness(database, requests_per_minute=1)
    await make(harness, 1)
    harness.clock.at_ms += 30_000
    await privacy_of(harness).erase(MIRA)
    with pytest.raises(TooManyRequests) as refused:
        await harness.ask(2)
    assert refused.value.next_at_ms == harness.clock.at_ms + 60_000
    harness.clock.at_ms += 60_000
    await harness.ask(2)


async def test_an_erasure_does_not_allow_a_second_present(harness: Harness, privacy: Privacy) -> None:
    purchase = (harness.ledger.grant, MIRA, 100, "purchase:7", "purchase", None, harness.clock.at_ms)
    assert (await harness.database.run(*purchase)).is_new
    await privacy.erase(MIRA)
    assert not (await harness.database.run(*purchase)).is_new
    assert await harness.numbers() == (150, 0)


async def test_the_two_numbers_are_deleted_after_the_period(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1)
    erased = await privacy.erase(MIRA)
    await privacy.run_maintenance()
    assert await rows(harness, departures) == [{"user_id": MIRA, "due_at_ms": erased.forgotten_at_ms}]
    harness.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(harness, departures) == []
    assert [row["user_id"] for row in await rows(harness, accounts) if row["user_id"] > 0] == []
    left = [{**row, "number": 0, "id": row["id"].partition("-")[0]} for row in await rows(harness, entries)]
    assert f"{MIRA}" not in str(left)
    await assert_sound(harness)
    assert await harness.numbers() == (50, 0)  # as after a refill


async def test_a_balance_above_the_allowance_is_kept_after_an_erasure_until_spent(
    harness: Harness, privacy: Privacy
) -> None:
    await harness.database.run(harness.ledger.grant, MIRA, 100, "present", "", None, harness.clock.at_ms)
    await privacy.erase(MIRA)
    for _ in range(3):
        harness.clock.at_ms += DAY_MS
        await privacy.run_maintenance()
    assert await harness.numbers() == (150, 0)
    assert len(await rows(harness, departures)) == 1


async def test_bonus_stays_bonus_after_an_erasure_and_is_not_forgotten(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1, count=4)
    await harness.database.run(harness.ledger.grant, MIRA, 1, "present", "", MIRA, harness.clock.at_ms)
    before = await harness.balance()
    await privacy.erase(MIRA)
    assert await harness.balance() == before
    assert (before.available, before.bonus) == (31, 1)
    (handed_over,) = [row for row in await rows(harness, entries) if row["id"] == "grant:present"]
    assert handed_over["actor_id"] is None, "it was the person's own id"
    await assert_sound(harness)
    harness.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    after = await harness.balance()
    assert (after.available, after.bonus) == (51, 1)
    assert len(await rows(harness, departures)) == 1


async def test_a_tier_is_forgotten_at_an_erasure_and_mints_nothing(harness: Harness, privacy: Privacy) -> None:
    def entitled(_: str | None) -> Entitled:
        return Entitled(80, "guild 800, role 7")

    ask = (harness.ledger.balance, MIRA, harness.clock.at_ms, entitled)
    await harness.database.run(*ask)
    await harness.database.run(harness.ledger.grant, MIRA, 3, "present", "", OTTO, harness.clock.at_ms)
    await harness.database.run(harness.ledger.take, MIRA, 13, "a take", "", OTTO, harness.clock.at_ms)
    await harness.database.run(harness.ledger.balance, MIRA, harness.clock.at_ms, lambda _: Entitled(60))
    await harness.database.run(*ask)
    await privacy.erase(MIRA)
    assert "role 7" not in await everything(harness)
    gone = [row for row in await rows(harness, entries) if row["user_id"] != MIRA]
    assert {row["reason"] for row in gone} == {"refill", "tier", "kept", ""}
    assert not any(str(MIRA) in row["id"] for row in gone)
    assert {row["actor_id"] for row in gone if row["id"] in ("grant:present", "take:a take")} == {OTTO}
    assert (await harness.database.run(*ask)).available == 70
    await assert_sound(harness)
    harness.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert len(await rows(harness, departures)) == 1, "70 is more than a new account would get"


async def test_a_grant_after_an_erasure_opens_an_account_again(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1)
    await privacy.erase(MIRA)
    await harness.database.run(harness.ledger.grant, MIRA, 3, "present", "thanks", None, harness.clock.at_ms)
    harness.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(harness, departures) == []
    assert "grant:present" in [row["id"] for row in await rows(harness, entries) if row["user_id"] == MIRA]
    await assert_sound(harness)


async def test_an_account_with_held_credits_is_not_erased(harness: Harness) -> None:
    await harness.ask(1)
    before = await rows(harness, accounts), await rows(harness, entries)
    nobody = Nobody(-5, "somebody else's name")
    assert await harness.database.run(leave, harness.ledger, MIRA, nobody, harness.clock.at_ms) is None
    assert (await rows(harness, accounts), await rows(harness, entries)) == before


async def test_a_request_after_an_erasure_opens_an_account_again(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1)
    await privacy.erase(MIRA)
    await make(harness, 2)
    harness.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(harness, departures) == []
    assert (await privacy.holdings(MIRA)).tally.generations == 1
    assert await harness.numbers() == (50, 0)
    await assert_sound(harness)


async def test_nothing_is_erased_while_an_image_is_in_progress(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1)
    await harness.ask(2, count=2)
    with pytest.raises(StillAtWork) as refused:
        await privacy.erase(MIRA)
    assert refused.value.images == 2
    assert (await privacy.holdings(MIRA)).tally.generations == 2
    await harness.generations.cancel(2, user_id=MIRA, may_manage=False)
    with pytest.raises(StillAtWork):  # its card is not published yet
        await privacy.erase(MIRA)


async def test_a_request_during_an_erasure_is_kept_whole_or_comes_after_it(harness: Harness, privacy: Privacy) -> None:
    await make(harness, 1)
    spent = 5
    for number in range(10, 18):
        left, asked = await asyncio.gather(
            privacy.erase(MIRA), harness.ask(number, answered=False), return_exceptions=True
        )
        assert not isinstance(asked, BaseException), asked
        assert left is None or not isinstance(left, BaseException) or isinstance(left, StillAtWork)
        assert await harness.numbers() == (50 - spent - 5, 5)
        assert [image["state"] for image in await rows(harness, images) if image["generation_id"] == number] == [
            "requested"
        ]
        await harness.generations.abandon(number)
        await assert_sound(harness)
    assert await harness.numbers() == (45, 0)


async def test_a_late_write_of_the_worker_after_an_erasure_changes_nothing(harness: Harness, privacy: Privacy) -> None:
    made = await make(harness, 1)
    await privacy.erase(MIRA)
    with pytest.raises(LostClaim):
        await harness.database.run(
            records.update_image, made.images[0], fence=made.fence, image_url="https://cdn/late.png"
        )
    assert await rows(harness, images) == []


async def test_erasing_an_unknown_person_writes_no_rows(harness: Harness, privacy: Privacy) -> None:
    erased = await privacy.erase(OTTO)
    assert (erased.generations, erased.kept_credits) == (0, 0)
    assert await rows(harness, accounts) == [] and await rows(harness, departures) == []


# ---- retention -----------------------------------------------------------------------------------------------------


def born(harness: Harness, days_ago: int, number: int = 0) -> int:
    """Return an interaction id of so many days ago."""
    return snowflake_at(harness.clock.at_ms - days_ago * DAY_MS) + number


async def test_a_purge_deletes_words_and_keeps_numbers(harness: Harness) -> None:
    old, young = born(harness, 31), born(harness, 29)
    await make(harness, old, prompt="an old secret")
    await make(harness, young, prompt="a young secret")
    for generation_id in (old, young):
        made = await harness.database.run(records.load, generation_id)
        assert made is not None
        (image,) = made.images
        await harness.database.run(
            records.update_image, image, fence=None, file_name="a-secret-5.png", ending_detail="a secret"
        )
        await harness.database.run(records.expect_callback, image, f"hash of {generation_id}")
    privacy = privacy_of(harness, days=30)
    await privacy.run_maintenance()
    purged, kept = await harness.load(old), await harness.load(young)
    assert (purged.images[0].file_name, purged.images[0].task_id, purged.images[0].ending_detail) == (None, None, None)
    assert purged.origin.locale == "" and kept.images[0].file_name == "a-secret-5.png"
    assert [row["token_hash"] for row in await rows(harness, callbacks)] == [f"hash of {young}"]
    assert (purged.request.prompt, purged.origin.token, purged.images[0].image_url) == ("", "", None)
    assert (purged.request.seed, purged.images[0].consumed_credits, purged.images[0].state.value) == (5, 5, "delivered")
    assert kept.request.prompt == "a young secret" and kept.images[0].image_url
    tally = (await privacy.holdings(MIRA)).tally
    assert (tally.generations, tally.purged, tally.images) == (1, 1, 2)
    assert "an old secret" not in await everything(harness)


async def test_without_retention_days_nothing_is_purged(harness: Harness, privacy: Privacy) -> None:
    await make(harness, born(harness, 3000), prompt="an old secret")
    await privacy.run_maintenance()
    assert "an old secret" in await everything(harness)


async def test_an_unfinished_generation_is_purged_later(harness: Harness) -> None:
    busy, quiet = born(harness, 40), born(harness, 39)
    await harness.ask(busy)
    await make(harness, quiet)
    privacy = privacy_of(harness, days=30)
    await privacy.run_maintenance()
    assert [(await harness.load(one)).request.prompt for one in (busy, quiet)] == ["a lighthouse", ""]
    await harness.generations.cancel(busy, user_id=MIRA, may_manage=False)
    harness.clock.at_ms += 60_000
    (claimed,) = await harness.claim()
    await harness.database.run(
        Transaction.execute,
        text(
            "UPDATE generations SET published_revision = revision, due_at_ms = NULL, lease_holder = NULL, "
            "lease_until_ms = NULL"
        ),
    )
    await privacy.run_maintenance()
    assert (await harness.load(claimed.id)).request.prompt == ""


async def test_many_old_generations_are_purged_in_batches(harness: Harness) -> None:
    for number in range(5):
        await make(harness, born(harness, 50, number))
    seen = 0
    go_on: int | None = 0
    while go_on is not None:
        go_on = await harness.database.run(
            personal_data.purge, from_id=go_on, before_ms=harness.clock.at_ms - DAY_MS, limit=2
        )
        seen += 1
    assert seen == 4
    assert {row["prompt"] for row in await rows(harness, generations)} == {""}
