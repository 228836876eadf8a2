"""What is kept of a person: counted, read out, erased, forgotten by itself; on both databases."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from sqlalchemy import select, text

from credits.accounts import Nobody, leave
from credits.errors import InsufficientCredits
from credits.tables import accounts, entries
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.errors import LostClaim, StillAtWork, TooManyRequests
from generations.export import LEFT_OUT, build_export
from generations.privacy import Privacy
from generations.records import personal_data
from generations.records.personal_data import Tally
from generations.records.tables import callbacks, generations, images
from people.model import Language, Ping, PreferenceChanges, Preferences, parse_change
from people.service import People
from people.tables import departures
from qwen.models import OutputFormat, Size
from store.database import Database
from store.tables import metadata
from tests.contract.test_history import make
from tests.contract.world import DAY_MS, MIRA, OTTO, World, make_world


def privacy_of(world: World, *, days: int = 0) -> Privacy:
    return Privacy(world.database, world.ledger, world.clock, random.Random(5), retention_days=days)


@pytest.fixture
def privacy(world: World) -> Privacy:
    return privacy_of(world)


async def rows(world: World, table: Any) -> list[dict[str, Any]]:
    async with world.database.transaction() as tx:
        return [dict(row) for row in (await tx.execute(select(table))).mappings()]


async def everything(world: World) -> str:
    """The whole database as text."""
    return str([await rows(world, table) for table in metadata.sorted_tables])


async def assert_sound(world: World) -> None:
    async with world.database.transaction() as tx:
        assert await world.ledger.audit(tx) == []
    assert all(row["available"] >= 0 and row["held"] >= 0 for row in await rows(world, accounts))


# ---- preferences ---------------------------------------------------------------------------------------------------


async def test_who_set_nothing_has_what_everybody_has(world: World) -> None:
    assert await People(world.database).defaults_for(MIRA) == Preferences()
    assert await rows(world, accounts) == []


async def test_what_is_set_stays_and_changes_nothing_else(world: World) -> None:
    people = People(world.database)
    await people.change(MIRA, size=Size.PORTRAIT, private=True)
    await people.change(MIRA, ping=Ping.NEVER, language=Language.ENGLISH)
    expected = Preferences(Size.PORTRAIT, OutputFormat.JPEG, True, Ping.NEVER, Language.ENGLISH)
    assert await People(world.database).defaults_for(MIRA) == expected
    assert await people.defaults_for(OTTO) == Preferences()
    assert (await people.change(MIRA, language=None)).language is None


async def test_a_value_that_only_a_newer_bot_knows_is_no_fault(world: World) -> None:
    await People(world.database).change(MIRA, size=Size.PORTRAIT)
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE preferences SET size = '4096*4096', ping = 'sometimes', language = 'de'"))
    assert await People(world.database).defaults_for(MIRA) == Preferences(language=Language.ENGLISH)


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
def test_a_pick_is_read(name: str, value: str, change: PreferenceChanges) -> None:
    assert parse_change(name, value) == change


@pytest.mark.parametrize("pick", [("size", "1*1"), ("format", ""), ("private", "1"), ("ping", "x"), ("colour", "red")])
def test_what_is_not_on_offer_is_refused(pick: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        parse_change(*pick)


# ---- show and export -----------------------------------------------------------------------------------------------


async def test_holdings_are_counted_without_creating_an_account(world: World, privacy: Privacy) -> None:
    nothing = await privacy.holdings(OTTO)
    assert (nothing.tally.generations, nothing.entries, nothing.preferences) == (0, 0, None)
    assert await rows(world, accounts) == []
    await make(world, 1, count=2)
    await make(world, 2, OTTO)
    held = await privacy.holdings(MIRA)
    assert (held.tally.generations, held.tally.images, held.tally.purged, held.entries) == (1, 2, 0, 5)
    await world.ask(3)
    await world.generations.cancel(3, user_id=MIRA, may_manage=False)
    assert (await privacy.holdings(MIRA)).tally == Tally(2, 0, 2), "what was cancelled was not made"


async def test_an_export_is_in_the_order_of_time_and_tells_which_cards_were_removed(
    world: World, privacy: Privacy
) -> None:
    for generation_id, user_id in ((5, MIRA), (3, MIRA), (4, OTTO)):
        await make(world, generation_id, user_id)
    for generation_id in (5, 4):
        await world.generations.removed(generation_id)
    collected = await privacy.collect(MIRA)
    assert [(row["id"], row["card_removed_at_ms"]) for row in collected.generations] == [
        *((3, None), (5, world.clock.at_ms)),
    ]
    async with world.database.transaction() as tx:
        assert [row["id"] for row in await personal_data.full_rows(tx, MIRA, above=-1, limit=1)] == [3]


async def test_an_export_has_every_column_but_credentials_and_leases(world: World, privacy: Privacy) -> None:
    await make(world, 1, prompt="mine “ünï” 🦊", count=2)
    await make(world, 2, OTTO, prompt="not mine")
    await People(world.database).change(MIRA, private=True)
    (file,) = build_export(MIRA, await privacy.collect(MIRA), exported_at_ms=1, max_bytes=10**6)
    content = json.loads(file.data)
    assert file.name == "qwen-imagine.json"
    assert content["settings"]["private"] is True and content["user_id"] == str(MIRA)
    (generation,) = content["generations"]
    assert set(generation) - {"images", "card_removed_at_ms"} == set(generations.c.keys()) - LEFT_OUT
    assert generation["prompt"] == "mine “ünï” 🦊" and generation["id"] == "1"
    assert [set(image) for image in generation["images"]] == [set(images.c.keys()) - LEFT_OUT] * 2
    assert len(content["ledger"]) == 5 and set(content["ledger"][0]) == set(entries.c.keys())
    assert content["account"]["available"] == 40
    assert "token of" not in file.data.decode() and "not mine" not in file.data.decode()


async def test_somebody_unknown_gets_an_empty_export(privacy: Privacy) -> None:
    (file,) = build_export(OTTO, await privacy.collect(OTTO), exported_at_ms=1, max_bytes=10**6)
    content = json.loads(file.data)
    assert (content["settings"], content["account"], content["generations"], content["ledger"]) == (None, None, [], [])


# ---- delete --------------------------------------------------------------------------------------------------------


async def test_after_an_erasure_nothing_leads_to_the_person_but_two_numbers(world: World, privacy: Privacy) -> None:
    mira = 111_222_333_444_555
    await make(world, 71_717_171, mira, prompt="a secret garden", count=2)
    await make(world, 2, OTTO)
    await People(world.database).change(mira, private=True)
    async with world.database.transaction() as tx:
        await world.ledger.grant(tx, mira, 3, "birthday", "for Mira", world.clock.at_ms)
    before = await world.numbers(mira)
    erased = await privacy.erase(mira)
    assert (erased.generations, erased.kept_credits) == (1, 43)
    assert await world.numbers(mira) == before == (43, 0)
    kept = await everything(world)
    for trace in ("secret garden", "71717171", "for Mira", "refill:111222333444555"):
        assert trace not in kept
    own = [row for row in await rows(world, entries) if row["user_id"] == mira]
    assert [(row["kind"], row["available_delta"], row["reason"]) for row in own] == [("grant", 43, "kept")]
    assert kept.count(str(mira)) == 3  # the account, that one entry, and the note when both may go
    assert (await privacy.holdings(OTTO)).tally.generations == 1
    await assert_sound(world)


async def test_an_erasure_reaches_every_table_that_knows_a_generation(world: World, privacy: Privacy) -> None:
    """Also those that come later: a table that is not reached would keep its row, or refuse the erasure."""
    await make(world, 1)
    known = [table for table in metadata.sorted_tables if "generation_id" in table.c]
    assert {table.name for table in known} >= {"images", "callbacks", "removed_cards", "pings"}
    async with world.database.transaction() as tx:
        for table in (table for table in known if table is not images):
            row = {column.name: 1 for column in table.c if not column.nullable}
            row |= {"position": 0, "token_hash": "hash"} if "token_hash" in table.c else {}
            await tx.execute(table.insert().values(row))
    assert all([await rows(world, table) for table in known])
    await privacy.erase(MIRA)
    assert [await rows(world, table) for table in [*known, generations]] == [[]] * (len(known) + 1)


def test_whoever_adds_a_table_about_people_decides_what_leaving_does_to_it() -> None:
    """A new one here belongs into show, export and erasure too, or into docs/decisions/0012-leaving.md."""
    about_people = {table.name for table in metadata.sorted_tables if "user_id" in table.c}
    ledger = {"accounts", "refills", "entries"}
    assert about_people == ledger | {"generations", "images", "preferences", "departures"}


async def test_the_ledger_keeps_its_sums_without_the_person(world: World, privacy: Privacy) -> None:
    await make(world, 1, count=3)
    before = await rows(world, entries)
    total = sum(row["available"] for row in await rows(world, accounts))
    await privacy.erase(MIRA)
    after = [row for row in await rows(world, entries) if row["user_id"] < 0 and row["reason"] != "kept"]
    numbers = ("number", "kind", "available_delta", "held_delta")
    assert [[row[key] for key in numbers] for row in after] == [[row[key] for key in numbers] for row in before]
    assert all(row["created_at_ms"] % DAY_MS == 0 for row in after)
    assert sum(row["available"] for row in await rows(world, accounts)) == total
    held = [row["image_id"] for row in after if row["kind"] == "hold"]
    assert sorted(held) == sorted(row["image_id"] for row in after if row["kind"] == "settle") and len(set(held)) == 3


async def test_leaving_brings_no_credits_however_often(world: World, privacy: Privacy) -> None:
    for number in range(1, 11):
        await make(world, number)
        await privacy.erase(MIRA)
    assert await world.numbers() == (0, 0)
    with pytest.raises(InsufficientCredits):
        await world.ask(99)
    await privacy.erase(MIRA)
    await privacy.run_maintenance()
    assert await world.numbers() == (0, 0)
    await assert_sound(world)


async def test_the_requests_of_a_minute_are_not_forgotten_by_leaving(database: Database) -> None:
    world = make_world(database, requests_per_minute=1)
    await make(world, 1)
    world.clock.at_ms += 30_000
    await privacy_of(world).erase(MIRA)
    with pytest.raises(TooManyRequests) as refused:
        await world.ask(2)
    assert refused.value.next_at_ms == world.clock.at_ms + 60_000
    world.clock.at_ms += 60_000
    await world.ask(2)


async def test_a_present_is_not_given_twice_by_leaving(world: World, privacy: Privacy) -> None:
    async with world.database.transaction() as tx:
        assert await world.ledger.grant(tx, MIRA, 100, "purchase:7", "purchase", world.clock.at_ms)
    await privacy.erase(MIRA)
    async with world.database.transaction() as tx:
        assert not await world.ledger.grant(tx, MIRA, 100, "purchase:7", "purchase", world.clock.at_ms)
    assert await world.numbers() == (150, 0)


async def test_the_two_numbers_go_when_credits_are_given_anew(world: World, privacy: Privacy) -> None:
    await make(world, 1)
    erased = await privacy.erase(MIRA)
    await privacy.run_maintenance()
    assert await rows(world, departures) == [{"user_id": MIRA, "due_at_ms": erased.forgotten_at_ms}]
    world.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(world, departures) == []
    assert [row["user_id"] for row in await rows(world, accounts) if row["user_id"] > 0] == []
    assert f"{MIRA}" not in str(await rows(world, entries))
    await assert_sound(world)
    assert await world.numbers() == (50, 0)  # what a refill would have given


async def test_more_than_everybody_gets_stays_until_it_is_spent(world: World, privacy: Privacy) -> None:
    async with world.database.transaction() as tx:
        await world.ledger.grant(tx, MIRA, 100, "present", "", world.clock.at_ms)
    await privacy.erase(MIRA)
    for _ in range(3):
        world.clock.at_ms += DAY_MS
        await privacy.run_maintenance()
    assert await world.numbers() == (150, 0)
    assert len(await rows(world, departures)) == 1


async def test_a_single_credit_more_than_everybody_gets_stays_too(world: World, privacy: Privacy) -> None:
    async with world.database.transaction() as tx:
        await world.ledger.grant(tx, MIRA, 1, "present", "", world.clock.at_ms)
    await privacy.erase(MIRA)
    world.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await world.numbers() == (51, 0)


async def test_whoever_is_given_something_after_leaving_is_a_person_again(world: World, privacy: Privacy) -> None:
    await make(world, 1)
    await privacy.erase(MIRA)
    async with world.database.transaction() as tx:
        await world.ledger.grant(tx, MIRA, 3, "present", "thanks", world.clock.at_ms)
    world.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(world, departures) == []
    assert "grant:present" in [row["id"] for row in await rows(world, entries) if row["user_id"] == MIRA]
    await assert_sound(world)


async def test_an_account_with_credits_held_is_not_taken_from_its_person(world: World) -> None:
    await world.ask(1)
    before = await rows(world, accounts), await rows(world, entries)
    async with world.database.transaction() as tx:
        nobody = Nobody(-5, "somebody else's name")
        assert await leave(tx, world.ledger, MIRA, nobody, world.clock.at_ms) is None
    assert (await rows(world, accounts), await rows(world, entries)) == before


async def test_who_comes_back_is_a_person_again(world: World, privacy: Privacy) -> None:
    await make(world, 1)
    await privacy.erase(MIRA)
    await make(world, 2)
    world.clock.at_ms += DAY_MS
    await privacy.run_maintenance()
    assert await rows(world, departures) == []
    assert (await privacy.holdings(MIRA)).tally.generations == 1
    assert await world.numbers() == (50, 0)
    await assert_sound(world)


async def test_nothing_is_erased_while_an_image_is_under_way(world: World, privacy: Privacy) -> None:
    await make(world, 1)
    await world.ask(2, count=2)
    with pytest.raises(StillAtWork) as refused:
        await privacy.erase(MIRA)
    assert refused.value.images == 2
    assert (await privacy.holdings(MIRA)).tally.generations == 2
    await world.generations.cancel(2, user_id=MIRA, may_manage=False)
    with pytest.raises(StillAtWork):  # its card does not say so yet
        await privacy.erase(MIRA)


async def test_a_request_that_comes_at_the_same_moment_is_kept_whole_or_comes_after(
    world: World, privacy: Privacy
) -> None:
    await make(world, 1)
    spent = 5
    for number in range(10, 18):
        left, asked = await asyncio.gather(
            privacy.erase(MIRA), world.ask(number, answered=False), return_exceptions=True
        )
        assert not isinstance(asked, BaseException), asked
        assert left is None or not isinstance(left, BaseException) or isinstance(left, StillAtWork)
        assert await world.numbers() == (50 - spent - 5, 5)
        assert [image["state"] for image in await rows(world, images) if image["generation_id"] == number] == [
            "requested"
        ]
        await world.generations.abandon(number)
        await assert_sound(world)
    assert await world.numbers() == (45, 0)


async def test_a_late_worker_finds_nothing_to_write(world: World, privacy: Privacy) -> None:
    made = await make(world, 1)
    await privacy.erase(MIRA)
    with pytest.raises(LostClaim):
        async with world.database.transaction() as tx:
            await records.update_image(tx, made.images[0], fence=made.fence, image_url="https://cdn/late.png")
    assert await rows(world, images) == []


async def test_somebody_unknown_leaves_no_trace_by_leaving(world: World, privacy: Privacy) -> None:
    erased = await privacy.erase(OTTO)
    assert (erased.generations, erased.kept_credits) == (0, 0)
    assert await rows(world, accounts) == [] and await rows(world, departures) == []


# ---- retention -----------------------------------------------------------------------------------------------------


def born(world: World, days_ago: int, number: int = 0) -> int:
    """An interaction's id of so many days ago."""
    return snowflake_at(world.clock.at_ms - days_ago * DAY_MS) + number


async def test_words_go_after_their_time_and_numbers_stay(world: World) -> None:
    old, young = born(world, 31), born(world, 29)
    await make(world, old, prompt="an old secret")
    await make(world, young, prompt="a young secret")
    async with world.database.transaction() as tx:
        for generation_id in (old, young):
            made = await records.load(tx, generation_id)
            assert made is not None
            (image,) = made.images
            await records.update_image(tx, image, fence=None, file_name="a-secret-5.png", ending_detail="a secret")
            await records.expect_callback(tx, image, f"hash of {generation_id}")
    privacy = privacy_of(world, days=30)
    await privacy.run_maintenance()
    purged, kept = await world.load(old), await world.load(young)
    assert (purged.images[0].file_name, purged.images[0].task_id, purged.images[0].ending_detail) == (None, None, None)
    assert purged.origin.locale == "" and kept.images[0].file_name == "a-secret-5.png"
    assert [row["token_hash"] for row in await rows(world, callbacks)] == [f"hash of {young}"]
    assert (purged.request.prompt, purged.origin.token, purged.images[0].image_url) == ("", "", None)
    assert (purged.request.seed, purged.images[0].consumed_credits, purged.images[0].state.value) == (5, 5, "delivered")
    assert kept.request.prompt == "a young secret" and kept.images[0].image_url
    tally = (await privacy.holdings(MIRA)).tally
    assert (tally.generations, tally.purged, tally.images) == (1, 1, 2)
    assert "an old secret" not in await everything(world)


async def test_without_a_number_of_days_nothing_goes(world: World, privacy: Privacy) -> None:
    await make(world, born(world, 3000), prompt="an old secret")
    await privacy.run_maintenance()
    assert "an old secret" in await everything(world)


async def test_what_is_not_at_rest_waits_and_is_not_forgotten_later(world: World) -> None:
    busy, quiet = born(world, 40), born(world, 39)
    await world.ask(busy)
    await make(world, quiet)
    privacy = privacy_of(world, days=30)
    await privacy.run_maintenance()
    assert [(await world.load(one)).request.prompt for one in (busy, quiet)] == ["a lighthouse", ""]
    await world.generations.cancel(busy, user_id=MIRA, may_manage=False)
    world.clock.at_ms += 60_000
    (claimed,) = await world.claim()
    async with world.database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE generations SET published_revision = revision, due_at_ms = NULL, lease_holder = NULL, "
                "lease_until_ms = NULL"
            )
        )
    await privacy.run_maintenance()
    assert (await world.load(claimed.id)).request.prompt == ""


async def test_a_long_past_is_purged_batch_by_batch(world: World) -> None:
    for number in range(5):
        await make(world, born(world, 50, number))
    seen = 0
    go_on: int | None = 0
    while go_on is not None:
        async with world.database.transaction() as tx:
            go_on = await personal_data.purge(tx, from_id=go_on, before_ms=world.clock.at_ms - DAY_MS, limit=2)
        seen += 1
    assert seen == 4
    assert {row["prompt"] for row in await rows(world, generations)} == {""}
