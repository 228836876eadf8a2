"""`python -m tests.simulation --seeds 0-10000`: a verdict for every thousand; for a failure its seed and history.

`python -m tests.simulation --sweep`: a few small days with a death at every await and every statement, in one line.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from tests.simulation.campaign import run
from tests.simulation.run import play
from tests.simulation.scenario import draw, draw_plain
from tests.simulation.sweep import run_sweep


def read_seeds(text: str) -> range:
    """ "0-10000" (the end is left out), or one seed."""
    first, _, end = text.partition("-")
    return range(int(first), int(end) if end else int(first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=read_seeds, default=range(500), help="first-end (without the end), or one seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that share the work")
    parser.add_argument("--history", action="store_true", help="print the whole history of the first seed and stop")
    parser.add_argument("--plain", action="store_true", help="days without callbacks, own settings and large images")
    parser.add_argument("--sweep", action="store_true", help="a few small days instead, with a death at every step")
    arguments = parser.parse_args()
    if arguments.sweep:
        return bool(run_sweep(arguments.jobs, partial(print, flush=True)))
    draw_day = draw_plain if arguments.plain else draw
    if arguments.history:
        verdict = play(draw_day(arguments.seeds.start), record=True)
        print("\n".join([verdict.scenario.describe(), *verdict.history, *verdict.broken]))
        return bool(verdict.broken)
    return 1 if run(arguments.seeds, arguments.jobs, partial(print, flush=True), draw_day) else 0


if __name__ == "__main__":
    sys.exit(main())
