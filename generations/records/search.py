"""Search the prompts of one person.

The prompts nearest to the page are compared one by one; beyond them the index is asked. So a word that many prompts
have is found among the former, and a rare one costs only the rows that have it. A person's newest prompts are compared
in any case, so they are not in the index: few people have so many that any of theirs are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, ColumnElement, Integer, LargeBinary, Row, Select, bindparam, func, select

from generations.model import Generation
from generations.records.history import NEWEST, Edge, made, nearest_first
from generations.records.tables import generations, prompt_words
from generations.search_words import Search, words_of
from store.statements import insert_all_if_new, serialize
from store.transactions import Transaction

UNINDEXED = 400  # newest generations of a person whose words are not in the index
AT_ONCE_MAX = 100  # requests of one person that transactions may insert at the same time, without seeing each other's


@dataclass(frozen=True, slots=True)
class Limits:
    """How many rows one search reads."""

    nearest: Sequence[int] = (50, UNINDEXED + 50)  # without the index, in steps
    named: Sequence[int] = (100, 1_000)  # of those that the index names, in steps; the search ends after them
    rare: int = 1_000  # entries of a word; with fewer, the index is asked for this word alone


LIMITS = Limits()

Prompts = Sequence[Row[int, str]]  # id and prompt


def index_prompt(tx: Transaction, inserted: Generation, *, unindexed: int = UNINDEXED) -> None:
    """Write the words of the generation into the index that *inserted* pushed out of its person's newest ones."""
    user_id = inserted.origin.user_id
    if _nth_newest(tx, user_id, max(0, unindexed - AT_ONCE_MAX)) is None:
        return
    serialize(tx, f"prompt words of {user_id}")
    pushed_out = _nth_newest(tx, user_id, unindexed)
    if pushed_out is None:
        return
    (row,) = tx.execute(_PROMPTS, {"ids": [min(pushed_out, inserted.id)]})
    words = sorted(words_of(row.prompt))
    insert_all_if_new(tx, prompt_words, [{"user_id": user_id, "word": word, "generation_id": row.id} for word in words])


def find(
    tx: Transaction, user_id: int, search: Search, edge: Edge, limit: int, *, limits: Limits = LIMITS
) -> list[int]:
    """Return the ids of a person's generations that /history lists and *search* finds, the nearest to *edge* first.

    Fewer than *limit*: there are no more, or *limits* ended the search.
    """
    found = list[int]()
    for size in limits.nearest:
        prompts = tx.execute(_nearest(edge.is_older), {"user_id": user_id, "edge": edge.id, "size": size}).all()
        found += _listed(tx, search, prompts)
        if len(prompts) < size or len(found) >= limit:
            return found[:limit]
        edge = Edge(prompts[-1].id, edge.is_older)
    words = _words_to_ask_for(tx, user_id, search, limits.rare)
    for size in limits.named:
        ids = _ask_index(tx, user_id, words, edge, size)
        found += _listed(tx, search, _prompts_of(tx, ids, edge))
        if len(found) >= limit:
            break
        edge = Edge(ids[-1], edge.is_older) if ids else edge
        if len(ids) < size:
            found += [] if edge.is_older else _listed(tx, search, _newest(tx, user_id, edge, sum(limits.nearest)))
            break
    return found[:limit]


def _listed(tx: Transaction, search: Search, prompts: Prompts) -> list[int]:
    """Return the ids of those *prompts*, in their order, that are found and that /history lists."""
    ids = [row.id for row in prompts if search.finds(row.prompt)]
    listed = set(tx.scalars(_LISTED, {"ids": ids})) if ids else set[int]()
    return [generation_id for generation_id in ids if generation_id in listed]


def _newest(tx: Transaction, user_id: int, edge: Edge, size: int) -> Prompts:
    """Read the newest prompts of a person that are newer than *edge*, oldest first."""
    newest = tx.execute(_nearest(True), {"user_id": user_id, "edge": NEWEST.id, "size": size})
    return [row for row in reversed(newest.all()) if row.id > edge.id]


def _prompts_of(tx: Transaction, ids: Iterable[int], edge: Edge) -> Prompts:
    """Read the prompts of generations, nearest to *edge* first."""
    return sorted(tx.execute(_PROMPTS, {"ids": list(set(ids))}), key=lambda row: row.id, reverse=edge.is_older)


def _words_to_ask_for(tx: Transaction, user_id: int, search: Search, rare: int) -> Sequence[bytes]:
    """Return the rarest of the words, if it is rare, because few rows are left to compare then; else all of them."""
    if len(search.indexed) == 1:
        return search.indexed
    key = {"user_id": user_id, "size": rare}
    counts = {word: tx.scalar(_COUNT, {**key, **_range(0, word)}) or 0 for word in search.indexed}
    in_order = sorted(counts, key=counts.__getitem__)
    return in_order[:1] if counts[in_order[0]] < rare else in_order


def _ask_index(tx: Transaction, user_id: int, words: Sequence[bytes], edge: Edge, size: int) -> Sequence[int]:
    """Return the ids that have all *words*, nearest to *edge* first; one may stand there several times."""
    ranges = {name: value for number, word in enumerate(words) for name, value in _range(number, word).items()}
    key = {"user_id": user_id, "edge": edge.id, "size": size}
    return tx.scalars(_named(len(words), edge.is_older), {**key, **ranges}).all()


def _nth_newest(tx: Transaction, user_id: int, number: int) -> int | None:
    """Return the id of a person's newest generation but *number*."""
    return tx.scalar(_NTH_NEWEST, {"user_id": user_id, "number": number})


def _range(number: int, word: bytes) -> dict[str, bytes]:
    """Return the parameters for the entries that begin with *word*: no byte of UTF-8 is 255."""
    return {f"from_{number}": word, f"below_{number}": word + b"\xff"}


def _begins_with(number: int) -> ColumnElement[bool]:
    word = prompt_words.c.word
    from_, below = (bindparam(f"{name}_{number}", type_=LargeBinary) for name in ("from", "below"))
    return (prompt_words.c.user_id == bindparam("user_id")) & (word >= from_) & (word < below)


@cache
def _nearest(is_older: bool) -> Select[int, str]:
    own = select(generations.c.id, generations.c.prompt).where(generations.c.user_id == bindparam("user_id"))
    return nearest_first(own, generations.c.id, generations.c.id, is_older=is_older)


@cache
def _named(count: int, is_older: bool) -> Select[int]:
    id_, sum_ = prompt_words.c.generation_id, prompt_words.c.generation_id + 0
    found = select(id_).where(_begins_with(0))
    for number in range(1, count):
        found = found.where(sum_.in_(select(id_).where(_begins_with(number)).correlate(None)))
    # With a sum, so that no planner takes the index of generation_id: it would read it in order, of all people, or
    # look into it for each id of the list.
    return nearest_first(found, id_, sum_, is_older=is_older)


_ids = bindparam("ids", type_=BigInteger, expanding=True)
_PROMPTS = select(generations.c.id, generations.c.prompt).where(generations.c.id.in_(_ids))
_LISTED = select(generations.c.id).where(generations.c.id.in_(_ids), generations.c.prompt != "", made)
_NTH_NEWEST = (
    select(generations.c.id)
    .where(generations.c.user_id == bindparam("user_id"))
    .order_by(generations.c.id.desc())
    .limit(1)
    .offset(bindparam("number", type_=Integer))
)
_entries = select(prompt_words.c.word).where(_begins_with(0)).limit(bindparam("size", type_=Integer))
_COUNT = select(func.count()).select_from(_entries.subquery())
