"""What a person's client works with: the parts of the local Discord, a signal of changes, an open form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.rules.interactions import Interactions
from sandbox.local_discord.rules.messages import Messages
from sandbox.local_discord.state.changes import Change
from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.state import State


class ChangeSignal:
    """Wakes whoever waits for the next change."""

    def __init__(self, state: State) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        state.listen(self._wake)

    def _wake(self, change: Change) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def next(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        return future


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The parts that a person's client calls."""

    state: State
    messages: Messages
    interactions: Interactions
    payloads: Payloads
    channel_payloads: ChannelPayloads
    changes: ChangeSignal


@dataclass(frozen=True, slots=True)
class OpenForm:
    """A modal that is open in a person's client."""

    interaction_id: int
    custom_id: str
    title: str
    components: list[Json]
