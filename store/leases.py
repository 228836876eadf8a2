"""Let one process at a time do a piece of work that any of them may do: a row that names its holder, until a time.

The holder takes the lease again before it runs out. A process that was suspended may still believe in a lease that
another one has by now: what is done under a lease must do no harm when two processes do it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, delete, or_, update

from store.statements import insert_if_new
from store.tables import leases
from store.transactions import Transaction

_now = bindparam("now_ms", type_=BigInteger)
_this = leases.c.name == bindparam("of_lease")
_TAKE = (
    update(leases)
    .where(_this, or_(leases.c.holder == bindparam("new_holder"), leases.c.until_ms <= _now))
    .values(holder=bindparam("new_holder"), until_ms=bindparam("new_until_ms"))
)
_GIVE_BACK = delete(leases).where(_this, leases.c.holder == bindparam("of_holder"))


def take_lease(tx: Transaction, name: str, holder: str, now_ms: int, until_ms: int) -> bool:
    """Take the lease *name* until *until_ms*, or extend it. Return False while another holder has it."""
    taken = tx.execute(_TAKE, {"of_lease": name, "new_holder": holder, "now_ms": now_ms, "new_until_ms": until_ms})
    return taken.rowcount == 1 or insert_if_new(tx, leases, {"name": name, "holder": holder, "until_ms": until_ms})


def give_back_lease(tx: Transaction, name: str, holder: str) -> None:
    """Give the lease back, so that another process need not wait until it runs out. Nothing is done if it is not
    *holder*'s."""
    tx.execute(_GIVE_BACK, {"of_lease": name, "of_holder": holder})
