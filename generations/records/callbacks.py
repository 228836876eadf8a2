"""The callbacks that images expect, and what calls said. Tokens are always hashed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, exists, or_, select, update

from generations.model import Image, State
from generations.records.rows import read_image
from generations.records.tables import callbacks, generations, images
from store.statements import insert_or_replace
from store.tables import one_of
from store.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Callback:
    """One expected callback. Times are unix milliseconds."""

    generation_id: int
    position: int
    token_hash: str
    called_at_ms: int | None = None  # from when on a call may be followed by a poll, or was: callbacks.is_called
    claimed_task_id: str | None = None


def expect_callback(tx: Transaction, image: Image, token_hash: str) -> None:
    """Expect the callback of *image* with this token, and with no earlier one."""
    fresh = {
        "generation_id": image.generation_id,
        "position": image.position,
        "token_hash": token_hash,
        "called_at_ms": None,
        "claimed_task_id": None,
    }
    insert_or_replace(tx, callbacks, fresh, key=("generation_id", "position"))


def find_callback(tx: Transaction, token_hash: str) -> tuple[Callback, Image] | None:
    """Return the callback with this token and its image. One statement, found or not."""
    its_image = (images.c.generation_id == callbacks.c.generation_id) & (images.c.position == callbacks.c.position)
    said = (callbacks.c.token_hash, callbacks.c.called_at_ms, callbacks.c.claimed_task_id)
    found = tx.execute(select(images, *said).join(callbacks, its_image).where(callbacks.c.token_hash == token_hash))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    callback = Callback(row["generation_id"], row["position"], *(row[column.name] for column in said))
    return callback, read_image(row)


def load_callback(tx: Transaction, image: Image) -> Callback | None:
    """Load the callback that *image* expects."""
    found = tx.execute(select(callbacks).where(*_of(image)))
    row: RowMapping | None = found.mappings().one_or_none()
    return None if row is None else Callback(**row)


def note_callback(tx: Transaction, noted: Callback) -> None:
    """Store the time of a call and the task that it names. The generation's row must be locked."""
    said: dict[str, Any] = {"called_at_ms": noted.called_at_ms, "claimed_task_id": noted.claimed_task_id}
    tx.execute(update(callbacks).where(callbacks.c.token_hash == noted.token_hash).values(said))


def drop_claim(tx: Transaction, image: Image, claimed_task_id: str) -> None:
    """Delete this false claim. One that came meanwhile stays."""
    this_one = callbacks.c.claimed_task_id == claimed_task_id
    tx.execute(update(callbacks).where(*_of(image), this_one).values(claimed_task_id=None))


def bring_forward(tx: Transaction, image: Image, due_at_ms: int) -> bool:
    """Make *image* due at *due_at_ms* if that is sooner than before. The row must be locked."""
    later = or_(images.c.due_at_ms.is_(None), images.c.due_at_ms > due_at_ms)
    here = (images.c.generation_id == image.generation_id) & (images.c.position == image.position)
    brought_forward = tx.execute(update(images).where(here, later).values(due_at_ms=due_at_ms))
    if brought_forward.rowcount == 0:
        return False
    card_later = or_(generations.c.due_at_ms.is_(None), generations.c.due_at_ms > due_at_ms)
    card = update(generations).where(generations.c.id == image.generation_id, card_later)
    tx.execute(card.values(due_at_ms=due_at_ms))
    return True


def forget_callbacks(tx: Transaction, submitted_before_ms: int) -> None:
    """Delete the callbacks of images that ended, and of expired or unknown ones submitted before this."""
    its_image = (images.c.generation_id == callbacks.c.generation_id) & (images.c.position == callbacks.c.position)
    under_way = one_of(images.c.state, State.REQUESTED, State.SUBMITTING, State.RUNNING)
    given_up = one_of(images.c.state, State.EXPIRED, State.UNKNOWN)
    of_interest = or_(under_way, given_up & (images.c.submitted_at_ms >= submitted_before_ms))
    tx.execute(delete(callbacks).where(~exists().where(its_image, of_interest)))


def _of(image: Image) -> tuple[Any, Any]:
    return callbacks.c.generation_id == image.generation_id, callbacks.c.position == image.position
