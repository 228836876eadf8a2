"""The service calling back: in time, late, too soon, twice, not at all, with lies; and strangers who guess.

A call is plain data: who got it and what it said is kept, so that the promises about calls can be judged afterwards.
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
    """One call to one process. *image*: whose address it went to; empty: nobody's."""

    image: str
    token: str
    body: bytes
    claim: str  # the task that the body names, if it does
    at: float = 0.0
    known: bool = False  # it was answered as a call that somebody waits for
    heeded: bool = False  # what it said is written down
    heeded_at: float = 0.0


Send = Callable[[int, Call], None]


@dataclass
class Calls:
    """All calls of a run. *ways* are taken in turn by the tasks that have an address; *send* takes one to a process."""

    loop: VirtualLoop
    seed: int
    ways: tuple[str, ...]
    api: ImageApi
    send: Send
    made: list[Call] = field(default_factory=list[Call])
    claimed_for: dict[str, str] = field(default_factory=dict[str, str])  # a false task id -> the image it was told of

    def plan(self, post: Post, task: ApiTask) -> None:
        """The service has taken *task*: call back as its turn says."""
        if post.token and self.ways:
            way = self.ways[len(self.api.tasks) % len(self.ways)]
            self.loop.spawn(None, self._follow(way, post, task, random.Random(f"{self.seed} call {task.id}")))

    async def _follow(self, way: str, post: Post, task: ApiTask, dice: random.Random) -> None:
        told = self._body(task.id, "SUCCESS", consumed_credits=task.consumed, response=["https://x.example/x.png"])
        in_time = task.ready_at - self.loop.time() + dice.uniform(0.0, 2.0)
        match way:
            case "in time":
                await self._call(in_time, post, told, task.id, dice)
            case "late":
                await self._call(in_time + dice.choice((20.0, 90.0, 400.0)), post, told, task.id, dice)
            case "too soon":
                await self._call(dice.uniform(0.0, 0.4), post, self._body(task.id, "PENDING"), task.id, dice)
            case "twice":
                await self._call(in_time, post, told, task.id, dice)
                await self._call(dice.choice((0.0, 0.1, 3.0, 60.0)), post, told, task.id, dice)
            case "often":
                await self._call(max(0.0, in_time - 8.0), post, told, task.id, dice)
                for _ in range(14):
                    await self._call(dice.uniform(0.0, 1.5), post, told, task.id, dice)
            case "guessed":
                await self._guess(dice)
                await self._call(in_time, post, told, task.id, dice)
            case "lies":
                await self._lie(post, task, dice)
            case _:  # lost
                pass

    async def _guess(self, dice: random.Random) -> None:
        """Somebody who has no address tries some: of the right form, and not."""
        for token in ("A" * 43, "x", "../healthz", "é" * 43):
            body = self._body(f"task-guessed-{dice.randrange(99)}", "SUCCESS")
            await self._call(dice.uniform(0.0, 2.0), None, body, "", dice, token=token)

    async def _lie(self, post: Post, task: ApiTask, dice: random.Random) -> None:
        """The address is right and nothing else is: statuses, costs, images and tasks that are not this image's."""
        stranger = self.api.take_strangers(f"stranger-{task.id}").id
        nobody = f"nobody-{task.id}"
        self.claimed_for |= {stranger: post.image, nobody: post.image}
        lies = [
            (self._body(stranger, "SUCCESS", consumed_credits=1000), stranger),
            (self._body(nobody, "SUCCESS", response=["http://127.0.0.1/"]), nobody),
            (self._body("", "FAILED", error_message="Content policy violation detected"), ""),
            (b"<html>" + b"[" * 2000, ""),
        ]
        for body, claim in dice.sample(lies, dice.randint(1, len(lies))):
            await self._call(dice.choice((0.0, 0.3, 4.0, 15.0)), post, body, claim, dice)

    def _body(self, task_id: str, status: str, **more: Any) -> bytes:
        return json.dumps({"code": 200, "data": {"task_id": task_id, "status": status, **more}}).encode()

    async def _call(
        self, wait: float, post: Post | None, body: bytes, claim: str, dice: random.Random, *, token: str = ""
    ) -> None:
        await asyncio.sleep(max(0.0, wait))
        call = Call(post.image if post else "", post.token if post else token, body, claim, self.loop.time())
        self.made.append(call)
        self.api.note(f"somebody calls back for {call.image or 'nobody'}: {body[:60]!r}")
        self.send(dice.randrange(2), call)
