"""The budget for the bytes of images in memory: one for all of a process's steps, buttons and re-encodings.

Whoever downloads images takes a Room first, and all that it may need at once: nobody holds bytes while waiting for
more, so no two can wait for each other. Rooms are let in in the order in which they came; one that needs more than the
whole budget is let in alone. Images whose publishing was put off stay in memory until others need their bytes.

Counts bytes and knows no network, no Discord and no clock of its own.
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
KEEP_SECONDS = 900.0  # an image that was put off is asked for again every few minutes; after that it is nobody's


def size_in_memory(image: FoundImage | None) -> int:
    """The bytes that *image* takes: none where it was not or could not be fetched."""
    return 0 if image is None or isinstance(image, OversizedImage) else len(image.data)


@dataclass(frozen=True, slots=True)
class _Kept:
    """An image that was put off. *kept_at*: monotonic seconds."""

    image: FoundImage
    kept_at: float


class ImageMemory:
    """At most *budget_bytes* of images at once, except for one room or re-encoding that alone needs more."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES, *, encoder_wait_seconds: float = 30.0) -> None:
        self._budget = budget_bytes
        self._encoder_wait_seconds = encoder_wait_seconds
        self._used = 0  # by the rooms that were let in and by the re-encoder
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # by image id, those that were put off first in front
        self._kept_bytes = 0
        self._line: deque[Room] = deque()
        self._inside = 0  # rooms that were let in
        self._encoding = 0  # of these, waiting for the re-encoder or at it
        self._encoder = asyncio.Lock()
        self._encoder_needs = 0  # bytes that it waits for; no room is let in meanwhile
        self._freed = asyncio.Event()

    @property
    def bytes_held(self) -> int:
        """All that is counted now."""
        return self._used + self._kept_bytes

    @property
    def waiting(self) -> int:
        """Rooms that wait for their turn."""
        return len(self._line)

    @contextlib.asynccontextmanager
    async def room(self, image_ids: Iterable[str]) -> AsyncGenerator[Room]:
        """Room for these images, which takes no bytes before its first enter(). Gives all back at the end."""
        room = Room(self, image_ids)
        try:
            yield room
        finally:
            self.close(room)

    @contextlib.asynccontextmanager
    async def reencoding(self, needed_bytes: int) -> AsyncGenerator[None]:
        """Around the re-encoding of an image that lies in a room: one at a time, and before rooms that wait.

        It waits for the bytes of rooms that go on without it, not for those that wait for it too, and not for long: one
        of the others may wait for the very card that the image is for.
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
            self._let_in()

    def count_until_dropped(self, holder: object, size_bytes: int) -> None:
        """Count *size_bytes* until nobody refers to *holder* any more, whichever thread notices that. Never waits."""
        self.count(size_bytes)
        weakref.finalize(holder, _soon, asyncio.get_running_loop(), self.count, -size_bytes).atexit = False

    def forget_stale(self, now: float) -> None:
        """Drop the images that nobody asked for in KEEP_SECONDS. *now*: monotonic seconds."""
        while self._kept and now - next(iter(self._kept.values())).kept_at > KEEP_SECONDS:
            self._drop_oldest()
        self._let_in()

    # -- for Room ----------------------------------------------------------------------------------------------------

    def queue(self, room: Room) -> None:
        """Let *room* in when its turn comes."""
        self._line.append(room)
        self._let_in()

    def close(self, room: Room) -> None:
        """Take back all that *room* holds, or its place in the line."""
        if room.entered.is_set():
            self._inside -= 1
            self._used -= room.held_bytes
        elif room in self._line:
            self._line.remove(room)
        self._let_in()

    def count(self, more_bytes: int) -> None:
        """A room holds so many bytes more, or less, than before."""
        self._use(more_bytes)
        self._let_in()

    def keep(self, room: Room, image_id: str, image: FoundImage, now: float) -> None:
        """Hold *image* outside of its *room*, as long as no room needs its bytes. *now*: monotonic seconds."""
        if image_id in self._kept:
            self._take_kept(image_id)
        self._used -= room.sizes.pop(image_id, 0)
        self._kept[image_id] = _Kept(image, now)
        self._kept_bytes += size_in_memory(image)
        self._make_space()
        self._let_in()

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
                while not (self._fits(needed_bytes) or self._inside <= self._encoding):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            pass
        finally:
            self._encoder_needs = 0

    def _let_in(self) -> None:
        self._freed.set()
        while self._line and not self._encoder_needs and self._fits(self._bytes_for(self._line[0])):
            room = self._line.popleft()
            self._inside += 1
            room.recalled = {key: self._take_kept(key) for key in room.image_ids if key in self._kept}
            room.sizes = {key: self._bytes_of(room.recalled.get(key)) for key in room.image_ids}
            self._use(room.held_bytes)
            room.entered.set()

    def _bytes_for(self, room: Room) -> int:
        kept = (self._kept.get(key) for key in room.image_ids)
        return sum(self._bytes_of(None if one is None else one.image) for one in kept)

    def _bytes_of(self, image: FoundImage | None) -> int:
        return IMAGE_BYTES_MAX if image is None else size_in_memory(image)


def _soon(loop: asyncio.AbstractEventLoop, count: Callable[[int], None], more_bytes: int) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and the count with it
        loop.call_soon_threadsafe(count, more_bytes)


class Room:
    """What one step or one pressed button may hold. Made by ImageMemory.room().

    Each image counts as IMAGE_BYTES_MAX until its size is known.
    """

    def __init__(self, memory: ImageMemory, image_ids: Iterable[str]) -> None:
        self._memory = memory
        self.image_ids = tuple(image_ids)
        self.sizes: dict[str, int] = {}
        self.recalled: dict[str, FoundImage] = {}
        self.entered = asyncio.Event()
        self._asked = False

    @property
    def held_bytes(self) -> int:
        return sum(self.sizes.values())

    async def enter(self) -> None:
        """Wait until there is room for all images of it. Once it was let in, it returns at once."""
        if not self._asked:
            self._asked = True
            self._memory.queue(self)
        await self.entered.wait()

    def recall(self, image_id: str) -> FoundImage | None:
        """The image as it was put off before, once; None: it is not in memory."""
        return self.recalled.pop(image_id, None)

    def resize(self, image_id: str, size_bytes: int) -> None:
        """Count *size_bytes* for an image from now on: what was announced, what came, or none. Never waits."""
        if image_id in self.sizes:
            more_bytes = size_bytes - self.sizes[image_id]
            self.sizes[image_id] = size_bytes
            self._memory.count(more_bytes)

    def put_off(self, image_id: str, image: FoundImage, now: float) -> None:
        """Leave *image* in memory for the next room that asks for it. *now*: monotonic seconds."""
        self._memory.keep(self, image_id, image, now)
