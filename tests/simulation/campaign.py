"""Run many seeds in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.simulation.run import play
from tests.simulation.scenario import Scenario, draw
from tests.simulation.shrink import shrink

DrawDay = Callable[[int], Scenario]
CHUNK = 20
LINE = 1000
SEEDS_NAMED = 20  # failing seeds that are named


def check_seeds(seeds: range, draw_day: DrawDay = draw) -> tuple[int, list[tuple[int, tuple[str, ...]]]]:
    """Return the number of steps in all runs, and the seeds that violated an invariant with the messages."""
    verdicts = [play(draw_day(seed)) for seed in seeds]
    return sum(v.steps for v in verdicts), [(v.scenario.seed, v.broken) for v in verdicts if v.broken]


def chunks(seeds: range) -> Iterator[range]:
    for first in range(seeds.start, seeds.stop, CHUNK):
        yield range(first, min(first + CHUNK, seeds.stop))


def describe_failure(seed: int, draw_day: DrawDay = draw) -> str:
    """Return the smallest scenario of the seed that still fails, and its history."""
    verdict = shrink(draw_day(seed))
    lines = ["the shortest scenario that still fails:", verdict.scenario.describe(), "its history:"]
    return "\n".join([*lines, *verdict.history, *(f"BROKEN  {sentence}" for sentence in verdict.broken)])


def run(seeds: range, jobs: int, say: Callable[[str], None], draw_day: DrawDay = draw) -> int:
    """Run the scenarios that *draw_day* makes of the seeds and print verdicts. Return the number of failed seeds."""
    failed: list[tuple[int, tuple[str, ...]]] = []
    done = steps = 0
    began = time.monotonic()
    check = partial(check_seeds, draw_day=draw_day)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for part, (taken, broken) in zip(chunks(seeds), pool.map(check, chunks(seeds)), strict=True):
            before = done // LINE
            done, steps = done + len(part), steps + taken
            failed += broken
            for seed, sentences in broken if len(failed) < SEEDS_NAMED else ():
                say(f"seed {seed}: {sentences[0]}")
            if done // LINE > before or done == len(seeds):
                verdict = "all promises kept" if not failed else f"{len(failed)} FAILED"
                seconds = time.monotonic() - began
                say(f"{done:>7} seeds, {steps} steps: {verdict} ({seconds:.0f} s)")
    if failed:
        say(f"\nseed {failed[0][0]}: {describe_failure(failed[0][0], draw_day)}")
    return len(failed)
