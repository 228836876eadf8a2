"""Hold what a process opens and its services share. Opens nothing itself."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from generations.clock import Clock
from generations.ports import ImageService, ImageStore
from observability.metrics import NO_METRICS, Metrics
from store.database import Database


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process opens and all its services share.

    *shared*: other processes may use this database too. *owner*: the name of this process, which no other one has.
    *token_bytes*: a source of bytes that nobody can guess.
    """

    database: Database
    shared: bool
    service: ImageService
    store: ImageStore
    clock: Clock
    rng: random.Random
    owner: str
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    metrics: Metrics = NO_METRICS


def measured(resources: Resources) -> Resources:
    """Return *resources* with metrics, in which the calls of the image API are counted."""
    from observability.prometheus import PrometheusMetrics  # only where they are read: its library takes 4 MB
    from qwen.measured import MeasuredService, MeasuredStore

    metrics, monotonic = PrometheusMetrics(), resources.clock.monotonic
    service = MeasuredService(resources.service, metrics, monotonic)
    store = MeasuredStore(resources.store, metrics, monotonic)
    return replace(resources, metrics=metrics, service=service, store=store)
