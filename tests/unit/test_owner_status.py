"""The view of /owner status and of a ledger: what they say, and that they fit into one message."""

from __future__ import annotations

from dataclasses import replace

import pytest
from discord import ui

from credits.daily_check import KeptCheck
from credits.model import Balance, Entry, EntryKind
from generations.circuit import CLOSED, Circuit, StopReason
from generations.credit_changes import LedgerPage
from limits.model import Pause
from limits.usage import SpendLimits, Spent
from processes.counts import Counts
from processes.model import Process, Role
from processes.status import ApiHealth, BotStatus
from store.database_facts import DatabaseFacts
from ui.texts.escaping import units
from ui.texts.text_budget import TEXT_BYTES_MAX, utf8_bytes
from ui.views.cards_owner import build_ledger, build_status

NOW_MS = 1_800_000_000_000
ALONE = Process("me", Role.BOT, 1, "0", 1, 2, NOW_MS - 60_000, NOW_MS, "1.0.0")
COUNTS = Counts(
    now_ms=NOW_MS,
    waiting=0,
    in_flight=2,
    oldest_due_ms=None,
    circuit=CLOSED,
    today=Spent(0, 0, 0),
    month=Spent(0, 0, 0),
    spend=SpendLimits(),
    check=None,
)
STATUS = BotStatus(
    counts=COUNTS,
    me="me",
    processes=(ALONE,),
    delays_ms=[],
    pause=None,
    database=DatabaseFacts("SQLite", "3.45.1", 3_500_000, "0005"),
    api=ApiHealth(4, 20, 0.0, 0.0, None),
)


def said(view: ui.LayoutView) -> str:
    container = view.to_components()[0]
    return "\n".join(part["content"] for part in container["components"] if part["type"] == 10)  # type: ignore[typeddict-item]


def shown(**changes: object) -> str:
    return said(build_status(replace(STATUS, **changes), is_discord_away=False))  # type: ignore[arg-type]


def counted(**changes: object) -> dict[str, object]:
    return {"counts": replace(COUNTS, **changes)}  # type: ignore[arg-type]


def test_a_quiet_bot_says_so_in_every_line() -> None:
    assert shown().splitlines() == [
        "**How the bot is**",
        "**Version** 1.0.0 · running since <t:1799999940:R>",
        "**Processes** 1 bot, 0 workers · shards 1 of 1 up · 2 steps under way",
        "- me · bot 1.0.0 · shards 0, 1 up · 2 steps · heard now · since <t:1799999940:R>",
        "**Line** 0 images waiting · 2 images being made · 4 slots of at most 20 · nothing is due",
        "**Ready → posted** no image was posted yet",
        "**Image API** no pause · not known yet how long an image takes",
        "**Discord** answers",
        "**Spent today** 0 credits, no limit · of these 0 held, 0 unknown",
        "**Spent this month** 0 credits, no limit · of these 0 held, 0 unknown",
        "**Ledger** not checked yet; that is done once a day",
        "**Database** SQLite 3.45.1 · 3.3 MiB · schema 0005",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (counted(oldest_due_ms=NOW_MS - 12_000), "the oldest work is due for 12 s"),
        (counted(oldest_due_ms=NOW_MS + 12_000), "nothing is due"),
        ({"delays_ms": [700, 500, 900, 60_000]}, "median 0.9 s, 95 % within 60 s, of the last 4 requests"),
        ({"delays_ms": [500]}, "median 0.5 s, 95 % within 0.5 s, of the last 1 request"),
        ({"api": ApiHealth(1, 20, 7.0, 9.0, 12.4)}, "asks for a pause: no call for 7 s · an image takes 12 s"),
        ({"api": ApiHealth(1, 20, 0.0, 9.0, None)}, "takes no new tasks for 9 s"),
        (counted(circuit=Circuit(StopReason.ACCOUNT_EMPTY, 1, NOW_MS)), "a try succeeds (account empty)"),
        (counted(today=Spent(5, 80, 10), spend=SpendLimits(100, 0)), "95 credits of 100 (95 %) · of these 5 held, 10 "),
        ({"pause": Pause("*moving*", 1, NOW_MS)}, r"**Paused** since <t:1800000000:R>: \*moving\*"),
        ({"pause": Pause("", 1, NOW_MS)}, "**Paused** since <t:1800000000:R>\n"),
        (counted(check=KeptCheck(NOW_MS, 1, 0)), "no fault in 1 account, checked <t:1800000000:R>"),
        (counted(check=KeptCheck(NOW_MS, 9, 2)), "2 of 9 accounts differ from their entries: `ledger check` says how"),
        ({"processes": (ALONE, replace(ALONE, name="b", version="1.1.0"))}, "**Versions** 1.0.0, 1.1.0 at once"),
        ({"database": DatabaseFacts("PostgreSQL", "16.2", 12_345, "0005")}, "PostgreSQL 16.2 · 12 KiB · schema"),
        ({"database": DatabaseFacts("PostgreSQL", "16.2", 5 * 2**30, "0005")}, "5.0 GiB"),
    ],
)
def test_what_is_not_quiet_is_told(changes: dict[str, object], line: str) -> None:
    assert line in shown(**changes)


def test_discord_that_does_not_answer_is_told() -> None:
    assert "**Discord** does not answer" in said(build_status(STATUS, is_discord_away=True))


def test_fifty_processes_fit_and_those_heard_of_longest_ago_are_listed() -> None:
    many = tuple(
        replace(ALONE, name=f"a-host-with-a-very-long-name.example.org:{number}:9f3a5b7c", shard_ids=f"{6 * number}-"
                f"{6 * number + 5}", shard_count=300, seen_at_ms=NOW_MS - 100 * number, started_at_ms=NOW_MS)
        for number in range(48)
    )  # fmt: skip
    workers = tuple(replace(ALONE, name=f"w{number}", role=Role.WORKER, shard_ids="", shard_count=None, shards_up=0)
                    for number in range(2))  # fmt: skip
    view = build_status(
        replace(
            STATUS,
            processes=(*many, *workers),
            pause=Pause("*" * 300, 1, NOW_MS),
            counts=replace(
                COUNTS,
                check=KeptCheck(NOW_MS, 10**9, 10**9),
                today=Spent(10**9, 10**9, 10**9),
                month=Spent(10**9, 10**9, 10**9),
                spend=SpendLimits(10**9, 10**9),
            ),
        ),
        is_discord_away=True,
    )
    text = said(view)
    assert units(text) <= 4000 and utf8_bytes(text) <= TEXT_BYTES_MAX
    assert "48 bots, 2 workers · shards 48 of 300 up · 100 steps under way" in text
    rows = [line for line in text.splitlines() if line.startswith("- ")]
    assert r"\:47\:" in rows[0] and rows[-1] == f"- and {50 - (len(rows) - 1)} more"


def test_a_page_of_the_longest_entries_fits() -> None:
    entry = Entry("x", 1, EntryKind.TAKE, -(10**6), 0, "9" * 60, "*" * 300, NOW_MS, -(10**5), 0, 2**63 - 1, 10**9)
    page = LedgerPage(2**63 - 1, Balance(1, 10**9, 10**9, 10**6, NOW_MS, 10**9), (entry,) * 10, False, True)
    view = build_ledger(page, ())
    assert view.content_length() <= 4000 and utf8_bytes(said(view)) <= TEXT_BYTES_MAX
    assert "`1000000000` **−1000000** (−100000 bonus) · take of image 9" in said(view)


@pytest.mark.parametrize(
    ("balance", "title"),
    [
        (Balance(1, 85, 0, 50, NOW_MS, 35), "85 credits, 35 of them bonus · refills to 50 <t:1800000000:R>"),
        (Balance(1, 0, 5, 50, NOW_MS, 0, 2), "0 credits · 5 held, 2 of them bonus · refills to 50 <t:1800000000:R>"),
        (Balance(1, 1, 5, 50, None), "1 credit · 5 held · 50 given once"),
    ],
)
def test_a_ledger_begins_with_the_balance(balance: Balance, title: str) -> None:
    page = LedgerPage(1, balance, (), is_newest=True, has_older=False)
    assert said(build_ledger(page, ())) == f"**Ledger of <@1>**\n{title}"
