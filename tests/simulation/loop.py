"""An event loop whose time is a number: it leaps to the next timer, reads no clock and opens no socket.

Every callback runs in the name of the process whose task scheduled it, so a process can be killed between any two
awaits (its tasks are simply never resumed, as after SIGKILL) or made to sleep (as by SIGSTOP, or a stalled machine).
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import heapq
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

NEVER = 1 << 60
THREAD_SECONDS = 0.3


class Deadlock(Exception):
    """Everybody waits and nobody will ever wake them."""


@dataclass(eq=False, slots=True)
class Life:
    """One process, as the loop knows it."""

    name: str
    dies_at_step: int = NEVER  # it is killed when it would resume a task for the so-manieth time
    on_death: Callable[[Life], None] = lambda life: None
    sleeps: float = 0.0  # at that step it is only stopped, for so many seconds
    on_sleep: Callable[[Life, float], None] = lambda life, seconds: None
    steps: int = 0
    steps_in_danger: int = 0  # before everything was healed
    dead: bool = False
    buried: bool = False  # the run is over: what is left may clean up after itself, and reaches nothing any more
    paused: bool = False
    backlog: list[asyncio.Handle] = field(default_factory=list)
    tasks: weakref.WeakSet[asyncio.Task[Any]] = field(default_factory=weakref.WeakSet)
    frozen: list[asyncio.Task[Any]] = field(default_factory=list)

    def die(self) -> None:
        """Nothing of this process ever runs again."""
        if not self.dead:
            self.dead, self.paused = True, False
            self.frozen = [task for task in self.tasks if not task.done()]  # or collecting them would run their ends
            self.on_death(self)

    def wake(self, loop: VirtualLoop) -> None:
        """Go on after a pause, with everything that became due meanwhile."""
        self.paused = False
        if not self.dead:
            self.run_backlog(loop)

    def run_backlog(self, loop: VirtualLoop) -> None:
        backlog, self.backlog = self.backlog, []
        for handle in backlog:
            loop.run_soon(handle)


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


def _may_run(handle: asyncio.Handle) -> bool:
    life = handle._context.get(LIFE)
    if life is None or life.buried:
        return True
    if life.dead or life.paused:
        life.backlog.append(handle)  # of the dead too: see Run._bury
        return False
    life.steps += 1
    if life.steps < life.dies_at_step:
        return True
    life.backlog.append(handle)
    life.dies_at_step = NEVER
    if life.sleeps:
        life.on_sleep(life, life.sleeps)
    else:
        life.die()
    return False


class _Step(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        if _may_run(self):
            super()._run()


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        if not self._cancelled and _may_run(self):
            super()._run()


class _Leap:
    """What the loop takes for its selector: instead of waiting it moves the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self._loop.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: the same callbacks in the same order give the same history."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.faults: list[BaseException] = []  # of the world outside the processes
        self._clock_resolution = 1e-6
        self._ready: collections.deque[asyncio.Handle]  # BaseEventLoop's own
        self._scheduled: list[asyncio.TimerHandle]
        self._selector = _Leap(self)
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self.now

    def run_soon(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)

    def spawn(self, life: Life | None, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Begin *work* in the name of *life*; None: of the world outside."""
        context = contextvars.copy_context()
        context.run(LIFE.set, life)
        task = self.create_task(work, name=name or None, context=context)
        if life is None:
            task.add_done_callback(self._ended, context=context)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """A fault of the world's is a fault of the simulation's: never to be swallowed."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """A thread that takes its time: what it does is done at once when that is over, if its process still lives."""

        async def work() -> Any:
            await asyncio.sleep(THREAD_SECONDS)
            return func(*args)

        return self.create_task(work())

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Step(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, context: Any = None) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.tasks.add(task)
    return task
