"""In any order of export, deletion, press, check and purge an image that its person has is not refunded.

Real: rows, ledger, history, privacy, worker. Stand-ins: the clock, the image store, the delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import func, select

from credits.allowance import CreditPeriod
from credits.tables import entries
from generations import records
from generations.delivery_result import DeliveryResult, Place
from generations.errors import LostClaim, NotThere, StillAtWork
from generations.export import build_export
from generations.finished_images import GONE_CHECKS
from generations.model import Generation, State
from qwen.errors import ImageUnavailable
from qwen.images import DownloadedImage
from settings import Settings
from store.database import Database
from store.transactions import Transaction
from tests.contract.test_history import fetch
from tests.doubles import FakeDelivery, FakeImageStore, FakeOperator, ManualClock, ScriptedService
from tests.worker.conftest import WorkerHarness

HOUR, DAY = 3600.0, 86_400.0
RETENTION_DAYS = 30


class ExpiringImageStore(FakeImageStore):
    """An image store whose links are all dead once it is *expired*."""

    expired = False

    async def download(self, url: str, announced: object = None) -> DownloadedImage:
        if self.expired:
            raise ImageUnavailable("gone", temporary=False, http_status=403)
        return await super().download(url)


class Bot(WorkerHarness):
    """One process. The period is NEVER, so that only refunds add to a balance."""

    image_store: ExpiringImageStore

    def settings(self) -> Settings:
        settings = super().settings()
        return replace(settings, credit_period=CreditPeriod.NEVER, retention_days=RETENTION_DAYS)

    async def find(self, generation_id: int) -> Generation | None:
        return await self.database.run(records.load, generation_id)

    async def refunds(self) -> int:
        counted = select(func.count()).select_from(entries).where(entries.c.kind == "refund")
        return await self.database.run(Transaction.scalar, counted) or 0


def new_bot(database: Database, clock: ManualClock, image_store: ExpiringImageStore) -> Bot:
    return Bot(database, clock, ScriptedService(clock), image_store, FakeDelivery(), FakeOperator(), max_per_user=100)


@dataclass
class Case:
    """One person with one kept image. *has_it*: whether they got the image or its address."""

    bot: Bot
    user_id: int
    generation_id: int
    has_it: bool = False
    done: list[str] = field(default_factory=list[str])


async def begin(bot: Bot, user_id: int) -> Case:
    bot.image_store.expired = False
    generation_id = await bot.imagine(user_id=user_id)
    bot.delivery.places = [Place.NOWHERE]
    await bot.worker.step()
    await bot.pass_time(40, stride=20)
    assert await bot.states(generation_id) == [State.UNDELIVERED]
    return Case(bot, user_id, generation_id)


async def export(case: Case) -> None:
    """Export as `/privacy export` does."""
    collected = await case.bot.privacy.collect(case.user_id)
    (file,) = build_export(case.user_id, collected, exported_at_ms=0, max_bytes=10**6)
    found = [image["image_url"] for one in json.loads(file.data)["generations"] for image in one["images"]]
    case.has_it = case.has_it or any(found)


async def press(case: Case) -> None:
    """Post the image as the button "Post it here" does."""
    history = case.bot.history
    with contextlib.suppress(NotThere, LostClaim):
        taken = await history.take_kept(case.generation_id, case.user_id)
        try:
            fetched = await fetch(history, taken)
            if fetched.image_files:
                case.has_it = True
                shown = DeliveryResult(Place.CARD, 5000, 2, {0: 12}, {0: "a.png"})
                await history.posted(fetched.generation, taken.origin, shown, fetched.image_files)
        finally:
            await history.post_ended(taken)


async def check(case: Case) -> None:
    """Run the worker for half a day: enough checks to give up a dead link."""
    for _ in range(GONE_CHECKS + 1):
        case.bot.clock.advance(4 * HOUR)
        await case.bot.worker.step()
    await case.bot.worker.step()


async def purge(case: Case) -> None:
    """Let RETENTION_DAYS pass, with the purge always before the worker."""
    case.bot.clock.advance((RETENTION_DAYS + 1) * DAY)
    for _ in range(3):
        await case.bot.privacy.run_maintenance()
        await case.bot.worker.step()


async def delete(case: Case) -> None:
    """Erase as `/privacy delete` does; again after a step when a card was not published yet."""
    try:
        await case.bot.privacy.erase(case.user_id)
    except StillAtWork:
        await case.bot.worker.step()
        await case.bot.privacy.erase(case.user_id)


Action = Callable[[Case], Coroutine[Any, Any, None]]
ACTIONS: tuple[Action, ...] = (export, press, check, purge, delete)


def orders() -> Iterator[tuple[Action, ...]]:
    """Yield every order of ACTIONS up to the deletion, and one with all others after it."""
    yield (delete, export, press, check, purge)
    yield from dict.fromkeys(order[: order.index(delete) + 1] for order in itertools.permutations(ACTIONS))


async def verdict(case: Case, refunds_before: int) -> int:
    """Return how often the image was refunded; assert that this was right."""
    bot = case.bot
    refunded = await bot.refunds() - refunds_before
    assert refunded <= (0 if case.has_it else 1), f"refunded {refunded} times after {case.done}"
    balance = await bot.balance(case.user_id)
    assert (balance.available, balance.held) == (45 + 5 * refunded, 0), case.done
    left = await bot.find(case.generation_id)
    if left is not None:
        assert left.images[0].state is (State.DELIVERED if case.has_it else State.FAILED), case.done
        assert left.images[0].image_url is None and not left.is_unpublished, case.done
    return refunded


async def test_no_order_of_actions_refunds_an_image_that_its_person_has(database: Database) -> None:
    """All orders on SQLite, one in five on PostgreSQL; in each the link dies at another step, or never.

    The statements of each action are tried on both databases by test_archive.py and test_privacy.py.
    """
    bot = new_bot(database, ManualClock(), ExpiringImageStore())
    seen: Counter[tuple[bool, int]] = Counter()
    every = 5 if database.is_postgresql else 1
    for number, order in list(enumerate(orders()))[::every]:
        case = await begin(bot, 1000 + number)
        before = await bot.refunds()
        for step, action in enumerate(order):
            bot.image_store.expired = bot.image_store.expired or step == number % (len(ACTIONS) + 1)
            case.done.append(f"{action.__name__}{' (expired)' if bot.image_store.expired else ''}")
            if set(order[:step]) == set(ACTIONS) - {delete}:
                await verdict(case, before)  # the rows too, as long as they are there
            await action(case)
        seen[case.has_it, await verdict(case, before)] += 1
    assert await database.run(bot.ledger.audit) == []
    # Received and paid for; refunded and not received; deleted before either.
    assert set(seen) == {(True, 0), (False, 1), (False, 0)}, seen


@pytest.mark.parametrize("is_past_retention", [False, True])
async def test_press_check_purge_and_deletion_at_the_same_moment_refund_once_at_most(
    database: Database, other_database: Database, is_past_retention: bool
) -> None:
    clock, image_store = ManualClock(), ExpiringImageStore()
    one, two = new_bot(database, clock, image_store), new_bot(other_database, clock, image_store)
    for number in range(6):
        case = await begin(one, 2000 + number)
        before = await one.refunds()
        image_store.expired = True
        for _ in range(GONE_CHECKS - 1):
            clock.advance(4 * HOUR)
            await one.worker.step()
        clock.advance((RETENTION_DAYS + 1) * DAY if is_past_retention else 4 * HOUR)
        deletion = [delete(Case(two, case.user_id, case.generation_id))] if number % 2 else []
        tried = [press(case), two.worker.step(), two.privacy.run_maintenance(), one.worker.step(), *deletion]
        outcomes = await asyncio.gather(*tried, return_exceptions=True)
        assert all(
            not isinstance(outcome, BaseException) or isinstance(outcome, StillAtWork | LostClaim)
            for outcome in outcomes
        ), outcomes
        await purge(case)
        refunded = await verdict(case, before)
        assert refunded == 1 or await one.find(case.generation_id) is None
