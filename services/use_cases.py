"""Build the services that know nothing of Discord, from the settings and what a process has opened.

Opens nothing, starts nothing and reads no environment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from credits.allowance import Allowance
from credits.daily_check import DailyCheck
from credits.ledger import Ledger
from generations.callbacks import Callbacks
from generations.history import History
from generations.poll_schedule import PollSchedule
from generations.ports import Delivery, Operator, Pings
from generations.prices import price_of
from generations.privacy import Privacy
from generations.service import Generations
from generations.worker.context import StepContext
from generations.worker.loop import Worker
from generations.worker.throttle import Throttle
from images.image_memory import ImageMemory
from limits.request_limits import RequestLimits
from limits.service import Limits
from limits.spend_alerts import FULL_PERCENT, SpendAlert, SpendAlerts
from limits.usage import SpendLimits
from people.service import People
from processes.wakeups import WORK
from services.resources import Resources
from settings import Settings
from store.database import Database
from store.notifications import notify
from store.transactions import Transaction
from ui.texts import limits as texts_limits


@dataclass(frozen=True, slots=True)
class UseCases:
    """The services that know nothing of Discord, from the ledger to the worker."""

    ledger: Ledger
    generations: Generations
    history: History
    people: People
    privacy: Privacy
    limits: Limits
    request_limits: RequestLimits
    callbacks: Callbacks | None  # None: the image API is not asked to call back
    context: StepContext
    worker: Worker


def build_use_cases(
    settings: Settings,
    resources: Resources,
    images: ImageMemory,
    limits: RequestLimits,
    delivery: Delivery,
    operator: Operator,
    pings: Pings | None,
    *,
    maintenance: Sequence[Callable[[], Awaitable[None]]] = (),
) -> UseCases:
    """Build them all. *pings* None: nobody is pinged. *maintenance*: of others.

    The worker and callbacks get the database in the background, so that they hold up no command.
    """
    database, clock = resources.database, resources.clock
    ledger = Ledger(Allowance(settings.credits_per_period, settings.credit_period, settings.timezone))
    schedule, throttle = PollSchedule(), Throttle(settings.qwen_max_tasks)

    def nudge() -> None:
        worker.nudge()

    def announce(tx: Transaction) -> None:
        """Wake the other processes if this one can't take the work on."""
        if resources.shared and not worker.is_free():
            notify(tx, WORK)

    generations = _build_generations(settings, resources, ledger, limits, schedule, throttle, nudge, announce)
    callbacks = _build_callbacks(settings, resources, nudge, announce)
    privacy = Privacy(database, ledger, clock, resources.rng, limits.calendar, retention_days=settings.retention_days)
    check = DailyCheck(database.in_background(), clock.now_ms, partial(operator.tell, "ledger_fault"))
    spend_alerts = _build_spend_alerts(settings, resources, limits, operator)
    context = StepContext(
        database=database.in_background(),
        ledger=ledger,
        service=resources.service,
        store=resources.store,
        operator=operator,
        pings=pings,
        clock=clock,
        rng=resources.rng,
        schedule=schedule,
        throttle=throttle,
        deadline_seconds=settings.task_deadline_seconds,
        shared_as=resources.owner if resources.shared else None,
        callbacks=callbacks,
        retention_days=settings.retention_days,
        images=images,
        wake_others=_wake_others,
        metrics=resources.metrics,
        maintenance=(privacy.run_maintenance, check.run_maintenance, spend_alerts.run_maintenance, *maintenance),
    )
    worker = _build_worker(settings, resources, context, generations, delivery)
    history = History(database, ledger, clock, resources.store, owner=resources.owner, images=images)
    people, changes = People(database), Limits(database, clock)
    return UseCases(ledger, generations, history, people, privacy, changes, limits, callbacks, context, worker)


def _build_worker(
    settings: Settings, resources: Resources, context: StepContext, generations: Generations, delivery: Delivery
) -> Worker:
    return Worker(
        context=context,
        service=generations,
        delivery=delivery,
        max_per_user=settings.max_images_per_user,
        max_per_guild=settings.max_images_per_guild,
        owner=resources.owner,
    )


def _wake_others(tx: Transaction) -> None:
    notify(tx, WORK)


def build_request_limits(settings: Settings, database: Database) -> RequestLimits:
    spend = SpendLimits(settings.spend_limit_day, settings.spend_limit_month)
    return RequestLimits(database, settings.timezone, spend)


def _build_spend_alerts(
    settings: Settings, resources: Resources, limits: RequestLimits, operator: Operator
) -> SpendAlerts:
    def setting_of(alert: SpendAlert) -> str:
        return f"SPEND_LIMIT_{alert.period.name}"

    def describe(alert: SpendAlert) -> str:
        return texts_limits.spend_alert(
            setting=setting_of(alert),
            percent=alert.percent,
            spent=alert.spent,
            most=alert.most,
            ends_at_ms=alert.ends_at_ms,
            is_full=alert.percent == FULL_PERCENT,
        )

    return SpendAlerts(
        resources.database.in_background(),
        limits.calendar,
        limits.spend,
        price=price_of(1),
        now_ms=resources.clock.now_ms,
        describe=describe,
        tell=lambda alert, text: operator.tell_change(setting_of(alert).lower(), text),
    )


def _build_generations(
    settings: Settings,
    resources: Resources,
    ledger: Ledger,
    limits: RequestLimits,
    schedule: PollSchedule,
    throttle: Throttle,
    nudge: Callable[[], None],
    announce: Callable[[Transaction], None],
) -> Generations:
    return Generations(
        resources.database,
        ledger,
        limits,
        resources.clock,
        max_queue=settings.max_queue,
        max_per_user=settings.max_images_per_user,
        max_per_guild=settings.max_images_per_guild,
        slots=lambda: throttle.slots.expected,
        requests_per_minute=settings.requests_per_minute,
        nudge=nudge,
        announce=announce,
        typical_seconds=schedule.typical_seconds,
        deadline_seconds=settings.task_deadline_seconds,
        metrics=resources.metrics,
    )


def _build_callbacks(
    settings: Settings, resources: Resources, nudge: Callable[[], None], announce: Callable[[Transaction], None]
) -> Callbacks | None:
    if not settings.public_url:
        return None
    return Callbacks(
        resources.database.in_background(),
        resources.clock,
        public_url=settings.public_url,
        nudge=nudge,
        announce=announce,
        token_bytes=resources.token_bytes,
    )
