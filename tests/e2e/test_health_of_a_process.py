"""Gateway, database and worker of a real bot are cut in turn: what health, readiness and metrics say meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import pytest
import pytest_asyncio

from observability.metrics import PREFIX, metric_names
from tests.e2e.monitored import READY, WELL, Monitored, open_monitored
from tests.e2e.running_bot import LONG_SECONDS, READY_SECONDS, text
from tests.e2e.scenarios import PAID, BotDatabase, SharedBot
from tests.prometheus import promtool_faults

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monitored(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Monitored]:
    folder = tmp_path_factory.mktemp("health")
    async with open_monitored(folder, CREDITS_PER_PERIOD="1000", SPEND_LIMIT_DAY="5000") as opened:
        opened.bot.box.discord.gateway.identify_spacing_ms = 0
        yield opened


@pytest.fixture(scope="module")
def shared(monitored: Monitored) -> SharedBot:
    return SharedBot(monitored.bot, BotDatabase(monitored.folder / "bot.sqlite3"))


async def test_a_bot_that_works_is_well_and_ready_and_counts_its_image(monitored: Monitored, shared: SharedBot) -> None:
    await monitored.until("/readyz", lambda status, _: status == 200)
    assert await monitored.get("/healthz") == WELL
    asked = await shared.ask("mira")
    during = await monitored.metrics()
    assert (during["images_in_flight"], during["credits_held"]) == (1, 5)
    await shared.bot.card("mira", asked)
    await shared.state(asked, "delivered")
    shown = await monitored.metrics()
    for state in ("running", "succeeded", "delivered"):
        assert shown[f'images_total{{ending="",state="{state}"}}'] == 1, state
    for stage in ("line", "made", "posted"):
        assert shown[f'wait_seconds_count{{stage="{stage}"}}'] == 1, stage
    assert (shown['credits_total{kind="hold"}'], shown['credits_total{kind="settle"}']) == (5, 5)
    assert shown['api_calls_total{call="post",status="PENDING"}'] == 1, shown
    assert shown['api_calls_total{call="download",status="ok"}'] == 1
    assert shown['discord_calls_total{method="PATCH",status="200"}'] >= 1
    assert (shown["shards"], shown["shards_up"], shown["ready"], shown["database_up"]) == (1, 1, 1, 1)
    assert shown["loop_stall_seconds_count"] > 4
    assert shown['api_credits_limit{period="day"}'] == 5000
    assert shown["disk_free_bytes"] > 0
    assert {PREFIX + name.partition("{")[0] for name in shown} <= metric_names()
    _, said = await monitored.get("/metrics")
    assert promtool_faults("check", "metrics", given=said) == ""
    ids = (asked, shared.rows.channel(asked), shared.bot.box.discord.people["mira"].id)
    assert not [each for each in ids if str(each) in said]


async def test_without_the_gateway_it_is_well_and_not_ready_and_images_go_on(
    monitored: Monitored, shared: SharedBot
) -> None:
    box = shared.bot.box
    asked, _ = await shared.painting("jonas")
    box.discord.faults.gateway_restart(refused=10_000, closed_before_hello=0)
    said = await monitored.until("/readyz", lambda status, _: status == 503)
    assert said == "not connected to Discord's gateway: shards 0\n"
    shown = await monitored.metrics()
    assert (shown["shards"], shown["shards_up"], shown["ready"], shown["healthy"]) == (1, 0, 0, 1)
    await shared.bot.card("jonas", asked)
    assert await monitored.get("/healthz") == WELL
    box.discord.gateway.refuse_upgrades(0)
    assert await monitored.until("/readyz", lambda status, _: status == 200) == READY[1]


async def test_while_the_database_takes_no_write_it_is_not_well_and_afterwards_goes_on(
    monitored: Monitored, shared: SharedBot
) -> None:
    """Another program holds the file's write lock, as in a backup that hangs."""
    with closing(sqlite3.connect(shared.rows.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = await monitored.until("/healthz", lambda status, _: status == 503)
        assert said.startswith(("the database does not answer", "the worker's loop or the database is stuck"))
        await monitored.until("/healthz", lambda status, said: "the database does not answer" in said)
        assert (await monitored.get("/readyz"))[0] == 503
        shown = await monitored.metrics()
        assert (shown["healthy"], shown["ready"], shown["database_up"]) == (0, 0, 0)
        assert shown["worker_round_age_seconds"] >= 10
        other.execute("ROLLBACK")
    await monitored.until("/readyz", lambda status, _: status == 200)


async def test_a_killed_worker_is_gone_for_its_monitor_and_the_next_one_counts_what_it_takes_over(
    monitored: Monitored, shared: SharedBot
) -> None:
    box = shared.bot.box
    asked, _ = await shared.painting("sam")
    box.discord.faults.rest("PATCH", ".", delay_seconds=LONG_SECONDS, times=None)  # so that a step holds its lease
    await shared.state(asked, "succeeded")
    await box.bot.kill()
    with pytest.raises(aiohttp.ClientError):
        await monitored.get("/healthz")
    box.discord.faults.clear()
    await box.bot.start()
    await box.bot.wait_ready(READY_SECONDS)
    await shared.bot.card("sam", asked)
    assert shared.rows.entries(asked) == PAID
    assert (await monitored.metrics())["leases_taken_over_total"] == 1
    await monitored.until("/readyz", lambda status, _: status == 200)


async def test_a_file_that_is_deleted_ends_the_bot_and_the_owner_has_a_message(
    monitored: Monitored, shared: SharedBot
) -> None:
    box = shared.bot.box
    shared.rows.path.unlink()
    olga = box.discord.actor("olga")
    (alert,) = await olga.wait_for(lambda: olga.messages("dm"), LONG_SECONDS)
    assert "was deleted or replaced while the bot was running" in text(alert)
    await monitored.until("/healthz", lambda status, _: status == 0)
