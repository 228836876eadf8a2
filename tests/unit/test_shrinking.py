"""Re-encoding images that are too large, and refusing bytes that are no images."""

from __future__ import annotations

import asyncio
import io
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from images.image_memory import ImageMemory
from images.reencoded_image import CannotShrink, bytes_needed
from images.reencoder import Reencoder
from images.shrinking import shrink
from qwen.models import OutputFormat

KIB = 1024


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    return Image.frombytes(mode, (width, height), random.Random(5).randbytes(width * height * channels))


def encoded(image_file: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image_file.save(out, format, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image_file = Image.open(io.BytesIO(data))
    image_file.load()
    return image_file


PNG = encoded(noise(400, 600), "PNG")


def test_a_png_becomes_a_webp_of_the_same_size_where_that_is_enough() -> None:
    smaller = shrink(PNG, len(PNG) // 2, OutputFormat.PNG)
    assert (smaller.format, smaller.width, smaller.height) == (OutputFormat.WEBP, 400, 600)
    assert len(smaller.data) <= len(PNG) // 2
    assert (opened(smaller.data).format, opened(smaller.data).size) == ("WEBP", (400, 600))


def test_a_jpeg_stays_a_jpeg_where_that_was_asked_for() -> None:
    data = encoded(noise(400, 600), "JPEG", quality=100)
    smaller = shrink(data, len(data) // 2, OutputFormat.JPEG)
    assert opened(smaller.data).format == "JPEG" and smaller.format is OutputFormat.JPEG


def test_an_image_of_exactly_the_limit_is_taken_and_one_byte_less_costs_quality_first() -> None:
    data = encoded(noise(90, 60), "PNG")
    best = shrink(data, len(data), OutputFormat.PNG)
    assert shrink(data, len(best.data), OutputFormat.PNG).data == best.data
    second = shrink(data, len(best.data) - 1, OutputFormat.PNG)
    assert (second.width, second.height) == (90, 60)


def test_an_image_that_compresses_well_keeps_its_size_under_a_small_limit() -> None:
    assert shrink(encoded(Image.new("RGB", (400, 600)), "PNG"), 2 * KIB, OutputFormat.PNG).width == 400


def test_sizes_that_the_last_attempt_makes_hopeless_are_skipped_but_never_the_smallest() -> None:
    squares = Image.frombytes("L", (200, 300), bytes(255 * ((x + y) % 2) for y in range(300) for x in range(200)))
    smaller = shrink(encoded(squares, "PNG"), 200, OutputFormat.PNG)  # half the size, grey, would have fitted too
    assert (smaller.width, smaller.height) == (50, 75)


@pytest.mark.parametrize(("before", "after"), [((16_383, 1), (16_383, 1)), ((1, 16_384), (1, 12_288))])
def test_a_side_longer_than_a_webp_holds_is_shortened_and_none_vanishes(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    smaller = shrink(encoded(Image.new("RGB", before), "PNG"), 100 * KIB, OutputFormat.PNG)
    assert (smaller.width, smaller.height) == after


@pytest.mark.parametrize("limit", [60, 30, 15, 8])
def test_if_a_format_change_is_not_enough_both_sides_shrink_alike(limit: int) -> None:
    smaller = shrink(PNG, limit * KIB, OutputFormat.PNG)
    assert len(smaller.data) <= limit * KIB
    assert smaller.width < 400 and smaller.before == (400, 600)
    assert abs(smaller.height / smaller.width - 1.5) < 0.02
    assert opened(smaller.data).size == (smaller.width, smaller.height)


def test_an_image_that_cannot_be_made_small_enough_raises() -> None:
    with pytest.raises(CannotShrink, match=r"^even its smallest size is too large$"):
        shrink(PNG, 100, OutputFormat.PNG)


@pytest.mark.parametrize("wanted", OutputFormat)
def test_transparency_is_kept(wanted: OutputFormat) -> None:
    image_file = noise(300, 300, "RGBA")
    image_file.putpixel((0, 0), (255, 0, 0, 0))
    smaller = shrink(encoded(image_file, "PNG"), 200 * KIB, wanted)
    assert smaller.format is OutputFormat.WEBP
    assert opened(smaller.data).mode == "RGBA"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_images_of_few_colours_can_be_made_smaller_too(mode: str) -> None:
    smaller = shrink(encoded(noise(300, 300).convert(mode), "PNG"), 40 * KIB, OutputFormat.JPEG)
    assert smaller.width <= 300
    assert opened(smaller.data).format == smaller.format.value.upper() == ("WEBP" if mode == "LA" else "JPEG")


def test_sixteen_bit_grey_is_not_reencoded() -> None:
    with pytest.raises(CannotShrink, match="of the kind I;16"):
        shrink(encoded(Image.new("I;16", (300, 300), 30_000), "PNG"), 40 * KIB, OutputFormat.PNG)


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    data = encoded(noise(200, 100), "JPEG", quality=100, exif=exif)
    smaller = shrink(data, len(data) - 1, OutputFormat.JPEG)
    assert (smaller.width, smaller.height) == smaller.before == (100, 200)
    assert not opened(smaller.data).getexif()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_of_the_metadata_only_the_colour_profile_is_kept(mode: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(noise(200, 100, mode), "PNG", icc_profile=profile)
    smaller = opened(shrink(data, 40 * KIB, OutputFormat.PNG).data)
    assert smaller.info["icc_profile"] == profile
    assert set(smaller.info) <= {"icc_profile", "loop", "background", "timestamp", "duration"}


# ---- hostile bytes ----------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def test_more_than_fifty_million_pixels_are_not_decoded() -> None:
    bomb = b"\x89PNG\r\n\x1a\n" + header(30_000, 30_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(CannotShrink, match="50 million pixels"):
        shrink(bomb, KIB, OutputFormat.PNG)


def test_a_second_header_that_makes_it_larger_is_found_before_it_is_decoded() -> None:
    two = b"\x89PNG\r\n\x1a\n" + header(10, 10) + header(9000, 9000) + chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(CannotShrink, match="more pixels than its header says"):
        shrink(two + chunk(b"IEND", b""), KIB, OutputFormat.PNG)


def test_a_truncated_image_is_not_reencoded() -> None:
    data = zlib.compress(random.Random(1).randbytes(50 * 301))  # half of the rows
    half = b"\x89PNG\r\n\x1a\n" + header(100, 100) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    with pytest.raises(CannotShrink, match=r"^the decoder gave up \(OSError\)$"):
        shrink(half, 60 * KIB, OutputFormat.PNG)
    with pytest.raises(CannotShrink):
        shrink(PNG[: len(PNG) // 2], 60 * KIB, OutputFormat.PNG)


def test_other_kinds_of_files_never_reach_a_decoder() -> None:
    for data in (b"", b"GIF89a" + bytes(90), b"%!PS-Adobe-3.0", encoded(noise(9, 9), "BMP"), b"text"):
        with pytest.raises(CannotShrink):
            shrink(data, 60, OutputFormat.PNG)


SMALL = [
    encoded(noise(24, 16), "PNG"),
    encoded(noise(24, 16), "JPEG"),
    encoded(noise(24, 16), "WEBP"),
    encoded(noise(24, 16, "RGBA"), "WEBP", lossless=True),
    encoded(noise(24, 16).convert("P"), "PNG"),
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SMALL),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 2000),
    st.integers(1, 2000),
)
def test_broken_bytes_give_an_image_or_cannot_shrink(
    good: bytes, changes: list[tuple[int, int]], length: int, limit: int
) -> None:
    data = bytearray(good)
    for at, value in changes:
        data[at % len(data)] = value
    cut = bytes(data[: max(12, length)])
    try:
        smaller = shrink(cut, limit, OutputFormat.JPEG)
    except CannotShrink as error:
        assert str(error)
    else:
        assert len(smaller.data) <= limit
        assert opened(smaller.data).size == (smaller.width, smaller.height)


def test_the_memory_that_shrinking_needs_is_told_from_the_header() -> None:
    large = b"\x89PNG\r\n\x1a\n" + header(10_000, 5_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert [bytes_needed(data) for data in (b"text", PNG, large)] == [0, 28 * 400 * 600, 652_000_000]


# ---- the thread -------------------------------------------------------------------------------------------------


async def test_the_reencoder_returns_none_where_it_cannot_shrink_and_goes_on() -> None:
    press = Reencoder()
    assert await press.fit(b"not an image", 10, OutputFormat.PNG) is None
    smaller = await press.fit(PNG, 60 * KIB, OutputFormat.PNG)
    assert smaller is not None and len(smaller.data) <= 60 * KIB


async def test_a_re_encoded_image_counts_in_the_budget_of_memory_until_it_is_dropped() -> None:
    memory = ImageMemory()
    smaller = await Reencoder(memory).fit(PNG, 60 * KIB, OutputFormat.PNG)
    assert smaller is not None
    assert memory.bytes_held == len(smaller.data)
    del smaller
    async with asyncio.timeout(60):
        while memory.bytes_held:  # noqa: ASYNC110 - the thread that encoded it lets it go some time soon
            await asyncio.sleep(0.01)
