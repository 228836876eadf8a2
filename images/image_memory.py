"""The budget for the bytes of images in memory: one for all steps, buttons and re-encodings of a process.

A download needs a reservation first, for all the bytes that it may take: nothing holds bytes while it waits for more,
so there is no deadlock. Reservations are granted in order; one that needs more than the whole budget is granted alone.
Images whose publishing was postponed stay in memory until others need their bytes.

Counts bytes; knows no network, no Discord and no clock of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

from qwen.images import FoundImage, OversizedImage

BUDGET_BYTES = 128 * 1024 * 1024
IMAGE_BYTES_MAX = 25 * 1024 * 1024  # of one download; Discord's own cap for one request (Discord docs: Uploading Files)
KEEP_SECONDS = 900.0  # a postponed image is published again within minutes; later it is dropped


def size_in_memory(image: FoundImage | None) -> int:
    """Return the bytes that *image* takes: 0 where it was not downloaded."""
    return 0 if image is None or isinstance(image, OversizedImage) else len(image.data)


@dataclass(frozen=True, slots=True)
class _Kept:
    """An image whose publishing was postponed. *kept_at*: monotonic seconds."""

    image: FoundImage
    kept_at: float


class ImageMemory:
    """At most *budget_bytes* of images at once, except where one reservation or re-encoding alone needs more."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES, *, encoder_wait_seconds: float = 30.0) -> None:
        self._budget = budget_bytes
        self._encoder_wait_seconds = encoder_wait_seconds
        self._used = 0  # by granted reservations and the re-encoder
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # by image id, the oldest first
        self._kept_bytes = 0
        self._queue: deque[Reservation] = deque()
        self._admitted = 0  # reservations that were granted
        self._encoding = 0  # of these, waiting for the re-encoder or using it
        self._encoder = asyncio.Lock()
        self._encoder_needs = 0  # bytes that it waits for; no reservation is granted meanwhile
        self._freed = asyncio.Event()

    @property
    def bytes_held(self) -> int:
        """The bytes that are counted now."""
        return self._used + self._kept_bytes

    @property
    def waiting(self) -> int:
        """How many reservations wait."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def reserve(self, image_ids: Iterable[str]) -> AsyncGenerator[Reservation]:
        """Reserve memory for these images; no bytes are taken before acquire(). Everything is given back at the end."""
        reservation = Reservation(self, image_ids)
        try:
            yield reservation
        finally:
            self.close(reservation)

    @contextlib.asynccontextmanager
    async def reencoding(self, needed_bytes: int) -> AsyncGenerator[None]:
        """Hold *needed_bytes* for the re-encoding of a reserved image: one at a time, before reservations that wait.

        Waits for bytes of reservations that don't need the re-encoder themselves, and at most *encoder_wait_seconds*:
        one of them may wait for the card that the image is for.
        """
        self._encoding += 1
        self._freed.set()
        try:
            async with self._encoder:
                await self._wait_for_encoder_bytes(needed_bytes)
                self._use(needed_bytes)
                try:
                    yield
                finally:
                    self._use(-needed_bytes)
        finally:
            self._encoding -= 1
            self._admit()

    def count_until_dropped(self, holder: object, size_bytes: int) -> None:
        """Count *size_bytes* until *holder* is garbage-collected, in any thread. Never waits."""
        self.count(size_bytes)
        weakref.finalize(holder, _soon, asyncio.get_running_loop(), self.count, -size_bytes).atexit = False

    def forget_stale(self, now: float) -> None:
        """Drop the images that were kept for longer than KEEP_SECONDS. *now*: monotonic seconds."""
        while self._kept and now - next(iter(self._kept.values())).kept_at > KEEP_SECONDS:
            self._drop_oldest()
        self._admit()

    # -- for Reservation
    # ----------------------------------------------------------------------------------------------------

    def enqueue(self, reservation: Reservation) -> None:
        """Grant *reservation* when its turn comes."""
        self._queue.append(reservation)
        self._admit()

    def close(self, reservation: Reservation) -> None:
        """Take back what *reservation* holds, or its place in the queue."""
        if reservation.acquired.is_set():
            self._admitted -= 1
            self._used -= reservation.held_bytes
        elif reservation in self._queue:
            self._queue.remove(reservation)
        self._admit()

    def count(self, more_bytes: int) -> None:
        """A reservation holds *more_bytes* more, or less if negative, than before."""
        self._use(more_bytes)
        self._admit()

    def keep(self, reservation: Reservation, image_id: str, image: FoundImage, now: float) -> None:
        """Keep *image* without its *reservation*, until its bytes are needed. *now*: monotonic seconds."""
        if image_id in self._kept:
            self._take_kept(image_id)
        self._used -= reservation.sizes.pop(image_id, 0)
        self._kept[image_id] = _Kept(image, now)
        self._kept_bytes += size_in_memory(image)
        self._make_space()
        self._admit()

    def _take_kept(self, image_id: str) -> FoundImage:
        image = self._kept.pop(image_id).image
        self._kept_bytes -= size_in_memory(image)
        return image

    # -- the count -----------------------------------------------------------------------------------------------------

    def _use(self, more_bytes: int) -> None:
        self._used += more_bytes
        self._make_space()

    def _make_space(self) -> None:
        while self._kept and self.bytes_held > self._budget:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._take_kept(next(iter(self._kept)))

    def _fits(self, more_bytes: int) -> bool:
        return not self._used or self._used + more_bytes <= self._budget

    async def _wait_for_encoder_bytes(self, needed_bytes: int) -> None:
        self._encoder_needs = needed_bytes
        try:
            async with asyncio.timeout(self._encoder_wait_seconds):
                while not (self._fits(needed_bytes) or self._admitted <= self._encoding):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            pass
        finally:
            self._encoder_needs = 0

    def _admit(self) -> None:
        self._freed.set()
        while self._queue and not self._encoder_needs and self._fits(self._bytes_for(self._queue[0])):
            reservation = self._queue.popleft()
            self._admitted += 1
            reservation.recalled = {key: self._take_kept(key) for key in reservation.image_ids if key in self._kept}
            reservation.sizes = {key: self._bytes_of(reservation.recalled.get(key)) for key in reservation.image_ids}
            self._use(reservation.held_bytes)
            reservation.acquired.set()

    def _bytes_for(self, reservation: Reservation) -> int:
        kept = (self._kept.get(key) for key in reservation.image_ids)
        return sum(self._bytes_of(None if one is None else one.image) for one in kept)

    def _bytes_of(self, image: FoundImage | None) -> int:
        return IMAGE_BYTES_MAX if image is None else size_in_memory(image)


def _soon(loop: asyncio.AbstractEventLoop, count: Callable[[int], None], more_bytes: int) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and the count with it
        loop.call_soon_threadsafe(count, more_bytes)


class Reservation:
    """The bytes that one step or one button may hold. Made by ImageMemory.reserve().

    Each image counts as IMAGE_BYTES_MAX until its size is known.
    """

    def __init__(self, memory: ImageMemory, image_ids: Iterable[str]) -> None:
        self._memory = memory
        self.image_ids = tuple(image_ids)
        self.sizes: dict[str, int] = {}
        self.recalled: dict[str, FoundImage] = {}
        self.acquired = asyncio.Event()
        self._asked = False

    @property
    def held_bytes(self) -> int:
        return sum(self.sizes.values())

    async def acquire(self) -> None:
        """Wait until the bytes for all its images are free. Returns at once when called again."""
        if not self._asked:
            self._asked = True
            self._memory.enqueue(self)
        await self.acquired.wait()

    def recall(self, image_id: str) -> FoundImage | None:
        """Take the image that was kept in memory; None: there is none."""
        return self.recalled.pop(image_id, None)

    def resize(self, image_id: str, size_bytes: int) -> None:
        """Count *size_bytes* for an image from now on: as announced, as downloaded, or 0. Never waits."""
        if image_id in self.sizes:
            more_bytes = size_bytes - self.sizes[image_id]
            self.sizes[image_id] = size_bytes
            self._memory.count(more_bytes)

    def keep(self, image_id: str, image: FoundImage, now: float) -> None:
        """Leave *image* in memory for the next reservation of it. *now*: monotonic seconds."""
        self._memory.keep(self, image_id, image, now)
