"""The mark in image files: read back with Pillow and exiftool, without a changed pixel."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.provenance import MARK_BYTES_MAX, SOURCE_TYPE, mark_as_ai
from images.reencoder import Reencoder
from qwen.image_header import read_image_header
from qwen.models import OutputFormat
from tests.unit.test_shrinking import encoded, noise

JPEG, PNG, WEBP = OutputFormat.JPEG, OutputFormat.PNG, OutputFormat.WEBP
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
OTHERS = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="service 7"/>%b'
    b"</rdf:RDF></x:xmpmeta>"
)

FILES = {
    "jpeg": (JPEG, encoded(noise(64, 40), "JPEG")),
    "jpeg with exif": (JPEG, encoded(noise(64, 40), "JPEG", exif=Image.Exif())),
    "jpeg with a profile": (JPEG, encoded(noise(64, 40), "JPEG", icc_profile=b"x" * 3000, comment=b"hello")),
    "progressive jpeg": (JPEG, encoded(noise(64, 40), "JPEG", progressive=True)),
    "png": (PNG, encoded(noise(64, 40), "PNG")),
    "png with a palette": (PNG, encoded(noise(64, 40).quantize(16), "PNG", transparency=3)),
    "webp": (WEBP, encoded(noise(63, 41), "WEBP")),
    "lossless webp": (WEBP, encoded(noise(63, 41), "WEBP", lossless=True)),
    "transparent lossless webp": (WEBP, encoded(noise(63, 41, "RGBA"), "WEBP", lossless=True)),
    "webp with a profile": (WEBP, encoded(noise(63, 41, "RGBA"), "WEBP", icc_profile=b"x" * 301, exif=b"II*\0")),
    "jpeg with xmp": (JPEG, encoded(noise(64, 40), "JPEG", xmp=OTHERS % b"")),
    "webp with xmp": (WEBP, encoded(noise(63, 41), "WEBP", xmp=OTHERS % b"")),
}


def opened(data: bytes) -> Image.Image:
    image_file = Image.open(io.BytesIO(data))
    image_file.load()
    return image_file


def properties(data: bytes) -> dict[str, str]:
    """Read the XMP with Pillow and an XML parser."""
    packet = opened(data).info.get("xmp", b"")
    text = packet if isinstance(packet, str) else packet.decode()
    root = ElementTree.fromstring(text) if text else ElementTree.Element("none")
    return {name: value for part in root.iter() for name, value in part.attrib.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_its_source_and_its_tool_and_no_pixel_is_touched(name: str) -> None:
    format, data = FILES[name]
    marked = mark_as_ai(data, format)
    found = properties(marked)
    assert found[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE
    assert found[f"{XMP}CreatorTool"] == found[f"{IPTC}AISystemUsed"] == "Qwen-Image-2512"
    before, after = opened(data), opened(marked)
    assert (after.mode, after.size, after.tobytes()) == (before.mode, before.size, before.tobytes())
    assert {key: after.info.get(key) for key in before.info if key != "xmp"} == {
        key: value for key, value in before.info.items() if key != "xmp"
    }
    assert read_image_header(marked) == read_image_header(data)
    assert len(data) < len(marked) <= len(data) + MARK_BYTES_MAX


@pytest.mark.parametrize("name", FILES)
def test_a_marked_file_is_not_marked_again(name: str) -> None:
    format, data = FILES[name]
    marked = mark_as_ai(data, format)
    assert mark_as_ai(marked, format) == marked


@pytest.mark.parametrize("name", [name for name in FILES if "xmp" in name])
def test_what_the_service_wrote_stays_beside_the_mark(name: str) -> None:
    format, data = FILES[name]
    assert "service 7" in properties(mark_as_ai(data, format)).values()


def jumbf(label: bytes = b"c2pa") -> bytes:
    box = struct.pack(">I", 24 + len(label)) + b"jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03" + label + b"\0"
    return struct.pack(">I", 8 + len(box)) + b"jumb" + box


def with_manifest(format: OutputFormat, data: bytes) -> bytes:
    """Return the file with a C2PA manifest where C2PA 2.2 puts it ("Embedding manifests into various file formats")."""
    if format is JPEG:
        body = b"JP\0\1\0\0\0\1" + jumbf()
        return data[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(body)) + body + data[2:]
    if format is PNG:
        body = b"caBX" + jumbf()
        return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    body = data[12:] + b"C2PA" + struct.pack("<I", len(jumbf())) + jumbf() + b"\0" * (len(jumbf()) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "jpeg with xmp"])
def test_a_signed_file_stays_as_it_is(name: str) -> None:
    format, data = FILES[name]
    signed = with_manifest(format, data)
    assert opened(signed).size == opened(data).size
    assert mark_as_ai(signed, format) == signed


def test_a_file_whose_signature_is_elsewhere_stays_as_it_is() -> None:
    remote = b'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="https://m"/>'
    data = encoded(noise(64, 40), "JPEG", xmp=OTHERS % remote)
    assert mark_as_ai(data, JPEG) == data


async def test_a_file_that_is_encoded_anew_is_marked_and_fits() -> None:
    for format in (JPEG, PNG):
        data = encoded(noise(400, 300), "JPEG" if format is JPEG else "PNG")
        smaller = await Reencoder().fit(data, len(data) // 2, format)
        assert smaller is not None and len(smaller.data) <= len(data) // 2
        assert properties(smaller.data)[f"{IPTC}DigitalSourceType"] == SOURCE_TYPE


async def test_an_image_that_fits_without_the_mark_alone_is_posted_without_it() -> None:
    smaller = await Reencoder().fit(encoded(noise(60, 40), "PNG"), 900, PNG)
    assert smaller is not None and len(smaller.data) <= 900 and not properties(smaller.data)


@given(st.sampled_from(list(FILES.values())), st.integers(0, 400), st.binary(max_size=8))
def test_a_broken_file_is_returned_all_the_same(file: tuple[OutputFormat, bytes], at: int, rubbish: bytes) -> None:
    format, data = file
    broken = data[:at] + rubbish + data[at + len(rubbish) :]
    for hostile in (broken, data[:at]):
        assert len(mark_as_ai(hostile, format)) <= len(hostile) + MARK_BYTES_MAX


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool: apt-get install libimage-exiftool-perl")
def test_exiftool_reads_the_mark_in_every_format(tmp_path: Path) -> None:
    paths = []
    for number, (format, data) in enumerate(FILES.values()):
        paths.append(tmp_path / f"{number}.{format.value}")
        paths[-1].write_bytes(mark_as_ai(data, format))
    command = ["exiftool", "-json", "-G1", "-validate", "-warning", "-error", *map(str, paths)]
    command += ["-XMP-iptcExt:DigitalSourceType#", "-XMP-xmp:CreatorTool"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for read in found:
        assert read["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPE
        assert read["XMP-xmp:CreatorTool"] == "Qwen-Image-2512"
        assert "ExifTool:Error" not in read
