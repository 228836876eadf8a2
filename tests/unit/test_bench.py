"""The bench's arithmetic and tables. Nothing is timed here."""

from __future__ import annotations

import math

from bench.figures import mean, medians, percentile
from bench.load import answers, posts
from bench.standins import Command
from bench.tables import Column, Target, table, target_table


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.5, 0.8, 0.81, 1.0)] == [3.0, 4.0, 5.0, 5.0]
    assert percentile(range(1, 201), 0.99) == 198
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(mean([]))


def test_the_median_is_taken_over_the_runs_that_have_the_figure() -> None:
    place = ("20/s", "naive")
    seen = [(place, {"cpu_ms": 7.0}), (place, {"cpu_ms": math.nan}), (place, {"cpu_ms": 9.0, "polls": 2.0})]
    assert medians(seen) == {place: {"cpu_ms": 8.0, "polls": 2.0}}


def test_a_table_has_ratios_and_leaves_out_columns_without_figures() -> None:
    results = {("20/s", "naive"): {"cpu_ms": 6.0}, ("20/s", "SQLite"): {"cpu_ms": 15.04}}
    columns = (Column("CPU ms", "cpu_ms", 1), Column("÷ naive", "cpu_ms", 1, "naive"), Column("polls", "polls"))
    assert table(results, columns).splitlines() == [
        "|  | bot | CPU ms | ÷ naive |",
        "| --- | --- | ---: | ---: |",
        "| 20/s | naive | 6.0 |  |",
        "| 20/s | SQLite | 15.0 | 2.5 |",
    ]


def test_a_table_keeps_the_rows_of_one_case_together() -> None:
    results = {(case, bot): {"n": 1.0} for bot in ("a", "b") for case in ("2/s", "10/s")}
    rows = table(results, (Column("n", "n"),)).splitlines()[2:]
    assert rows == ["| 2/s | a | 1 |", "| 2/s | b | 1 |", "| 10/s | a | 1 |", "| 10/s | b | 1 |"]


def test_a_target_is_met_or_missed_and_left_out_where_it_was_not_measured() -> None:
    results = {"load": {("20/s", "naive"): {"cpu_ms": 6.0}, ("20/s", "SQLite"): {"cpu_ms": 15.0, "posted": 999.0}}}
    targets = (
        Target("CPU ÷ naive", "load", "20/s", "SQLite", "cpu_ms", 2.5, "naive"),
        Target("posted", "load", "20/s", "SQLite", "posted", 1000, at_least=True),
        Target("start", "start", "first", "SQLite", "start_s", 0.7),
    )
    assert target_table(targets, results).splitlines()[2:] == [
        "| CPU ÷ naive | ≤ 2.5 | 2.5 | met |",
        "| posted | ≥ 1000 | 999 | **missed** |",
    ]


def test_only_what_was_answered_and_posted_has_a_time() -> None:
    served = Command(sent_at=10.0, answered_at=10.25, ready_at=18.0, posted_at=20.0)
    assert answers([served, Command(sent_at=11.0)]) == {
        "answered": 1,
        "answer_p50_ms": 250.0,
        "answer_p99_ms": 250.0,
    }
    assert posts([served, Command(sent_at=11.0)]) == {"posted": 1, "ready_posted_s": 2.0, "ready_posted_p99_s": 2.0}
