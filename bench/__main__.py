"""`python -m bench [question …] [--runs N] [--quick]`: measure the real bot beside a naive one and the floor.

Asserts nothing: prints tables, and the targets as met or missed. Unless --quick, it keeps the results of the questions
that were asked in bench/results.json and writes docs/benchmarks.md anew from all that is kept there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time

from bench.databases import Databases
from bench.document import TARGETS, Answered, save_answer, write_document
from bench.figures import Figures, Place, medians
from bench.machine import describe, load_average
from bench.questions import QUESTIONS, Bench, Question
from bench.standins import make_image
from bench.tables import markdown, table, target_table


async def answer(question: Question, runs: int, *, quick: bool, databases: Databases) -> Answered:
    """Ask *question* so many times, and return the medians."""
    seen: list[tuple[Place, Figures]] = []
    image, busy = make_image(), [load_average()]
    for run in range(runs):
        began = time.monotonic()
        async for case, bot, figures in question.ask(Bench(databases, image, quick, seed=run)):
            seen.append(((case, bot.name), figures))
            busy.append(load_average())
            seconds = time.monotonic() - began
            print(f"{question.name}, run {run + 1} of {runs}, {seconds:.0f} s: {case}, {bot.name}", file=sys.stderr)
    measured_on = describe(databases.version) | {
        "runs": f"median of {runs}",
        "load average meanwhile": f"{min(busy):.1f} to {max(busy):.1f}",
    }
    return Answered(measured_on, medians(seen))


async def main() -> int:
    names = [question.name for question in QUESTIONS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("question", nargs="*", help=f"of {', '.join(names)}; all without any")
    parser.add_argument("--runs", type=int, help="how often each question is asked, 3 without it; 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="less of everything, to look at; nothing is written")
    chosen = parser.parse_args()
    if unknown := set(chosen.question) - set(names):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    runs = chosen.runs or (1 if chosen.quick else 3)
    async with contextlib.AsyncExitStack() as stack:
        databases = Databases(stack)
        for question in QUESTIONS:
            if chosen.question and question.name not in chosen.question:
                continue
            answered = await answer(question, runs, quick=chosen.quick, databases=databases)
            print(f"\n## {question.title}\n\n{table(answered.results, question.columns)}")
            print(markdown(["", "measured on"], list(answered.measured_on.items())))
            print(target_table(TARGETS, {question.name: answered.results}))
            if not chosen.quick:
                save_answer(question.name, answered)
                write_document()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
