"""How long finished images waited until they were posted."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from generations.model import State
from generations.records.tables import images, pings
from store.tables import one_of
from store.transactions import Transaction

_newest = select(pings).order_by(pings.c.generation_id.desc()).limit(bindparam("at_most")).subquery()
_DELAYS = (
    select(_newest.c.decided_at_ms - func.max(images.c.ready_at_ms))
    .join(images, images.c.generation_id == _newest.c.generation_id)
    .where(one_of(images.c.state, State.DELIVERED), images.c.ready_at_ms.is_not(None))
    .group_by(_newest.c.generation_id, _newest.c.decided_at_ms)
)


def load_delays_ms(tx: Transaction, limit: int) -> list[int]:
    """Return the milliseconds from ready to posted of the last image of each of the newest *limit* requests that came
    to an image. The moment of posting is that of the decision about a ping."""
    return [max(0, delay) for (delay,) in tx.execute(_DELAYS, {"at_most": limit})]
