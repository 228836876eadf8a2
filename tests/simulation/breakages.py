"""Deliberate breakages of the product, each of which the simulation must notice. Run by test_breakages.py.

A breakage lists what it replaces during its runs: (owner, name, replacement). Classes that services/ builds are
replaced there; functions and methods where they are looked up.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import update

from credits import ledger
from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from credits.model import EntryKind
from credits.records import load_account
from credits.tables import accounts
from generations import callbacks, pings, records, stale_edits
from generations.callbacks import Callbacks
from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed
from generations.model import Ending, Generation, Image, Progress, State
from generations.records import cards, claims, moves
from generations.records.tables import generations
from generations.service import Generations
from generations.worker import poll, poll_turns, publish, recover, submit, throttle
from generations.worker.context import PollGuard, StepContext
from generations.worker.image_step import ImageStep
from images.image_memory import Reservation
from limits import records as limit_records
from limits.model import News
from limits.outbox import Outbox
from qwen.client import QwenClient
from qwen.errors import OutcomeUnknown, ServiceUnavailable
from qwen.models import Size
from qwen.protocol import parse_callback
from services import senders, use_cases
from tests.simulation.run import play
from tests.simulation.scenario import Scenario, draw, draw_plain
from tests.simulation.sweep import DAYS, Death
from ui.delivery import card_state, channels, fallback
from ui.delivery import cards as delivery_cards
from ui.delivery.cards import DiscordDelivery
from ui.delivery.fitting import ImageFitter, file_limit, size_of
from ui.delivery.pings import CardPings
from ui.interactions import first_response
from ui.interactions.card_deletion import CardDeletion

NOTHING: Mapping[int, Any] = {}
MOST_SEEDS = 150
ENDLESS_SECONDS = 300.0
CANCELLED, _, LINKED, CHANGES, RULES, REPORTS, STOPS = DAYS


@dataclass(frozen=True)
class Breakage:
    """*seen_at*: seeds whose runs noticed it before, tried first. With a *day* of the sweep: the step at which a death
    did, which moves with each change of the product; the nearest steps are tried first.

    *is_endless*: work never ends with it, so its scenarios get ENDLESS_SECONDS for that, which the product must keep.
    """

    seen_at: tuple[int, ...]
    replaced: tuple[tuple[Any, str, Any], ...]
    day: str = ""
    is_endless: bool = False

    def scenarios(self) -> Iterator[Scenario]:
        """Yield scenarios that may notice it, most likely first."""
        if self.is_endless:
            return (replace(scenario, settles=ENDLESS_SECONDS) for scenario in self._scenarios())
        return self._scenarios()

    def _scenarios(self) -> Iterator[Scenario]:
        if self.day:
            steps = play(DAYS[self.day]).steps_of_lives[0]
            nearest_first = sorted(range(1, steps + 1), key=lambda step: abs(step - self.seen_at[0]))
            for step in nearest_first:
                yield Death(self.day, 0, step).scenario()
        else:
            yield from map(draw, self.seen_at)
            yield from map(draw_plain, self.seen_at)
            yield from map(draw, range(MOST_SEEDS))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Break the product until the block ends. Raises AttributeError where the product has no such name."""
        with ExitStack() as stack:
            for where, name, value in self.replaced:
                stack.callback(setattr, where, name, getattr(where, name))
                setattr(where, name, value)
            yield


# -- money ---------------------------------------------------------------


def _take(user_id: int, amount: int) -> Any:
    enough = (accounts.c.user_id == user_id) & (accounts.c.available >= amount)
    return update(accounts).where(enough).values(available=accounts.c.available - amount)


class ChargesLateImages(Ledger):
    def settle(self, tx: Any, image_id: str, consumed: int | None, now_ms: int) -> int:
        charged = super().settle(tx, image_id, consumed, now_ms)
        _, account = ledger._open_hold(tx, image_id)
        if charged == 0 and consumed:
            tx.execute(_take(account.user_id, consumed))
        return charged


class SettlesTwice(Ledger):
    def settle(self, tx: Any, image_id: str, consumed: int | None, now_ms: int) -> int:
        charged = super().settle(tx, image_id, consumed, now_ms)
        _, account = ledger._open_hold(tx, image_id)
        tx.execute(_take(account.user_id, charged))
        return charged


class ForgetsToRelease(Ledger):
    def release(self, tx: Any, image_id: str, now_ms: int) -> int:
        return 0


refill = ledger._refill


def refill_over_holds(tx: Any, account: Any, starts_at_ms: int, *args: Any) -> Any:
    refilled = refill(tx, account, starts_at_ms, *args)
    if not account.held:
        return refilled
    occasion = f"refill:{account.user_id}:{starts_at_ms}:over"  # it is released or made good later, in addition
    ledger._grant_allowance(tx, account.user_id, starts_at_ms, account.held, occasion, args[-1])
    return load_account(tx, account.user_id)


class GrantsAtRelease(Ledger):
    def release(self, tx: Any, image_id: str, now_ms: int) -> int:
        returned = super().release(tx, image_id, now_ms)
        _, account = ledger._open_hold(tx, image_id)
        self._give(tx, account, image_id, returned, now_ms)
        return returned

    def _give(self, tx: Any, account: Any, image_id: str, amount: int, now_ms: int) -> None:
        if amount:
            self.grant(tx, account.user_id, amount, f"extra:{image_id}", EntryKind.GRANT, None, now_ms)


async def end_in_two_commits(self: ImageStep, state: State, ending: Ending, detail: str | None = None) -> None:
    run, now_ms = self.context.database.run, self.context.clock.now_ms()
    await run(records.move, self.image, state, fence=self.fence, ending=ending, ending_detail=detail)
    await run(self.context.ledger.release, self.image.image_id, now_ms)


class CommitsHalfway(Ledger):
    def hold_each(self, tx: Any, *args: Any, **kwargs: Any) -> None:
        """Commit in the middle of the request: a death between its statements leaves images without a hold."""
        _commit(tx)
        super().hold_each(tx, *args, **kwargs)


def _commit(tx: Any) -> None:
    tx.exec_driver_sql("COMMIT")
    tx.exec_driver_sql("BEGIN")


# -- the one POST ---------------------------------------------------------------


def move_after_the_post(tx: Any, image: Image, target: State, **changes: Any) -> Image:
    """Write SUBMITTING after the POST, together with its outcome."""
    if target is State.SUBMITTING:
        return replace(image, state=State.SUBMITTING, submitted_at_ms=changes.get("submitted_at_ms"))
    if image.state is State.SUBMITTING:
        waiting = replace(image, state=State.REQUESTED)
        fence, at_ms = changes["fence"], image.submitted_at_ms
        image = moves.move(tx, waiting, State.SUBMITTING, fence=fence, submitted_at_ms=at_ms)
    return moves.move(tx, image, target, **changes)


real_create = QwenClient.create_task


async def create_again(self: QwenClient, request: Any) -> Any:
    try:
        return await real_create(self, request)
    except OutcomeUnknown:
        raise ServiceUnavailable from None


async def post_again(self: ImageStep) -> None:
    due = self.context.clock.now_ms()
    await self.context.database.run(records.move, self.image, State.REQUESTED, fence=self.fence, due_at_ms=due)


def adopt_nothing(*_: Any, **__: Any) -> bool:
    return False


# -- claims and polls ---------------------------------------------------------------

real_lock = moves.lock_generation


def lock_without_fence(tx: Any, generation_id: int, fence: int | None) -> Any:
    return real_lock(tx, generation_id, None)


def release_without_fence(tx: Any, generation_id: int, fence: int) -> Any:
    return claims.release_published(tx, generation_id, real_lock(tx, generation_id, None)["fence"])


real_claim = claims.claim_due


def claim_whatever_is_due(tx: Any, **wishes: Any) -> list[Generation]:
    tx.execute(update(generations).values(lease_until_ms=None))
    return real_claim(tx, **wishes)


def release_and_forget(tx: Any, generation_id: int, fence: int, *, retry_publish_at_ms: int | None = None) -> None:
    claims.release_claim(tx, generation_id, fence, retry_publish_at_ms=retry_publish_at_ms)
    unpublished = (generations.c.id == generation_id) & (generations.c.revision > generations.c.published_revision)
    tx.execute(update(generations).where(unpublished).values(due_at_ms=None))


class PollsTooEarly(StepContext):
    def __post_init__(self) -> None:
        self.guard = _NoGuard(self.clock)

    def first_poll_seconds(self, size: Size) -> float:
        return 1.0


class _NoGuard(PollGuard):
    def wait_seconds(self, task_id: str) -> float:
        return 0.0


def learn_nothing(*_: Any) -> None:
    pass


def wait_no_time(*_: Any) -> float:
    return 0.1


def give_up_at_once(age_seconds: float) -> None:
    return None


# -- callbacks ---------------------------------------------------------------


class BelievesTaskIds(Callbacks):
    async def handle(self, callback: Any, body: bytes) -> None:
        """Adopt the task that the body names without a poll."""
        claim = parse_callback(body)
        if claim is not None:
            image, now_ms = (callback.generation_id, callback.position), self._clock.now_ms()
            await self._database.run(records.adopt_task, *image, claim, now_ms)
        await super().handle(callback, body)


FREE = Ledger(Allowance(0, CreditPeriod.NEVER, ZoneInfo("UTC")))


class BelievesStatuses(Callbacks):
    async def handle(self, callback: Any, body: bytes) -> None:
        """Believe a status of FAILED without a poll."""
        if b"FAILED" not in body:
            return await super().handle(callback, body)
        await self._database.run(self._fail, callback)

    def _fail(self, tx: Any, callback: Any) -> None:
        generation = records.load_locked(tx, callback.generation_id)
        assert generation is not None
        image = generation.images[callback.position]
        if image.state is State.RUNNING:
            fence, ending = generation.fence, Ending.DECLINED
            records.move(tx, image, State.FAILED, fence=fence, ending=ending, due_at_ms=None)
            FREE.release(tx, image.image_id, self._clock.now_ms())


real_noted = callbacks.noted_call


class IgnoresCallbacks(Callbacks):
    async def handle(self, callback: Any, body: bytes) -> None:
        pass


class AcceptsAnyToken(Callbacks):
    async def recognise(self, token: str) -> Any:
        """Accept an unknown token as the first image's."""
        found = await super().recognise(token)
        return found or records.Callback(0, 0, "")


def always_called(known: Any, image: Image, claim: str | None, now_ms: int) -> Any:
    return replace(real_noted(known, image, claim, now_ms), called_at_ms=now_ms)


def accept_any_task(*_: Any) -> bool:
    return True


class PollsUnguarded(StepContext):
    def __post_init__(self) -> None:
        self.guard = _NoGuard(self.clock)


# -- pings ---------------------------------------------------------------


class PingsTwice(CardPings):
    async def _reply(self, generation: Generation) -> None:
        await super()._reply(generation)
        await super()._reply(replace(generation, id=generation.id + 1))  # the same nonce would make one message of both


class WithoutNonce(CardPings):
    times = 0

    async def _reply(self, generation: Generation) -> None:
        WithoutNonce.times += 1
        await super()._reply(replace(generation, id=generation.id + WithoutNonce.times))


class NeverPings(CardPings):
    def send(self, generation: Generation) -> None:
        pass


def return_true(*_: Any) -> bool:
    return True


# -- large images ---------------------------------------------------------------


class DropsLargeImages(ImageFitter):
    async def fit(self, generation: Generation, image_files: Any) -> Any:
        """Leave out images that are too large."""
        limit = file_limit(generation)
        return {at: image_file for at, image_file in image_files.items() if 0 < size_of(image_file) <= limit}


class LinksOnly(ImageFitter):
    async def _smaller(self, *_: Any) -> None:
        return None


def keep_no_bytes(*_: Any) -> None:
    return None


def no_links(*_: Any) -> dict[int, str]:
    return {}


real_plain_text = channels.plain_text


def say_credits_are_held(*values: Any, **more: Any) -> str:
    return f"{real_plain_text(*values, **more)} · 5 credits held"


# -- cards ---------------------------------------------------------------


async def record_before_publishing(self: Any, generation: Generation, image_files: Any) -> bool:
    result = DeliveryResult(Place.CARD, generation.message_id, generation.origin.channel_id)
    posted = [generation.images[position] for position in image_files]
    await self._database.run(self._record_result, generation, posted, result)
    with contextlib.suppress(DeliveryDelayed):
        await self._delivery.publish(generation, Progress(), image_files)
    return True


class ForgetsDelays(DiscordDelivery):
    async def publish(self, generation: Generation, progress: Progress, image_files: Any) -> DeliveryResult:
        try:
            return await super().publish(generation, progress, image_files)
        except DeliveryDelayed:
            return DeliveryResult(Place.CARD, generation.message_id, generation.origin.channel_id)


class CancelsAnything(Generations):
    def _cancel_waiting(self, tx: Any, generation: Generation, ending: Ending) -> None:
        super()._cancel_waiting(tx, generation, ending)
        for image in generation.images:
            if image.state in (State.SUBMITTING, State.RUNNING):
                self._ledger.release(tx, image.image_id, self._clock.now_ms())


async def always_current(self: Any, generation: Generation) -> bool:
    return True


async def remember_nothing(self: Any, generation: Generation, attachment_ids: Any) -> None:
    return None


def keep_nothing(*_: Any, **__: Any) -> dict[int, Any]:
    return {}


def call_it_refused(error: BaseException) -> bool:
    return True


# -- changes by hand ---------------------------------------------------------------


class CommitsAfterBooking(Ledger):
    def grant(self, tx: Any, *args: Any, **kwargs: Any) -> Any:
        """Commit the entry before its line of the audit is written."""
        booking = super().grant(tx, *args, **kwargs)
        _commit(tx)
        return booking


real_version = limit_records.next_version


def commit_before_the_version(tx: Any, scope_id: int) -> int:
    """Commit a change and its audit before the scope's version, by which other processes notice it."""
    _commit(tx)
    return real_version(tx, scope_id)


class ForgetsBeforeSending(Outbox):
    async def begin_news(self) -> Any:
        news = await super().begin_news()
        if news is not None:
            await self.end(news)
        return news

    async def begin_lines(self, change_number: int | None = None) -> Any:
        lines = await super().begin_lines(change_number)
        for line in lines:
            await self.end(line)
        return lines


_tries = itertools.count()


async def delete_nothing(*_: Any, **__: Any) -> list[str]:
    return []


def parts(**classes: type) -> tuple[tuple[Any, str, Any], ...]:
    """Return replacements of classes that services/ builds, by their names there."""
    return tuple((use_cases if hasattr(use_cases, name) else senders, name, kind) for name, kind in classes.items())


LOCKS = tuple((module, "lock_generation", lock_without_fence) for module in (records, moves, claims, cards))

BREAKAGES: dict[str, Breakage] = {
    "late images are charged": Breakage((56,), parts(Ledger=ChargesLateImages)),
    "settle twice": Breakage((2,), parts(Ledger=SettlesTwice)),
    "forget the release": Breakage((0,), parts(Ledger=ForgetsToRelease)),
    "refill over holds": Breakage((14,), ((ledger, "_refill", refill_over_holds),)),
    "never make a refill good": Breakage((87,), ((ledger, "_make_good", lambda *_: None),)),
    "grant credits at each release": Breakage((0,), parts(Ledger=GrantsAtRelease)),
    "state and money in two commits": Breakage((53,), ((ImageStep, "end", end_in_two_commits),)),
    "commit in the middle of a transaction": Breakage(
        (251,), parts(Ledger=CommitsHalfway), day=CANCELLED, is_endless=True
    ),
    "post before the commit": Breakage((15,), ((submit.records, "move", move_after_the_post),)),
    "repeat an unknown post": Breakage((6,), ((QwenClient, "create_task", create_again),)),
    "post again after a crash": Breakage((53,), ((submit.SubmitStep, "end_crashed_submit", post_again),)),
    "forget a task that came late": Breakage((56,), ((records, "adopt_task", adopt_nothing),)),
    "skip the fence": Breakage((56,), (*LOCKS, (records, "release_published", release_without_fence))),
    "drop the lease": Breakage((49,), ((records, "claim_due", claim_whatever_is_due),)),
    "forget cards that are not published yet": Breakage((65,), ((records, "release_claim", release_and_forget),)),
    "poll too early": Breakage((7,), parts(StepContext=PollsTooEarly), is_endless=True),
    "give up late images": Breakage((56,), ((poll, "late_poll_seconds", give_up_at_once),)),
    "mark as delivered before publishing": Breakage((67,), ((publish.Publisher, "publish", record_before_publishing),)),
    "treat a delay as a success": Breakage((65,), parts(DiscordDelivery=ForgetsDelays)),
    "return credits for images that are being made": Breakage((43,), parts(Generations=CancelsAnything)),
    "let old progress overtake": Breakage(
        (68,),
        (
            (stale_edits.StaleEditGuard, "is_current", always_current),
            (stale_edits.StaleEditGuard, "was_published", remember_nothing),
        ),
    ),
    "say on a plain message that credits are held": Breakage(
        (1306,), ((channels, "plain_text", say_credits_are_held),)
    ),
    "drop the images that are on the card": Breakage((0,), ((card_state.CardState, "kept", keep_nothing),)),
    "treat a missing answer as a refusal": Breakage(
        (466, 150, 506), ((first_response, "is_surely_refused", call_it_refused),)
    ),
    "believe the task that a callback names": Breakage((70,), parts(Callbacks=BelievesTaskIds)),
    "believe the status that a callback names": Breakage((59,), parts(Callbacks=BelievesStatuses)),
    "ignore callbacks": Breakage((56,), parts(Callbacks=IgnoresCallbacks)),
    "accept any callback token": Breakage((6,), parts(Callbacks=AcceptsAnyToken)),
    "accept any task that a callback names": Breakage((70,), ((recover, "is_task_of", accept_any_task),)),
    "post on above the limit of tasks": Breakage(
        (84,),
        ((throttle.TaskSlots, "refused", learn_nothing), (throttle.Throttle, "post_refused", wait_no_time)),
    ),
    "submit on with an empty account": Breakage((73, 80, 36), ((submit, "open_circuit", lambda *_, **__: False),)),
    "poll whenever a callback comes": Breakage(
        (2,), (*parts(StepContext=PollsUnguarded), (callbacks, "noted_call", always_called)), is_endless=True
    ),
    "poll without end after one callback": Breakage((6,), ((poll_turns, "is_called", return_true),)),
    "ping twice": Breakage((42,), parts(CardPings=PingsTwice)),
    "decide on a ping again": Breakage((0,), ((records, "decide_ping", return_true), *parts(CardPings=WithoutNonce))),
    "ping people who do not want it": Breakage((5,), ((pings, "wants_ping", return_true),)),
    "ping before all images are there": Breakage((25,), ((pings, "has_arrived", return_true),)),
    "ping nobody": Breakage((25,), parts(CardPings=NeverPings)),
    "drop images that are too large": Breakage((5,), ((delivery_cards, "ImageFitter", DropsLargeImages),)),
    "link to images that could be made smaller": Breakage((7,), ((delivery_cards, "ImageFitter", LinksOnly),)),
    "download at each try": Breakage((65, 134), ((Reservation, "keep", keep_no_bytes),)),
    "commit credits before their audit": Breakage((388,), parts(Ledger=CommitsAfterBooking), day=CHANGES),
    "commit a rule before its version": Breakage(
        (329,), ((limit_records, "next_version", commit_before_the_version),), day=RULES
    ),
    "forget a line before it is posted": Breakage((301,), parts(Outbox=ForgetsBeforeSending), day=RULES),
    "forget news before they are sent": Breakage((399,), parts(Outbox=ForgetsBeforeSending), day=STOPS),
    "send news again as another message": Breakage(
        (401,), ((News, "nonce", property(lambda _: f"try-{next(_tries)}")),), day=STOPS
    ),
    "decide without a deletion": Breakage((1,), ((CardDeletion, "delete_reported", delete_nothing),), day=REPORTS),
    "forget the links that are on the card": Breakage((850,), ((fallback, "_linked_in_rows", no_links),), day=LINKED),
}
