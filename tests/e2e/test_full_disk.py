"""The disk of the SQLite file fills up while a real bot makes an image, and has room again a minute later.

The minute is real: the bot measures it by the monotonic clock, which the sandbox can't move. The disk is a small one in
memory, and the tests are the steps of one outage.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.monitored import Monitored, open_monitored
from tests.e2e.scenarios import PAID

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISK_BYTES = 8 << 20


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount a small file system. Where that is not allowed the tests are skipped, as in most containers."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a disk that can be filled needs Linux and root, who may mount one")
    folder = tmp_path_factory.mktemp("disk")
    mounting = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder))
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.splitlines()[0]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # also if a process still has a file open


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monitored(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Monitored]:
    folder = tmp_path_factory.mktemp("bot")
    async with open_monitored(folder, DATABASE_URL=f"sqlite:///{disk / 'bot.sqlite3'}") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(monitored: Monitored, disk: Path) -> int:
    """Have an image made, fill the disk meanwhile, and return the interaction's id."""
    asked = await monitored.bot.imagine("mira", prompt="a harbour under way")
    await monitored.bot.card_saying("mira", asked, "Painting")
    with pytest.raises(OSError) as full, (disk / "other program").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
    return asked


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refused(monitored: Monitored, asked: int) -> tuple[int, str]:
    return await monitored.refused("jonas")


async def test_a_member_who_types_while_the_disk_is_full_reads_that_nothing_was_charged(
    refused: tuple[int, str],
) -> None:
    assert refused[1].startswith("Something on the bot's side failed. Nothing was charged. Try again in a minute")


async def test_a_monitor_sees_the_database_down_and_no_room_and_the_log_names_the_error(
    monitored: Monitored, asked: int
) -> None:
    shown = await monitored.until_the_database_is_down()
    assert (shown["database_up"], shown["healthy"], shown["ready"]) == (0, 0, 0)
    assert shown["disk_free_bytes"] == 0
    assert shown["worker_round_age_seconds"] >= 10
    assert "database or disk is full (SQLITE_FULL); the next try comes in 1 s" in monitored.log()


async def test_the_owner_has_a_direct_message_that_the_disk_is_full(monitored: Monitored, asked: int) -> None:
    assert re.search(
        r"For \d+ s no image could be worked on: .* database or disk is full \(SQLITE_FULL\)", await monitored.alert()
    )


async def test_with_room_again_the_same_process_goes_on_and_the_image_arrives_and_is_paid_once(
    monitored: Monitored, disk: Path, asked: int, refused: tuple[int, str]
) -> None:
    bot = monitored.bot
    (disk / "other program").unlink()
    await bot.card("mira", asked)
    await bot.card("jonas", await bot.imagine("jonas", prompt="a harbour again"))
    await monitored.until_the_database_is_up()
    assert (await monitored.metrics())["disk_free_bytes"] > 0
    assert bot.box.bot.starts == 1
    assert await monitored.entries(asked, refused[0]) == [PAID, []]
    assert "Traceback" not in monitored.log()
    bot.assert_rules_kept(posts=2)
