"""Images that are too large for their channel: made smaller, then linked to."""

from __future__ import annotations

import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from PIL import Image

from generations.delivery_result import DeliveryResult, Place
from generations.model import Ending, Generation, State
from qwen.images import DownloadedImage, FoundImage, OversizedImage
from qwen.models import OutputFormat, Size
from tests.integration.delivery_scene import BY_TOKEN, CARD, NOTHING, POST, Scene, a_scene, image, ready
from ui.delivery.fitting import REQUEST_BYTES, file_limit
from ui.views.file_names import file_name, reencoding_in

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


def png(width: int = 256, height: int = 384) -> DownloadedImage:
    """A PNG of noise, which no encoder makes small: 3 bytes a pixel."""
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(3).randbytes(width * height * 3)).save(out, "PNG")
    return DownloadedImage(out.getvalue(), OutputFormat.PNG, width, height)


def ready_with_limit(limit: int, count: int = 1) -> Generation:
    """A generation with ready images of 1024×1536, where a file may have *limit* bytes."""
    made = ready(count, origin={"attachment_size_limit": limit})
    return replace(made, request=replace(made.request, size=Size.PORTRAIT))


async def publish(scene: Scene, generation: Generation, *image_files: FoundImage) -> DeliveryResult:
    return await scene.delivery.publish(generation, NOTHING, dict(enumerate(image_files)))


def last(scene: Scene) -> str:
    return str(scene.rest.calls[-1].body)


async def test_an_image_within_the_limit_is_posted_as_it_came(scene: Scene) -> None:
    image_file = png()
    await publish(scene, ready_with_limit(len(image_file.data)), image_file)
    assert list(scene.rest.calls[-1].files.values()) == [image_file.data]
    assert "Re-encoded" not in last(scene)


async def test_a_larger_image_is_re_encoded_before_it_is_sent_and_the_card_says_so(scene: Scene) -> None:
    await publish(scene, ready_with_limit(40 * KIB), png())
    assert scene.rest.tried() == [BY_TOKEN]
    [(name, data)] = scene.rest.calls[-1].files.items()
    assert name == "a-lighthouse-everyone-in-a-storm-42-256x384-192x288.webp"
    assert len(data) <= 40 * KIB
    with Image.open(io.BytesIO(data)) as image_file:
        assert (image_file.format, image_file.size) == ("WEBP", (192, 288))
    assert "-# Re-encoded to fit: webp, 256×384 → 192×288" in last(scene)


async def test_a_re_encoded_spoiler_image_has_the_same_name_in_its_upload_and_in_the_gallery(
    scene: Scene,
) -> None:
    made = ready_with_limit(40 * KIB)
    await publish(scene, replace(made, request=replace(made.request, spoiler=True)), png())
    [name] = scene.rest.calls[-1].files
    assert name == "SPOILER_a-lighthouse-everyone-in-a-storm-42-256x384-192x288.webp"
    assert f"attachment://{name}" in last(scene)


async def test_the_card_still_says_so_after_a_restart_while_other_images_are_made(scene: Scene) -> None:
    one = ready_with_limit(40 * KIB, 2)
    one = replace(one, images=(one.images[0], image(State.RUNNING, 1)))
    first = await publish(scene, one, png())
    async with a_scene() as other:  # another process, which has only the rows
        other.rest.messages = scene.rest.messages
        posted = replace(
            one.images[0],
            state=State.DELIVERED,
            attachment_id=first.attachments[0],
            file_name=first.file_names[0],
        )
        await other.delivery.publish(replace(one, images=(posted, one.images[1]), revision=2), NOTHING, {})
        assert "Image 1: Re-encoded to fit: webp, 256×384 → 192×288" in str(other.rest.calls[-1].body)


async def test_an_image_that_can_not_be_made_small_enough_becomes_a_link(scene: Scene) -> None:
    result = await publish(scene, ready_with_limit(300), png())
    assert result.place is Place.CARD and not result.attachments
    assert "too large to be posted here" in last(scene)
    assert "https://x.example/a.png" in last(scene)


async def test_an_image_that_was_too_large_to_download_becomes_a_link(scene: Scene) -> None:
    result = await publish(scene, ready_with_limit(10 * MIB), OversizedImage())
    assert result.place is Place.CARD
    assert "too large to be posted here" in last(scene) and "https://x.example/a.png" in last(scene)


async def test_the_link_is_still_there_after_a_restart(scene: Scene) -> None:
    two = ready_with_limit(10 * MIB, 2)
    one = replace(two, images=(two.images[0], image(State.RUNNING, 1)))
    first = await publish(scene, one, OversizedImage())
    async with a_scene() as other:
        done = replace(two.images[0], state=State.DELIVERED, file_name=first.file_names[0])
        later = replace(two, images=(done, two.images[1]), revision=2)
        await other.delivery.publish(later, NOTHING, {1: png(8, 8)})
        assert "Image 1 is too large" in last(other) and "https://x.example/a.png" in last(other)
        assert len(other.rest.calls[-1].files) == 1


async def test_if_the_other_images_are_kept_the_card_has_no_link(scene: Scene) -> None:
    """All of them are kept then, and a kept image may be refunded later."""
    scene.rest.fault("PATCH", 400, 50035)
    scene.rest.fault("POST .*(messages|webhooks)", 403, 50013, times=9)
    result = await publish(scene, ready_with_limit(10 * MIB, 2), OversizedImage(), png(8, 8))
    assert result == DeliveryResult(Place.NOWHERE)
    assert "no place left to post it" in last(scene) and "https://x.example/a.png" not in last(scene)


async def test_a_kept_image_that_is_lost_is_not_linked_by_the_process_that_found_it_too_large(scene: Scene) -> None:
    scene.rest.fault("PATCH", 403, 50001, times=2)
    scene.rest.fault("POST .*(messages|webhooks)", 403, 50013, times=9)
    made = ready_with_limit(10 * MIB)
    assert (await publish(scene, made, OversizedImage())).place is Place.NOWHERE
    lost = replace(made.images[0], state=State.FAILED, ending=Ending.IMAGE_LOST)
    after = await scene.delivery.publish(replace(made, images=(lost,), revision=2), NOTHING, {})
    assert after.place is Place.CARD
    assert "lost before it could be posted" in last(scene) and "https://x.example/a.png" not in last(scene)


async def test_images_posted_before_the_rest_found_no_place_are_in_the_result(scene: Scene) -> None:
    large = DownloadedImage(b"x" * 9 * MIB, OutputFormat.PNG, 1024, 1536)
    scene.rest.fault("PATCH", 404, 10008, times=2, skip=1)
    scene.rest.fault("POST .*(messages|webhooks)", 403, 50013, times=9)
    result = await publish(scene, ready_with_limit(10 * MIB, 4), large, large, large, large)
    assert result.place is Place.NOWHERE
    assert list(result.file_names) == list(result.attachments) == [0, 1]


async def test_the_other_images_are_posted_beside_a_link(scene: Scene) -> None:
    result = await publish(scene, ready_with_limit(10 * MIB, 3), png(8, 8), OversizedImage(), png(8, 8))
    assert list(result.attachments) == [0, 2]
    assert "Image 2 is too large" in last(scene)


@pytest.mark.parametrize("status", [413, 400])
async def test_where_discord_takes_less_than_it_said_the_image_is_made_smaller_once_more(
    scene: Scene, status: int
) -> None:
    scene.rest.fault("PATCH", status, 40005)
    image_file = png()
    result = await publish(scene, ready_with_limit(10 * MIB), image_file)
    assert scene.rest.tried() == [BY_TOKEN, BY_TOKEN]
    [data] = scene.rest.calls[-1].files.values()
    assert len(data) <= len(image_file.data) // 2
    assert list(result.attachments) == [0]


async def test_an_image_that_is_refused_again_becomes_a_link(scene: Scene) -> None:
    scene.rest.fault("PATCH", 413, 40005, times=2)
    result = await publish(scene, ready_with_limit(10 * MIB), png())
    assert scene.rest.tried() == [BY_TOKEN] * 3
    assert result.place is Place.CARD and not result.attachments
    assert "too large to be posted here" in last(scene)


async def test_four_images_too_large_for_one_request_are_sent_in_several(scene: Scene) -> None:
    large = DownloadedImage(b"x" * 9 * MIB, OutputFormat.PNG, 1024, 1536)
    result = await publish(scene, ready_with_limit(10 * MIB, 4), large, large, large, large)
    assert [len(call.files) for call in scene.rest.edits()] == [2, 2]
    assert len(scene.rest.messages[CARD]["attachments"]) == 4
    assert list(result.attachments) == [0, 1, 2, 3]


async def test_where_a_file_may_be_larger_than_a_request_it_is_still_made_to_fit_the_request(scene: Scene) -> None:
    made = ready_with_limit(500 * MIB)
    assert file_limit(made) == REQUEST_BYTES < 25 * MIB
    await publish(scene, made, DownloadedImage(b"x" * (REQUEST_BYTES + 1), OutputFormat.PNG, 1024, 1536))
    assert scene.rest.calls[-1].files == {}
    assert "too large to be posted here" in last(scene)


async def test_a_separate_message_says_that_its_image_is_re_encoded(scene: Scene) -> None:
    scene.rest.fault(f"messages/{CARD}$", 400, 50035, times=9)
    await publish(scene, ready_with_limit(40 * KIB), png())
    posted = next(call for call in scene.rest.calls if f"{call.method} {call.path}" == POST)
    assert "Re-encoded to fit: webp, 256×384 → 192×288" in posted.body["content"]
    assert posted.body["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize(
    "name",
    [
        "a-42.webp",
        "a-42-1x1.png",
        "a-42-768x1152-43.webp",
        "a-43-768x1152.webp",
        "42-768x1152.webp.exe",
        "x-42-x.jpg",
        "a-42-1x1-2x2-3x3.webp",
        "a-42-1x1-.webp",
    ],
)
def test_other_file_names_give_no_sizes(name: str) -> None:
    assert reencoding_in(name, 42) is None


def test_a_prompt_can_not_imitate_the_sizes_in_a_file_name(scene: Scene) -> None:
    for prompt in ("42 768x1152.webp", "42 1024x1536 768x1152.webp", "42 1024x1536 42 768x1152.webp"):
        pretending = replace(ready(), request=replace(ready().request, prompt=prompt))
        assert reencoding_in(file_name(pretending, pretending.images[0]), 42) is None
