"""What is healthy, what is ready, and the reason where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from observability.health import ROUND_SECONDS, SILENT_SECONDS, ProcessFacts, health_fault, readiness_fault

READY = ProcessFacts(0.2, shard_ids=(0, 1), silent_seconds={0: 3.0, 1: 41.0})


def test_a_process_whose_rounds_end_and_whose_gateway_is_heard_is_healthy_and_ready() -> None:
    assert (health_fault(READY), readiness_fault(READY)) == (None, None)


def test_without_a_round_it_is_neither_and_the_reason_names_the_database_where_that_is_known() -> None:
    late = replace(READY, round_age_seconds=ROUND_SECONDS)
    assert health_fault(replace(READY, round_age_seconds=ROUND_SECONDS - 0.1)) is None
    assert "loop or the database is stuck; the last round ended 10 s ago" in (health_fault(late) or "")
    lost = replace(late, is_database_lost=True)
    assert "the database does not answer" in (health_fault(lost) or "")
    assert readiness_fault(lost) == health_fault(lost)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(READY, is_logged_in=False), "not logged in to Discord yet"),
        (replace(READY, shard_ids=None), "Discord has not said yet how many shards there are"),
        (replace(READY, silent_seconds={1: 3.0}), "not connected to Discord's gateway: shards 0"),
        (replace(READY, silent_seconds={}), "not connected to Discord's gateway: shards 0, 1"),
        (replace(READY, silent_seconds={0: 3.0, 1: SILENT_SECONDS}), "Discord's gateway was last heard 90 s ago"),
    ],
)
def test_waiting_for_discord_is_healthy_and_not_ready(facts: ProcessFacts, reason: str) -> None:
    assert (health_fault(facts), readiness_fault(facts)) == (None, reason)
    worker = replace(facts, has_gateway=False)
    assert readiness_fault(worker) == (None if facts.is_logged_in else reason)


def test_a_process_that_stops_is_healthy_for_as_long_as_that_takes_and_not_ready() -> None:
    stopping = replace(READY, is_stopping=True, round_age_seconds=20.0)
    assert (health_fault(stopping), readiness_fault(stopping)) == (None, "the bot is stopping")
