"""DiscordDelivery against the local Discord: what people see, and that no rule of Discord is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord
import pytest
from discord.http import Route

from generations.delivery_result import DeliveryResult, Place
from generations.model import Ending, Generation, Image, Line, Origin, Progress, Request, State
from qwen.images import DownloadedImage
from qwen.models import OutputFormat, Size
from sandbox.local_discord import Lie
from tests.sandbox.discord_bench import PAINT, Bench, open_bench, png
from ui.delivery.card_state import CLOSED_SECONDS
from ui.delivery.cards import DiscordDelivery
from ui.interactions.buttons import card_buttons
from ui.views.cards import build_card

QUARTER_HOUR = 15 * 60.0
NOTHING = Progress()
HOSTILE = [
    "👩‍👩‍👧‍👦" * 285,
    "\u202egnp.exe",
    "```\n``` **",
    "@everyone @here <@1> <@&2>",
    "[free](https://evil.example) https://evil.example discord.gg/abc",
    "\u200b",
    "../../x",
    "x",
    "\n\n\n",
    "Z" + "\u0301" * 500,
    "\\",
]


class WorldClock:
    """The sandbox's wall clock, and a monotonic clock that lets no progress wait."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._monotonic = 0.0

    def now_ms(self) -> int:
        return self._bench.clock.now_ms()

    def monotonic(self) -> float:
        self._monotonic += 10.0
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class World:
    bench: Bench
    client: discord.Client
    delivery: DiscordDelivery
    person: str = "mira"

    async def asked(
        self, channel: str = "gallery", *, prompt: str = "a castle", count: int = 1, **options: Any
    ) -> Generation:
        """Type a command as a person, answer it with the first card, and return the generation."""
        act = await self.bench.paint(self.person, channel)
        local = self.bench.discord
        place = local.channels[channel]
        user_id = local.people[self.person].id
        limit = options.pop("attachment_size_limit", 10 << 20)
        installed = options.pop("installed", True)
        request = Request(prompt, Size.SQUARE, 42, OutputFormat.PNG, count, **options)
        origin = Origin(
            *(act.id, local.application_id, user_id, place.id, place.guild_id, act.token, limit),
            bot_in_channel=installed,
        )
        images = tuple(Image(act.id, position, 42 + position) for position in range(count))
        made = Generation(act.id, request, origin, self.bench.clock.now_ms(), images)
        view = build_card(made, Progress(Line(1, 0, 3, 1, 20)), attached={}, buttons=card_buttons)
        flags = 32768 + (64 if request.private else 0)
        reply = await act.callback({"type": 4, "data": {"components": view.to_components(), "flags": flags}})
        assert reply.status == 200, reply.body
        return replace(made, message_id=int(reply.body["interaction"]["response_message_id"]))

    async def arrives(self, made: Generation, *positions: int) -> tuple[Generation, DeliveryResult]:
        """Let the images at *positions* succeed, and publish them as the worker does."""
        states = {position: State.SUCCEEDED for position in positions}
        made = replace(made, images=tuple(moved(image, states) for image in made.images), revision=made.revision + 1)
        shown = await self.delivery.publish(made, NOTHING, {position: image_file(position) for position in positions})
        images = tuple(
            replace(
                image,
                state=State.DELIVERED,
                attachment_id=shown.attachments.get(image.position),
                file_name=shown.file_names.get(image.position),
            )
            if image.position in positions
            else image
            for image in made.images
        )
        return replace(made, images=images, message_id=shown.message_id or made.message_id), shown

    def restart(self, client: discord.Client) -> None:
        self.delivery = DiscordDelivery(client, WorldClock(self.bench), buttons=card_buttons)

    def seen(self, channel: str = "gallery") -> list[dict[str, Any]]:
        return self.bench.actor(self.person).messages(channel)

    async def images_on(self, message: dict[str, Any]) -> list[bytes]:
        """Download the images of the gallery, as a client does."""
        loaded: list[bytes] = []
        for item in (item for part in parts(message["components"]) for item in part.get("items", ())):
            async with self.bench.http.get(item["media"]["url"]) as response:
                loaded.append(await response.read())
        return loaded


def moved(image: Image, states: dict[int, State]) -> Image:
    now: dict[str, Any] = {"submitted_at_ms": 1, "ready_at_ms": 14_001, "image_url": "https://x.example/a.png"}
    return replace(image, state=states[image.position], **now) if image.position in states else image


def image_file(position: int) -> DownloadedImage:
    return DownloadedImage(png(2 + position, 3), OutputFormat.PNG, 2 + position, 3)


def parts(components: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in components:
        yield part
        yield from parts(part.get("components", ()))


def text_of(message: dict[str, Any]) -> str:
    return "\n".join(part["content"] for part in parts(message["components"]) if "content" in part)


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[discord.Client]:
    before = Route.BASE
    Route.BASE = f"{bench.url}/api/v10"
    made = discord.Client(intents=discord.Intents.none())
    try:
        await made.login(bench.discord.token)
        yield made
    finally:
        await made.close()
        Route.BASE = before


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench() as opened:
        await opened.register(PAINT)
        yield opened
        assert opened.discord.violations == []


@pytest.fixture
def world(bench: Bench, client: discord.Client) -> World:
    return World(bench, client, DiscordDelivery(client, WorldClock(bench), buttons=card_buttons))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (2, 0, 3, 1)])
async def test_images_fill_one_gallery_as_they_arrive_and_no_edit_is_refused(
    world: World, client: discord.Client, order: tuple[int, ...], restarts: bool
) -> None:
    made = await world.asked(count=len(order))
    for position in order:
        made, shown = await world.arrives(made, position)
        assert shown.place is Place.CARD
        if restarts:
            world.restart(client)
    [message] = world.seen()
    assert await world.images_on(message) == [image_file(position).data for position in range(len(order))]
    assert all(request.status < 300 for request in world.bench.discord.requests)


@pytest.mark.parametrize("prompt", ["灯台と嵐の海" * 330, "🦊" * 2000], ids=["japanese", "emoji"])
async def test_four_images_of_a_long_prompt_in_wide_letters_are_on_one_card(world: World, prompt: str) -> None:
    made = await world.asked(prompt=prompt, count=4)
    for position in range(4):
        made, shown = await world.arrives(made, position)
        assert shown.place is Place.CARD
    [message] = world.seen()
    descriptions = [item["description"] for part in parts(message["components"]) for item in part.get("items", ())]
    assert len(descriptions[0]) > 2 * len(descriptions[1]) and descriptions[3].startswith("AI-generated image 4 of 4: ")
    assert all(request.status < 300 for request in world.bench.discord.requests)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("order", [(0,), (1, 0), (2, 0, 1), (2, 0, 3, 1)])
async def test_without_attachment_ids_in_answers_the_images_are_still_in_one_gallery(
    world: World, client: discord.Client, caplog: pytest.LogCaptureFixture, order: tuple[int, ...], restarts: bool
) -> None:
    world.bench.discord.faults.lie(Lie.NO_ATTACHMENT_IDS)
    made = await world.asked(count=len(order))
    for position in order:
        made, shown = await world.arrives(made, position)
        assert (shown.place, dict(shown.attachments)) == (Place.CARD, {})
        if restarts:
            world.restart(client)
    [message] = world.seen()
    assert await world.images_on(message) == [image_file(position).data for position in range(len(order))]
    edits = [request for request in world.bench.discord.requests if request.method == "PATCH"]
    assert all("attachments" not in edit.json for edit in edits[1:])
    assert all(request.status < 300 for request in world.bench.discord.requests)
    warnings = [record for record in caplog.records if "does not tell the ids" in record.getMessage()]
    assert len(warnings) == (len(order) if restarts else 1)


async def test_attachment_ids_missing_in_an_edits_answer_are_read_from_the_message(world: World) -> None:
    world.bench.discord.faults.lie(Lie.NO_ATTACHMENT_IDS)
    made, _ = await world.arrives(await world.asked(count=2), 0)
    world.bench.discord.faults.lie(Lie.NO_ATTACHMENT_IDS, on=False)
    world.restart(world.client)
    _, shown = await world.arrives(made, 1)
    assert list(shown.attachments) == [1]
    assert len(world.bench.discord.requests[-1].json["attachments"]) == 2


async def test_the_first_edit_with_the_bots_token_keeps_the_images(world: World) -> None:
    made, _ = await world.arrives(await world.asked(count=2), 0)
    world.bench.clock.advance(QUARTER_HOUR)
    _, shown = await world.arrives(made, 1)
    assert shown.place is Place.CARD
    [message] = world.seen()
    assert len(await world.images_on(message)) == 2
    assert world.bench.discord.requests[-1].authorized


async def test_a_private_image_that_is_late_comes_as_a_direct_message(world: World) -> None:
    made = await world.asked(private=True)
    world.bench.clock.advance(QUARTER_HOUR)
    _, shown = await world.arrives(made, 0)
    assert shown.place is Place.DIRECT_MESSAGE
    assert await world.images_on(world.seen("dm-mira")[-1]) == [image_file(0).data]
    world.person = "jonas"
    assert world.seen() == []


async def test_where_the_bot_is_not_installed_a_late_image_comes_as_a_direct_message(world: World) -> None:
    world.person = "olga"
    made = await world.asked("pier", count=2, installed=False)
    made, first = await world.arrives(made, 0)
    world.bench.clock.advance(QUARTER_HOUR)
    _, second = await world.arrives(made, 1)
    assert (first.place, second.place) == (Place.CARD, Place.DIRECT_MESSAGE)


async def test_in_an_archived_thread_an_image_comes_in_a_new_card_that_is_edited_from_then_on(world: World) -> None:
    made = await world.asked("sketches", count=2)
    world.bench.discord.archive("sketches")
    made, first = await world.arrives(made, 0)
    made, second = await world.arrives(made, 1)
    assert (first.place, second.place) == (Place.CHANNEL, Place.CARD)
    old, anew = world.seen("sketches")
    assert f"/{anew['id']}" in str(old["components"]), "the old card leads to the new one"
    assert await world.images_on(anew) == [image_file(0).data, image_file(1).data]


async def test_in_an_archived_thread_an_ending_without_an_image_comes_in_a_new_card(world: World) -> None:
    made = await world.asked("sketches")
    world.bench.discord.archive("sketches")
    failed = replace(made.images[0], state=State.FAILED, ending=Ending.DECLINED)
    shown = await world.delivery.publish(replace(made, images=(failed,), revision=1), NOTHING, {})
    assert shown.place is Place.CHANNEL
    assert ["were returned" in text_of(card) for card in world.seen("sketches")] == [True, True]


async def test_where_only_the_token_reaches_an_archived_thread_is_opened_by_a_follow_up(world: World) -> None:
    made = await world.asked("night-watch", count=2, installed=False)
    world.bench.discord.archive("night-watch")
    made, first = await world.arrives(made, 0)
    world.restart(world.client)
    made, second = await world.arrives(made, 1)
    assert (first.place, second.place) == (Place.FOLLOW_UP, Place.CARD)
    old, anew = world.seen("night-watch")
    assert f"/{anew['id']}" in str(old["components"]), "the old card leads to the new one"
    assert await world.images_on(anew) == [image_file(0).data, image_file(1).data]
    assert not any(
        request.authorized for request in world.bench.discord.requests if request.path.startswith("/channels")
    )


async def test_the_follow_up_of_a_private_card_in_an_archived_thread_is_ephemeral(world: World) -> None:
    made = await world.asked("night-watch", private=True, installed=False)
    world.bench.discord.archive("night-watch")
    _, shown = await world.arrives(made, 0)
    assert shown.place is Place.FOLLOW_UP
    assert await world.images_on(world.seen("night-watch")[-1]) == [image_file(0).data]
    world.person = "sam"
    assert world.seen("night-watch") == []


async def test_progress_in_an_archived_thread_is_not_posted(world: World) -> None:
    made = await world.asked("sketches", count=2)
    world.bench.discord.archive("sketches")
    failed = replace(made.images[0], state=State.FAILED, ending=Ending.DECLINED)
    shown = await world.delivery.publish(replace(made, images=(failed, made.images[1]), revision=1), NOTHING, {})
    assert shown == DeliveryResult(Place.NOWHERE, card_retry_seconds=CLOSED_SECONDS)
    assert len(world.seen("sketches")) == 1


async def test_a_deleted_card_is_followed_by_a_new_one_in_the_channel(world: World) -> None:
    made = await world.asked()
    await world.bench.actor("sam").delete_message(made.message_id or 0)
    _, shown = await world.arrives(made, 0)
    assert shown.place is Place.CHANNEL
    [message] = world.seen()
    assert "for <@" in text_of(message)
    assert await world.images_on(message) == [image_file(0).data]


async def test_with_closed_direct_messages_no_other_place_is_tried(world: World) -> None:
    made = await world.asked(private=True)
    world.bench.discord.closed_dms.add(made.origin.user_id)
    world.bench.clock.advance(QUARTER_HOUR)
    assert (await world.arrives(made, 0))[1] == DeliveryResult(Place.NOWHERE)


async def test_an_image_over_the_limit_of_the_place_is_linked(world: World) -> None:
    made = await world.asked(attachment_size_limit=10)
    _, shown = await world.arrives(made, 0)
    assert shown.place is Place.CARD
    [message] = world.seen()
    assert "too large" in text_of(message)
    assert [part["url"] for part in parts(message["components"]) if "url" in part] == ["https://x.example/a.png"]


async def test_the_card_of_an_unrecorded_first_response_is_found(world: World) -> None:
    made = await world.asked()
    assert await world.delivery.find_card(replace(made, message_id=None)) == made.message_id
    act = await world.bench.paint()
    unanswered = replace(made, origin=replace(made.origin, interaction_id=act.id, token=act.token), message_id=None)
    assert await world.delivery.find_card(unanswered) is None


@pytest.mark.parametrize("prompt", HOSTILE, ids=lambda prompt: ascii(prompt[:8]))
async def test_a_hostile_prompt_is_escaped_in_every_state(world: World, prompt: str) -> None:
    made = await world.asked(prompt=prompt, count=2)
    failed = replace(made.images[1], state=State.FAILED, ending=Ending.DECLINED, ending_detail=prompt[:300])
    made = replace(made, images=(made.images[0], failed), revision=1)
    assert (await world.delivery.publish(made, NOTHING, {})).place is Place.CARD
    _, shown = await world.arrives(made, 0)
    assert shown.place is Place.CARD
    [message] = world.seen()
    assert not message["mention_everyone"]
    assert {user["id"] for user in message["mentions"]} <= {str(made.origin.user_id)}
    assert message["embeds"] == []
    assert len(await world.images_on(message)) == 1
