"""`python -m tests.chaos --seconds 90 --seed N`: kill and stop real bot processes at random, then check the promises.

One process on SQLite, then two processes on one PostgreSQL that is itself restarted, then three that divide the shards
of the gateway, under 20 commands a second, and are restarted one after another. Exit code 0 when every promise
was kept; 1 otherwise, with the seed and the folder that holds the evidence.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sandbox.world import BOT_SCRIPT
from store.database import open_database
from tests.chaos.experiment import Experiment, open_experiment
from tests.chaos.plan import draw_plan
from tests.chaos.report import report
from tests.chaos.rows import Rows, read_rows
from tests.chaos.verdict import POLL_INTERVAL_MS, broken_promises
from tests.chaos.worlds import WORLDS, World

SETTLE_SECONDS = 180.0
POLL_SECONDS = 2.0
# After a clock jump a bot trusts no due time for 5 s: shorter jumps would delay the poll for ever.
LEAST_ADVANCE_SECONDS = 15.0
LATE = frozenset({"expired", "unknown"})
PRINTED_FAULTS = 20


async def run_world(world: World, *, seconds: float, seed: int, folder: Path, bot_script: Path) -> list[str]:
    """Run one world and print its line. Return the broken promises."""
    plan = draw_plan(seed, seconds=seconds, world=world)
    async with open_experiment(folder, world, seed=seed, bot_script=bot_script) as experiment:
        began = time.monotonic()
        await experiment.run_plan(plan)
        experiment.clear_faults()
        watched = f"; {experiment.watch}" if experiment.watch else ""
        lasted = time.monotonic() - began
        rows = await settle(experiment)
        settled = time.monotonic() - began - lasted
        broken = broken_promises(rows, experiment)
        keep_evidence(folder, experiment, rows, broken)
        print(f"{_line(world, seed, lasted, settled, experiment, rows, broken)}{watched}", flush=True)
        if broken:
            name = next(name for name, other in WORLDS.items() if other is world)
            again = f"make chaos SEED={seed} SECONDS={seconds:g} WORLD={name}"
            print(*broken[:PRINTED_FAULTS], *report(rows, experiment, broken), f"again: {again}", sep="\n", flush=True)
    return broken


async def settle(experiment: Experiment) -> Rows:
    """Wait until nothing is due. Where only late polls remain, hours apart, advance the clock to the next."""
    deadline = time.monotonic() + SETTLE_SECONDS
    async with open_database(experiment.address) as database:
        while True:
            rows = await read_rows(database)
            if rows.settled or time.monotonic() > deadline:
                return rows
            _advance_to_next_poll(experiment, rows)
            await asyncio.sleep(POLL_SECONDS)


def _advance_to_next_poll(experiment: Experiment, rows: Rows) -> None:
    """Advance the clock to the next late poll, but not soon after another poll: each process spaces its own polls by
    a monotonic clock, and two polls of one task would come too close together."""
    waiting = [image for image in rows.images if image["due_at_ms"] is not None]
    if not waiting or any(image["state"] not in LATE for image in waiting):
        return
    ahead = min(image["due_at_ms"] for image in waiting) - experiment.box.clock.now_ms()
    last_poll_ms = max((polls[-1] for polls in experiment.box.images.polls.values()), default=0)
    if ahead > LEAST_ADVANCE_SECONDS * 1000 and experiment.box.images.now_ms() > last_poll_ms + POLL_INTERVAL_MS + 1000:
        experiment.box.clock.advance(ahead / 1000)


def keep_evidence(folder: Path, experiment: Experiment, rows: Rows, broken: list[str]) -> None:
    """Write everything that is needed to understand a failure beside the bots' logs."""
    evidence = {
        "broken.json": broken,
        "rows.json": {name: getattr(rows, name) for name in ("accounts", "entries", "generations", "images")},
        "timeline.json": [asdict(entry) for entry in experiment.timeline.entries],
        "posts.json": [asdict(post) for post in experiment.box.images.posts],
        "polls.json": experiment.box.images.polls,
        "discord.json": [asdict(request) for request in experiment.box.discord.requests],
    }
    for name, content in evidence.items():
        (folder / name).write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


def _line(
    world: World, seed: int, lasted: float, settled: float, experiment: Experiment, rows: Rows, broken: list[str]
) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(experiment.counts.items()))
    states = Counter(str(image["state"]) for image in rows.images)
    ends = ", ".join(f"{count} {state}" for state, count in states.most_common())
    verdict = f"{len(broken)} promises BROKEN" if broken else "every promise kept"
    return (
        f"chaos, seed {seed}, {world.name}: {lasted:.0f} s and {settled:.0f} s to settle; {counts}; "
        f"{len(rows.images)} images: {ends}; {verdict}"
    )


def _make_folder(prefix: str) -> Path:
    """Make a folder that PostgreSQL, which is another user where root runs this, may read the clock in."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long faults last in each world")
    parser.add_argument("--seed", type=int, default=None, help="decides every kill, stop, mood and request")
    parser.add_argument("--world", choices=[*WORLDS, "all"], default="all")
    parser.add_argument("--bot", type=Path, default=BOT_SCRIPT, help="another bot.py, such as one broken on purpose")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of a good run too")
    chosen = parser.parse_args()
    seed = secrets.randbelow(100_000) if chosen.seed is None else chosen.seed
    logging.basicConfig(level=logging.CRITICAL)
    failed = False
    for name in WORLDS if chosen.world == "all" else (chosen.world,):
        folder = _make_folder(f"chaos-{seed}-{name}-")
        broken = await run_world(WORLDS[name], seconds=chosen.seconds, seed=seed, folder=folder, bot_script=chosen.bot)
        failed = failed or bool(broken)
        if broken:
            print(f"evidence in {folder}", flush=True)
        elif chosen.keep:
            print(f"evidence in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
