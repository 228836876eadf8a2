"""What happens in the local Discord, as values: the gateway tells the bot, the audience tells the people.

No behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.local_discord.state.model import Interaction, Json, Message


@dataclass(frozen=True, slots=True)
class MessageSaved:
    """A message is new (`created`) or has changed. `pings` are the people whom a new message really notifies."""

    message: Message
    created: bool
    pings: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class MessageGone:
    message: Message


@dataclass(frozen=True, slots=True)
class MessageDismissed:
    """A person closed an ephemeral message: gone for their eyes only."""

    message: Message
    person_id: int


@dataclass(frozen=True, slots=True)
class InteractionSent:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class InteractionChanged:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class ModalShown:
    interaction: Interaction


@dataclass(frozen=True, slots=True)
class CommandsChanged:
    pass


@dataclass(frozen=True, slots=True)
class EntitlementChanged:
    """`event` is the gateway's name for it."""

    event: str
    entitlement: Json


Happening = (
    MessageSaved
    | MessageGone
    | MessageDismissed
    | InteractionSent
    | InteractionChanged
    | ModalShown
    | CommandsChanged
    | EntitlementChanged
)
Listener = Callable[[Happening], None]
