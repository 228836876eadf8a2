"""Kept images: ask now and then whether the image service still has them, and give the price back once it has not.

An image is kept (State.UNDELIVERED) when it is paid for and there was no place to post it. Nobody is told its address
before it is posted, so a refund never follows an image that somebody has: docs/decisions/0020-kept-images.md.

Knows rows, the ledger and the place of finished images; knows no Discord, no SQL and no loop.
"""

from __future__ import annotations

import logging

from generations.fetching import fetch
from generations.lost_images import GONE_CHECKS, lose
from generations.model import DISCORD_EPOCH_MS, Generation, Image
from generations.worker.context import StepContext
from qwen.errors import ImageError, ImageUnavailable

log = logging.getLogger("qwen_imagine.worker")

FIRST_CHECK_SECONDS = 3600.0  # from the failed delivery; so far apart are two checks at least
CHECK_SECONDS_MAX = 86_400.0  # and so far at most
CHECKS_AT_ONCE = 2  # in one process: a check downloads the image
UNREACHABLE_CHECKS = 30  # so many failed checks in a row, a month, before an image that is never to be had is given up
DAY_MS = 86_400_000


async def check(context: StepContext, generation: Generation, image: Image) -> None:
    """See whether a kept image can still be had, and note when to see again; refund it when it can't any more.

    Where RETENTION_DAYS have passed it is refunded unasked: its address is about to be purged. The image is downloaded
    whole, as for posting: signed addresses often refuse HEAD, and only a whole download proves that posting would work.
    Raises LostClaim.
    """
    now_ms = context.clock.now_ms()
    purged_at_ms = _purged_at_ms(context, generation)
    if not image.image_url or (purged_at_ms is not None and purged_at_ms <= now_ms):
        await _give_up(context, generation, image)
    elif (
        len(context.kept_checks) >= CHECKS_AT_ONCE
    ):  # many fall due together after a long stop: they spread over an hour
        due_at_ms = context.after(1.0 + context.rng.random() * FIRST_CHECK_SECONDS)
        await context.save(generation, image, due_at_ms=due_at_ms)
    else:
        error = await _fault_of(context, image)
        failures = 0 if error is None else image.failures + 1
        if error is not None and failures >= (GONE_CHECKS if is_gone(error) else UNREACHABLE_CHECKS):
            log.info("image %s: kept, and lost (%s)", image.image_id, error)
            await _give_up(context, generation, image)
            return
        age_seconds = (now_ms - (image.ready_at_ms or now_ms)) / 1000
        due_at_ms = context.after(next_check_seconds(age_seconds, failures))
        due_at_ms = due_at_ms if purged_at_ms is None else min(due_at_ms, purged_at_ms)
        await context.save(generation, image, failures=failures, due_at_ms=due_at_ms)


def is_gone(error: ImageError) -> bool:
    """Whether trying again later can't help, as far as one answer tells. Pure."""
    return not (isinstance(error, ImageUnavailable) and error.temporary)


def next_check_seconds(age_seconds: float, failures: int) -> float:
    """How long to wait for the next check of an image made *age_seconds* ago: as long again, from an hour to a day.

    After *failures* failed checks in a row: an hour, then twice as long each time, up to a day. Pure.
    """
    wait = FIRST_CHECK_SECONDS * 2 ** min(failures - 1, 10) if failures else age_seconds
    return min(CHECK_SECONDS_MAX, max(FIRST_CHECK_SECONDS, wait))


async def _fault_of(context: StepContext, image: Image) -> ImageError | None:
    """Why the image can't be had; None: it can. One that is too large to be fetched is there."""
    context.kept_checks.add(image.image_id)
    try:
        await fetch(context.store, context.room, image.image_id, image.image_url or "")
    except ImageError as error:
        return error
    finally:
        context.kept_checks.discard(image.image_id)
    return None


async def _give_up(context: StepContext, generation: Generation, image: Image) -> None:
    async with context.database.transaction() as tx:
        refunded = await lose(tx, context.ledger, image, fence=generation.fence, now_ms=context.clock.now_ms())
    log.info("image %s: kept for too long, %d credits refunded", image.image_id, refunded)


def _purged_at_ms(context: StepContext, generation: Generation) -> int | None:
    """When the retention purge takes the address away, unix milliseconds, by the id as records.archive.purge does."""
    if not context.retention_days:
        return None
    return (generation.id >> 22) + DISCORD_EPOCH_MS + context.retention_days * DAY_MS
