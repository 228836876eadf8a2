"""Deliberate breakages of the product, each of which the simulation must notice. Nothing here is a test by itself.

Where the product has a seam another object is handed in; a plain function is replaced for the time of the runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select, update

from credits import ledger
from credits.ledger import Ledger
from credits.model import EntryKind
from generations import freshness, looking, records, showing, steps, submitting, worker
from generations.context import LookGuard, StepContext
from generations.errors import DeliveryDelayed
from generations.model import Ending, Generation, Image, Outlook, State
from generations.records import cards, claims, moves
from generations.service import Generations
from generations.shown import Place, Shown
from qwen.errors import OutcomeUnknown, ServiceUnavailable
from qwen.models import Size
from store.tables import accounts, generations
from tests.simulation.process import Parts
from ui import memory, opening
from ui.delivery import DiscordDelivery

NOTHING: Mapping[int, Any] = {}


@dataclass(frozen=True)
class Breakage:
    """*parts*: what processes are made of then; *replaced*: (module, name of a function, what stands in its place).

    *seen_at*: seeds that noticed it once, which are tried first.
    """

    seen_at: tuple[int, ...]
    parts: Callable[[], Parts] = Parts
    replaced: tuple[tuple[Any, str, Any], ...] = field(default=())

    @contextmanager
    def in_place(self) -> Iterator[Callable[[], Parts]]:
        with ExitStack() as stack:
            for module, name, value in self.replaced:
                before = getattr(module, name)  # an AttributeError here says that the product has moved on
                stack.callback(setattr, module, name, before)
                setattr(module, name, value)
            yield self.parts


# -- money ---------------------------------------------------------------


def _take(user_id: int, amount: int) -> Any:
    enough = (accounts.c.user_id == user_id) & (accounts.c.available >= amount)
    return update(accounts).where(enough).values(available=accounts.c.available - amount)


class ChargesLateImages(Ledger):
    async def settle(self, tx: Any, image_id: str, consumed: int | None, now_ms: int) -> int:
        charged = await super().settle(tx, image_id, consumed, now_ms)
        hold, _ = await self._open_hold(tx, image_id, now_ms)
        if charged == 0 and consumed:
            await tx.execute(_take(hold.user_id, consumed))
        return charged


class SettlesTwice(Ledger):
    async def settle(self, tx: Any, image_id: str, consumed: int | None, now_ms: int) -> int:
        charged = await super().settle(tx, image_id, consumed, now_ms)
        hold, _ = await self._open_hold(tx, image_id, now_ms)
        await tx.execute(_take(hold.user_id, charged))
        return charged


class ForgetsToRelease(Ledger):
    async def release(self, tx: Any, image_id: str, now_ms: int) -> int:
        return 0


class RefillsOverHolds(Ledger):
    async def _refill(self, tx: Any, account: Any, starts_at_ms: int, now_ms: int) -> Any:
        refilled = await super()._refill(tx, account, starts_at_ms, now_ms)
        if account.held:  # it comes back, or is made good, on top of a full account
            reason_id = f"refill:{account.user_id}:{starts_at_ms}:over"
            await ledger._grant(tx, refilled, account.held, reason_id, "refill", now_ms)
        return (await tx.execute(select(accounts).where(accounts.c.user_id == account.user_id))).one()


class NeverMakesGood(Ledger):
    async def _make_good(self, *_: Any) -> None:
        pass


class RefundsToo(Ledger):
    async def release(self, tx: Any, image_id: str, now_ms: int) -> int:
        returned = await super().release(tx, image_id, now_ms)
        _, account = await self._open_hold(tx, image_id, now_ms)
        await self._give(tx, account, image_id, returned, now_ms)
        return returned

    async def _give(self, tx: Any, account: Any, image_id: str, amount: int, now_ms: int) -> None:
        if amount:
            await self.grant(tx, account.user_id, amount, f"sorry:{image_id}", EntryKind.GRANT, now_ms)


class TwoCommits(StepContext):
    async def end(
        self, generation: Generation, image: Image, state: State, ending: Ending, detail: str | None = None
    ) -> None:
        async with self.database.transaction() as tx:
            await records.move(tx, image, state, fence=generation.fence, ending=ending, ending_detail=detail)
        async with self.database.transaction() as tx:
            await self.ledger.release(tx, image.image_id, self.clock.now_ms())


# -- the one POST ---------------------------------------------------------------


async def move_lazily(tx: Any, image: Image, target: State, **changes: Any) -> Image:
    """SUBMITTING is written down together with what came of it, after the POST."""
    if target is State.SUBMITTING:
        return replace(image, state=State.SUBMITTING, submitted_at_ms=changes.get("submitted_at_ms"))
    if image.state is State.SUBMITTING:
        waiting = replace(image, state=State.REQUESTED)
        fence, at_ms = changes["fence"], image.submitted_at_ms
        image = await moves.move(tx, waiting, State.SUBMITTING, fence=fence, submitted_at_ms=at_ms)
    return await moves.move(tx, image, target, **changes)


class RepeatsUnknown:
    def __init__(self, client: Any) -> None:
        self._client = client
        self.get_task = client.get_task

    async def create_task(self, request: Any) -> Any:
        try:
            return await self._client.create_task(request)
        except OutcomeUnknown:
            raise ServiceUnavailable from None


class RepeatingParts(Parts):
    def service(self, client: Any) -> Any:
        return RepeatsUnknown(client)


async def post_again(context: StepContext, generation: Generation, image: Image) -> None:
    async with context.database.transaction() as tx:
        due = context.clock.now_ms()
        await records.move(tx, image, State.REQUESTED, fence=generation.fence, due_at_ms=due)


async def adopt_nothing(*_: Any, **__: Any) -> bool:
    return False


# -- claims and looks ---------------------------------------------------------------

lock_really = moves.lock_generation


async def lock_without_fence(tx: Any, generation_id: int, fence: int | None) -> Any:
    return await lock_really(tx, generation_id, None)


async def reload_without_fence(tx: Any, generation: Generation) -> Generation:
    fresh = await records.load(tx, generation.id)
    assert fresh is not None
    return fresh


claim_really = claims.claim_due


async def claim_whatever_is_due(tx: Any, **wishes: Any) -> list[Generation]:
    await tx.execute(update(generations).values(lease_until_ms=None))
    return await claim_really(tx, **wishes)


async def release_and_forget(tx: Any, generation_id: int, fence: int, *, retry_show_at_ms: int | None = None) -> None:
    await claims.release_claim(tx, generation_id, fence, retry_show_at_ms=retry_show_at_ms)
    owed = (generations.c.id == generation_id) & (generations.c.revision > generations.c.shown_revision)
    await tx.execute(update(generations).where(owed).values(due_at_ms=None))


class Impatient(StepContext):
    def __post_init__(self) -> None:
        self.guard = _NoGuard(self.clock)

    def first_look_seconds(self, size: Size) -> float:
        return 1.0


class _NoGuard(LookGuard):
    def wait_seconds(self, task_id: str) -> float:
        return 0.0


def give_up_at_once(age_seconds: float) -> None:
    return None


# -- what people see ---------------------------------------------------------------


async def note_first(self: Any, generation: Generation, pictures: Any) -> None:
    shown = Shown(Place.CARD, generation.message_id, generation.origin.channel_id)
    await self._note_shown(generation, pictures, shown)
    with contextlib.suppress(DeliveryDelayed):
        await self._delivery.show(generation, Outlook(), pictures)
    async with self._database.transaction() as tx:
        await records.release_claim(tx, generation.id, generation.fence)


class ForgetsDelays(DiscordDelivery):
    async def show(self, generation: Generation, outlook: Outlook, pictures: Any) -> Shown:
        try:
            return await super().show(generation, outlook, pictures)
        except DeliveryDelayed:
            return Shown(Place.CARD, generation.message_id, generation.origin.channel_id)


class CancelsAnything(Generations):
    async def _cancel_waiting(self, tx: Any, generation: Generation, ending: Ending) -> None:
        await super()._cancel_waiting(tx, generation, ending)
        for image in generation.images:
            if image.state in (State.SUBMITTING, State.RUNNING):
                await self._ledger.release(tx, image.image_id, self._clock.now_ms())


async def always_current(self: Any, generation: Generation) -> bool:
    return True


async def never_mind(self: Any, generation: Generation, standing: Any) -> None:
    return None


def keep_nothing(*_: Any, **__: Any) -> dict[int, Any]:
    return {}


def surely_refused(error: BaseException) -> bool:
    return True


LOCKS = tuple((module, "lock_generation", lock_without_fence) for module in (moves, claims, cards))

BREAKAGES: dict[str, Breakage] = {
    "late images are charged": Breakage((21,), lambda: Parts(ledger=ChargesLateImages)),
    "settle twice": Breakage((2,), lambda: Parts(ledger=SettlesTwice)),
    "forget the release": Breakage((0,), lambda: Parts(ledger=ForgetsToRelease)),
    "refill over holds": Breakage((2,), lambda: Parts(ledger=RefillsOverHolds)),
    "never make a refill good": Breakage((2,), lambda: Parts(ledger=NeverMakesGood)),
    "give something extra": Breakage((0,), lambda: Parts(ledger=RefundsToo)),
    "state and money in two commits": Breakage((29,), lambda: Parts(context=TwoCommits)),
    "post before the commit": Breakage((15,), replaced=((submitting.records, "move", move_lazily),)),
    "repeat an unknown post": Breakage((0,), RepeatingParts),
    "post again after a crash": Breakage((44,), replaced=((steps.submitting, "crashed_submit", post_again),)),
    "forget a task that came late": Breakage((56,), replaced=((records, "adopt_task", adopt_nothing),)),
    "skip the fence": Breakage((56,), replaced=(*LOCKS, (worker, "_reload", reload_without_fence))),
    "drop the lease": Breakage((13,), replaced=((records, "claim_due", claim_whatever_is_due),)),
    "forget what is owed": Breakage((65,), replaced=((records, "release_claim", release_and_forget),)),
    "look too early": Breakage((2,), lambda: Parts(context=Impatient)),
    "give up late images": Breakage((56,), replaced=((looking, "late_look_seconds", give_up_at_once),)),
    "mark delivered before showing": Breakage((47,), replaced=((showing.Showing, "show", note_first),)),
    "take a delay for a success": Breakage((65,), lambda: Parts(delivery=ForgetsDelays)),
    "return credits of what is being made": Breakage((43,), lambda: Parts(generations=CancelsAnything)),
    "let old progress overtake": Breakage(
        (68,),
        replaced=(
            (freshness.Freshness, "is_current", always_current),
            (freshness.Freshness, "was_shown", never_mind),
        ),
    ),
    "drop the pictures that stand": Breakage((10,), replaced=((memory.Memory, "kept", keep_nothing),)),
    "take no answer for a refusal": Breakage(
        (466, 150, 506), replaced=((opening, "is_surely_refused", surely_refused),)
    ),
}
