"""Encode an image anew until it fits: as JPEG or WebP in its own size first, then in smaller ones.

Pure, but slow (seconds for a large image): call it in a thread (images/reencoder). The bytes are untrusted: sizes
are checked before anything is decoded, and a decoder that fails raises CannotShrink.
"""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageOps

from images.reencoded_image import ENCODED_PIXELS_MAX, CannotShrink, ReencodedImage
from qwen.errors import NotAnImage
from qwen.image_header import PIXELS_MAX, read_image_header
from qwen.models import OutputFormat

# Share of each side, and the encoder's quality; tried in this order.
ATTEMPTS = ((1.0, 90), (1.0, 75), (0.75, 80), (0.5, 80), (0.35, 80), (0.25, 80))
HOPELESS = 3.0  # an attempt is skipped when the last one predicts so many times the limit
SIDE_MAX = 16_383  # what libwebp encodes
ICC_BYTES_MAX = 65_536

_DECODERS = ("PNG", "JPEG", "WEBP")
# Pillow's modes with eight bits or less. Sixteen-bit grey would come out white, so it is left alone.
_OPAQUE = frozenset({"1", "L", "P", "RGB", "CMYK", "YCbCr"})
_WITH_ALPHA = frozenset({"LA", "PA", "RGBA"})
# All that Pillow's decoders raise for broken or hostile bytes; OSError for a truncated image.
_DECODER_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def shrink(data: bytes, max_bytes: int, wanted: OutputFormat) -> ReencodedImage:
    """Return the first of ATTEMPTS that has at most *max_bytes*. Raises CannotShrink.

    A JPEG stays one if that was *wanted* and nothing in it is transparent; everything else becomes WebP.
    """
    try:
        read_image_header(data)  # the header alone: at most 50 million pixels
        decoded, profile = _decode(data)
        found = _first_that_fits(decoded, profile, max_bytes, wanted)
    except NotAnImage as error:
        raise CannotShrink(str(error)) from None
    except _DECODER_FAULTS as error:
        raise CannotShrink(f"the decoder gave up ({type(error).__name__})") from None
    if found is None:
        raise CannotShrink("even its smallest size is too large")
    return found


def _decode(data: bytes) -> tuple[Image.Image, bytes | None]:
    """Return the image, upright, as RGB or RGBA, and its colour profile if that still applies."""
    with Image.open(io.BytesIO(data), formats=_DECODERS) as opened:
        if opened.width * opened.height > PIXELS_MAX:  # a second header inside, larger than the first
            raise CannotShrink("it has more pixels than its header says")
        has_alpha = opened.mode in _WITH_ALPHA or (opened.mode in _OPAQUE and "transparency" in opened.info)
        if not has_alpha and opened.mode not in _OPAQUE:
            raise CannotShrink(f"its pixels are of the kind {opened.mode}")
        profile: bytes | None = opened.info.get("icc_profile") if opened.mode in ("RGB", "RGBA") else None
        opened.load()
        ImageOps.exif_transpose(opened, in_place=True)
        mode = "RGBA" if has_alpha else "RGB"
        decoded = opened if opened.mode == mode else opened.convert(mode)  # a copy of 50 million pixels is 200 MB
        return decoded, profile if len(profile or b"") <= ICC_BYTES_MAX else None


def _first_that_fits(
    decoded: Image.Image, profile: bytes | None, max_bytes: int, wanted: OutputFormat
) -> ReencodedImage | None:
    keeps_jpeg = wanted is OutputFormat.JPEG and decoded.mode == "RGB"
    format = OutputFormat.JPEG if keeps_jpeg else OutputFormat.WEBP
    bytes_a_pixel = 0.0  # of the last attempt
    for number, (share, quality) in enumerate(ATTEMPTS):
        width, height = (max(1, round(side * share)) for side in decoded.size)
        is_last = number == len(ATTEMPTS) - 1
        too_much = width * height > ENCODED_PIXELS_MAX or max(width, height) > SIDE_MAX
        hopeless = bytes_a_pixel * width * height > HOPELESS * max_bytes
        if too_much or (hopeless and not is_last):
            continue
        data = _encode(_resized(decoded, width, height), format, quality, profile)
        if len(data) <= max_bytes:
            return ReencodedImage(data, format, width, height, decoded.size)
        bytes_a_pixel = len(data) / (width * height)
    return None


def _resized(decoded: Image.Image, width: int, height: int) -> Image.Image:
    if decoded.size == (width, height):
        return decoded
    # Pillow 13 also takes numpy's arrays here, which are not installed.
    return decoded.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2)  # pyright: ignore[reportUnknownMemberType]


def _encode(decoded: Image.Image, format: OutputFormat, quality: int, profile: bytes | None) -> bytes:
    """Encode without the file's other metadata: texts, place, camera."""
    out = io.BytesIO()
    decoded.save(out, format.value, quality=quality, **({"icc_profile": profile} if profile else {}))
    return out.getvalue()
