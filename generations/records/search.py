"""Search the prompts of one person.

The prompts nearest to the page are compared one by one; beyond them the index is asked. So a word that many prompts
have is found among the former, and a rare one costs only the rows that have it. A person's newest prompts are compared
in any case, so they are not in the index: few people have so many that any of theirs are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Integer,
    LargeBinary,
    Row,
    Select,
    bindparam,
    func,
    intersect,
    select,
)

from generations.model import Generation
from generations.records.history import NEWEST, Edge, hidden, made, nearest_first
from generations.records.tables import generations, prompt_words
from generations.search_words import Search, words_of
from store.statements import insert_all_if_new, serialize
from store.transactions import Transaction

UNINDEXED = 400  # newest generations of a person whose words are not in the index
AT_ONCE_MAX = 100  # requests of one person that transactions may insert at the same time, without seeing each other's


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read on one side of a page."""

    nearest: Sequence[int] = (50, UNINDEXED + 50)  # prompts compared without the index, in steps
    named: int = 1_000  # prompts compared that the index names
    batch: int = 100  # of those at a time
    rare: int = 1_000  # entries of a word; with fewer, the index is asked for this word alone
    entries: int = 40_000  # of the index, divided among the words: of each, those of so many prompts


@dataclass(frozen=True, slots=True)
class Range:
    """The entries of the index that begin with one word of a search: from *first* to *last*, counted to a limit."""

    first: bytes
    last: bytes
    count: int

    @property
    def is_one_word(self) -> bool:
        """Whether the entries are in order of time, one for each prompt."""
        return self.first == self.last


LIMITS = Limits()

Prompts = Sequence[Row[int, str]]  # id and prompt


def index_prompt(tx: Transaction, inserted: Generation, *, unindexed: int = UNINDEXED) -> None:
    """Write the words of the generation into the index that *inserted* pushed out of its person's newest ones."""
    user_id = inserted.origin.user_id
    if _nth(tx, user_id, NEWEST, max(0, unindexed - AT_ONCE_MAX)) is None:
        return
    serialize(tx, f"prompt words of {user_id}")
    pushed_out = _nth(tx, user_id, NEWEST, unindexed)
    if pushed_out is None:
        return
    (row,) = tx.execute(_PROMPTS, {"ids": [min(pushed_out, inserted.id)]})
    words = sorted(words_of(row.prompt))
    insert_all_if_new(tx, prompt_words, [{"user_id": user_id, "word": word, "generation_id": row.id} for word in words])


class Finder:
    """Finds generations of one person in one transaction. What the index has of each word is read once."""

    def __init__(self, tx: Transaction, user_id: int, search: Search, limits: Limits = LIMITS) -> None:
        self._tx = tx
        self._user_id = user_id
        self._search = search
        self._limits = limits

    def find(self, edge: Edge, limit: int) -> list[int]:
        """Return the ids of those that /history lists and the search finds, the nearest to *edge* first.

        Fewer than *limit*: there are no more, or the limits ended the search.
        """
        found = list[int]()
        for size in self._limits.nearest:
            prompts = self._nearest(edge, size)
            found += self._listed(prompts)
            if len(prompts) < size or len(found) >= limit:
                return found[:limit]
            edge = Edge(prompts[-1].id, edge.is_older)
        named = self._named(edge)
        for start in range(0, len(named), self._limits.batch):
            found += self._listed(self._prompts(named[start : start + self._limits.batch], edge))
            if len(found) >= limit:
                return found[:limit]
        if not edge.is_older and len(named) < self._limits.named:  # the newest are not in the index
            last = named[-1] if named else edge.id
            newest = self._nearest(NEWEST, sum(self._limits.nearest))
            found += self._listed([row for row in reversed(newest) if row.id > last])
        return found[:limit]

    def _listed(self, prompts: Prompts) -> list[int]:
        """Return the ids of those *prompts*, in their order, that are found and that /history lists."""
        ids = [row.id for row in prompts if self._search.finds(row.prompt)]
        listed = set(self._tx.scalars(_LISTED, {"ids": ids})) if ids else set[int]()
        return [generation_id for generation_id in ids if generation_id in listed]

    def _nearest(self, edge: Edge, size: int) -> Prompts:
        key = {"user_id": self._user_id, "edge": edge.id, "size": size}
        return self._tx.execute(_nearest(edge.is_older), key).all()

    def _prompts(self, ids: Sequence[int], edge: Edge) -> Prompts:
        return sorted(self._tx.execute(_PROMPTS, {"ids": ids}), key=lambda row: row.id, reverse=edge.is_older)

    def _named(self, edge: Edge) -> Sequence[int]:
        """Return the ids that stand in all ranges of the index, nearest to *edge* first."""
        if not self._ranges:
            return ()
        end = _nth(self._tx, self._user_id, edge, self._share) if len(self._ranges) > 1 else None
        if end is None:
            end = -1 if edge.is_older else NEWEST.id
        key = {"user_id": self._user_id, "edge": edge.id, "end": end, "size": self._limits.named}
        for number, one in enumerate(self._ranges):
            key |= {f"first_{number}": one.first, f"last_{number}": one.last}
        shape = tuple(one.is_one_word for one in self._ranges)
        return list(dict.fromkeys(self._tx.scalars(_named(shape, edge.is_older), key)))

    @property
    def _share(self) -> int:
        """Return how many entries of each word are read."""
        return self._limits.entries // len(self._search.indexed)

    @cached_property
    def _ranges(self) -> Sequence[Range]:
        """Return the ranges of the index to be asked for.

        It is one range where a word is rare or has no entry, because few rows are left to compare then. Several words
        with one beginning that have more entries than the share are left out.
        """
        ranges = [self._range(word) for word in self._search.indexed]
        rarest = min(ranges, key=lambda one: one.count)
        if rarest.count < self._limits.rare:
            return [rarest] if rarest.count else []
        return [one for one in ranges if one.is_one_word or one.count <= self._share]

    def _range(self, word: bytes) -> Range:
        key = {"user_id": self._user_id, "first_0": word, "last_0": word + b"\xff"}  # no byte of UTF-8 is 255
        first, last = self._tx.execute(_ENDS, key).one()
        size = self._limits.rare if first == last else max(self._limits.rare, self._share + 1)
        return Range(first, last, self._tx.scalars(_COUNT, {**key, "size": size}).one())


def _nth(tx: Transaction, user_id: int, edge: Edge, number: int) -> int | None:
    """Return the id of a person's nearest generation to *edge* but *number*."""
    return tx.scalar(_id_of_nth(edge.is_older), {"user_id": user_id, "edge": edge.id, "size": 1, "number": number})


def _is_in_range(number: int) -> ColumnElement[bool]:
    word = prompt_words.c.word
    first, last = (bindparam(f"{name}_{number}", type_=LargeBinary) for name in ("first", "last"))
    return (prompt_words.c.user_id == bindparam("user_id")) & (word >= first) & (word <= last)


def _is_word(number: int) -> ColumnElement[bool]:
    first = bindparam(f"first_{number}", type_=LargeBinary)
    return (prompt_words.c.user_id == bindparam("user_id")) & (prompt_words.c.word == first)


@cache
def _nearest(is_older: bool) -> Select[int, str]:
    own = select(generations.c.id, generations.c.prompt).where(generations.c.user_id == bindparam("user_id"))
    return nearest_first(own, generations.c.id, generations.c.id, is_older=is_older)


@cache
def _id_of_nth(is_older: bool) -> Select[int]:
    own = select(generations.c.id).where(generations.c.user_id == bindparam("user_id"))
    nearest = nearest_first(own, generations.c.id, generations.c.id, is_older=is_older)
    return nearest.offset(bindparam("number", type_=Integer))


@cache
def _named(shape: Sequence[bool], is_older: bool) -> Select[int] | CompoundSelect[int]:
    """Select from ranges of the index. *shape*: for each of them, whether it is one word."""
    selects = [_entries_beyond(number, is_one_word, is_older) for number, is_one_word in enumerate(shape)]
    size = bindparam("size", type_=Integer)
    if len(selects) > 1:  # SQLite merges those that are in order, and needs no list of them
        named = intersect(*selects)
        id_ = named.selected_columns.generation_id
        return named.order_by(id_.desc() if is_older else id_.asc()).limit(size)
    column = prompt_words.c.generation_id if shape[0] else prompt_words.c.generation_id + 0
    return selects[0].order_by(column.desc() if is_older else column.asc()).limit(size)


def _entries_beyond(number: int, is_one_word: bool, is_older: bool) -> Select[int]:
    """Select what lies between :edge and :end. Of several words with a sum, so that no planner takes the index of
    generation_id: it would read it in order, of all people."""
    id_ = prompt_words.c.generation_id
    column = id_ if is_one_word else id_ + 0
    edge, end = bindparam("edge", type_=BigInteger), bindparam("end", type_=BigInteger)
    between = (column < edge, column > end) if is_older else (column > edge, column < end)
    return select(id_).where(_is_word(number) if is_one_word else _is_in_range(number), *between)


_ids = bindparam("ids", type_=BigInteger, expanding=True)
_PROMPTS = select(generations.c.id, generations.c.prompt).where(generations.c.id.in_(_ids))
_LISTED = select(generations.c.id).where(generations.c.id.in_(_ids), generations.c.prompt != "", made, ~hidden)
_entries = select(prompt_words.c.word).where(_is_in_range(0))
_COUNT = select(func.count()).select_from(_entries.limit(bindparam("size", type_=Integer)).subquery())
_ENDS = select(
    _entries.order_by(prompt_words.c.word).limit(1).scalar_subquery(),
    _entries.order_by(prompt_words.c.word.desc()).limit(1).scalar_subquery(),
)
