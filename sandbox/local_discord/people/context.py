"""What people act on, and a way to wait until something happens there. No behaviour of people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sandbox.local_discord.payloads.channels import Places
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.rules.interactions import Interactions
from sandbox.local_discord.rules.messages import Messages
from sandbox.local_discord.state.events import Happening
from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.state import State


class Changes:
    """Wakes those who wait for anything to happen."""

    def __init__(self, state: State) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        state.listen(self._wake)

    def _wake(self, happening: Happening) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def next(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        return future


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that people act on."""

    state: State
    messages: Messages
    interactions: Interactions
    payloads: Payloads
    places: Places
    changes: Changes


@dataclass(frozen=True, slots=True)
class ShownForm:
    """A modal on a person's screen."""

    interaction_id: int
    custom_id: str
    title: str
    components: list[Json]
