"""Check the whole ledger, and write it as CSV: `python bot.py ledger check` and `ledger export`. Knows no images.

Both only read, beside a running bot.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, fields
from typing import TextIO

from sqlalchemy import func, select

from credits import records
from credits.model import Amounts, Discrepancy, Entry, EntryKind
from credits.tables import accounts, entries
from store.tables import one_of
from store.transactions import Transaction

OpenImages = Callable[[Transaction], Iterable[str]]  # read the ids of all images that credits should be held for

_closings = entries.alias("closings")
_is_open = (entries.c.kind == EntryKind.HOLD) & ~(
    select(_closings.c.number)
    .where(_closings.c.image_id == entries.c.image_id, one_of(_closings.c.kind, EntryKind.SETTLE, EntryKind.RELEASE))
    .exists()
)
_OPEN_HOLDS = select(entries.c.image_id).where(_is_open).execution_options(yield_per=1000)
_sums = (
    select(
        entries.c.user_id,
        func.sum(entries.c.held_delta).label("held"),
        func.sum(entries.c.held_bonus_delta).label("held_bonus"),
    )
    .where(_is_open)
    .group_by(entries.c.user_id)
    .subquery("sums")
)
_held, _held_bonus = (func.coalesce(column, 0) for column in (_sums.c.held, _sums.c.held_bonus))
_HELD_OTHERWISE = (
    select(accounts.c.user_id, accounts.c.held, accounts.c.held_bonus, _held, _held_bonus)
    .select_from(accounts.outerjoin(_sums, _sums.c.user_id == accounts.c.user_id))
    .where((accounts.c.held != _held) | (accounts.c.held_bonus != _held_bonus))
    .order_by(accounts.c.user_id)
)


def find_faults(tx: Transaction, open_images: OpenImages) -> Iterator[str]:
    """Yield a sentence for each fault of the ledger. Reads the whole of it.

    Every account must be the sum of its entries, hold what its open holds add up to, and hold for exactly the
    *open_images*. Where each statement sees what was committed before it, a request that comes in between is no fault:
    images and holds are read twice in turn, and a fault is what all these readings agree on.
    """
    for found in records.find_discrepancies(tx):
        yield from _sentences(found)
    for user_id, held, held_bonus, open_held, open_bonus in tx.execute(_HELD_OTHERWISE):
        yield (
            f"account {user_id}: {held} credits are held, {held_bonus} of them bonus, but its open holds add up to "
            f"{open_held}, {open_bonus} of them bonus"
        )
    holds, images = _open_holds(tx), set(open_images(tx))
    still_held, still_made = _open_holds(tx), set(open_images(tx))
    for image_id in sorted(holds & still_held - images):
        yield f"image {image_id}: credits are held for it, but it is not being made"
    for image_id in sorted(images & still_made - still_held):
        yield f"image {image_id} is being made, but no credits are held for it"


def write_csv(tx: Transaction, out: TextIO) -> bool:
    """Write a header and a line for each entry, as they are at one moment, by number; a batch of them is in memory.

    Return False if nobody reads *out* any more.
    """
    writer = csv.writer(out, lineterminator="\n")
    try:
        writer.writerow(field.name for field in fields(Entry))
        writer.writerows(astuple(entry) for entry in records.all_entries(tx))
        out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # the last flush, when Python ends, would fail too
        return False
    return True


def _open_holds(tx: Transaction) -> set[str]:
    return {row.image_id for row in tx.execute(_OPEN_HOLDS)}


def _sentences(found: Discrepancy) -> Iterator[str]:
    for name, there, by_entries in zip(Amounts._fields, found.account, found.by_entries, strict=True):
        if there != by_entries:
            what = name.replace("_", " ")
            yield f"account {found.user_id}: {what} is {there}, but its entries add up to {by_entries}"
