"""Marked secrets in every kind of failure: none is in the log at DEBUG level (libraries included) or in an error's
text."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, insert, update

from credits.tables import accounts
from discord_api.errors import described
from generations.errors import DeliveryDelayed
from generations.model import Origin, Request
from generations.records.rows import generation_columns, image_columns
from generations.records.tables import generations, images
from generations.service import _new_generation
from qwen.errors import ImageError, QwenError
from store.database import Database, open_database
from store.errors import StoreError
from tests.hostile_input.conftest import CapturedLog
from tests.integration.delivery_scene import PROMPT, TOKEN, a_scene, declined, ready
from tests.integration.raw_server import Conversation, Wire, raw_server
from tests.integration.test_qwen_client import KEY, REQUEST, a_client
from tests.integration.test_qwen_images import a_downloader

log = logging.getLogger("qwen_imagine.hostile")

ECHO = f"Bearer {KEY} for {REQUEST.prompt} at https://cdn.example.com/i.png?sig=canary-signature"


def conversations() -> Iterator[tuple[str, Conversation]]:
    """Yield every kind of answer of the image service, each repeating the request."""
    for status, code in itertools.product(
        (200, 302, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503),
        (None, 200, 400, 401, 402, 404, 429, 500),
    ):

        async def answer(wire: Wire, status: int = status, code: int | None = code) -> None:
            heard = (await wire.hear()).decode()
            said = {
                "code": code,
                "message": f"{ECHO} {heard}",
                "data": {"task_id": "t", "status": ECHO, "error_message": ECHO},
            }
            body = f"<html>{ECHO} {heard}</html>" if code is None else json.dumps(said)
            await wire.answer(
                status, body.encode(), Location="/?token=canary-location", X_Echo=ECHO, Set_Cookie=f"key={KEY}"
            )

        yield f"{status} {code}", answer

    async def reset(wire: Wire) -> None:
        await wire.hear()
        wire.reset()

    async def no_http(wire: Wire) -> None:
        await wire.say(f"{ECHO}\r\n\r\n".encode() + await wire.hear())

    yield from (("reset", reset), ("no http", no_http))


async def test_no_answer_of_the_image_service_puts_key_or_prompt_into_the_log(
    captured_log: CapturedLog,
) -> None:
    kinds: set[type[BaseException]] = set()
    texts: list[str] = []
    for _, converse in conversations():
        async with raw_server(converse) as server, a_client(server.url) as client:
            for call in (lambda: client.create_task(REQUEST), lambda: client.get_task("t")):
                try:
                    task = await call()
                except QwenError as error:
                    kinds.add(type(error))
                    texts += [str(error), repr(error), error.service_message]
                    log.exception("failed: %s", error)
                else:
                    texts += [repr(task), task.error_message or "", task.status_text]
    assert len(kinds) >= 8, kinds
    everything = captured_log.text + "\n".join(texts)
    assert KEY not in everything
    assert "canary-signature" not in everything and "canary-location" not in everything
    assert REQUEST.prompt not in captured_log.text
    captured_log.assert_well_formed()


async def test_no_failed_download_logs_its_signed_address(captured_log: CapturedLog) -> None:
    for _, converse in conversations():
        async with raw_server(converse) as server, a_downloader() as downloader:
            with pytest.raises(ImageError) as caught:
                await downloader.download(f"{server.url}/i.png?sig=canary-signature")
            try:
                raise caught.value
            except ImageError:
                log.exception("failed")
    for url in (
        "https://user:canary-password@x/i.png",
        "http://127.0.0.1/canary",
        "https://localhost/?canary",
        "canary",
    ):
        async with a_downloader(hosts=frozenset()) as downloader:
            with pytest.raises(ImageError) as caught:
                await downloader.download(url)
            log.error("failed", exc_info=caught.value)
    assert "failed" in captured_log.text
    assert "canary" not in captured_log.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429])
async def test_no_refusal_of_discord_logs_the_interaction_token(status: int, captured_log: CapturedLog) -> None:
    codes = {400: 50035, 401: 50027, 403: 50001, 404: 10015, 429: 0}
    async with a_scene() as scene:
        scene.rest.fault(r"", status, codes.get(status, 0), times=99, headers={"Retry-After": "0"})
        for generation in (ready(), declined()):
            try:
                await scene.publish(generation, *([0] if generation.images[0].ending is None else []))
            except DeliveryDelayed as error:
                log.exception("delayed: %s", error)
            with pytest.raises(DeliveryDelayed) if status in (400, 403, 413, 429) else _anything():
                await scene.delivery.find_card(generation)
        await scene.delivery.drain()
    assert "discord.webhook" in captured_log.text or "webhooks/500/(token)" in captured_log.text or status == 429
    assert TOKEN not in captured_log.text
    assert PROMPT not in captured_log.text
    assert "test-token" not in captured_log.text


class _anything:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


async def test_no_database_error_logs_a_row(database: Database, captured_log: CapturedLog) -> None:
    origin = Origin(7, 1, 5, 2, 3, "aW50ZXJhY3Rpb246canary", 10, locale="canary-locale")
    made = _new_generation(Request("a canary in a coal mine"), origin, 1)
    row = generation_columns(made)
    attempts = [
        insert(generations).values(row | {"count": 9}),
        insert(generations).values(row | {"prompt": None}),
        insert(generations).values(row | {"user_id": 2**70}),
        insert(generations).values(row | {"user_id": "canary"}),
        insert(images).values(image_columns(made.images[0], 5)),
        insert(accounts).values(user_id=1, available=-5, held=0, created_at_ms=1),
        update(generations).values(prompt="a canary in a coal mine", nothing="canary"),
    ]
    refused = 0
    for attempt in attempts:
        try:
            await database.run(Connection.execute, attempt)
        except Exception as error:
            refused += 1
            log.exception("failed: %s", error)
            log.error("failed: %s", described(error))
    assert refused >= 5  # SQLite stores any text in a number column
    assert "coal mine" not in captured_log.text
    assert "aW50ZXJhY3Rpb246canary" not in captured_log.text


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:canary-password@127.0.0.1:9/x",
        "postgresql://u:canary-password@127.0.0.1:99999/x",
        "postgresql://u:canary-password@127.0.0.1:port/x",
        "postgresql://u:canary-password@[::1/x",
        "postgresql://u:canary-password@/x?host=/nowhere",
        "postgresql://u:canary-password@127.0.0.1/x?canary-password=1&password=canary-password",
        "mysql://u:canary-password@127.0.0.1/x",
        "sqlite://u:canary-password@/x.db",
        "canary-password",
    ],
)
async def test_no_failure_to_open_the_database_logs_its_password(address: str, captured_log: CapturedLog) -> None:
    try:
        async with open_database(address) as database:
            await database.migrate()
    except Exception as error:
        log.exception("failed: %s", error)
        assert isinstance(error, StoreError), error
        assert "canary-password" not in str(error).replace("driver does not take: canary-password", "")
    assert "Traceback" in captured_log.text
    assert "canary-password@" not in captured_log.text and ":canary-password" not in captured_log.text
