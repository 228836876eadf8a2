"""The circuit: when it opens and closes, when a probe is due, and what the owner is told."""

from __future__ import annotations

import json

import pytest

from generations.circuit import CLOSED, PROBE_SECONDS, Circuit, StopReason, load_circuit

EMPTY, REFUSED = StopReason.ACCOUNT_EMPTY, StopReason.KEY_REFUSED
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def opened(now_ms: int = 0, jitter: float = 0.5) -> Circuit:
    return CLOSED.refused(EMPTY, now_ms, jitter, is_probe=False)


def test_probes_come_after_1_2_5_10_30_and_60_minutes_and_then_every_hour() -> None:
    circuit, now_ms, minutes = opened(), 0, list[float]()
    for _ in range(8):
        minutes.append((circuit.probe_at_ms - now_ms) / MINUTE_MS)
        now_ms = circuit.probe_at_ms
        circuit = circuit.probing(now_ms, 0.5).refused(EMPTY, now_ms, 0.5, is_probe=True)
    assert minutes == [1, 2, 5, 10, 30, 60, 60, 60]


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 54.0), (0.5, 60.0), (1.0, 66.0)])
def test_an_interval_is_a_tenth_shorter_or_longer_at_random(jitter: float, seconds: float) -> None:
    assert opened(jitter=jitter).probe_at_ms == seconds * 1000
    assert opened().probing(0, jitter).probe_at_ms == seconds * 1000


def test_a_probe_may_begin_when_its_time_has_come_and_the_next_one_an_interval_later() -> None:
    circuit = opened()
    assert [circuit.may_probe(at_ms) for at_ms in (0, MINUTE_MS - 1, MINUTE_MS)] == [False, False, True]
    begun = circuit.probing(MINUTE_MS, 0.5)
    assert [begun.may_probe(at_ms) for at_ms in (MINUTE_MS, 2 * MINUTE_MS - 1, 2 * MINUTE_MS)] == [False, False, True]
    assert begun.reason is EMPTY


def test_a_refusal_of_what_was_under_way_when_it_opened_changes_nothing() -> None:
    assert opened().refused(REFUSED, 5000, 0.5, is_probe=False) == opened()


def test_a_clock_that_was_set_back_delays_no_probe_beyond_the_longest_interval() -> None:
    circuit = opened(now_ms=2 * HOUR_MS)
    assert circuit.may_probe(0)
    assert not circuit.may_probe(2 * HOUR_MS)


def test_the_start_of_a_process_lets_a_probe_through_at_once_and_forgets_no_refusal() -> None:
    circuit = opened().refused(EMPTY, MINUTE_MS, 0.5, is_probe=True).restarted(MINUTE_MS)
    assert circuit.may_probe(MINUTE_MS)
    assert circuit.refused(EMPTY, MINUTE_MS, 0.5, is_probe=True).probe_at_ms == MINUTE_MS + PROBE_SECONDS[2] * 1000


def test_the_owner_is_told_when_it_opens_and_again_after_six_hours_but_not_of_each_probe() -> None:
    circuit, told = opened(), list[int]()
    for now_ms in range(0, 14 * HOUR_MS, HOUR_MS):
        after = circuit.refused(EMPTY, now_ms, 0.5, is_probe=True)
        if after.told_at_ms != circuit.told_at_ms:
            told.append(now_ms // HOUR_MS)
        circuit = after
    assert (opened().told_at_ms, told) == (0, [6, 12])


def test_another_opening_within_ten_minutes_is_told_later_if_it_is_still_open() -> None:
    again = opened().closed().refused(EMPTY, 5 * MINUTE_MS, 0.5, is_probe=False)
    assert (again.is_told, again.told_at_ms) == (False, 0)
    early = again.refused(EMPTY, 9 * MINUTE_MS, 0.5, is_probe=True)
    assert not early.is_told
    late = early.refused(EMPTY, 11 * MINUTE_MS, 0.5, is_probe=True)
    assert (late.is_told, late.told_at_ms) == (True, 11 * MINUTE_MS)


def test_another_opening_within_six_hours_is_told_and_so_is_another_reason() -> None:
    again = opened().closed().refused(EMPTY, HOUR_MS, 0.5, is_probe=False)
    assert again.told_at_ms == HOUR_MS
    other = again.refused(REFUSED, 2 * HOUR_MS, 0.5, is_probe=True)
    assert (other.reason, other.told_at_ms) == (REFUSED, 2 * HOUR_MS)


@pytest.mark.parametrize("circuit", [CLOSED, opened(), opened().closed(), opened().probing(7, 0.1)])
def test_what_is_stored_is_what_is_loaded(circuit: Circuit) -> None:
    assert load_circuit(circuit.dump()) == circuit


@pytest.mark.parametrize("text", [None, "", "{", "7", "[]", json.dumps({"reason": "sunk"})])
def test_what_cannot_be_read_is_a_closed_circuit(text: str | None) -> None:
    assert load_circuit(text) == CLOSED


def test_a_reason_that_a_newer_version_stored_is_a_closed_circuit() -> None:
    assert load_circuit(opened().dump().replace(EMPTY.value, "sunk")) == CLOSED
