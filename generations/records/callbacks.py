"""What the image service was given to call back on, and what it then said. Tokens come in hashed, always."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, exists, or_, select, update

from generations.model import Image, State
from generations.records.rows import read_image
from generations.records.tables import callbacks, generations, images
from store.database import Transaction
from store.statements import insert_or_replace
from store.tables import one_of


@dataclass(frozen=True, slots=True)
class Callback:
    """One expected callback. Times are unix milliseconds."""

    generation_id: int
    position: int
    token_hash: str
    called_at_ms: int | None = None  # from when on it may be looked at because of a call, or was: callbacks.is_called
    claimed_task_id: str | None = None


async def expect_callback(tx: Transaction, image: Image, token_hash: str) -> None:
    """From now on *image* is called back with this token, and with no earlier one."""
    fresh = {
        "generation_id": image.generation_id,
        "position": image.position,
        "token_hash": token_hash,
        "called_at_ms": None,
        "claimed_task_id": None,
    }
    await insert_or_replace(tx, callbacks, fresh, key=("generation_id", "position"))


async def find_callback(tx: Transaction, token_hash: str) -> tuple[Callback, Image] | None:
    """Whom a call with this token is for, and how far that image is. One statement, found or not."""
    its_image = (images.c.generation_id == callbacks.c.generation_id) & (images.c.position == callbacks.c.position)
    said = (callbacks.c.token_hash, callbacks.c.called_at_ms, callbacks.c.claimed_task_id)
    found = await tx.execute(
        select(images, *said).join(callbacks, its_image).where(callbacks.c.token_hash == token_hash)
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    callback = Callback(row["generation_id"], row["position"], *(row[column.name] for column in said))
    return callback, read_image({name: row[name] for name in images.c.keys()})  # noqa: SIM118


async def load_callback(tx: Transaction, image: Image) -> Callback | None:
    """The callback that *image* expects, and what is known of it."""
    found = await tx.execute(select(callbacks).where(*_of(image)))
    row: RowMapping | None = found.mappings().one_or_none()
    return None if row is None else Callback(**row)


async def note_callback(tx: Transaction, noted: Callback) -> None:
    """Keep when a call came and what it claims. The generation's row must be locked."""
    said: dict[str, Any] = {"called_at_ms": noted.called_at_ms, "claimed_task_id": noted.claimed_task_id}
    await tx.execute(update(callbacks).where(callbacks.c.token_hash == noted.token_hash).values(said))


async def drop_claim(tx: Transaction, image: Image, claimed_task_id: str) -> None:
    """This claim was false. One that came meanwhile stays."""
    this_one = callbacks.c.claimed_task_id == claimed_task_id
    await tx.execute(update(callbacks).where(*_of(image), this_one).values(claimed_task_id=None))


async def bring_forward(tx: Transaction, image: Image, due_at_ms: int) -> bool:
    """Have a worker see to *image* at *due_at_ms*, if that is sooner than it would. The row must be locked."""
    later = or_(images.c.due_at_ms.is_(None), images.c.due_at_ms > due_at_ms)
    here = (images.c.generation_id == image.generation_id) & (images.c.position == image.position)
    brought_forward = await tx.execute(update(images).where(here, later).values(due_at_ms=due_at_ms))
    if brought_forward.rowcount == 0:
        return False
    card_later = or_(generations.c.due_at_ms.is_(None), generations.c.due_at_ms > due_at_ms)
    card = update(generations).where(generations.c.id == image.generation_id, card_later)
    await tx.execute(card.values(due_at_ms=due_at_ms))
    return True


async def forget_callbacks(tx: Transaction, submitted_before_ms: int) -> None:
    """Nothing is heard any more for images that ended, nor for those that were given up and are older than this."""
    its_image = (images.c.generation_id == callbacks.c.generation_id) & (images.c.position == callbacks.c.position)
    under_way = one_of(images.c.state, State.REQUESTED, State.SUBMITTING, State.RUNNING)
    given_up = one_of(images.c.state, State.EXPIRED, State.UNKNOWN)
    of_interest = or_(under_way, given_up & (images.c.submitted_at_ms >= submitted_before_ms))
    await tx.execute(delete(callbacks).where(~exists().where(its_image, of_interest)))


def _of(image: Image) -> tuple[Any, Any]:
    return callbacks.c.generation_id == image.generation_id, callbacks.c.position == image.position
