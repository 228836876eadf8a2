"""`python -m tests.chaos --seconds 90 --seed N`: real bot processes, killed and stopped at random; then the promises.

One process on SQLite, then two processes on one PostgreSQL that is itself restarted. Exit code 0 when every promise
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
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.world import BOT_SCRIPT
from store.database import open_database
from tests.chaos.arena import Arena, open_arena
from tests.chaos.plan import draw_plan
from tests.chaos.rows import Rows, read_rows
from tests.chaos.story import tell
from tests.chaos.verdict import POLLS_APART_MS, broken_promises

SETTLE_SECONDS = 180.0
POLL_SECONDS = 2.0
# After a jump a bot believes no due time for 5 s: whoever jumps over so little puts it off for ever.
WORTH_A_JUMP_SECONDS = 15.0
LATE = frozenset({"expired", "unknown"})
SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True)
class World:
    name: str
    processes: int
    postgresql: bool
    callbacks: bool


WORLDS = {
    "sqlite": World("one process on SQLite", 1, postgresql=False, callbacks=False),
    "postgresql": World("two processes on PostgreSQL", 2, postgresql=True, callbacks=True),
}


async def run_world(world: World, *, seconds: float, seed: int, folder: Path, bot_script: Path) -> list[str]:
    """One run; prints its line. Returns the broken promises."""
    plan = draw_plan(
        seed,
        seconds=seconds,
        processes=world.processes,
        restarts_database=world.postgresql,
        callbacks=world.callbacks,
    )
    async with open_arena(
        folder,
        processes=world.processes,
        postgresql=world.postgresql,
        callbacks=world.callbacks,
        seed=seed,
        bot_script=bot_script,
    ) as arena:
        began = time.monotonic()
        await arena.carry_out(plan)
        arena.make_peace()
        lasted = time.monotonic() - began
        rows = await settle(arena)
        settled = time.monotonic() - began - lasted
        broken = broken_promises(rows, arena)
        keep_evidence(folder, arena, rows, broken)
        print(_line(world, seed, lasted, settled, arena, rows, broken), flush=True)
        if broken:
            again = f"make chaos SEED={seed} SECONDS={seconds:g}"
            print(*broken[:SHOWN_FAULTS], *tell(rows, arena, broken), f"again: {again}", sep="\n", flush=True)
    return broken


async def settle(arena: Arena) -> Rows:
    """Wait until nothing is due any more. Where only late looks remain, hours apart, the clock is moved to them."""
    deadline = time.monotonic() + SETTLE_SECONDS
    async with open_database(arena.address) as database:
        while True:
            rows = await read_rows(database)
            if rows.settled or time.monotonic() > deadline:
                return rows
            _hasten(arena, rows)
            await asyncio.sleep(POLL_SECONDS)


def _hasten(arena: Arena, rows: Rows) -> None:
    """Jump to the next late look. Never soon after another look: each process knows only its own looks by a clock that
    does not jump, and two of one task would come too close."""
    waiting = [image for image in rows.images if image["due_at_ms"] is not None]
    if not waiting or any(image["state"] not in LATE for image in waiting):
        return
    ahead = min(image["due_at_ms"] for image in waiting) - arena.box.clock.now_ms()
    last_poll_ms = max((polls[-1] for polls in arena.box.images.polls.values()), default=0)
    if ahead > WORTH_A_JUMP_SECONDS * 1000 and arena.box.images.now_ms() > last_poll_ms + POLLS_APART_MS + 1000:
        arena.box.clock.advance(ahead / 1000)


def keep_evidence(folder: Path, arena: Arena, rows: Rows, broken: list[str]) -> None:
    """Everything that is needed to understand a failure, beside the bots' logs."""
    evidence = {
        "broken.json": broken,
        "rows.json": {name: getattr(rows, name) for name in ("accounts", "entries", "generations", "images")},
        "deeds.json": [asdict(moment) for moment in arena.diary.moments],
        "posts.json": [asdict(post) for post in arena.box.images.posts],
        "looks.json": arena.box.images.polls,
        "discord.json": [asdict(request) for request in arena.box.discord.requests],
    }
    for name, content in evidence.items():
        (folder / name).write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


def _line(world: World, seed: int, lasted: float, settled: float, arena: Arena, rows: Rows, broken: list[str]) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(arena.counts.items()))
    states = Counter(str(image["state"]) for image in rows.images)
    ends = ", ".join(f"{count} {state}" for state, count in states.most_common())
    verdict = f"{len(broken)} promises BROKEN" if broken else "every promise kept"
    return (
        f"chaos, seed {seed}, {world.name}: {lasted:.0f} s and {settled:.0f} s to settle; {counts}; "
        f"{len(rows.images)} images: {ends}; {verdict}"
    )


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long each world is hurt")
    parser.add_argument("--seed", type=int, default=None, help="decides every kill, stop, mood and request")
    parser.add_argument("--world", choices=[*WORLDS, "both"], default="both")
    parser.add_argument("--bot", type=Path, default=BOT_SCRIPT, help="another bot.py, such as one broken on purpose")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of a good run too")
    chosen = parser.parse_args()
    seed = secrets.randbelow(100_000) if chosen.seed is None else chosen.seed
    logging.basicConfig(level=logging.CRITICAL)
    failed = False
    for name in WORLDS if chosen.world == "both" else (chosen.world,):
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-{name}-"))
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
