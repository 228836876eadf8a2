"""Write docs/benchmarks.md with its plots and docs/scaling.md from the results that are kept in bench/results.json."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from bench.bots import FLOOR, NAIVE, POSTGRESQL, SQLITE, SQLITE_CALLBACKS
from bench.figures import Results
from bench.questions import (
    BURST,
    CORES_FOR_TWO,
    FIRST_START,
    HELD,
    LATER_START,
    ONE_PROCESS,
    QUESTIONS,
    RATES,
    ROWS,
    TWO_PROCESSES,
    WAIT_PRIVATELY,
    WAITING,
    Question,
    tasks_of,
    three_processes,
)
from bench.tables import Target, markdown, table, target_table, value_of

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
RESULTS = HERE / "results.json"
ANSWER_PLOT, CPU_PLOT = "benchmarks-first-answer.svg", "benchmarks-cpu.svg"
SLOW, QUICK = "20/s for 10 s", "50/s for 20 s"
# Images a second at busy times, by scale. The last is 2.5 million images a day, three times as many a second at peak.
SCALES = {"1×": 100 / 60, "10×": 1000 / 60, "100×": 10_000 / 60, "the largest": 2.5e6 / 86_400 * 3}
IMAGE_MEGABITS = 8 * 0.93
TRANSACTIONS = 8  # tests/worker/test_worker_statements.py counts them
COLOURS = {FLOOR.name: "#8c8c8c", NAIVE.name: "#d1812c", SQLITE.name: "#3465c0", POSTGRESQL.name: "#2f8f6b"}


def _targets() -> Iterator[Target]:
    ours = SQLITE.name
    yield Target("CPU an image ÷ naive, 20/s, SQLite", "load", SLOW, ours, "cpu_ms", 2.5, NAIVE.name)
    yield Target("CPU ms an image, 20/s, SQLite", "load", SLOW, ours, "cpu_ms", 18)
    yield Target("first answer p99 ÷ floor, 20/s", "load", SLOW, ours, "answer_p99_ms", 5, FLOOR.name)
    yield Target("first answer p99 ÷ floor, 50/s", "load", QUICK, ours, "answer_p99_ms", 8, FLOOR.name)
    for case in (SLOW, QUICK, BURST):
        yield Target(f"first answer p99 ms, {case}", "load", case, ours, "answer_p99_ms", 100)
    yield Target("images posted of 1,000, 50/s", "load", QUICK, ours, "posted", 1000, at_least=True)
    yield Target("ready → posted s, 50/s", "load", QUICK, ours, "ready_posted_s", 2.7)
    yield Target("images/s held for 20 s", "sustained", HELD, ours, "held_per_second", 50, at_least=True)
    for seconds in (8, 15, 30):
        called = (tasks_of(seconds), SQLITE_CALLBACKS.name)
        yield Target(f"ready → posted s with callbacks, tasks of {seconds} s", "ready", *called, "ready_posted_s", 0.15)
    yield Target("Discord calls an image, tasks of 8 s", "ready", tasks_of(8), ours, "calls", 3.3)
    yield Target("Discord calls an image, tasks of 15 s", "ready", tasks_of(15), ours, "calls", 4)
    for seconds in (8, 15, 30):
        yield Target(f"polls ÷ naive, tasks of {seconds} s", "ready", tasks_of(seconds), ours, "polls", 1, NAIVE.name)
    for bot in (SQLITE, POSTGRESQL):
        yield Target(f"ms a round, {WAITING} images, {bot.name}", "line", WAITING, bot.name, "round_ms", 100)
    if (os.cpu_count() or 1) >= CORES_FOR_TWO:
        held = ("processes", HELD, TWO_PROCESSES.name, "held_per_second")
        yield Target("images/s held, two processes ÷ one", *held, 1.7, ONE_PROCESS.name, at_least=True)
    few, many = (three_processes(images).name for images in (ROWS[0], ROWS[-1]))
    text = f"scans/s, three processes, {many} waiting without edits ÷ {few}"
    yield Target(text, "flight3", WAIT_PRIVATELY, many, "scans_per_second", 1.2, few)
    yield Target("idle MB", "load", SLOW, ours, "idle_mb", 80)
    yield Target("start to READY s, first start", "start", FIRST_START, ours, "start_s", 0.7)


TARGETS = tuple(_targets())


@dataclass(frozen=True, slots=True)
class Answered:
    """The kept results of one question, and what they were measured on."""

    measured_on: dict[str, str]
    results: Results


def load_answers(path: Path = RESULTS) -> dict[str, Answered]:
    """Return what is kept, by question."""
    if not path.exists():
        return {}
    return {
        name: Answered(kept["measured_on"], {(case, bot): figures for case, bot, figures in kept["results"]})
        for name, kept in json.loads(path.read_text("utf-8")).items()
    }


def save_answer(name: str, answered: Answered, path: Path = RESULTS) -> None:
    """Keep the results of one question, in the place of older ones."""
    answers = {**load_answers(path), name: answered}
    kept: dict[str, Any] = {
        question.name: {
            "measured_on": answers[question.name].measured_on,
            "results": [
                [case, bot, {figure: round(value, 4) for figure, value in figures.items()}]
                for (case, bot), figures in answers[question.name].results.items()
            ],
        }
        for question in QUESTIONS
        if question.name in answers
    }
    path.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def write_document() -> None:
    """Write both documents and the plots."""
    answers = load_answers()
    draw_first_answers(answers, DOCS / ANSWER_PLOT)
    draw_cpu(answers, DOCS / CPU_PLOT)
    results = {name: answered.results for name, answered in answers.items()}
    sections = [_section(question, answers[question.name]) for question in QUESTIONS if question.name in answers]
    benchmarks = {
        "targets": target_table(TARGETS, results),
        "questions": "\n".join(sections),
        "answer_plot": ANSWER_PLOT,
        "cpu_plot": CPU_PLOT,
    }
    for name, values in (("benchmarks.md", benchmarks), ("scaling.md", _arithmetic(results))):
        template = Template((HERE / f"{name}.template").read_text("utf-8"))
        (DOCS / name).write_text(template.substitute(values), "utf-8")


def _section(question: Question, answered: Answered) -> str:
    measured = markdown(["", "measured on"], list(answered.measured_on.items()))
    return f"### {question.title}\n{question.text}\n\n{table(answered.results, question.columns)}\n{measured}"


def _arithmetic(results: dict[str, Results]) -> dict[str, str]:
    """Return the tables of scales and ceilings, and the measured figures in the text; "?" for what was not measured."""
    bot = _figure(results, "load", QUICK, POSTGRESQL.name, "cpu_ms")
    server = _figure(results, "load", QUICK, POSTGRESQL.name, "database_cpu_ms")
    calls = _figure(results, "ready", tasks_of(15), SQLITE.name, "calls")
    polls = _figure(results, "ready", tasks_of(15), SQLITE.name, "polls")
    head = ["", *SCALES]
    rows = [
        _scaled("images a second", 1),
        _scaled("images in flight, tasks of 15 s", 15),
        _scaled("requests a second to Discord", calls),
        _scaled("Mbit/s out, and as much in", IMAGE_MEGABITS),
        _scaled("polls a second of the image API", polls),
        _scaled("cores for the bot's processes", bot / 1000),
        _scaled("cores for PostgreSQL", server / 1000),
        _scaled("transactions a second", TRANSACTIONS),
    ]
    figures = {
        **{"bot_cpu": bot, "server_cpu": server, "calls": calls, "polls": polls},
        **{"limit_images": 50 / calls, "core_images": 1000 / bot, "link_images": 1000 / IMAGE_MEGABITS},
        "sqlite_cpu": _figure(results, "load", QUICK, SQLITE.name, "cpu_ms"),
        "later_start": _figure(results, "start", LATER_START, SQLITE.name, "start_s"),
    }
    for name in (SQLITE.name, POSTGRESQL.name):
        figures[f"held_{name.lower()}"] = _figure(results, "sustained", HELD, name, "held_per_second")
        figures[f"{name.lower()}_answer"] = _figure(results, "load", SLOW, name, "answer_p99_ms")
    return {
        **{name: _number(value) for name, value in figures.items()},
        "scales": markdown(head, rows),
        "ceilings": _ceilings(bot, server, calls),
    }


def _ceilings(bot_cpu_ms: float, server_cpu_ms: float, calls: float) -> str:
    """Return a table: at how many images a second each resource ends."""
    head = ["", "there is", "an image takes", "images a second"]
    resources = (
        ("`QWEN_MAX_TASKS` as it is set by default", 20, "tasks", 15, "s of one"),
        ("Discord's global limit, if it counts interactions", 50, "requests a second", calls, "requests"),
        ("one core for the bot's processes", 1000, "ms a second", bot_cpu_ms, "ms"),
        ("one core for PostgreSQL", 1000, "ms a second", server_cpu_ms, "ms"),
        ("1 Gbit/s in each direction", 1000, "Mbit/s", IMAGE_MEGABITS, "Mbit"),
        (
            "one process' 10 connections, 5 ms a transaction",
            2000,
            "transactions a second",
            TRANSACTIONS,
            "transactions",
        ),
    )
    return markdown(
        head,
        [
            [name, f"{there_is:,} {unit}", f"{_number(an_image)} {of_it}", _number(there_is / an_image)]
            for name, there_is, unit, an_image, of_it in resources
        ],
    )


def _scaled(heading: str, an_image: float) -> list[str]:
    """Return a row: so much of something for one image a second, at every scale."""
    return [heading, *(_number(images * an_image) for images in SCALES.values())]


def _number(value: float) -> str:
    """Return a number with two digits at least, "?" for nan."""
    if math.isnan(value):
        return "?"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _figure(results: dict[str, Results], question: str, case: str, bot: str, figure: str) -> float:
    value = value_of(results.get(question, {}), case, bot, figure)
    return math.nan if value is None else value


def draw_first_answers(answers: dict[str, Answered], path: Path) -> None:
    """Draw the first answer against commands a second, median and p99, one colour a bot."""
    results = answers["sustained"].results if "sustained" in answers else {}
    figure, axes = _open_plot()
    for bot, colour in COLOURS.items():
        for name, style in (("answer_p50_ms", "-"), ("answer_p99_ms", "--")):
            points = [(rate, results.get((f"{rate}/s", bot), {}).get(name)) for rate in RATES]
            known = [(rate, value) for rate, value in points if value is not None]
            label = bot if style == "-" else None
            axes.plot([x for x, _ in known], [y for _, y in known], style, color=colour, label=label, marker=".")
    axes.set(xlabel="commands a second", ylabel="first answer, ms (line: median, dashes: p99)", yscale="log")
    axes.legend()
    _save_plot(figure, path)


def draw_cpu(answers: dict[str, Answered], path: Path) -> None:
    """Draw the CPU time of an image as bars: the bot's, and on top of it that of PostgreSQL's own processes."""
    results = answers["load"].results if "load" in answers else {}
    cases: Sequence[str] = (SLOW, QUICK)
    figure, axes = _open_plot()
    for at, (bot, colour) in enumerate(COLOURS.items()):
        places = [case_at + at * 0.2 for case_at in range(len(cases))]
        bars = [results.get((case, bot), {}).get("cpu_ms", 0.0) for case in cases]
        tops = [results.get((case, bot), {}).get("database_cpu_ms", 0.0) for case in cases]
        axes.bar_label(axes.bar(places, bars, 0.18, color=colour, label=bot), fmt="%.1f")
        if any(tops):
            label = "PostgreSQL's own processes"
            axes.bar(places, tops, 0.18, bottom=bars, color=colour, alpha=0.35, label=label)
    axes.set(ylabel="CPU ms an image")
    axes.set_xticks([case_at + 0.3 for case_at in range(len(cases))], cases)
    axes.legend()
    _save_plot(figure, path)


def _open_plot() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.grid(axis="y", alpha=0.3)
    return figure, axes


def _save_plot(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
