"""Check now and then whether the image service still has a kept image, and refund it once it has not.

An image is kept (State.UNDELIVERED) when it is paid for and there was no place to post it. Nobody gets its address
before it is posted, so a refund never follows an image that somebody has: docs/decisions/0020-kept-images.md.

Knows rows, the ledger and the place of finished images; knows no Discord, no SQL and no loop.
"""

from __future__ import annotations

from backoff import doubled_seconds
from discord_api.snowflakes import snowflake_time_ms
from generations.finished_images import GONE_CHECKS, lose
from generations.worker.image_step import ImageStep
from qwen.errors import ImageError, ImageUnavailable

FIRST_CHECK_SECONDS = 3600.0  # from the failed delivery to the first check; the least time between two checks
CHECK_SECONDS_MAX = 86_400.0  # the most time between two checks
CHECKS_AT_ONCE = 2  # in one process: a check downloads the image
UNREACHABLE_CHECKS = 30  # failed checks in a row, a month, before an image that can't be had is given up
DAY_MS = 86_400_000


class KeptImageStep(ImageStep):
    """The step of an image that is kept."""

    async def check(self) -> None:
        """Check whether the image can still be had, and set the time of the next check; refund it when it is gone.

        Where RETENTION_DAYS have passed it is refunded without a check: its address is about to be purged. The image
        is downloaded whole, as for posting: signed addresses often refuse HEAD, and only a whole download proves that
        posting would work. Raises LostClaim.
        """
        context, image, now_ms = self.context, self.image, self.context.clock.now_ms()
        purged_at_ms = self._purged_at_ms()
        if not image.image_url or (purged_at_ms is not None and purged_at_ms <= now_ms):
            await self._give_up("kept for too long")
        elif len(context.kept_checks) >= CHECKS_AT_ONCE:  # many fall due together after a long stop: spread them
            await self.save(due_at_ms=context.after(1.0 + context.rng.random() * FIRST_CHECK_SECONDS))
        else:
            error = await self._download_error(image.image_url)
            failures = 0 if error is None else image.failures + 1
            if error is not None and failures >= (GONE_CHECKS if is_gone(error) else UNREACHABLE_CHECKS):
                await self._give_up(f"lost: {error}")
                return
            age_seconds = (now_ms - (image.ready_at_ms or now_ms)) / 1000
            due_at_ms = context.after(next_check_seconds(age_seconds, failures))
            due_at_ms = due_at_ms if purged_at_ms is None else min(due_at_ms, purged_at_ms)
            await self.save(failures=failures, due_at_ms=due_at_ms)

    async def _download_error(self, url: str) -> ImageError | None:
        """Why the image can't be had; None: it can. One that is too large to be downloaded counts as there."""
        self.context.kept_checks.add(self.image.image_id)
        try:
            await self.fetch(url)
        except ImageError as error:
            return error
        finally:
            self.context.kept_checks.discard(self.image.image_id)
        return None

    async def _give_up(self, why: str) -> None:
        context = self.context
        await self.claim.finish(
            *(lose, context.ledger, self.image), fence=self.fence, why=why, now_ms=context.clock.now_ms()
        )

    def _purged_at_ms(self) -> int | None:
        """When the retention purge deletes the address, unix milliseconds, from the id as personal_data.purge does.

        None: never.
        """
        days = self.context.retention_days
        return snowflake_time_ms(self.generation.id) + days * DAY_MS if days else None


def is_gone(error: ImageError) -> bool:
    """Whether trying again later can't help, as far as one answer tells. Pure."""
    return not (isinstance(error, ImageUnavailable) and error.temporary)


def next_check_seconds(age_seconds: float, failures: int) -> float:
    """How long to wait for the next check of an image made *age_seconds* ago: as long again, from an hour to a day.

    After *failures* failed checks in a row: an hour, then twice as long each time, up to a day. Pure.
    """
    if failures:
        return doubled_seconds(failures, first=FIRST_CHECK_SECONDS, most=CHECK_SECONDS_MAX)
    return min(CHECK_SECONDS_MAX, max(FIRST_CHECK_SECONDS, age_seconds))
