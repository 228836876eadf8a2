"""The database's clock, as one process knows it from its readings."""

from __future__ import annotations

from generations.clock import DRIFT, DatabaseClock
from tests.doubles import START_MS, ManualClock


def test_before_the_first_reading_it_is_the_clock_of_the_machine() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    machine.jump(7.0)
    assert clock.now_ms() == START_MS + 7000


def test_after_a_reading_it_goes_on_by_the_monotonic_clock_whatever_the_machine_says() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    clock.read(5_000_000.0, at, at)
    machine.jump(-3600.0)
    machine.advance(2.5)
    assert clock.now_ms() == 5_002_500
    assert clock.monotonic() == machine.monotonic()


def test_half_of_a_round_trip_belongs_to_the_way_back() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    machine.advance(0.4)
    clock.read(5_000_000.0, at, machine.monotonic())
    assert clock.now_ms() == 5_000_200


def test_a_slow_reading_does_not_replace_an_exact_one_that_it_agrees_with() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    clock.read(5_000_000.0, at, at)
    machine.advance(2.0)
    clock.read(5_001_100.0, at, machine.monotonic())
    assert clock.now_ms() == 5_002_000


def test_a_more_exact_reading_replaces_a_slow_one() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    machine.advance(2.0)
    clock.read(5_000_000.0, at, machine.monotonic())
    at = machine.monotonic()
    clock.read(5_000_700.0, at, at)
    assert clock.now_ms() == 5_000_700


def test_a_reading_that_has_become_old_is_replaced_since_clocks_drift() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    clock.read(5_000_000.0, at, at)
    machine.advance(1.0 / DRIFT)
    at = machine.monotonic()
    machine.advance(0.1)
    clock.read(5_000_000.0 + 1000.0 / DRIFT + 60.0, at, machine.monotonic())
    assert clock.now_ms() == int(5_000_000.0 + 1000.0 / DRIFT + 110.0)


def test_a_reading_that_contradicts_the_last_one_is_believed_as_after_a_failover() -> None:
    machine = ManualClock()
    clock = DatabaseClock(machine)
    at = machine.monotonic()
    clock.read(5_000_000.0, at, at)
    for server_ms in (9_000_000.0, 4_000_000.0):
        at = machine.monotonic()
        machine.advance(0.2)
        clock.read(server_ms, at, machine.monotonic())
        assert clock.now_ms() == server_ms + 100
