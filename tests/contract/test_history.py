"""The history of a person's images: pages, search, and posting kept images."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from generations import records
from generations.delivery_result import DeliveryResult, Place
from generations.errors import LostClaim, NotThere
from generations.finished_images import GONE_CHECKS
from generations.history import PAGE_LENGTH, Fetched, History, Page, clean_words
from generations.model import Ending, Generation, Origin, Request, SeparateMessage, State
from images.image_memory import ImageMemory
from qwen.errors import ImageUnavailable, QwenError
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from store.transactions import Transaction
from tests.contract.harness import CHANNEL, GUILD, MIRA, OTTO, Harness, origin


@dataclass
class Store:
    """An image store that raises *faults* in order and then returns an image."""

    faults: list[QwenError] = field(default_factory=list[QwenError])
    asked: list[str] = field(default_factory=list[str])

    async def download(self, url: str, announced: object = None) -> DownloadedImage:
        self.asked.append(url)
        if self.faults:
            raise self.faults.pop(0)
        return DownloadedImage(b"image", OutputFormat.PNG, 1024, 1024)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def history(harness: Harness, store: Store) -> History:
    return History(harness.database, harness.ledger, harness.clock, store, owner="history")


async def make(
    harness: Harness,
    generation_id: int,
    user_id: int = MIRA,
    *,
    prompt: str = "a lighthouse",
    end: State = State.DELIVERED,
    count: int = 1,
    private: bool = False,
) -> Generation:
    """Create a generation whose images are paid for and ended as *end*."""
    request = Request(prompt, seed=5, count=count, private=private)
    await harness.request(request, origin(generation_id, user_id))
    await harness.generations.confirm_card(generation_id, 9000 + generation_id)
    await harness.admit()
    claimed = next(one for one in await harness.claim() if one.id == generation_id)

    def end_all(tx: Transaction) -> None:
        for image in claimed.images:
            for state in (State.SUBMITTING, State.RUNNING, State.SUCCEEDED):
                image = records.move(tx, image, state, fence=None)
            harness.ledger.settle(tx, image.image_id, 5, harness.clock.at_ms)
            image = records.update_image(tx, image, fence=None, consumed_credits=5, image_url="https://cdn/x.png")
            records.move(tx, image, end, fence=None, attachment_id=77 if end is State.DELIVERED else None)
        loaded = records.load(tx, generation_id)
        assert loaded is not None
        records.mark_published(tx, generation_id, claimed.fence, loaded.revision, message_id=None, channel_id=None)
        records.release_claim(tx, generation_id, claimed.fence)

    await harness.database.run(end_all)
    return await harness.load(generation_id)


def ids(page: Page) -> list[int]:
    return [generation.id for generation in page.generations]


async def test_only_own_images_are_listed_newest_first(harness: Harness, history: History) -> None:
    for number in (1, 2, 3):
        await make(harness, number)
    await make(harness, 4, OTTO)
    assert ids(await history.page(MIRA)) == [3, 2, 1]
    assert ids(await history.page(OTTO)) == [4]


async def test_failed_and_unfinished_images_are_not_listed(harness: Harness, history: History) -> None:
    await harness.ask(1)
    await harness.generations.cancel(1, user_id=MIRA, may_manage=False)
    await harness.ask(2)
    assert await history.page(MIRA) == Page((), None, None)


async def test_pages_stay_correct_when_new_images_are_added(harness: Harness, history: History) -> None:
    for number in range(1, 9):
        await make(harness, number)
    first = await history.page(MIRA)
    assert (ids(first), first.newer, first.older) == ([8, 7, 6, 5, 4], None, 4)
    await make(harness, 9)
    second = await history.page(MIRA, older_than=first.older)
    assert (ids(second), second.newer, second.older) == ([3, 2, 1], 3, None)
    back = await history.page(MIRA, newer_than=second.newer)
    assert (ids(back), back.newer, back.older) == ([8, 7, 6, 5, 4], 8, 4)
    assert len(back.generations) == PAGE_LENGTH


async def test_a_page_that_no_longer_exists_becomes_the_first(harness: Harness, history: History) -> None:
    await make(harness, 1)
    assert ids(await history.page(MIRA, older_than=1)) == [1]
    assert ids(await history.page(MIRA, newer_than=2**63 - 1)) == [1]


FOUND = [
    ("lighthouse", [1]),
    ("LIGHT storm", [1]),
    ("storm lighthouse ship", []),
    ("100%", [2]),
    ("%", [2]),
    ("_", [3]),
    ("\\", [3]),
    ("/", []),
    ("ÜBER", [4]),
    ("über", [4]),
    ("'; DROP TABLE generations; --", []),
    ("\x00", []),
    ("\ud800", []),
]


async def test_a_search_ignores_case_and_has_no_wildcards(harness: Harness, history: History) -> None:
    prompts = ["a Lighthouse in a storm", "100% wool", "under_score \\ back", "Über den Wolken"]
    for number, prompt in enumerate(prompts, 1):
        await make(harness, number, prompt=prompt)
    for words, found in FOUND:
        assert (words, ids(await history.page(MIRA, words=clean_words(words)))) == (words, found)


async def test_a_search_has_its_own_pages(harness: Harness, history: History) -> None:
    for number in range(1, 9):
        await make(harness, number, prompt="a cat" if number % 2 else "a dog")
    page = await history.page(MIRA, words="cat", older_than=7)
    assert (ids(page), page.newer, page.older) == ([5, 3, 1], 5, None)


@pytest.mark.parametrize("text", ["x" * 500, "🦊" * 100, "a " * 300, "a\nb\tc"])
def test_a_search_text_fits_into_a_button_id(text: str) -> None:
    words = clean_words(text)
    assert words and len(words.encode("utf-16-le")) <= 120 and words == " ".join(words.split())


async def test_a_card_is_linked_unless_it_is_private_or_removed(harness: Harness, history: History) -> None:
    for number, private in ((1, False), (2, True), (3, False)):
        await make(harness, number, private=private)
    await harness.generations.removed(3)
    page = await history.page(MIRA)
    links = {generation.id: page.link(generation) for generation in page.generations}
    assert links == {1: (GUILD, CHANNEL, 9001), 2: None, 3: None}
    assert page.removed == {3}


async def test_a_card_in_the_direct_messages_is_linked_there(harness: Harness, history: History) -> None:
    made = await make(harness, 1, private=True)
    moved = replace(made, card_channel_id=55, message_id=66)
    assert (await history.page(MIRA)).link(moved) == (None, 55, 66)


# ---- posting what was kept -----------------------------------------------------------------------------------------


async def fetch(history: History, taken: Generation) -> Fetched:
    async with history.reserve_memory(taken) as reservation:
        return await history.fetch_kept(taken, reservation)


def here(number: int = 4242) -> Origin:
    return replace(origin(number), channel_id=701, guild_id=None, bot_in_channel=True)


async def test_a_kept_image_is_posted_once_and_its_card_moves_there(
    harness: Harness, history: History, store: Store
) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    taken = await history.take_kept(1, MIRA)
    fetched = await fetch(history, taken)
    assert store.asked == ["https://cdn/x.png"] and set(fetched.image_files) == {0}
    shown = DeliveryResult(Place.CARD, 5000, 701, {0: 12}, {0: "a.png"})
    await history.posted(fetched.generation, here(), shown, fetched.image_files)
    await history.post_ended(taken)
    after = await harness.load(1)
    assert (after.images[0].state, after.images[0].attachment_id) == (State.DELIVERED, 12)
    assert (after.message_id, after.origin.channel_id, after.origin.guild_id) == (5000, 701, None)
    assert (await history.page(MIRA)).link(after) == (None, 701, 5000)
    with pytest.raises(NotThere):
        await history.take_kept(1, MIRA)
    assert await harness.numbers() == (45, 0)


async def test_the_separate_message_of_a_posted_image_is_recorded(harness: Harness, history: History) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    taken = await history.take_kept(1, MIRA)
    fetched = await fetch(history, taken)
    separate = SeparateMessage(701, 6000)
    result = DeliveryResult(Place.CHANNEL, 5000, 701, separate={0: separate})
    await history.posted(fetched.generation, here(), result, fetched.image_files)
    after = await harness.load(1)
    assert (after.message_id, after.separate_by_position) == (5000, {0: separate})


async def test_a_kept_image_is_taken_only_by_its_requester_and_once_at_a_time(
    harness: Harness, history: History
) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    with pytest.raises(NotThere):
        await history.is_kept(1, OTTO)
    with pytest.raises(NotThere):
        await history.take_kept(1, OTTO)
    taken = await history.take_kept(1, MIRA)
    with pytest.raises(NotThere):
        await history.take_kept(1, MIRA)
    await history.post_ended(taken)
    again = await history.take_kept(1, MIRA)
    assert again.fence > taken.fence


async def test_a_kept_image_can_be_taken_again_after_its_process_died(harness: Harness, history: History) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    first = await history.take_kept(1, MIRA)
    harness.clock.at_ms += 10 * 60_000
    await history.take_kept(1, MIRA)
    with pytest.raises(LostClaim):
        await history.posted(first, here(), DeliveryResult(Place.CARD, 1, 701), {0: None})
    assert (await harness.image(1)).state is State.UNDELIVERED


async def test_a_press_whose_claim_was_lost_during_the_download_posts_nothing(
    harness: Harness, history: History
) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    slow = await history.take_kept(1, MIRA)
    harness.clock.at_ms += 10 * 60_000
    await history.take_kept(1, MIRA)
    with pytest.raises(NotThere):
        await fetch(history, slow)


async def test_a_slow_download_does_not_shorten_the_time_for_posting(harness: Harness, history: History) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    slow = await history.take_kept(1, MIRA)
    harness.clock.at_ms += 170_000
    await fetch(history, slow)
    harness.clock.at_ms += 170_000
    with pytest.raises(NotThere):
        await history.take_kept(1, MIRA)


async def test_an_image_with_a_dead_link_is_refunded_once(harness: Harness, history: History, store: Store) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    assert await harness.numbers() == (45, 0)
    store.faults.append(ImageUnavailable("gone", temporary=False))
    taken = await history.take_kept(1, MIRA)
    fetched = await fetch(history, taken)
    await history.post_ended(taken)
    assert (fetched.lost, fetched.refunded, dict(fetched.image_files)) == (1, 5, {})
    image = await harness.image(1)
    assert (image.state, image.ending) == (State.FAILED, Ending.IMAGE_LOST)
    assert await harness.numbers() == (50, 0)
    with pytest.raises(NotThere):
        await history.take_kept(1, MIRA)
    assert await harness.database.run(harness.ledger.audit) == []


async def test_an_image_that_is_temporarily_unavailable_stays_kept_and_paid(
    harness: Harness, history: History, store: Store
) -> None:
    await make(harness, 1, end=State.UNDELIVERED, count=2)
    store.faults.append(ImageUnavailable("slow", temporary=True))
    taken = await history.take_kept(1, MIRA)
    fetched = await fetch(history, taken)
    await history.post_ended(taken)
    assert (fetched.lost, len(fetched.image_files)) == (0, 1)
    assert {image.state for image in (await harness.load(1)).images} == {State.UNDELIVERED}
    assert await harness.numbers() == (40, 0)


async def test_after_one_404_the_image_stays_and_is_checked_within_an_hour(
    harness: Harness, history: History, store: Store
) -> None:
    await make(harness, 1, end=State.UNDELIVERED)
    for failures, is_believed in ((0, False), (GONE_CHECKS - 1, True)):
        taken = await history.take_kept(1, MIRA)
        far = harness.clock.at_ms + 86_400_000
        await harness.database.run(
            records.update_image, taken.images[0], fence=taken.fence, failures=failures, due_at_ms=far
        )
        await history.post_ended(taken)
        store.faults.append(ImageUnavailable(temporary=False, http_status=403))
        taken = await history.take_kept(1, MIRA)
        fetched = await fetch(history, taken)
        await history.post_ended(taken)
        assert (fetched.lost, fetched.refunded) == ((1, 5) if is_believed else (0, 0))
        if not is_believed:
            assert (await harness.image(1)).due_at_ms == harness.clock.at_ms + 3_600_000
    assert (await harness.image(1)).ending is Ending.IMAGE_LOST


async def test_kept_images_wait_for_image_memory_before_they_are_downloaded(harness: Harness, store: Store) -> None:
    images = ImageMemory(1)
    history = History(harness.database, harness.ledger, harness.clock, store, owner="history", images=images)
    await make(harness, 1, end=State.UNDELIVERED)
    taken = await history.take_kept(1, MIRA)
    async with images.reserve(["another"]) as other:
        await other.acquire()
        fetching = asyncio.create_task(fetch(history, taken))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (images.waiting, store.asked) == (1, [])
    assert set((await fetching).image_files) == {0}
    assert images.bytes_held == 0


async def test_images_on_the_card_stay_there_when_a_kept_one_is_posted_elsewhere(
    harness: Harness, history: History
) -> None:
    made = await make(harness, 1, end=State.UNDELIVERED, count=2)
    await harness.move(made.images[0], State.DELIVERED)
    taken = await history.take_kept(1, MIRA)
    fetched = await fetch(history, taken)
    await history.posted(fetched.generation, here(), DeliveryResult(Place.CARD, 5000, 701), fetched.image_files)
    await history.post_ended(taken)
    after = await harness.load(1)
    assert {image.state for image in after.images} == {State.DELIVERED}
    assert after.message_id == 9001
