"""Write rows of thousands of running or waiting images, as the bot itself writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from zoneinfo import ZoneInfo

from bench.standins import StandIns
from credits.allowance import Allowance, CreditPeriod
from credits.ledger import Ledger
from discord_api.snowflakes import snowflake_at
from generations import records
from generations.model import Generation, Image, Origin, Request, State
from generations.prices import price_of
from store.database import Database, open_database
from store.transactions import Transaction

PEOPLE = 100
CREDITS = 1_000_000
DEADLINE_SECONDS = 86_400
TOKEN_MS = 20 * 60 * 1000  # an interaction's token is good for 15 minutes
APPLICATION = CHANNEL = GUILD = 1


async def seed_images(address: str, count: int, standins: StandIns, now_ms: int) -> None:
    """Insert *count* generations of one running image each, their next polls spread over five seconds, and let the
    image API know their tasks."""
    for number in range(count):
        standins.seed_task(_task_id(number), _token(number))
    ledger = Ledger(Allowance(CREDITS, CreditPeriod.DAY, ZoneInfo("UTC")))
    async with open_database(address) as database:
        await database.migrate()
        for start in range(0, count, 500):
            await database.run(_insert, ledger, range(start, min(count, start + 500)), now_ms)


async def seed_waiting(address: str, count: int, standins: StandIns, now_ms: int) -> None:
    """Insert *count* generations of one image each that waits in line, and let the image API take them."""
    for number in range(count):
        standins.seed_command(_token(number))
    async with open_database(address) as database:
        await seed_line(database, count, now_ms)


async def seed_waiting_privately(address: str, count: int, standins: StandIns, now_ms: int) -> None:
    """Do the same with private cards whose tokens have run out: nothing of them can be edited while they wait."""
    for number in range(count):
        standins.seed_command(_token(number))
    async with open_database(address) as database:
        await seed_line(database, count, now_ms - TOKEN_MS, private=True)


async def seed_line(database: Database, count: int, now_ms: int, *, private: bool = False) -> None:
    """Insert *count* generations of one image each that waits in line since *now_ms*, their cards published."""
    ledger = Ledger(Allowance(CREDITS, CreditPeriod.DAY, ZoneInfo("UTC")))
    await database.migrate()
    for start in range(0, count, 500):
        await database.run(_insert, ledger, range(start, min(count, start + 500)), now_ms, waits=True, private=private)


def _insert(
    tx: Transaction, ledger: Ledger, numbers: Iterable[int], now_ms: int, *, waits: bool = False, private: bool = False
) -> None:
    for number in numbers:
        made = _waiting(number, now_ms) if waits else _generation(number, now_ms)
        made = replace(made, request=replace(made.request, private=private))
        records.insert(tx, made)
        ledger.hold(tx, made.origin.user_id, made.images[0].image_id, price_of(1), now_ms)


def _generation(number: int, now_ms: int) -> Generation:
    generation_id = snowflake_at(now_ms) + number
    image = Image(
        generation_id,
        position=0,
        seed=number,
        state=State.RUNNING,
        due_at_ms=now_ms + number % 5000,
        admitted_at_ms=now_ms,
        submitted_at_ms=now_ms,
        task_id=_task_id(number),
    )
    origin = Origin(
        interaction_id=generation_id,
        application_id=APPLICATION,
        user_id=1000 + number % PEOPLE,
        channel_id=CHANNEL,
        guild_id=GUILD,
        token=_token(number),
        attachment_size_limit=10 << 20,
    )
    request = Request(f"{_token(number)} a lighthouse in a storm", seed=number)
    return Generation(generation_id, request, origin, now_ms, (image,), message_id=generation_id + 1)


def _waiting(number: int, now_ms: int) -> Generation:
    running = _generation(number, now_ms)
    image = Image(running.id, position=0, seed=number, due_at_ms=now_ms + DEADLINE_SECONDS * 1000)
    return replace(running, images=(image,))


def _task_id(number: int) -> str:
    return f"n00{number:012d}qwenimg"


def _token(number: int) -> str:
    return f"seeded-{number}"
