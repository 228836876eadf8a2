"""The use-cases of a generation: request images, cancel them, read the place in line and the account.

Each method is one transaction, so that credits and rows change together. Knows no SQL, no Discord library and no
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from credits.ledger import Ledger
from credits.model import Balance, Entitled, Entitlement, Entry
from generations import records
from generations.circuit import Circuit
from generations.clock import Clock
from generations.errors import Draining, LineFull, NotCancellable, NotThere, NotYours, Stopped, TooManyRequests
from generations.model import CardLink, Ending, Generation, Image, Line, Origin, Request, State
from generations.prices import price_of
from limits import usage
from limits.check import entitlement
from limits.errors import LimitError, RulesChanged
from limits.model import Requester, Rules
from limits.request_limits import Matched, RequestLimits
from limits.usage import Returned
from observability.metrics import NO_METRICS, Metrics
from reports.errors import AlreadyReported
from reports.records import is_reported
from store.database import Database
from store.statements import serialize
from store.transactions import Transaction

CONFIRM_GRACE_MS = 20_000  # a card that is not confirmed by then is looked up at Discord by the worker
STATEMENT_ENTRIES = 10
RULES_TRIES = 3  # of one request, while the words of its server are changed
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Statement:
    """The account, how many images hold credits, and the last entries with links to their cards: for /credits."""

    balance: Balance
    held_images: int
    entries: tuple[tuple[Entry, CardLink | None], ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that was taken on, its place in line (None: it is admitted at once), and the images in flight."""

    generation: Generation
    line: Line | None
    in_flight: int


class Generations:
    """The use-cases. *nudge* wakes the worker of this process, after the transaction that made something due;
    *announce* wakes those of other processes where that is needed, from within it.

    *slots*: how many images can be made at once, as far as is known. *typical_seconds*: how long one usually takes,
    None while nobody knows. *requests_per_minute*: how many requests of one person are taken on within any 60 s; 0:
    any number. *deadline_seconds*: how long an image waits in line at most.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        limits: RequestLimits,
        clock: Clock,
        *,
        max_queue: int,
        max_per_user: int,
        max_per_guild: int = 0,
        slots: Callable[[], int],
        nudge: Callable[[], None],
        announce: Callable[[Transaction], None] = lambda _: None,
        requests_per_minute: int = 0,
        typical_seconds: Callable[[], float | None] = lambda: None,
        deadline_seconds: int,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._max_queue = max_queue
        self._caps = {"max_per_user": max_per_user, "max_per_guild": max_per_guild}
        self._slots = slots
        self._nudge = nudge
        self._announce = announce
        self._requests_per_minute = requests_per_minute
        self._typical_seconds = typical_seconds
        self._deadline_seconds = deadline_seconds
        self._metrics = metrics
        self._draining = False

    def drain(self) -> None:
        """Take nothing new from now on."""
        self._draining = True

    async def request(self, request: Request, origin: Origin, requester: Requester) -> Accepted:
        """Take a request on: credits held for every image, or for none. The same interaction again changes nothing.

        *requester*: who asks and where, the same person and server as in *origin*.
        Raises Draining; LimitError; TooManyRequests; Stopped; LineFull; InsufficientCredits with the price of the whole
        request.
        """
        if self._draining:
            raise Draining
        now_ms = self._clock.now_ms()
        key = self._limits.calendar.key(origin.guild_id, origin.user_id, now_ms)
        generation = replace(_new_generation(request, origin, now_ms), usage=key)
        for _ in range(RULES_TRIES - 1):
            with suppress(RulesChanged):
                return await self._try_request(generation, requester)
        return await self._try_request(generation, requester)

    async def _try_request(self, generation: Generation, requester: Requester) -> Accepted:
        matched = await self._limits.match_words(requester.guild_id, generation.request.prompt)
        accepted = await self._database.run(self._request, generation, requester, matched, self._slots())
        if accepted.generation is generation:  # else the same event was taken on before
            self._metrics.credits_moved("hold", price_of(len(generation.images)))
        return accepted

    def _request(
        self, tx: Transaction, generation: Generation, requester: Requester, matched: Matched, slots: int
    ) -> Accepted:
        try:  # before the line is locked: what is refused holds nobody up
            rules = self._limits.check(tx, requester, matched, generation.created_at_ms)
        except LimitError:
            known = records.load(tx, generation.id)
            if known is None:
                raise
            return self._accepted(tx, known, records.load_demand(tx, **self._caps), slots)
        serialize(tx, records.LINE)
        if not records.insert(tx, generation):  # the same event came twice
            return self._accepted(tx, _must_load(tx, generation.id), records.load_demand(tx, **self._caps), slots)
        if not rules.is_exempt(requester.user_id):
            self._check_request_limit(tx, generation)
        demand = records.load_demand(tx, **self._caps)
        self._check_circuit(tx, generation, demand.circuit)
        waiting = demand.still_waiting(slots)
        if waiting > self._max_queue:
            raise LineFull(self._max_queue, self._free_at_ms(waiting - self._max_queue))
        self._ledger.hold_each(
            tx,
            generation.origin.user_id,
            [image.image_id for image in generation.images],
            price_of(1),
            generation.created_at_ms,
            self._entitlement(rules, requester),
        )
        assert generation.usage is not None  # noqa: S101 (request() sets it)
        count, now_ms = len(generation.images), generation.created_at_ms
        self._limits.count(tx, generation.usage, rules, images=count, price=price_of(1), now_ms=now_ms)
        return self._accepted(tx, generation, demand, slots)

    def _accepted(self, tx: Transaction, generation: Generation, demand: records.Demand, slots: int) -> Accepted:
        if demand.still_waiting(slots):
            return Accepted(generation, *_place_in_line(tx, generation, self._caps))
        return Accepted(generation, None, demand.in_flight)

    async def confirm_card(self, generation_id: int, message_id: int) -> None:
        """Note that Discord has the card as *message_id*: its images can be admitted from now on."""
        await self._database.run(self._confirm_card, generation_id, message_id, self._clock.now_ms())
        self._nudge()

    def _confirm_card(self, tx: Transaction, generation_id: int, message_id: int, now_ms: int) -> None:
        if records.confirm_card(tx, generation_id, message_id, now_ms, deadline_seconds=self._deadline_seconds):
            self._announce(tx)

    async def abandon(self, generation_id: int, *, card: bool = False) -> None:
        """Undo a request whose card is not known. Changes nothing once the card is known, or a second time.

        *card*: Discord may have a card all the same, from another handler of the same event: a worker looks it up later
        and edits it to say how the request ended.
        """
        self._count_cancelled(await self._database.run(self._abandon, generation_id, card=card), Ending.NOT_ANSWERED)

    def _abandon(self, tx: Transaction, generation_id: int, *, card: bool) -> int:
        """Return how many images were cancelled."""
        generation = records.load_locked(tx, generation_id)
        if generation is None or generation.message_id is not None:
            return 0
        cancelled = self._cancel_waiting(tx, generation, Ending.NOT_ANSWERED)
        if not card:
            records.forget_card(tx, generation_id)
        return cancelled

    async def cancel(
        self,
        generation_id: int,
        *,
        user_id: int,
        may_manage: bool,
        pressed_in: tuple[int, int] | None = None,
        message_id: int | None = None,
    ) -> Generation:
        """Cancel every image that still waits, and give back what it holds. Returns the generation as it is then.

        *may_manage*: the person has Manage Messages in *pressed_in*, a guild's id and a channel's, which counts if the
        card stands there now. What is cancelled and not published yet is left alone: two processes
        may get the same interaction. *message_id*: the card with the button; the process that sent it may not have
        confirmed it yet. Raises NotYours; NotCancellable when nothing waits any more.
        """
        managed = pressed_in if may_manage else None
        generation, cancelled = await self._database.run(self._cancel, generation_id, user_id, managed, message_id)
        if cancelled:
            self._nudge()
        self._count_cancelled(cancelled, Ending.CANCELLED)
        return generation

    def _cancel(
        self,
        tx: Transaction,
        generation_id: int,
        user_id: int,
        managed: tuple[int, int] | None,
        message_id: int | None,
    ) -> tuple[Generation, int]:
        """Return the generation, and how many images this call has cancelled."""
        generation = records.load_locked(tx, generation_id)
        if generation is None:
            raise NotCancellable
        _check_owner(generation, user_id, managed)
        if not generation.cancellable:
            if generation.is_unpublished and any(image.ending is Ending.CANCELLED for image in generation.images):
                return generation, 0
            raise NotCancellable
        cancelled = self._cancel_waiting(tx, generation, Ending.CANCELLED)
        records.make_due(tx, generation_id, self._clock.now_ms())
        if message_id is not None:
            now_ms = self._clock.now_ms()
            records.confirm_card(tx, generation_id, message_id, now_ms, deadline_seconds=self._deadline_seconds)
        self._announce(tx)
        return _must_load(tx, generation_id), cancelled

    async def find(self, generation_id: int, *, user_id: int) -> Generation:
        """Return the generation if the person may see it: it is not private, or their own.

        Raises NotThere; and AlreadyReported, if they have reported it.
        """
        return await self._database.read(_find, generation_id, user_id)

    async def find_removable(
        self, generation_id: int, *, user_id: int, may_manage: bool, pressed_in: tuple[int, int] | None = None
    ) -> Generation:
        """Return the generation if the person may remove its card. *may_manage* and *pressed_in* as for cancel.

        Raises NotThere and NotYours.
        """
        generation = await self._database.read(_find_visible, generation_id, user_id)
        _check_owner(generation, user_id, pressed_in if may_manage else None)
        return generation

    async def removed(self, generation_id: int) -> None:
        """Note that the card was removed: nothing links to it any more. No refund; a second call changes nothing."""
        await self._database.run(records.set_removed, generation_id, self._clock.now_ms())

    async def place_in_line_of(self, generation: Generation) -> tuple[Line | None, int]:
        """Return its place in line, and how many images are in flight; (None, 0) when none of its images waits."""
        if not generation.cancellable:
            return None, 0
        return await self._database.read(_place_in_line, generation, self._caps)

    async def places_in_line_of(self, ids: Iterable[int]) -> tuple[list[tuple[Generation, Line | None]], int]:
        """Return these generations, each with its place in line, and how many images are in flight."""
        return await self._database.read(_places_in_line, list(ids), self._caps)

    async def statement(self, requester: Requester) -> Statement:
        """Return the person's account, refilled if that was due, and its last entries."""
        return await self._database.run(self._statement, requester, self._clock.now_ms())

    def _statement(self, tx: Transaction, requester: Requester, now_ms: int) -> Statement:
        user_id = requester.user_id
        rules = self._limits.load_rules(tx, requester.guild_id)
        balance = self._ledger.balance(tx, user_id, now_ms, self._entitlement(rules, requester))
        held_images = records.held_count(tx, user_id)
        entries = self._ledger.history(tx, user_id, STATEMENT_ENTRIES)
        links = records.links(tx, [entry.image_id for entry in entries if entry.image_id is not None])
        linked = tuple((entry, links.get(entry.image_id) if entry.image_id else None) for entry in entries)
        return Statement(balance, held_images, linked)

    def _entitlement(self, rules: Rules, requester: Requester) -> Entitlement:
        """What this person gets a period, by the tiers."""
        everybody = self._ledger.allowance.credits
        return lambda source: Entitled(*entitlement(rules.bot, requester, source, everybody=everybody))

    def _check_circuit(self, tx: Transaction, new: Generation, circuit: Circuit) -> None:
        """Raise Stopped while the circuit is open, unless an image of *new* is the probe: one is due and none waits."""
        if circuit.reason is None:
            return
        if not circuit.may_probe(new.created_at_ms) or records.is_one_unsent(tx, but=new.id):
            raise Stopped(circuit.reason)

    def _check_request_limit(self, tx: Transaction, new: Generation) -> None:
        """Count the requests of the person of *new* that were taken on in the last minute. Raises TooManyRequests.

        Cancelled and declined ones count: they cost no credits, so credits don't limit them. A request that was
        refused has no row and does not count. An erasure deletes the rows, so after one the next request has to wait
        for a minute.
        """
        limit, user_id, now_ms = self._requests_per_minute, new.origin.user_id, new.created_at_ms
        if not limit:
            return
        for at_ms in records.earlier_requests_at_ms(tx, user_id, limit, but=new.id):
            # Later than now: another process's clock is ahead of ours. Much later: the clock was set back.
            if abs(now_ms - at_ms) < MINUTE_MS:
                raise TooManyRequests(limit, at_ms + MINUTE_MS)

    def _free_at_ms(self, too_many: int) -> int | None:
        """Return when so many images should have left the line; None while too few durations are known."""
        seconds = self._typical_seconds()
        rounds = -(-too_many // self._slots())
        return None if seconds is None else self._clock.now_ms() + round(seconds * rounds * 1000)

    def _count_cancelled(self, cancelled: int, ending: Ending) -> None:
        for _ in range(cancelled):
            self._metrics.image_moved(State.CANCELLED.value, ending.value)
            self._metrics.credits_moved("release", price_of(1))

    def _cancel_waiting(self, tx: Transaction, generation: Generation, ending: Ending) -> int:
        """Cancel every image that waits, and return how many did."""
        waiting = [image for image in generation.images if image.state is State.REQUESTED]
        for image in waiting:
            records.move(tx, image, State.CANCELLED, fence=None, why=ending, ending=ending)
            self._ledger.release(tx, image.image_id, self._clock.now_ms())
        if waiting:
            cancelled = Returned(may_be_paid=False, is_failure=False)
            usage.count_returned(tx, generation.usage, images=len(waiting), price=price_of(1), returned=cancelled)
        return len(waiting)


def _find_visible(tx: Transaction, generation_id: int, user_id: int) -> Generation:
    generation = records.load(tx, generation_id)
    if generation is None or (generation.request.private and generation.origin.user_id != user_id):
        raise NotThere
    return generation


def _find(tx: Transaction, generation_id: int, user_id: int) -> Generation:
    generation = _find_visible(tx, generation_id, user_id)
    if is_reported(tx, generation_id, user_id):
        raise AlreadyReported
    return generation


def _check_owner(generation: Generation, user_id: int, managed: tuple[int, int] | None) -> None:
    """Raises NotYours for everybody but the requester and those who manage the messages where the card stands now."""
    if generation.origin.user_id == user_id:
        return
    in_direct_messages = generation.card_channel_id is not None
    if in_direct_messages or managed is None or managed != (generation.origin.guild_id, generation.origin.channel_id):
        raise NotYours(generation.origin.user_id)


def _new_generation(request: Request, origin: Origin, now_ms: int) -> Generation:
    generation_id = origin.interaction_id
    images = tuple(
        Image(generation_id, position, request.seed_at(position), due_at_ms=now_ms + CONFIRM_GRACE_MS)
        for position in range(request.count)
    )
    return Generation(generation_id, request, origin, now_ms, images)


def _place_in_line(tx: Transaction, generation: Generation, caps: Mapping[str, int]) -> tuple[Line | None, int]:
    if not generation.cancellable:
        return None, 0
    places = records.places_in(records.load_line(tx, caps["max_per_guild"]), **caps)
    return places.get(generation.id), records.in_flight_count(tx)


def _places_in_line(
    tx: Transaction, ids: Sequence[int], caps: Mapping[str, int]
) -> tuple[list[tuple[Generation, Line | None]], int]:
    places = records.places_in(records.load_line(tx, caps["max_per_guild"]), **caps)
    found = [(generation, places.get(generation.id)) for generation in records.load_several(tx, ids)]
    return found, records.in_flight_count(tx)


def _must_load(tx: Transaction, generation_id: int) -> Generation:
    generation = records.load(tx, generation_id)
    assert generation is not None  # noqa: S101 (it was read in this transaction)
    return generation
