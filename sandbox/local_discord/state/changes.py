"""Changes of the state. The gateway sends them to the bot as events, the live feed to the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.local_discord.state.model import Channel, Interaction, Json, Message


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
class CommandPermissionsChanged:
    """`target_id` is the command, or the application for all its commands."""

    guild_id: int
    target_id: int


@dataclass(frozen=True, slots=True)
class ChannelSaved:
    channel: Channel
    created: bool


@dataclass(frozen=True, slots=True)
class GuildAdded:
    """The app was added to a guild. `after_outage`: it was in it, and the guild is back."""

    guild_id: int
    after_outage: bool


@dataclass(frozen=True, slots=True)
class GuildLeft:
    """The app was removed from a guild. `unavailable`: it was not, but the guild has an outage."""

    guild_id: int
    unavailable: bool


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
    | CommandPermissionsChanged
    | ChannelSaved
    | GuildAdded
    | GuildLeft
    | EntitlementChanged
)
Listener = Callable[[Change], None]
