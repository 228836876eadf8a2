"""Changes of the state. The gateway sends them to the bot as events, the live feed to the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.local_discord.state.model import Interaction, Json, Message


@dataclass(frozen=True, slots=True)
class MessageSaved:
    """A message is new (`created`) or was edited. `pings`: the people whom a new message notifies."""

    message: Message
    created: bool
    pings: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    message: Message


@dataclass(frozen=True, slots=True)
class MessageDismissed:
    """A person dismissed an ephemeral message."""

    message: Message
    person_id: int


@dataclass(frozen=True, slots=True)
class InteractionSent:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class InteractionChanged:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class ModalOpened:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class CommandsChanged:
    pass


@dataclass(frozen=True, slots=True)
class EntitlementChanged:
    """`event` is the name of the gateway event."""

    event: str
    entitlement: Json


Change = (
    MessageSaved
    | MessageDeleted
    | MessageDismissed
    | InteractionSent
    | InteractionChanged
    | ModalOpened
    | CommandsChanged
    | EntitlementChanged
)
Listener = Callable[[Change], None]
