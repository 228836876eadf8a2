"""Any text for any column, on both databases: stored or refused with a sentence, never an error of the database."""

from __future__ import annotations

import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings

from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.model import Ending, Generation, Origin, Request, State
from generations.service import Generations
from limits.model import Requester
from limits.request_limits import RequestLimits
from qwen.models import OutputFormat, Size
from store.database import Database
from store.key_values import load_value, save_value
from store.transactions import Transaction
from tests.doubles import START_MS, ManualClock, requester_of
from tests.hostile_input.corpus import ANY_TEXT, ODD_VALUES, STRINGS

FIRST_ID = snowflake_at(START_MS)


class ServiceHarness:
    """The service over a real database, with a new user and interaction id for each request."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock()
        self.ledger = Ledger(Allowance(5, CreditPeriod.DAY, ZoneInfo("UTC")))
        self.number = 0
        self.service = Generations(
            database,
            self.ledger,
            RequestLimits(database, ZoneInfo("UTC")),
            self.clock,
            max_queue=10**6,
            max_per_user=3,
            slots=lambda: 20,
            nudge=lambda: None,
            deadline_seconds=600,
        )

    async def ask(self, request: Request, text: str) -> Generation:
        self.number += 1
        origin = Origin(FIRST_ID + self.number, 1, self.number, 2, 3, text, 10**7, locale=text)
        return (await self.service.request(request, origin, requester_of(origin))).generation


def parse(text: str, **changes: object) -> Request:
    values: dict[str, object] = {
        "prompt": text, "size": Size.SQUARE, "seed": 1, "format": OutputFormat.PNG, "count": 1, "private": False,
        "spoiler": False,
    }  # fmt: skip
    return Request.parse(**(values | changes), rng=random.Random(1))  # type: ignore[arg-type]


async def try_every_column(service: ServiceHarness, text: str) -> None:
    """Run one generation from request to ending with *text* in every text column."""
    try:
        request = parse(text)
    except ValueError as error:
        assert str(error).endswith(".") and text.strip() not in ("x", "y")
        request = parse("x")
    generation = await service.ask(request, text)
    await service.database.run(write_every_column, service, generation.id, text)
    await service.service.statement(Requester(generation.origin.user_id, None, 0))


def write_every_column(tx: Transaction, service: ServiceHarness, generation_id: int, text: str) -> None:
    kept = records.load(tx, generation_id)
    assert kept is not None and kept.request.seed == 1
    image = records.move(tx, kept.images[0], State.SUBMITTING, fence=None)
    image = records.move(tx, image, State.RUNNING, fence=None, task_id=f"{service.number}{text}")
    image = records.update_image(tx, image, fence=None, image_url=text, file_name=text)
    records.move(tx, image, State.FAILED, fence=None, ending=Ending.DECLINED, ending_detail=text)
    service.ledger.release(tx, image.image_id, service.clock.now_ms())
    occasion, now_ms = f"test:{service.number}:{text}", service.clock.now_ms()
    service.ledger.grant(tx, kept.origin.user_id, 1, occasion, text, None, now_ms)
    save_value(tx, f"{service.number}{text}", text)
    save_value(tx, f"{service.number}{text}", text)
    assert load_value(tx, f"{service.number}{text}") is not None
    records.claim_due(tx, lease_holder=text, now_ms=0, lease_until_ms=1, limit=1)


async def test_every_string_of_the_corpus_can_be_stored(database: Database) -> None:
    service = ServiceHarness(database)
    for text in STRINGS:
        await try_every_column(service, text)


@given(texts=ANY_TEXT)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_prompt_is_stored_unchanged_or_refused_with_a_sentence(texts: str) -> None:
    try:
        request = parse(texts)
    except ValueError as error:
        assert str(error)[0].isupper() and str(error).endswith(".")
        assert len(str(error)) < 200
    else:
        request.prompt.encode("utf-8")
        assert 0 < len(request.prompt) <= 2000


@pytest.mark.parametrize("name", ["prompt", "size", "seed", "format", "count", "private", "spoiler"])
def test_values_of_a_wrong_type_are_refused_with_a_sentence(name: str) -> None:
    for value in ODD_VALUES:
        try:
            request = parse("x", **{name: value})
        except ValueError as error:
            assert str(error)[0].isupper() and str(error).endswith("."), (name, value, error)
            assert len(str(error)) < 300
        else:
            assert type(getattr(request, name)) is type(getattr(parse("x"), name)), (name, value)
