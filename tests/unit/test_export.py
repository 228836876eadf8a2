"""Exports of a person's data: one file, one compressed file, or several complete files."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from typing import Any

from generations.export import build_export
from generations.model import State
from generations.privacy import Collected
from people.model import Preferences

RNG = random.Random(3)


def generation(number: int) -> dict[str, Any]:
    prompt = "".join(RNG.choices("abcdefghijklmnopqrstuvwxyz", k=1000))  # random, so that it compresses badly
    images = [{"generation_id": number, "position": 0, "seed": 5, "fence": 1}]
    return {"id": number, "prompt": prompt, "token": "secret", "lease_holder": "host:1", "images": images}


def collected(generations: int, entries: int = 0) -> Collected:
    return Collected(
        Preferences(),
        {"user_id": 2**53 + 1, "available": 5},
        [generation(number) for number in range(1, generations + 1)],
        [{"number": number, "id": f"{number}:hold", "user_id": 2**53 + 1} for number in range(entries)],
        [{"guild_id": 2**53 + 1, "user_id": 2**53 + 1, "day_ms": 1, "images": 2}],
        [],
        [],
    )


def test_a_small_export_is_one_readable_file_without_credentials() -> None:
    (file,) = build_export(2**53 + 1, collected(2, 3), exported_at_ms=7, max_bytes=10**6)
    content = json.loads(file.data)
    assert file.name == "qwen-imagine.json" and content["exported_at_ms"] == 7
    assert content["user_id"] == content["account"]["user_id"] == "9007199254740993"
    assert content["counters"] == [
        {"guild_id": "9007199254740993", "user_id": "9007199254740993", "day_ms": 1, "images": 2}
    ]
    assert content["generations"][0]["images"] == [{"generation_id": "1", "position": 0, "seed": 5}]
    assert b"secret" not in file.data and b"host:1" not in file.data


def test_only_a_delivered_image_is_exported_with_its_address() -> None:
    states = [state.value for state in State]
    images = [{"position": at, "state": state, "image_url": "https://cdn/x.png"} for at, state in enumerate(states)]
    one = replace(collected(1), generations=[generation(1) | {"images": images}])
    (file,) = build_export(1, one, exported_at_ms=7, max_bytes=10**6)
    found = json.loads(file.data)["generations"][0]["images"]
    assert [image["state"] for image in found] == states
    assert [image["state"] for image in found if image["image_url"] is not None] == [State.DELIVERED]


def test_a_larger_export_is_one_compressed_file() -> None:
    (file,) = build_export(1, collected(30), exported_at_ms=7, max_bytes=25_000)
    assert file.name == "qwen-imagine.json.gz" and len(file.data) <= 25_000
    assert len(json.loads(gzip.decompress(file.data))["generations"]) == 30


def test_a_very_large_export_is_several_complete_files() -> None:
    everything = collected(60, 200)
    files = build_export(1, everything, exported_at_ms=7, max_bytes=8_000)
    assert len(files) > 3 and files[1].name == f"qwen-imagine-2-of-{len(files)}.json.gz"
    assert all(len(file.data) <= 8_000 for file in files)
    parts = [json.loads(gzip.decompress(file.data)) for file in files]
    assert all(part["settings"]["ping"] == "slow" for part in parts)
    ids = [one["id"] for part in parts for one in part["generations"]]
    assert ids == [str(number) for number in range(1, 61)]
    assert [row["number"] for part in parts for row in part["ledger"]] == list(range(200))


def test_a_row_that_is_too_large_by_itself_is_sent_all_the_same() -> None:
    files = build_export(1, collected(2, 1), exported_at_ms=7, max_bytes=10)
    assert [one["id"] for file in files for one in json.loads(gzip.decompress(file.data))["generations"]] == ["1", "2"]
