"""An event loop on a virtual clock: it advances to the next timer, reads no clock and opens no socket.

Every callback belongs to the process (Life) whose task scheduled it, so a process can be killed between any two awaits
and any two statements (its tasks are never resumed, as after SIGKILL) or stopped (as by SIGSTOP, or a stalled machine).
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
    """Every task waits and no timer is set."""


@dataclass(eq=False, slots=True)
class Life:
    """One process from its start to its end."""

    name: str
    dies_at_step: int = NEVER  # it is killed when it would take this step: resume a task, or execute a statement
    on_death: Callable[[Life], None] = lambda life: None
    sleeps: float = 0.0  # above 0: at that step it is stopped for so many seconds and not killed
    on_sleep: Callable[[Life, float], None] = lambda life, seconds: None
    steps: int = 0
    steps_with_faults: int = 0  # before faults ended
    dead: bool = False
    is_over: bool = False  # the run has ended: remaining tasks may clean up
    paused: bool = False
    backlog: list[asyncio.Handle] = field(default_factory=list)
    tasks: weakref.WeakSet[asyncio.Task[Any]] = field(default_factory=weakref.WeakSet)
    frozen: list[asyncio.Task[Any]] = field(default_factory=list)

    def take_step(self) -> None:
        """Count a step. The process is killed or stopped before the one where that is due."""
        self.steps += 1
        if self.steps >= self.dies_at_step:
            self.dies_at_step = NEVER
            if self.sleeps:
                self.on_sleep(self, self.sleeps)
            else:
                self.die()

    def die(self) -> None:
        """Never run a callback of this process again."""
        if not self.dead:
            self.dead, self.paused = True, False
            # Kept, since garbage collection would run their finally blocks.
            self.frozen = [task for task in self.tasks if not task.done()]
            self.on_death(self)

    def wake(self, loop: VirtualLoop) -> None:
        """Continue after a pause, with all callbacks that became due meanwhile."""
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
    if life is None or life.is_over:
        return True
    if not (life.dead or life.paused):
        life.take_step()
    if life.dead or life.paused:
        life.backlog.append(handle)  # of the dead too: see Run._end_tasks
        return False
    return True


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


class _TimeSelector:
    """The loop's selector: advances the virtual time instead of waiting."""

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
        self.faults: list[BaseException] = []  # raised by tasks of no process
        self._clock_resolution = 1e-6
        self._ready: collections.deque[asyncio.Handle]  # BaseEventLoop's own
        self._scheduled: list[asyncio.TimerHandle]
        self._selector = _TimeSelector(self)
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self.now

    def run_soon(self, handle: asyncio.Handle) -> None:
        self._ready.append(handle)

    def spawn(self, life: Life | None, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Start *work* as a task of *life*; None: of the environment."""
        context = contextvars.copy_context()
        context.run(LIFE.set, life)
        task = self.create_task(work, name=name or None, context=context)
        if life is None:
            task.add_done_callback(self._ended, context=context)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Record an exception of the environment, which is a fault of the simulation."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run *func* after THREAD_SECONDS, if its process still lives."""

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
