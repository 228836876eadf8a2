"""The search of /history: what it finds, what it reads, and what stays of it after a deletion."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import SelectBase, event, select, text

from discord_api.snowflakes import snowflake_at
from generations import records
from generations.history import PAGE_LENGTH, History, _page, clean_words
from generations.model import Generation, Image, Request, State
from generations.privacy import Privacy
from generations.records import personal_data, search
from generations.records.history import NEWEST, Edge
from generations.records.search import Finder, Limits, index_prompt
from generations.records.tables import prompt_words
from generations.search_words import Search
from limits.usage import Calendar
from store.database import Database, open_database
from store.transactions import Transaction
from tests.contract.harness import DAY_MS, MIRA, NOON_MS, OTTO, Harness, make_harness, origin
from tests.contract.test_history import Store
from tests.contract.test_sqlite_file import raw_bytes
from tests.databases import SqliteMaker
from tests.unit.test_search_words import plainly_finds

SMALL = Limits(nearest=(1, 2), batch=2, rare=2)  # so that a few rows are many
UNINDEXED = 2  # of those, for SMALL


def insert(
    tx: Transaction,
    generation_id: int,
    prompt: str,
    user_id: int = MIRA,
    *,
    state: State = State.DELIVERED,
    unindexed: int = UNINDEXED,
) -> None:
    """Insert a generation that is at rest, and index the one that it pushes out."""
    image = Image(generation_id, position=0, seed=5, state=state)
    made = Generation(generation_id, Request(prompt), origin(generation_id, user_id), NOON_MS, (image,), message_id=7)
    records.insert(tx, made)
    index_prompt(tx, made, unindexed=unindexed)


def insert_all(tx: Transaction, prompts: Sequence[str], user_id: int = MIRA) -> None:
    for number, prompt in enumerate(prompts, 1):
        insert(tx, number, prompt, user_id)


def indexed_ids(tx: Transaction) -> list[int]:
    return sorted(set(tx.scalars(select(prompt_words.c.generation_id))))


def find(tx: Transaction, user_id: int, search: Search, edge: Edge, limit: int, *, limits: Limits = SMALL) -> list[int]:
    return Finder(tx, user_id, search, limits).find(edge, limit)


class Counting(Search):
    """A search that counts the prompts it is compared with."""

    compared = 0

    def finds(self, prompt: str) -> bool:
        self.compared += 1
        return super().finds(prompt)


# ---- what is found -------------------------------------------------------------------------------------------------

words = st.sampled_from(
    ["a", "ab", "abc", "Ab", "b", "É", "é", "%", "风景", "景", "🦊", '"a', "a*", "NEAR", "a" * 40, "  "]
)
prompts = st.lists(words, max_size=4).map(" ".join)
rows = st.lists(st.tuples(prompts, st.booleans()), max_size=14)


async def test_a_search_finds_what_a_plain_comparison_finds(database: Database) -> None:
    """With both directions, every edge, and few rows read without the index."""
    numbers = itertools.count(1)
    loop = asyncio.get_running_loop()

    @settings(max_examples=60)
    @given(rows, prompts, st.integers(0, 15), st.booleans(), st.integers(1, 6))
    def compare(made: list[tuple[str, bool]], words: str, at: int, is_older: bool, limit: int) -> None:
        if Search(words).words:
            asyncio.run_coroutine_threadsafe(compare_one(made, words, at, is_older, limit), loop).result()

    async def compare_one(made: list[tuple[str, bool]], words: str, at: int, is_older: bool, limit: int) -> None:
        user_id = next(numbers)
        first_id = user_id * 1000

        def insert_rows(tx: Transaction) -> None:
            for number, (prompt, is_made) in enumerate(made):
                state = State.DELIVERED if is_made else State.FAILED
                insert(tx, first_id + number, prompt, user_id, state=state)

        await database.run(insert_rows)
        listed = [first_id + n for n, (prompt, is_made) in enumerate(made) if is_made and prompt]
        matching = [one for one in listed if plainly_finds(made[one - first_id][0], words)]
        beyond = [one for one in matching if (one < first_id + at if is_older else one > first_id + at)]
        expected = sorted(beyond, reverse=is_older)[:limit]
        edge = Edge(first_id + at, is_older)
        assert await database.read(find, user_id, Search(words), edge, limit) == expected

    await asyncio.to_thread(compare)


def pages_of(database: Database) -> History:
    harness = make_harness(database)
    return History(database, harness.ledger, harness.clock, Store(), owner="history", limits=SMALL)


async def test_no_text_breaks_a_search(database: Database) -> None:
    await database.run(insert_all, ["a cat"] * 4)
    loop = asyncio.get_running_loop()
    hostile = st.one_of(
        st.text(max_size=80),
        st.sampled_from(['"', "'", "%", "*", "NEAR(a b)", "a AND b", "prompt:a", "^a", "\x00", "\ud800"]),
    )

    @settings(max_examples=60)
    @given(hostile)
    def search_for(typed: str) -> None:
        cleaned = clean_words(typed)
        page = asyncio.run_coroutine_threadsafe(pages_of(database).page(MIRA, words=cleaned), loop).result()
        expected = [4, 3, 2, 1] if plainly_finds("a cat", cleaned) else []
        assert [generation.id for generation in page.generations] == expected

    await asyncio.to_thread(search_for)


async def test_pages_through_a_search_meet_every_generation_once(database: Database) -> None:
    await database.run(insert_all, ["a cat", "a dog", "cats", "no"] * 8)
    pages = pages_of(database)
    matching = [number for number in range(32, 0, -1) if number % 4 in (1, 3)]
    seen = list[int]()
    page = await pages.page(MIRA, words="cat")
    while True:
        assert (page.newer is None) is (not seen)
        seen += [generation.id for generation in page.generations]
        if page.older is None:
            break
        page = await pages.page(MIRA, words="cat", older_than=page.older)
    assert seen == matching
    back = await pages.page(MIRA, words="cat", newer_than=page.newer)
    assert [generation.id for generation in back.generations] == matching[-len(page.generations) - PAGE_LENGTH :][
        :PAGE_LENGTH
    ]


async def test_a_search_for_newer_ones_finds_prompts_that_are_not_indexed(database: Database) -> None:
    await database.run(insert_all, ["a cat", *["no"] * 8, "cats", "a cat"])
    edge = Edge(1, is_older=False)
    assert await database.read(find, MIRA, Search("cat"), edge, 5) == [10, 11]


async def test_prompts_that_the_index_names_are_found_in_order_of_time(database: Database) -> None:
    await database.run(insert_all, ["a cat", "a dog"] * 10)
    assert await database.read(find, MIRA, Search("cat"), NEWEST, 10) == list(range(19, 0, -2))
    assert await database.read(find, MIRA, Search("cat"), Edge(1, is_older=False), 10) == list(range(3, 20, 2))


# ---- what is read --------------------------------------------------------------------------------------------------


async def test_a_search_compares_only_the_nearest_prompts_and_those_that_the_index_names(database: Database) -> None:
    await database.run(insert_all, ["a needle", *["a common word"] * 40])
    compared = list[int]()
    for typed in ("nothing", "needle", "common nothing", "common needle", "common"):
        search = Counting(typed)
        await database.read(find, MIRA, search, NEWEST, 1)
        compared.append(search.compared)
    assert compared == [3, 4, 3, 4, 1]


async def test_a_search_ends_when_the_index_names_too_many_that_are_not_found(database: Database) -> None:
    """Only words longer than an entry of the index can be like that."""
    await database.run(insert_all, ["x" * 33 + "y", *["x" * 33] * 20])
    search = Counting("x" * 33 + "y")
    limits = Limits(nearest=(1, 2), named=2, rare=2)
    assert await database.read(find, MIRA, search, NEWEST, 1, limits=limits) == []
    assert search.compared == 5


async def test_of_several_words_the_entries_of_so_many_prompts_are_read(database: Database) -> None:
    """Of two words four prompts, with eight entries for both: those beyond the two nearest ones."""
    limits = Limits(nearest=(1, 1), rare=1, entries=8)

    async def found_at(place: int, edge: Edge) -> list[int]:
        """Search where only the prompt at *place* of 20 has both words."""
        user_id = MIRA + place
        first_id = user_id * 100

        def fill(tx: Transaction) -> None:
            for number in range(1, 21):
                prompt = "red blue" if number == place else ("red", "blue")[number % 2]
                insert(tx, first_id + number, prompt, user_id)

        await database.run(fill)
        search = Counting("red blue")
        moved = Edge(first_id + edge.id, edge.is_older)
        found = await database.read(find, user_id, search, moved, 9, limits=limits)
        assert search.compared == 2 + len(found) + (0 if edge.is_older else 2)  # and the newest, which are not indexed
        return [one - first_id for one in found]

    older, newer = Edge(20), Edge(1, is_older=False)
    assert [await found_at(place, older) for place in (14, 13)] == [[14], []]
    assert [await found_at(place, newer) for place in (7, 8)] == [[7], []]


async def test_words_with_one_beginning_are_asked_for_up_to_so_many_entries(database: Database) -> None:
    await database.run(insert_all, [*["red", "rex"] * 3, "no", "no"])
    assert await database.read(indexed_ids) == [1, 2, 3, 4, 5, 6]
    for entries, found in ((6, [6, 5, 4, 3, 2, 1]), (5, [])):
        limits = Limits(nearest=(1, 1), rare=1, entries=entries)
        search = Counting("re")
        assert await database.read(find, MIRA, search, NEWEST, 9, limits=limits) == found
        assert search.compared == 2 + len(found)


async def test_a_page_reads_two_sides_of_the_index_at_most_and_counts_a_word_once(database: Database) -> None:
    await database.run(insert_all, ["red", "blue"] * 20)

    def statements(tx: Transaction, edge: Edge) -> tuple[int, int]:
        sent = list[str]()
        driver: Any = tx.connection.dbapi_connection
        if database.is_postgresql:
            event.listen(tx, "before_cursor_execute", lambda *given: sent.append(given[2]))
        else:  # SQLAlchemy tells nothing of statements that come again: store/sqlite_connection.py
            driver.set_trace_callback(sent.append)
        _page(tx, MIRA, "red blue", edge, SMALL)
        if not database.is_postgresql:
            driver.set_trace_callback(None)
        return sum("INTERSECT" in one for one in sent), sum("count(" in one for one in sent)

    assert await database.read(statements, NEWEST) == (1, 2)
    for edge in (Edge(20), Edge(20, is_older=False)):
        assert await database.read(statements, edge) == (2, 2)


class Planned(Exception):
    """Carries a plan out of a transaction that is rolled back."""


async def test_the_database_answers_from_the_index_alone(database: Database) -> None:
    await database.run(insert_all, ["a cat", "a dog"] * 20)

    def plan(tx: Transaction, statement: SelectBase, values: dict[str, object]) -> None:
        if database.is_postgresql:
            # Among so few rows each index may seem as good as another.
            tx.execute(text("DROP INDEX ix_prompt_words_generation_id"))
            tx.execute(text("SET LOCAL enable_seqscan = off"))  # it would read so small a table as a whole
            tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        compiled: Any = statement.compile(dialect=tx.dialect)
        parameters = tuple((compiled.params | values)[name] for name in compiled.positiontup)
        explain = "EXPLAIN" if database.is_postgresql else "EXPLAIN QUERY PLAN"
        raise Planned("\n".join(str(row) for row in tx.exec_driver_sql(f"{explain} {compiled}", parameters)))

    key = {"user_id": MIRA, "size": 6, "edge": 9, "end": 0}
    ranges = {"first_0": b"cat", "last_0": b"cat\xff", "first_1": b"a", "last_1": b"a\xff"}
    in_range, is_word = "word>? AND word<?", "word=? AND generation_id>? AND generation_id<?"
    for statement, uses in (
        (search._COUNT, [in_range]),
        (search._ENDS, [in_range, in_range]),
        (search._named((False,), True), [in_range]),
        (search._named((True,), True), [is_word]),
        (search._named((True, True), False), [is_word, is_word]),
        (search._named((True, False), False), [is_word, in_range]),
    ):
        with pytest.raises(Planned) as planned:
            await database.run(plan, statement, {**key, **ranges})
        found = str(planned.value)
        if database.is_postgresql:
            assert found.count("using pk_prompt_words on prompt_words") == len(uses), found
            assert found.count(f"Index Cond: ((user_id = '{MIRA}'::bigint) AND (word ") == len(uses), found
            assert found.count("AND (word = ") == uses.count(is_word), found
        else:
            for one in (in_range, is_word):
                assert found.count(f"USING PRIMARY KEY (user_id=? AND {one})") == uses.count(one), found
        assert "TEMP B-TREE" not in found or in_range in uses, found  # words are merged in their order


async def test_of_one_persons_searches_one_runs_at_a_time(database: Database) -> None:
    await database.run(insert_all, ["a cat"])
    running, most = dict[int, int](), dict[int, int]()

    class Watched(Database):
        async def read(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            user_id = args[0]
            running[user_id] = running.get(user_id, 0) + 1
            most[user_id] = max(most.get(user_id, 0), running[user_id])
            others.set() if len(running) == 2 else await others.wait()  # both people's, at the same time
            result = await database.read(work, *args, **kwargs)
            running[user_id] -= 1
            return result

    others = asyncio.Event()
    pages = pages_of(Watched(database._transactions))
    searches = [pages.page(user_id, words="cat") for user_id in (MIRA, MIRA, MIRA, OTTO)]
    found = await asyncio.gather(*searches)
    assert most == {MIRA: 1, OTTO: 1}
    assert [len(page.generations) for page in found] == [1, 1, 1, 0]


# ---- the index is current ------------------------------------------------------------------------------------------


async def test_all_but_a_persons_newest_prompts_are_indexed_in_any_order_of_arrival(database: Database) -> None:
    order = list(range(1, 31))
    random.Random(5).shuffle(order)
    await asyncio.gather(*(database.run(insert, number, "a cat", unindexed=5) for number in order))
    await database.run(insert, 31, "a dog", OTTO, unindexed=5)
    assert await database.read(indexed_ids) == list(range(1, 26))


async def test_an_image_of_a_person_with_few_is_not_indexed(harness: Harness) -> None:
    await harness.ask(1)
    assert await harness.database.read(indexed_ids) == []


async def test_what_is_erased_or_purged_is_not_in_the_index(database: Database) -> None:
    old = snowflake_at(NOON_MS)

    def fill(tx: Transaction) -> None:
        for number in range(12):
            insert(tx, old + number, f"a cat {number}", MIRA if number % 2 else OTTO)

    await database.run(fill)
    assert len(await database.read(indexed_ids)) == 8
    await database.run(personal_data.erase, [old + 1, old + 3])
    assert await database.read(indexed_ids) == [old + number for number in (0, 2, 4, 5, 6, 7)]
    await database.run(personal_data.purge, from_id=0, before_ms=NOON_MS + DAY_MS, limit=5)
    assert await database.read(indexed_ids) == [old + number for number in (7,)]


async def test_no_word_stays_in_the_file_after_it_was_erased(sqlite_maker: SqliteMaker) -> None:
    path = Path((await sqlite_maker.create()).removeprefix("sqlite:///"))
    async with open_database(f"sqlite:///{path}") as database:
        harness = make_harness(database)
        drawn = random.Random(5)

        def fill(tx: Transaction) -> None:
            for number in range(300):
                canary = "canary" if number % 2 else "magpie"
                prompt = " ".join(f"{canary}{drawn.randrange(900)}" for _ in range(20))
                insert(tx, snowflake_at(NOON_MS) + number, prompt, MIRA if number % 2 else OTTO)

        await database.run(fill)
        await database.truncate_wal()
        assert raw_bytes(path).count(b"canary") > 6000
        privacy = Privacy(
            database, harness.ledger, harness.clock, random.Random(5), Calendar(ZoneInfo("UTC")), retention_days=0
        )
        await privacy.erase(MIRA)
        await privacy.run_maintenance()
        left = raw_bytes(path)
        assert b"canary" not in left
        assert left.count(b"magpie") > 6000
