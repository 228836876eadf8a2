"""DiscordDelivery over real HTTP: revisions before progress, no overlapping edits, images stay, no secret is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

import pytest

from generations.delivery_result import DeliveryResult, Place
from generations.errors import DeliveryDelayed, LostClaim
from generations.model import Ending, Generation, Image, Line, Progress, State
from generations.ports import Delivery
from store.errors import DatabaseLost
from tests.integration.delivery_scene import (
    AS_BOT,
    BY_TOKEN,
    CARD,
    CHANNEL,
    NOTHING,
    PROMPT,
    READY,
    TOKEN,
    Scene,
    a_scene,
    declined,
    generation,
    image,
    image_file,
    painting,
    ready,
)
from ui.delivery.cards import CARDS_REMEMBERED, DiscordDelivery
from ui.delivery.progress_interval import FIGURES_SECONDS, PROGRESS_SECONDS
from ui.interactions.buttons import card_buttons


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


def bar(scene: Scene, call: int) -> int:
    return str(scene.rest.edits()[call].body).count("▰")


def test_discord_delivery_implements_the_workers_protocol(scene: Scene) -> None:
    delivery: Delivery = scene.delivery
    assert isinstance(delivery, DiscordDelivery)


async def test_of_several_progress_edits_only_the_newest_is_sent(scene: Scene) -> None:
    for share in range(9):
        scene.delivery.publish_progress(*painting(share / 10))
    await scene.edited(1)
    await scene.settled()
    assert len(scene.rest.edits()) == 1
    assert bar(scene, 0) == 8


async def test_a_longer_bar_under_the_same_words_is_sent_at_most_every_fifteen_seconds(scene: Scene) -> None:
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    for share in (2, 3, 4):
        await scene.settled()
        scene.delivery.publish_progress(*painting(share / 10))
        scene.clock.advance(FIGURES_SECONDS / 4)
    await scene.settled()
    assert len(scene.rest.edits()) == 1
    scene.clock.advance(FIGURES_SECONDS / 4)
    await scene.edited(2)
    assert bar(scene, 1) == 4


async def test_a_longer_bar_is_not_sent_when_the_image_should_be_ready_and_other_words_are(scene: Scene) -> None:
    made, progress = painting(0.1)
    assert progress.estimate is not None
    due = replace(progress.estimate, ready_at_ms=scene.clock.now_ms() + round(FIGURES_SECONDS * 1000) + 2000)
    scene.delivery.publish_progress(made, Progress(None, due))
    await scene.edited(1)
    await scene.settled()
    scene.delivery.publish_progress(made, Progress(None, replace(due, share=0.9)))
    await scene.settled()
    scene.clock.advance(FIGURES_SECONDS)
    await scene.settled()
    assert len(scene.rest.edits()) == 1
    scene.delivery.publish_progress(made, Progress(None, replace(due, service_slow=True)))
    await scene.edited(2)


async def test_other_words_are_sent_at_most_every_five_seconds(scene: Scene) -> None:
    made, progress = painting(0.1)
    scene.delivery.publish_progress(made, progress)
    await scene.edited(1)
    assert progress.estimate is not None
    slow = replace(progress, estimate=replace(progress.estimate, overdue=True))
    scene.delivery.publish_progress(made, slow)
    await scene.settled()
    scene.clock.advance(PROGRESS_SECONDS - 0.1)
    await scene.settled()
    assert len(scene.rest.edits()) == 1
    scene.clock.advance(0.1)
    await scene.edited(2)
    assert "taking longer than usual" in str(scene.rest.edits()[1].body)


async def test_progress_with_unchanged_words_is_not_sent(scene: Scene) -> None:
    for share in (0.51, 0.52, 0.53):
        scene.delivery.publish_progress(*painting(share))
        await scene.settled()
        scene.clock.advance(PROGRESS_SECONDS)
    await scene.settled()
    assert len(scene.rest.edits()) == 1


async def test_a_new_revision_does_not_wait_for_progress(scene: Scene) -> None:
    scene.rest.gate.clear()
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    scene.delivery.publish_progress(*painting(0.2))
    publisher = asyncio.create_task(scene.publish(ready(), 0))
    await scene.settled()
    assert len(scene.rest.edits()) == 1, "an edit began while another was under way"
    scene.rest.gate.set()
    await publisher
    scene.clock.advance(PROGRESS_SECONDS * 2)
    await scene.settled()
    assert len(scene.rest.edits()) == 2
    assert scene.rest.edits()[-1].files
    assert scene.rest.most_at_once == 1


async def test_progress_after_the_end_is_not_sent(scene: Scene) -> None:
    await scene.publish(ready(), 0)
    scene.delivery.publish_progress(*painting(0.9, revision=5))
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.settled()
    assert len(scene.rest.edits()) == 1


async def test_progress_of_an_older_revision_is_not_sent(scene: Scene) -> None:
    newer = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1), revision=2)
    await scene.publish(newer, 0)
    old = generation(image(State.RUNNING, 0), image(State.RUNNING, 1), revision=1)
    scene.delivery.publish_progress(old, NOTHING)
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.settled()
    assert len(scene.rest.edits()) == 1
    scene.delivery.publish_progress(newer, painting()[1])
    await scene.edited(2)


async def test_waiting_progress_is_dropped_for_a_new_revision(scene: Scene) -> None:
    both = generation(image(State.SUCCEEDED, 0, **READY), image(State.RUNNING, 1))
    scene.delivery.publish_progress(both, painting(0.1)[1])
    await scene.edited(1)
    scene.delivery.publish_progress(both, painting(0.5)[1])
    await scene.settled()
    await scene.publish(both, 0)
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.settled()
    assert len(scene.rest.edits()) == 2
    assert scene.rest.edits()[-1].files


async def test_a_new_revision_wakes_the_task_that_waits_to_send_progress(scene: Scene) -> None:
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    scene.delivery.publish_progress(*painting(0.2))
    await scene.settled()
    await scene.publish(declined())
    async with asyncio.timeout(60):  # the clock does not move: a task that went on sleeping would sleep for ever
        await scene.delivery.drain()
    assert len(scene.rest.edits()) == 2


async def test_a_cancelled_caller_does_not_cancel_the_edit(scene: Scene) -> None:
    scene.rest.gate.clear()
    publisher = asyncio.create_task(scene.publish(ready(), 0))
    await scene.edited(1)
    publisher.cancel()
    await scene.settled()
    assert publisher.cancelled()
    scene.rest.gate.set()
    await scene.delivery.drain()
    assert len(scene.card_names()) == 1
    await scene.publish(declined(revision=2))


async def test_edits_of_one_card_are_sequential_and_edits_of_two_cards_are_not(scene: Scene) -> None:
    made = declined()
    other = replace(made, id=1, message_id=CARD + 1, origin=replace(made.origin, token="another one's"))
    scene.rest.add_message(CARD + 1, 88)
    scene.rest.gate.clear()
    shows = [asyncio.create_task(scene.publish(each)) for each in (made, declined(revision=2), other)]
    await scene.edited(2)  # one of each card
    await scene.settled()
    assert len(scene.rest.edits()) == 2
    scene.rest.gate.set()
    await asyncio.gather(*shows)
    assert len(scene.rest.edits()) == 3


async def test_a_failed_progress_edit_raises_nothing_and_the_next_one_is_sent(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qwen_imagine")
    scene.rest.fault("PATCH", 429, headers={"Retry-After": "1"})
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    await scene.settled()
    scene.delivery.publish_progress(*painting(0.1))
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.edited(2)
    assert all(record.levelno <= logging.INFO for record in caplog.records if "qwen" in record.name)


async def test_progress_is_sent_with_the_bots_token_when_the_interactions_token_is_invalid(scene: Scene) -> None:
    scene.rest.fault("PATCH /webhooks", 401, 50027)
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(2)
    await scene.settled()
    scene.clock.advance(FIGURES_SECONDS)
    scene.delivery.publish_progress(*painting(0.2))
    await scene.edited(3)
    assert scene.rest.tried() == [BY_TOKEN, AS_BOT, AS_BOT]


async def test_after_an_hour_progress_stops_and_revisions_are_still_published(scene: Scene) -> None:
    scene.clock.advance(3601)
    scene.delivery.publish_progress(*painting())
    await scene.settled()
    assert scene.rest.edits() == []
    assert (await scene.publish(declined())).place is Place.CARD


async def test_progress_stops_when_nothing_reaches_the_card(scene: Scene) -> None:
    scene.rest.fault("PATCH", 404, 10008, times=99)
    for share in (1, 2, 3):
        scene.delivery.publish_progress(*painting(share / 10))
        await scene.settled()
        scene.clock.advance(PROGRESS_SECONDS)
    assert len(scene.rest.edits()) == 2


async def test_progress_waits_until_there_is_a_card(scene: Scene) -> None:
    scene.delivery.publish_progress(*painting(message_id=None))
    await scene.settled()
    assert scene.rest.edits() == []


# ---- images that stand on the card -------------------------------------------------------------------------------


def half_ready(first: Image, revision: int = 1) -> tuple[Image, Image]:
    return first, image(State.RUNNING, 1)


async def test_images_on_the_card_stay_when_others_arrive(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    both = (image(State.DELIVERED, 0, attachment_id=one.attachments[0]), image(State.SUCCEEDED, 1, **READY))
    two = await scene.publish(generation(*both, revision=2), 1)
    last = scene.rest.edits()[-1]
    assert last.body["attachments"][0] == {"id": str(one.attachments[0]), "filename": one.file_names[0]}
    assert list(last.files.values()) == [b"image 1"]
    assert list(scene.rest.messages[CARD]["attachments"]) == [one.attachments[0], two.attachments[1]]


async def test_images_stay_over_a_restart(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    both = (image(State.DELIVERED, 0, attachment_id=one.attachments[0]), image(State.SUCCEEDED, 1, **READY))
    restarted = DiscordDelivery(scene.client, scene.clock, buttons=card_buttons)
    shown = await restarted.publish(generation(*both, revision=2), NOTHING, {1: image_file(1)})
    assert shown.place is Place.CARD
    assert len(scene.card_names()) == 2


async def test_an_image_that_another_process_put_there_stays(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    scene.rest.messages[CARD]["attachments"] = {8000: "theirs.png"}
    delivered = image(State.DELIVERED, 0, attachment_id=8000, file_name="theirs.png")
    two = await scene.publish(generation(delivered, image(State.SUCCEEDED, 1, **READY), revision=3), 1)
    assert list(scene.rest.messages[CARD]["attachments"]) == [8000, two.attachments[1]]
    assert one.attachments[0] != 8000


async def test_an_image_that_a_late_edit_took_off_is_sent_again(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    scene.rest.messages[CARD]["attachments"] = {}
    lost = image(State.SUCCEEDED, 0, attachment_id=one.attachments[0], **READY)
    two = await scene.publish(generation(*half_ready(lost), revision=3), 0)
    assert list(scene.rest.messages[CARD]["attachments"]) == [two.attachments[0]]
    assert two.attachments[0] != one.attachments[0]


async def test_images_of_the_earlier_message_are_not_expected_on_the_new_one(scene: Scene) -> None:
    await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    scene.rest.add_message(CARD + 1, CHANNEL)
    moved = generation(image(State.DELIVERED, 0), image(State.SUCCEEDED, 1, **READY), revision=3, message_id=CARD + 1)
    shown = await scene.publish(moved, 1)
    assert list(scene.rest.messages[CARD + 1]["attachments"]) == [shown.attachments[1]]


async def test_images_stay_when_progress_or_an_ending_is_published(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY))), 0)
    delivered = image(State.DELIVERED, 0, attachment_id=one.attachments[0])
    scene.delivery.publish_progress(generation(*half_ready(delivered)), painting()[1])
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.edited(2)
    await scene.publish(generation(delivered, image(State.FAILED, 1, ending=Ending.DECLINED), revision=2))
    assert len(scene.card_names()) == 1
    assert "attachment://" in str(scene.rest.edits()[-1].body["components"])


async def test_progress_from_rows_that_do_not_know_the_image_yet_keeps_it(scene: Scene) -> None:
    stale = generation(*half_ready(image(State.SUCCEEDED, 0, **READY)))
    await scene.publish(stale, 0)
    scene.delivery.publish_progress(stale, painting()[1])
    scene.clock.advance(PROGRESS_SECONDS)
    await scene.edited(2)
    assert len(scene.card_names()) == 1
    assert "attachment://" in str(scene.rest.edits()[-1].body["components"])


async def test_attachment_ids_are_read_from_the_address_where_discord_gives_nothing_else(scene: Scene) -> None:
    scene.rest.hides_attachment_ids = True
    shown = await scene.publish(ready(2), 0, 1)
    assert list(shown.attachments.values()) == list(scene.rest.messages[CARD]["attachments"])


async def test_attachment_ids_are_matched_by_position_where_discord_renames_the_files(scene: Scene) -> None:
    scene.rest.renames_files = True
    shown = await scene.publish(ready(2), 0, 1)
    assert list(shown.attachments.values()) == list(scene.rest.messages[CARD]["attachments"])


async def test_a_spoiler_image_is_marked_by_name_and_in_the_gallery(scene: Scene) -> None:
    one = await scene.publish(generation(*half_ready(image(State.SUCCEEDED, 0, **READY)), spoiler=True), 0)
    assert all(name.startswith("SPOILER_") for name in scene.card_names())
    both = (image(State.DELIVERED, 0, attachment_id=one.attachments[0]), image(State.SUCCEEDED, 1, **READY))
    restarted = DiscordDelivery(scene.client, scene.clock, buttons=card_buttons)
    await restarted.publish(generation(*both, spoiler=True, revision=2), NOTHING, {1: image_file(1)})
    assert len(scene.card_names()) == 2
    assert str(scene.rest.edits()[-1].body["components"]).count("'spoiler': True") == 2


# ---- the rest ------------------------------------------------------------------------------------------------------


async def test_the_card_of_an_unconfirmed_first_response_is_found(scene: Scene) -> None:
    assert await scene.delivery.find_card(ready(message_id=None)) == CARD


async def test_a_first_response_that_is_a_refusal_is_not_a_card(scene: Scene) -> None:
    scene.rest.messages[CARD]["flags"] = 64
    assert await scene.delivery.find_card(ready(message_id=None)) is None
    scene.rest.messages[CARD]["flags"] = 128  # still "thinking…"
    assert await scene.delivery.find_card(ready(message_id=None)) == CARD


class ChangingRows:
    """Rows that another process changes: *current* are the answers of is_current, in order."""

    def __init__(self, *, current: bool) -> None:
        self.current = current
        self.asked = 0
        self.shown: list[int] = []
        self.gone: list[Mapping[int, int]] = []

    async def is_current(self, generation: Generation) -> bool:
        self.asked += 1
        return self.current

    async def was_published(self, generation: Generation, attachment_ids: Mapping[int, int]) -> None:
        self.shown.append(generation.revision)

    async def forget_attachments(self, generation: Generation, gone: Mapping[int, int]) -> None:
        self.gone.append(gone)


async def test_a_generation_that_another_process_claimed_is_not_edited(scene: Scene) -> None:
    delivery = DiscordDelivery(scene.client, scene.clock, ChangingRows(current=False), buttons=card_buttons)
    delivery.publish_progress(*painting())
    with pytest.raises(LostClaim):
        await delivery.publish(ready(), NOTHING, {0: image_file()})
    await scene.settled()
    assert scene.rest.edits() == []


async def test_progress_edits_are_checked_against_the_rows_and_revisions_are_not(scene: Scene) -> None:
    rows = ChangingRows(current=True)
    delivery = DiscordDelivery(scene.client, scene.clock, rows, buttons=card_buttons)
    delivery.publish_progress(*painting(revision=0))
    await scene.edited(1)
    await delivery.publish(ready(), NOTHING, {0: image_file()})
    assert rows.shown == [0]


async def test_the_rows_are_not_asked_about_a_card_that_nothing_reaches_or_that_says_so_already(scene: Scene) -> None:
    rows = ChangingRows(current=True)
    delivery = DiscordDelivery(scene.client, scene.clock, rows, buttons=card_buttons)
    for _ in range(2):
        delivery.publish_progress(*painting(0.1))
        await scene.edited(1)
        await scene.settled()
        scene.clock.advance(FIGURES_SECONDS)
    assert (rows.asked, rows.shown) == (1, [1])
    scene.clock.advance(901)  # the token of a private card ends
    made, progress = painting(0.5)
    delivery.publish_progress(replace(made, request=replace(made.request, private=True)), progress)
    await scene.settled()
    assert (rows.asked, rows.shown) == (1, [1])


@dataclass
class SharedCard:
    """A card of two images, the first of which is posted, where another process may edit too."""

    scene: Scene
    rows: ChangingRows
    delivery: DiscordDelivery
    first: Image

    async def publish(self, second: Image, *positions: int, revision: int) -> DeliveryResult:
        shown = generation(self.first, second, revision=revision)
        return await self.delivery.publish(shown, NOTHING, {position: image_file(position) for position in positions})

    def remove_images(self) -> None:
        """Empty the card, as a stale edit of another process does."""
        self.scene.rest.messages[CARD] |= {"attachments": {}, "components": []}

    def fetches(self) -> int:
        return sum(call.startswith("GET") for call in self.scene.rest.tried())


@pytest.fixture
async def shared_card(scene: Scene) -> SharedCard:
    rows = ChangingRows(current=True)
    delivery = DiscordDelivery(scene.client, scene.clock, rows, buttons=card_buttons)
    first = image(State.SUCCEEDED, 0, **READY)
    shown = await delivery.publish(generation(*half_ready(first)), NOTHING, {0: image_file()})
    return SharedCard(scene, rows, delivery, posted(first, shown))


def posted(first: Image, shown: DeliveryResult) -> Image:
    return replace(first, state=State.DELIVERED, attachment_id=shown.attachments[0])


SECOND = image(State.SUCCEEDED, 1, **READY)


async def test_an_image_that_is_gone_from_its_card_is_posted_again_with_the_next_one(shared_card: SharedCard) -> None:
    shared_card.remove_images()
    with pytest.raises(DeliveryDelayed):
        await shared_card.publish(SECOND, 1, revision=2)
    assert shared_card.rows.gone == [{0: shared_card.first.attachment_id}]
    assert shared_card.fetches() == 1
    shared_card.first = replace(shared_card.first, state=State.SUCCEEDED)
    shown = await shared_card.publish(SECOND, 0, 1, revision=4)
    assert shown.place is Place.CARD
    assert shared_card.scene.card_names() == [shown.file_names[0], shown.file_names[1]]


async def test_an_image_that_is_gone_before_its_row_is_written_is_posted_again(shared_card: SharedCard) -> None:
    shared_card.remove_images()
    shared_card.first = image(State.SUCCEEDED, 0, **READY)
    with pytest.raises(DeliveryDelayed):
        await shared_card.publish(SECOND, 0, 1, revision=2)
    shown = await shared_card.publish(SECOND, 0, 1, revision=2)
    assert shown.place is Place.CARD
    assert shared_card.scene.card_names() == [shown.file_names[0], shown.file_names[1]]


async def test_an_image_that_is_gone_from_its_card_twice_is_posted_again_once(shared_card: SharedCard) -> None:
    declined_second = image(State.FAILED, 1, ending=Ending.DECLINED)
    shared_card.remove_images()
    with pytest.raises(DeliveryDelayed):
        await shared_card.publish(declined_second, revision=2)
    shared_card.first = replace(shared_card.first, state=State.SUCCEEDED)
    shown = await shared_card.publish(declined_second, 0, revision=4)
    shared_card.first = posted(shared_card.first, shown)
    shared_card.remove_images()
    assert (await shared_card.publish(declined_second, revision=5)).place is Place.NOWHERE
    assert len(shared_card.rows.gone) == shared_card.fetches() == 1


async def test_progress_that_names_an_image_gone_from_its_card_is_followed_by_more(shared_card: SharedCard) -> None:
    shared_card.remove_images()
    shown = generation(*half_ready(shared_card.first), revision=1)
    shared_card.scene.clock.advance(FIGURES_SECONDS)
    shared_card.delivery.publish_progress(shown, painting()[1])
    await shared_card.scene.edited(2)
    await shared_card.scene.settled()
    assert shared_card.rows.gone == [{0: shared_card.first.attachment_id}]
    again = generation(*half_ready(replace(shared_card.first, state=State.SUCCEEDED)), revision=3)
    shared_card.scene.clock.advance(FIGURES_SECONDS)
    shared_card.delivery.publish_progress(again, painting()[1])
    await shared_card.scene.edited(3)


@pytest.mark.parametrize("tells_no_ids", [False, True])
async def test_after_an_edit_refused_for_another_reason_no_image_is_posted_again(
    shared_card: SharedCard, *, tells_no_ids: bool
) -> None:
    shared_card.scene.rest.tells_no_ids = tells_no_ids
    shared_card.scene.rest.fault("PATCH", 400, 50035)
    assert (await shared_card.publish(SECOND, 1, revision=2)).place is Place.CHANNEL
    assert shared_card.rows.gone == []
    assert shared_card.fetches() == 1


class UnreachableRows(ChangingRows):
    """Rows that can't be read until *back* is true."""

    def __init__(self) -> None:
        super().__init__(current=True)
        self.back = False

    async def is_current(self, generation: Generation) -> bool:
        if not self.back:
            raise DatabaseLost("the database can't be reached")
        return True


async def test_while_the_rows_cannot_be_read_progress_waits_without_an_error(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    rows = UnreachableRows()
    delivery = DiscordDelivery(scene.client, scene.clock, rows, buttons=card_buttons)
    delivery.publish_progress(*painting(0.1))
    with pytest.raises(DatabaseLost):
        await delivery.publish(ready(), NOTHING, {0: image_file()})
    await scene.settled()
    assert scene.rest.edits() == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    rows.back = True
    delivery.publish_progress(*painting(0.5))
    await scene.edited(1)


@pytest.mark.parametrize(("status", "code"), [(404, 10015), (404, 10008), (404, 10062), (401, 50027)])
async def test_no_card_is_found_when_discord_has_none(scene: Scene, status: int, code: int) -> None:
    scene.rest.fault("GET", status, code)
    assert await scene.delivery.find_card(ready(message_id=None)) is None


async def test_no_card_is_asked_for_with_an_expired_token(scene: Scene) -> None:
    scene.clock.advance(901)
    assert await scene.delivery.find_card(ready(message_id=None)) is None
    assert scene.rest.tried() == []


@pytest.mark.parametrize(
    "fault", [{"status": 429}, {"status": 500, "drop": True, "times": 9}, {"status": 401, "page": True}]
)
async def test_a_card_is_asked_for_again_after_a_failed_request(scene: Scene, fault: dict[str, int]) -> None:
    scene.rest.fault("GET", **fault)
    with pytest.raises(DeliveryDelayed):
        await scene.delivery.find_card(ready(message_id=None))


async def test_draining_waits_for_running_edits_and_drops_progress(scene: Scene) -> None:
    scene.delivery.publish_progress(*painting(0.1))
    await scene.edited(1)
    scene.delivery.publish_progress(*painting(0.2))
    await scene.settled()
    async with asyncio.timeout(60):
        await scene.delivery.drain()
    scene.delivery.publish_progress(*painting(0.3))
    await scene.settled()
    assert len(scene.rest.edits()) == 1


async def test_the_state_of_idle_cards_is_dropped(scene: Scene) -> None:
    first = replace(declined(), message_id=None)
    for number in range(CARDS_REMEMBERED + 5):
        await scene.publish(replace(first, id=number))
    assert len(scene.delivery._editors) == CARDS_REMEMBERED


async def test_neither_tokens_nor_prompts_reach_the_log(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "qwen_imagine")
    for status, code in ((401, 50027), (404, 10008), (400, 50035), (503, 0)):
        scene.rest.fault("PATCH|POST", status, code, times=2)
        for made in (ready(), replace(ready(), id=status)):
            try:
                await scene.publish(made, 0)
            except DeliveryDelayed as delayed:
                assert TOKEN not in repr(delayed)
                assert delayed.__suppress_context__
    text = caplog.text
    assert "Discord answered 401, code 50027" in text
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("qwen"))
    assert TOKEN not in ours
    assert PROMPT not in ours


async def test_a_first_card_from_a_deferred_answer_comes_at_once(scene: Scene) -> None:
    scene.delivery.publish_progress(generation(image(State.REQUESTED)), Progress(Line(3, 0, 3, 1, 40)))
    await scene.edited(1)
    assert "3rd in line" in str(scene.rest.edits()[0].body)
