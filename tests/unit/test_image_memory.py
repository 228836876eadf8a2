"""ImageMemory: the bytes of all images stay within one budget; reservations are granted in order and all end."""

from __future__ import annotations

import asyncio
import random

import pytest

from images.image_memory import IMAGE_BYTES_MAX, KEEP_SECONDS, ImageMemory, Reservation
from qwen.images import DownloadedImage, OversizedImage
from qwen.models import OutputFormat

MIB = 1024 * 1024
BUDGET = 4 * IMAGE_BYTES_MAX


def image(size_bytes: int) -> DownloadedImage:
    return DownloadedImage(bytes(size_bytes), OutputFormat.PNG, 1, 1)


@pytest.fixture
def memory() -> ImageMemory:
    return ImageMemory(BUDGET)


async def turns() -> None:
    """Run the event loop until all tasks wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def use(memory: ImageMemory, name: str, log: list[str], leave: asyncio.Event, count: int = 1) -> None:
    """Hold a reservation for *count* images of the largest size until *leave* is set."""
    async with memory.reserve(f"{name}-{number}" for number in range(count)) as reservation:
        await reservation.acquire()
        log.append(name)
        await leave.wait()


async def test_reservations_are_granted_in_order_also_past_a_large_one(memory: ImageMemory) -> None:
    log, first, rest = list[str](), asyncio.Event(), asyncio.Event()
    rest.set()
    tasks = [asyncio.create_task(use(memory, "first", log, first))]
    for name, count in (("large", 4), ("small", 1)):
        await turns()
        tasks.append(asyncio.create_task(use(memory, name, log, rest, count)))
    await turns()
    assert (log, memory.waiting) == (["first"], 2), "a small one does not overtake, or large ones would never come"
    first.set()
    await asyncio.gather(*tasks)
    assert log == ["first", "large", "small"]
    assert memory.bytes_held == 0


async def test_a_reservation_above_the_whole_budget_is_granted_alone(memory: ImageMemory) -> None:
    log, leave = list[str](), asyncio.Event()
    tasks = [asyncio.create_task(use(memory, name, log, leave, 5)) for name in ("one", "two")]
    await turns()
    assert log == ["one"]
    leave.set()
    await asyncio.gather(*tasks)
    assert log == ["one", "two"]


async def test_images_of_one_reservation_are_granted_together_so_that_two_never_deadlock(
    memory: ImageMemory,
) -> None:
    async def download(reservation: Reservation, key: str) -> None:
        await reservation.acquire()
        assert memory.bytes_held <= BUDGET
        await asyncio.sleep(0)
        reservation.resize(key, 20 * MIB)

    async def step(name: int) -> None:
        keys = [f"{name}-{number}" for number in range(3)]
        async with memory.reserve(keys) as reservation:
            await asyncio.gather(*(download(reservation, key) for key in keys))
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(*(step(name) for name in range(10)))
    assert memory.bytes_held == 0


async def test_an_announced_size_frees_memory_for_others_before_the_bytes_are_in(memory: ImageMemory) -> None:
    log, leave = list[str](), asyncio.Event()
    async with memory.reserve(["a", "b", "c", "d"]) as reservation:
        await reservation.acquire()
        waiting = asyncio.create_task(use(memory, "next", log, leave))
        await turns()
        assert log == []
        reservation.resize("a", MIB)
        await turns()
        assert log == [], "not yet as much as the next one may need"
        reservation.resize("b", 0)
        await turns()
        assert log == ["next"]
    leave.set()
    await waiting
    assert memory.bytes_held == 0


async def test_a_cancelled_reservation_delays_no_other_and_takes_no_memory(memory: ImageMemory) -> None:
    log, leave = list[str](), asyncio.Event()
    async with memory.reserve(["a"]) as reservation:
        await reservation.acquire()
        gone = asyncio.create_task(use(memory, "gone", log, leave, 4))
        await turns()
        next_one = asyncio.create_task(use(memory, "next", log, leave))
        await turns()
        gone.cancel()
        await turns()
        assert log == ["next"]
    leave.set()
    await next_one
    assert (memory.bytes_held, memory.waiting) == (0, 0)


async def test_a_kept_image_is_returned_once_and_counts_in_the_budget_until_then(memory: ImageMemory) -> None:
    made = image(MIB)
    async with memory.reserve(["a"]) as reservation:
        await reservation.acquire()
        assert reservation.recall("a") is None
        reservation.resize("a", MIB)
        reservation.keep("a", made, 0.0)
    assert memory.bytes_held == MIB
    async with memory.reserve(["a"]) as reservation:
        await reservation.acquire()
        assert (reservation.recall("a"), reservation.recall("a")) == (made, None)
        assert memory.bytes_held == MIB
    assert memory.bytes_held == 0


async def test_kept_images_are_dropped_for_downloads_oldest_first(memory: ImageMemory) -> None:
    async with memory.reserve("abc") as reservation:
        await reservation.acquire()
        for key in "abc":
            reservation.keep(key, image(MIB), 0.0)
    async with memory.reserve("wxyz") as full:
        await full.acquire()
        assert memory.bytes_held == BUDGET, "nothing is left of them"
        full.resize("w", MIB)
        full.keep("w", image(2 * MIB), 0.0)
        full.resize("x", IMAGE_BYTES_MAX - 3 * MIB)
        full.keep("y", image(IMAGE_BYTES_MAX), 0.0)
        assert memory.bytes_held <= BUDGET
    async with memory.reserve("wy") as reservation:
        await reservation.acquire()
        assert [reservation.recall(key) is None for key in "wy"] == [False, False]


async def test_a_kept_image_is_dropped_after_a_while(memory: ImageMemory) -> None:
    for key, now in (("a", 0.0), ("b", KEEP_SECONDS)):
        async with memory.reserve(key) as reservation:
            await reservation.acquire()
            reservation.keep(key, image(MIB), now)
    memory.forget_stale(KEEP_SECONDS + 1)
    assert memory.bytes_held == MIB


async def test_a_kept_oversized_image_takes_no_memory(memory: ImageMemory) -> None:
    async with memory.reserve("a") as reservation:
        await reservation.acquire()
        reservation.keep("a", OversizedImage(), 0.0)
    assert memory.bytes_held == 0
    async with memory.reserve("a") as reservation:
        await reservation.acquire()
        assert reservation.recall("a") == OversizedImage()


# ---- re-encoding -------------------------------------------------------------------------------------------------


async def test_re_encoding_waits_for_granted_bytes_and_comes_before_the_next_reservation(
    memory: ImageMemory,
) -> None:
    log, leave, rest = list[str](), asyncio.Event(), asyncio.Event()
    rest.set()

    async def reencode() -> None:
        async with memory.reserve(["a"]) as reservation:
            await reservation.acquire()
            async with memory.reencoding(2 * IMAGE_BYTES_MAX):
                log.append("re-encoding")
                assert memory.bytes_held <= BUDGET

    others = asyncio.create_task(use(memory, "others", log, leave, 2))
    await turns()
    encoding = asyncio.create_task(reencode())
    await turns()
    late = asyncio.create_task(use(memory, "late", log, rest))
    await turns()
    assert log == ["others"]
    leave.set()
    await asyncio.gather(others, encoding, late)
    assert log == ["others", "re-encoding", "late"]
    assert memory.bytes_held == 0


async def test_re_encodings_that_alone_need_more_than_the_budget_go_one_after_another(memory: ImageMemory) -> None:
    at_once, most = 0, 0

    async def reencode(name: int) -> None:
        nonlocal at_once, most
        async with memory.reserve([str(name)]) as reservation:
            await reservation.acquire()
            async with memory.reencoding(10 * BUDGET):
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0)
                at_once -= 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(reencode(name) for name in range(12)))
    assert most == 1
    assert memory.bytes_held == 0


async def test_re_encoding_waits_for_a_limited_time() -> None:
    memory = ImageMemory(BUDGET, encoder_wait_seconds=0.05)
    done = asyncio.Event()

    async def reencode() -> None:
        async with memory.reserve(["a"]) as reservation:
            await reservation.acquire()
            async with memory.reencoding(BUDGET):
                done.set()

    async with asyncio.timeout(30), memory.reserve(["b"]) as waits_for_its_card:
        await waits_for_its_card.acquire()
        encoding = asyncio.create_task(reencode())
        await done.wait()
        await encoding
    assert memory.bytes_held == 0


@pytest.mark.parametrize("seed", range(30))
async def test_in_any_order_the_budget_holds_and_every_reservation_ends(seed: int) -> None:
    dice = random.Random(seed)
    memory = ImageMemory(dice.choice((1, 3, 5, 9)) * IMAGE_BYTES_MAX)
    budget = memory._budget

    async def step(name: int) -> None:
        keys = [f"{name % 7}-{number}" for number in range(dice.randint(1, 4))]
        alone = len(keys) * IMAGE_BYTES_MAX > budget
        async with memory.reserve(keys) as reservation:
            for key in keys:
                await reservation.acquire()
                assert memory.bytes_held <= budget or alone
                found = reservation.recall(key) or image(dice.randint(0, 100))
                await asyncio.sleep(0)
                reservation.resize(key, len(found.data))  # type: ignore[union-attr]
                if dice.random() < 0.3:
                    async with memory.reencoding(dice.randint(0, 2 * budget)):
                        await asyncio.sleep(0)
                if dice.random() < 0.3:
                    reservation.keep(key, found, 0.0)

    async with asyncio.timeout(30):
        tasks = [asyncio.create_task(step(name)) for name in range(40)]
        for task in dice.sample(tasks, 8):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not [task.exception() for task in tasks if not task.cancelled() and task.exception()]
    assert memory.waiting == 0
    assert memory.bytes_held == memory._kept_bytes <= budget
    memory.forget_stale(KEEP_SECONDS + 1)
    assert memory.bytes_held == 0
