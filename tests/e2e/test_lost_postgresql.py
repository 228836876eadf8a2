"""The PostgreSQL server of a real bot ends as by a crash while an image is made, and is back a minute later.

The minute is real: the bot measures it by the monotonic clock, which the sandbox can't move. The tests are the steps of
one outage.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.postgresql import PostgresqlServer, open_postgresql
from sandbox.world import CLOCK_FILE
from tests.e2e.monitored import Monitored, open_monitored
from tests.e2e.scenarios import PAID

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[PostgresqlServer]:
    """Start a server in a folder that its user may open where root runs the tests: not one of pytest's."""
    with tempfile.TemporaryDirectory(prefix="qi-lost-") as made:
        async with open_postgresql(Path(made, "postgresql"), Path(made, CLOCK_FILE)) as opened:
            yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monitored(server: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Monitored]:
    folder = Path(server.server.pgdata).parent
    async with open_monitored(folder, DATABASE_URL=server.address) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(monitored: Monitored, server: PostgresqlServer) -> int:
    """Have an image made, stop the server meanwhile, and return the interaction's id."""
    asked = await monitored.bot.imagine("mira", prompt="a harbour under way")
    await monitored.bot.card_saying("mira", asked, "Painting")
    await server.stop_immediately()
    return asked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refused(monitored: Monitored, asked: int) -> tuple[int, str]:
    return await monitored.refused("jonas")


async def test_a_member_who_types_while_postgresql_is_gone_reads_that_nothing_was_charged(
    refused: tuple[int, str],
) -> None:
    assert refused[1].startswith("Something on the bot's side failed. Nothing was charged. Try again in a minute")


async def test_a_monitor_sees_the_database_down_and_the_log_names_what_broke(monitored: Monitored, asked: int) -> None:
    shown = await monitored.until_the_database_is_down()
    assert (shown["database_up"], shown["healthy"], shown["ready"]) == (0, 0, 0)
    assert shown["worker_round_age_seconds"] >= 10
    assert re.search(r"the database can't be (reached|used at the moment): \w+; the next try comes", monitored.log())


async def test_the_owner_has_a_direct_message_that_postgresql_is_not_reached(monitored: Monitored, asked: int) -> None:
    assert re.search(r"For \d+ s no image could be worked on: the database can't be reached", await monitored.alert())


async def test_when_postgresql_is_back_the_same_process_goes_on_and_the_image_arrives_and_is_paid_once(
    monitored: Monitored, server: PostgresqlServer, asked: int, refused: tuple[int, str]
) -> None:
    bot = monitored.bot
    await server.start()
    await bot.card("mira", asked)
    await bot.card("jonas", await bot.imagine("jonas", prompt="a harbour again"))
    await monitored.until_the_database_is_up()
    assert bot.box.bot.starts == 1
    assert await monitored.entries(asked, refused[0]) == [PAID, []]
    assert "Traceback" not in monitored.log()
    bot.assert_rules_kept(posts=2)
