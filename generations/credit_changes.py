"""Change credits by hand (grant, take, undo a grant, refund an image), and read a person's entries.

Each change is one transaction, so the entry of the ledger and the line of the audit are both there or neither.
An interaction changes credits once: a second call with it changes nothing and returns the same. Knows no SQL and no
Discord library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from credits import accounts
from credits.ledger import Ledger
from credits.model import Balance, Booking, Entry
from generations import records
from generations.clock import Clock
from generations.errors import NoSuchImage, WhichImage
from limits import audit
from limits.model import BOT, Actor
from limits.service import REASON_MAX
from store.database import Database
from store.transactions import Transaction

PAGE_ENTRIES = 10


@dataclass(frozen=True, slots=True)
class CreditChange:
    """The entry that was booked, its amount, and the person's balance after it. No *number*: nothing was booked, since
    nothing was there.

    *was_done*: another interaction had booked it before.
    """

    user_id: int
    number: int | None
    amount: int
    balance: Balance
    was_done: bool = False


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image as a person names it: by the number of its generation, or by the message that shows it or its card.

    *position*: 0-based; None: the only one.
    """

    generation_id: int | None
    message_id: int | None
    position: int | None


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """A person's balance and some of their entries, newest first. *balance* None: they have no account.

    *is_newest*: no entry is newer than these. *has_older*: some are older.
    """

    user_id: int
    balance: Balance | None
    entries: tuple[Entry, ...]
    is_newest: bool
    has_older: bool


class CreditChanges:
    """The owner's changes of people's credits. Whoever calls has checked that the actor may change them."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def grant(self, actor: Actor, user_id: int, amount: int, reason: str) -> CreditChange:
        """Give bonus credits."""

        def book(tx: Transaction, now_ms: int) -> Booking:
            return self._ledger.grant(tx, user_id, amount, _occasion(actor), reason, actor.user_id, now_ms)

        return await self._run(actor, "grant", reason, book)

    async def take(self, actor: Actor, user_id: int, amount: int, reason: str) -> CreditChange:
        """Take credits, as many of them as are available."""

        def book(tx: Transaction, now_ms: int) -> Booking:
            return self._ledger.take(tx, user_id, amount, _occasion(actor), reason, actor.user_id, now_ms)

        return await self._run(actor, "take", reason, book)

    async def undo(self, actor: Actor, number: int, reason: str) -> CreditChange:
        """Take back the grant with this number, as far as it was not used. Raises UnknownGrant."""

        def book(tx: Transaction, now_ms: int) -> Booking:
            return self._ledger.take_back(tx, number, reason, actor.user_id, now_ms)

        return await self._run(actor, "undo", reason, book, before=f"entry {number}")

    async def refund(self, actor: Actor, named: NamedImage, reason: str) -> CreditChange:
        """Give back what an image was charged. Raises NoSuchImage, WhichImage and UnknownHold."""
        image_id = await self._database.read(_find_image, named)

        def book(tx: Transaction, now_ms: int) -> Booking:
            return self._ledger.refund_by_hand(tx, image_id, reason, actor.user_id, now_ms)

        return await self._run(actor, "refund", reason, book)

    async def page(self, user_id: int, below: int | None) -> LedgerPage:
        """Return a page of a person's entries, of numbers smaller than *below*; None: the newest. Opens no account."""
        return await self._database.run(self._page, user_id, below, self._clock.now_ms())

    def _page(self, tx: Transaction, user_id: int, below: int | None, now_ms: int) -> LedgerPage:
        if not accounts.has_account(tx, user_id):
            return LedgerPage(user_id, None, (), is_newest=True, has_older=False)
        balance = self._ledger.balance(tx, user_id, now_ms)  # with the refill that may be due
        found = self._ledger.history(tx, user_id, PAGE_ENTRIES + 1, below)
        entries, has_older = tuple(found[:PAGE_ENTRIES]), len(found) > PAGE_ENTRIES
        return LedgerPage(user_id, balance, entries, is_newest=below is None, has_older=has_older)

    async def _run(
        self, actor: Actor, action: str, reason: str, book: Callable[[Transaction, int], Booking], before: str = ""
    ) -> CreditChange:
        return await self._database.run(self._change, actor, action, reason, book, before, self._clock.now_ms())

    def _change(
        self,
        tx: Transaction,
        actor: Actor,
        action: str,
        reason: str,
        book: Callable[[Transaction, int], Booking],
        before: str,
        now_ms: int,
    ) -> CreditChange:
        booking = book(tx, now_ms)  # locks the account, so the audit is read after an earlier call has ended
        balance = self._ledger.balance(tx, booking.user_id, now_ms)
        change_id = audit.change_id_of(actor, BOT, action, booking.user_id)
        change = CreditChange(booking.user_id, booking.number, booking.amount, balance)
        if not booking.is_new:
            is_own = booking.number is None or audit.find_change(tx, change_id) is not None
            return change if is_own else replace(change, was_done=True)
        audit.write_change(
            tx,
            change_id,
            scope_id=BOT,
            action=action,
            actor_id=actor.user_id,
            subject_id=booking.user_id,
            reason=reason[:REASON_MAX],
            before=before,
            after=f"entry {booking.number}: {booking.amount} credits",
            at_ms=now_ms,
        )
        return change


def _occasion(actor: Actor) -> str:
    return f"interaction:{actor.interaction_id}"


def _find_image(tx: Transaction, named: NamedImage) -> str:
    """Return the id by which the ledger knows the image. Raises NoSuchImage and WhichImage."""
    generation_id, position = named.generation_id, named.position
    if named.message_id is not None:
        found = records.find_by_message(tx, named.message_id)
        if found is None:
            raise NoSuchImage
        generation_id, own_position = found
        position = own_position if position is None else position
    generation = None if generation_id is None else records.load(tx, generation_id)
    if generation is None:
        raise NoSuchImage
    if position is None and len(generation.images) > 1:
        raise WhichImage(len(generation.images))
    chosen = [image for image in generation.images if image.position == (position or 0)]
    if not chosen:
        raise NoSuchImage
    return chosen[0].image_id
