"""Callbacks of the image API: in time, late, too early, repeated, lost or false; and calls with guessed tokens.

Each call is recorded with its receiver and its body, for the invariants about calls.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.image_api import ApiTask, ImageApi, Post
from tests.simulation.loop import VirtualLoop


@dataclass(slots=True)
class Call:
    """One call to one process. *image*: the image whose address was called; empty: no image's."""

    image: str
    token: str
    body: bytes
    claim: str  # the task that the body names, if it does
    at: float = 0.0
    known: bool = False  # its token was recognised
    handled: bool = False  # its transaction was committed
    handled_at: float = 0.0


Send = Callable[[int, Call], None]


@dataclass
class Calls:
    """All calls of a run. Tasks with a callback address use *ways* in turn; *send* delivers a call to a process."""

    loop: VirtualLoop
    seed: int
    ways: tuple[str, ...]
    api: ImageApi
    send: Send
    made: list[Call] = field(default_factory=list[Call])
    claimed_for: dict[str, str] = field(
        default_factory=dict[str, str]
    )  # a false task id -> the image it was claimed for

    def plan(self, post: Post, task: ApiTask) -> None:
        """Schedule the calls about *task*, which the service has accepted."""
        if post.token and self.ways:
            way = self.ways[len(self.api.tasks) % len(self.ways)]
            self.loop.spawn(None, self._follow(way, post, task, random.Random(f"{self.seed} call {task.id}")))

    async def _follow(self, way: str, post: Post, task: ApiTask, rng: random.Random) -> None:
        success = self._body(task.id, "SUCCESS", consumed_credits=task.consumed, response=["https://x.example/x.png"])
        in_time = task.ready_at - self.loop.time() + rng.uniform(0.0, 2.0)
        match way:
            case "in time":
                await self._call(in_time, post, success, task.id, rng)
            case "late":
                await self._call(in_time + rng.choice((20.0, 90.0, 400.0)), post, success, task.id, rng)
            case "too soon":
                await self._call(rng.uniform(0.0, 0.4), post, self._body(task.id, "PENDING"), task.id, rng)
            case "twice":
                await self._call(in_time, post, success, task.id, rng)
                await self._call(rng.choice((0.0, 0.1, 3.0, 60.0)), post, success, task.id, rng)
            case "often":
                await self._call(max(0.0, in_time - 8.0), post, success, task.id, rng)
                for _ in range(14):
                    await self._call(rng.uniform(0.0, 1.5), post, success, task.id, rng)
            case "guessed":
                await self._guess(rng)
                await self._call(in_time, post, success, task.id, rng)
            case "lies":
                await self._lie(post, task, rng)
            case _:  # lost
                pass

    async def _guess(self, rng: random.Random) -> None:
        """Call with guessed tokens, of the right form and of wrong forms."""
        for token in ("A" * 43, "x", "../healthz", "é" * 43):
            body = self._body(f"task-guessed-{rng.randrange(99)}", "SUCCESS")
            await self._call(rng.uniform(0.0, 2.0), None, body, "", rng, token=token)

    async def _lie(self, post: Post, task: ApiTask, rng: random.Random) -> None:
        """Call the right address with false statuses, costs, addresses and task ids."""
        stranger = self.api.create_foreign_task(f"stranger-{task.id}").id
        unknown = f"nobody-{task.id}"
        self.claimed_for |= {stranger: post.image, unknown: post.image}
        lies = [
            (self._body(stranger, "SUCCESS", consumed_credits=1000), stranger),
            (self._body(unknown, "SUCCESS", response=["http://127.0.0.1/"]), unknown),
            (self._body("", "FAILED", error_message="Content policy violation detected"), ""),
            (b"<html>" + b"[" * 2000, ""),
        ]
        for body, claim in rng.sample(lies, rng.randint(1, len(lies))):
            await self._call(rng.choice((0.0, 0.3, 4.0, 15.0)), post, body, claim, rng)

    def _body(self, task_id: str, status: str, **more: Any) -> bytes:
        return json.dumps({"code": 200, "data": {"task_id": task_id, "status": status, **more}}).encode()

    async def _call(
        self, wait: float, post: Post | None, body: bytes, claim: str, rng: random.Random, *, token: str = ""
    ) -> None:
        await asyncio.sleep(max(0.0, wait))
        call = Call(post.image if post else "", post.token if post else token, body, claim, self.loop.time())
        self.made.append(call)
        self.api.note(f"a callback for {call.image or 'no image'}: {body[:60]!r}")
        self.send(rng.randrange(2), call)
