"""Format and size are read from an image's first bytes; any other bytes are refused."""

from __future__ import annotations

import io
import struct
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qwen.errors import NotAnImage, NotWhole
from qwen.image_header import SIDE_MAX, ImageHeader, read_image_header
from qwen.models import OutputFormat


@cache
def drawn(kind: str, width: int = 33, height: int = 17, **options: object) -> bytes:
    """Return an image encoded by Pillow."""
    file = io.BytesIO()
    mode = "RGBA" if options.pop("alpha", False) else "RGB"
    Image.new(mode, (width, height), (200, 30, 60)).save(file, kind, **options)
    return file.getvalue()


SAMPLES = {
    "png": (drawn("PNG"), OutputFormat.PNG),
    "png with alpha": (drawn("PNG", alpha=True), OutputFormat.PNG),
    "jpeg": (drawn("JPEG"), OutputFormat.JPEG),
    "progressive jpeg": (drawn("JPEG", progressive=True), OutputFormat.JPEG),
    "jpeg with exif": (drawn("JPEG", exif=b"Exif\0\0" + b"x" * 5000), OutputFormat.JPEG),
    # T.81, B.1.1: FF may fill up before any marker, and TEM (FF 01) has no length.
    "jpeg with fill bytes": (drawn("JPEG").replace(b"\xff\xd8", b"\xff\xd8\xff\x01\xff", 1), OutputFormat.JPEG),
    "lossy webp": (drawn("WEBP"), OutputFormat.WEBP),
    "lossless webp": (drawn("WEBP", lossless=True), OutputFormat.WEBP),
    "extended webp": (drawn("WEBP", exif=b"Exif\0\0xyz"), OutputFormat.WEBP),
    "webp with alpha": (drawn("WEBP", alpha=True), OutputFormat.WEBP),
}


@pytest.mark.parametrize(("data", "format_"), SAMPLES.values(), ids=SAMPLES.keys())
def test_format_and_size_of_real_images_are_read(data: bytes, format_: OutputFormat) -> None:
    assert read_image_header(data) == ImageHeader(format_, 33, 17)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_size_of_the_api_is_read(kind: str) -> None:
    header = read_image_header(drawn(kind, 1024, 1536))
    assert (header.width, header.height) == (1024, 1536)


@pytest.mark.parametrize("data", [data for data, _ in SAMPLES.values()], ids=SAMPLES.keys())
def test_every_cut_through_a_header_is_no_image_and_never_another_error(data: bytes) -> None:
    whole = read_image_header(data)
    for length in range(len(data)):
        try:
            assert read_image_header(data[:length]) == whole
        except NotAnImage:
            assert length < 6000
    with pytest.raises(NotAnImage):
        read_image_header(data[:16])


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBPVP8 ", b"RIFF0000WEBPVP8L", b"RIFF0000WEBPVP8X"]
    ),
)
def test_any_bytes_are_an_image_or_raise_not_an_image(data: bytes, start: bytes) -> None:
    try:
        header = read_image_header(start + data)
    except NotAnImage as error:
        assert error.reason
    else:
        assert 0 < header.width * header.height <= 50_000_000


@given(st.sampled_from([data for data, _ in SAMPLES.values()]), st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_never_raises_another_error(data: bytes, at: int, value: int) -> None:
    changed = bytearray(data)
    changed[at % len(data)] = value
    try:
        read_image_header(bytes(changed))
    except NotAnImage as error:
        assert error.reason


def reason_of(data: bytes) -> str:
    """Return why the bytes are refused."""
    with pytest.raises(NotAnImage) as caught:
        read_image_header(data)
    return caught.value.reason


def a_png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0" + b"crc."


def a_chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + b"crc."


IDAT, IEND = a_chunk(b"IDAT", b"pixels"), a_chunk(b"IEND")


def test_fifty_million_pixels_are_accepted_and_more_are_refused() -> None:
    assert read_image_header(a_png_header(10_000, 5_000) + IDAT + IEND).width == 10_000
    assert reason_of(a_png_header(10_000, 5_001)) == "10000×5001 is more than 50 million pixels"
    assert reason_of(a_png_header(2**31, 2**31)) == "2147483648×2147483648 is more than 50 million pixels"


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_an_area_is_refused(size: tuple[int, int]) -> None:
    assert reason_of(a_png_header(*size)) == "its header names no size"


NO_KIND = "it is neither PNG, JPEG nor WebP"
BROKEN_PNG, BROKEN_WEBP = "its PNG header is broken", "its WebP header is broken"
BROKEN_SEGMENTS, NO_FRAME, NO_END = (
    "its JPEG segments are broken",
    "its JPEG header names no frame",
    "its JPEG header has no end",
)


def changed(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "nothing was sent"),
        (drawn("GIF"), NO_KIND),
        (drawn("BMP"), NO_KIND),
        (b"<html><body>Not found</body></html>", NO_KIND),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', NO_KIND),
        (b"RIFF\x24\0\0\0WAVEfmt ", NO_KIND),
        (drawn("WEBP").replace(b"WEBP", b"WEBX", 1), NO_KIND),
        (drawn("PNG")[:20], "its header is cut off"),
        (b"RIFF\x24\0\0\0WEBPVP", "its WebP header is cut off"),
        (b"RIFF\x24\0\0\0WEBPICCP" + bytes(30), BROKEN_WEBP),
        (changed(drawn("WEBP"), 20, drawn("WEBP")[20] | 1), BROKEN_WEBP),  # no key frame
        (changed(drawn("WEBP"), 23, 0), BROKEN_WEBP),
        (changed(drawn("WEBP", lossless=True), 20, 0), BROKEN_WEBP),
        (changed(drawn("WEBP", lossless=True), 24, 0x20), BROKEN_WEBP),  # version 1
        (b"\x89PNG\r\n\x1a\n" + bytes(40), BROKEN_PNG),
        (changed(a_png_header(10, 10), 11, 14), BROKEN_PNG),
        (a_png_header(10, 10)[:-1], BROKEN_PNG),
        *((b"\xff\xd8\xff" + bytes([marker]) + bytes(40), NO_FRAME) for marker in (0x00, 0xD8, 0xD9, 0xDA)),
        (b"\xff\xd8\xff\xe0\0\0" + bytes(40), BROKEN_SEGMENTS),
        (b"\xff\xd8\xff\xe0\0\x01" + b"\xff" * 40, BROKEN_SEGMENTS),
        (b"\xff\xd8\xff\xe0\0\x04ab" + bytes(40), BROKEN_SEGMENTS),
        (b"\xff\xd8\xff\xc0\0\x07" + bytes(40), "its JPEG frame is broken"),
        (b"\xff\xd8" + b"\xff" * 5_000_000, NO_END),
        (b"\xff\xd8" + b"\xff\x01" * 2_000_000, NO_END),
    ],
)
def test_bytes_that_are_no_image_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_the_smallest_frame_and_the_largest_segment_of_a_jpeg_are_read() -> None:
    frame = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 8, 8, 17, 33, 0)
    assert read_image_header(frame + b"\xff\xd9") == ImageHeader(OutputFormat.JPEG, 33, 17)
    largest = b"\xff\xe1\xff\xff" + bytes(65_533)
    assert read_image_header(frame[:2] + largest + frame[2:] + b"\xff\xd9").width == 33


@pytest.mark.parametrize("data", [data for data, _ in SAMPLES.values()], ids=SAMPLES.keys())
def test_a_truncated_image_is_refused_wherever_it_was_cut(data: bytes) -> None:
    for length in [*range(len(data) // 2, len(data), max(1, len(data) // 50)), len(data) - 1]:
        with pytest.raises(NotAnImage):
            read_image_header(data[:length])
    with pytest.raises(NotWhole):
        read_image_header(data[:-1])


@pytest.mark.parametrize("data", [data for data, _ in SAMPLES.values()], ids=SAMPLES.keys())
def test_bytes_after_the_end_of_an_image_are_accepted(data: bytes) -> None:
    assert read_image_header(data + b"<script>alert(1)</script>") == ImageHeader(read_image_header(data).format, 33, 17)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    whole = drawn("JPEG", exif=b"Exif\0\0" + drawn("JPEG", 8, 8))
    assert read_image_header(whole).width == 33
    with pytest.raises(NotWhole):
        read_image_header(whole[:-2])


def test_moving_images_are_refused() -> None:
    frames = [Image.new("RGB", (33, 17), colour) for colour in ("red", "blue")]
    for kind in ("PNG", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        assert reason_of(file.getvalue()) == "it is animated"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (IEND, "its PNG holds no pixels"),
        (a_chunk(b"tEXt") * 60_000, "its PNG holds no pixels"),
        (b"\0\0\0\0\0\0\0\0crc." + IDAT + IEND, "its PNG chunks are broken"),
        (struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(50), "its end is missing"),
        (IDAT, "its end is missing"),
    ],
)
def test_a_png_without_a_sane_body_is_refused(body: bytes, reason: str) -> None:
    assert reason_of(a_png_header(10, 10) + body) == reason


def test_an_image_with_too_long_a_side_is_refused() -> None:
    assert read_image_header(a_png_header(SIDE_MAX, 1) + IDAT + IEND).width == SIDE_MAX
    assert reason_of(a_png_header(1, SIDE_MAX + 1) + IDAT + IEND) == "1×16385 is longer than 16384 pixels"
