"""Write into an image file, in a form that programs read, that it was made by AI. Pure; touches no pixel.

The mark is XMP: `Iptc4xmpExt:DigitalSourceType` with IPTC's "trainedAlgorithmicMedia", and the tool's name (IPTC Photo
Metadata Standard 2025.1; XMP Specification Part 3, "Storage in Files", for where it stands in a file). A file with a
signed C2PA manifest says so itself, and any change would break its signature: it stays as it is (docs/ai-labels.md).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from qwen.models import MODEL_NAME, OutputFormat

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MARK_BYTES_MAX = 1024  # by which a file grows

_DESCRIPTION = (
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" Iptc4xmpExt:AISystemUsed="{MODEL_NAME}" '
    f'xmp:CreatorTool="{MODEL_NAME}"/>'
).encode()
_END = b"</rdf:RDF>"
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' + _DESCRIPTION + _END + b"</x:xmpmeta>"
    b'<?xpacket end="w"?>'
)
_REMOTE_MANIFEST = b"dcterms:provenance"  # XMP that leads to a C2PA manifest elsewhere (C2PA 2.2, "External Manifests")

_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_FIRST = (b"\xff\xe0", b"\xff\xe1")  # APP0 (JFIF) and APP1 (Exif) come before
_JPEG_SEGMENT_MAX = 65_533
_PNG_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"  # not compressed, no language
_WEBP_HAS_XMP, _WEBP_HAS_ALPHA = 0x04, 0x10


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment or chunk of a file: *kind*, its whole bytes from *begin* to *end*, and its data from *data_at*."""

    kind: bytes
    begin: int
    data_at: int
    end: int


def mark_as_ai(data: bytes, format: OutputFormat) -> bytes:
    """Return the file with the mark; unchanged if it is marked already, is signed, or can't be read."""
    try:
        match format:
            case OutputFormat.JPEG:
                return _mark_jpeg(data)
            case OutputFormat.PNG:
                return _mark_png(data)
            case OutputFormat.WEBP:
                return _mark_webp(data)
    except (struct.error, IndexError, ValueError):
        return data


def _packet(before: bytes) -> bytes | None:
    """Return the XMP packet for a file whose packet is *before* (empty: none); None: the file stays as it is."""
    if SOURCE_TYPE.encode() in before or _REMOTE_MANIFEST in before:
        return None
    if before.count(_END) != 1:
        return _PACKET
    return before.replace(_END, _DESCRIPTION + _END)


def _replace(data: bytes, begin: int, end: int, piece: bytes) -> bytes:
    """Return *data* with *piece* in place of what lies from *begin* to *end*. Copies the file once."""
    view = memoryview(data)
    return b"".join((view[:begin], piece, view[end:]))


def _mark_jpeg(data: bytes) -> bytes:
    parts = list(_jpeg_parts(data))
    if any(part.kind == b"\xff\xeb" and b"jumb" in data[part.data_at : part.data_at + 64] for part in parts):
        return data  # APP11 with JUMBF, the box of a C2PA manifest
    old = [part for part in parts if part.kind == b"\xff\xe1" and data.startswith(_JPEG_XMP, part.data_at)]
    packet = _packet(data[old[0].data_at + len(_JPEG_XMP) : old[0].end] if old else b"")
    if packet is None:
        return data
    if len(packet) + len(_JPEG_XMP) > _JPEG_SEGMENT_MAX:
        packet = _PACKET
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(_JPEG_XMP) + len(packet)) + _JPEG_XMP + packet
    if old:
        return _replace(data, old[0].begin, old[0].end, segment)
    at = 2
    for part in parts:
        if part.kind not in _JPEG_FIRST:
            break
        at = part.end
    return _replace(data, at, at, segment)


def _jpeg_parts(data: bytes) -> Iterator[_Part]:
    """Yield the segments before the first frame or scan (ITU-T T.81, annex B)."""
    at = 2
    while data[at] == 0xFF:
        begin = at
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if not (0xE0 <= marker <= 0xEF or marker in (0xFE, 0xDB)):  # APPn, COM, DQT
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield _Part(data[at : at + 2], begin, at + 4, at + 2 + length)
        at += 2 + length


def _mark_png(data: bytes) -> bytes:
    parts = list(_png_parts(data))
    if any(part.kind == b"caBX" for part in parts):
        return data
    old = [part for part in parts if part.kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0", part.data_at)]
    before = data[old[0].data_at : old[0].end - 4] if old else b""
    packet = _packet(before.removeprefix(_PNG_XMP))
    if packet is None:
        return data
    body = b"iTXt" + _PNG_XMP + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    if old:
        return _replace(data, old[0].begin, old[0].end, chunk)
    at = parts[0].end  # after IHDR
    return _replace(data, at, at, chunk)


def _png_parts(data: bytes) -> Iterator[_Part]:
    """Yield the chunks up to IEND (PNG, third edition, 5.3). The file was walked before, by qwen.image_header."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        yield _Part(kind, at, at + 8, at + 12 + length)
        at += 12 + length


def _mark_webp(data: bytes) -> bytes:
    parts = list(_webp_parts(data))
    if any(part.kind == b"C2PA" for part in parts):
        return data
    old = next((part for part in parts if part.kind == b"XMP "), None)
    packet = _packet(data[old.data_at : old.data_at + _webp_length(data, old)] if old else b"")
    if packet is None:
        return data
    first, *others = parts
    head = _webp_head(data, first)
    view = memoryview(data)
    kept = [view[part.begin : part.end] for part in ([first] if first.kind != b"VP8X" else []) + others if part != old]
    pieces = (b"WEBP", _webp_chunk(b"VP8X", head), *kept, _webp_chunk(b"XMP ", packet))
    return b"".join((b"RIFF", struct.pack("<I", sum(map(len, pieces))), *pieces))


def _webp_parts(data: bytes) -> Iterator[_Part]:
    """Yield the chunks (RFC 9649, 2.3), with their padding."""
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        yield _Part(kind, at, at + 8, at + 8 + length + length % 2)
        at += 8 + length + length % 2


def _webp_length(data: bytes, part: _Part) -> int:
    return int.from_bytes(data[part.begin + 4 : part.begin + 8], "little")


def _webp_head(data: bytes, first: _Part) -> bytes:
    """Return the data of the chunk VP8X: of the file's own, or for one without it (RFC 9649, 2.5 to 2.7)."""
    if first.kind == b"VP8X":
        return bytes([data[first.data_at] | _WEBP_HAS_XMP]) + data[first.data_at + 1 : first.data_at + 10]
    flags = _WEBP_HAS_XMP
    if first.kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, first.data_at + 1)
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF
        flags |= _WEBP_HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        width, height = (side - 1 & 0x3FFF for side in struct.unpack_from("<HH", data, first.data_at + 6))
    return bytes([flags, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
