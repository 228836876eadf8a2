"""What each open page gets: a snapshot first, then an event for every change that its person may see."""

from __future__ import annotations

import asyncio

from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.people.actor import NO_ANSWER
from sandbox.local_discord.people.command_checks import offered_commands
from sandbox.local_discord.rules.command_permissions import all_channels_id
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import (
    Change,
    ChannelSaved,
    CommandPermissionsChanged,
    CommandsChanged,
    GuildAdded,
    GuildLeft,
    InteractionChanged,
    MessageDeleted,
    MessageDismissed,
    MessageSaved,
    ModalOpened,
)
from sandbox.local_discord.state.model import Guild, Interaction, Json, Outcome, Person
from sandbox.local_discord.state.state import State


class Subscription:
    """One open page of one person, with the events that are still to be sent."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.events: asyncio.Queue[Json | None] = asyncio.Queue()


class LiveFeed:
    def __init__(self, state: State, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads
        self._subscriptions: list[Subscription] = []
        state.listen(self._on_change)

    def subscribe(self, person: Person) -> Subscription:
        subscription = Subscription(person)
        self._subscriptions.append(subscription)
        subscription.events.put_nowait(self._snapshot(person))
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End the stream of every page."""
        for subscription in self._subscriptions:
            subscription.events.put_nowait(None)

    def _snapshot(self, person: Person) -> Json:
        state = self._state
        visible = [channel for channel in state.channels.values() if state.may_see(person, channel)]
        return {
            "type": "snapshot",
            "now_ms": state.clock.now_ms(),
            "me": person_json(person),
            "app_id": str(state.application_id),
            "people": [person_json(each) for each in state.people.values()],
            **self._places(person),
            "messages": {
                str(channel.id): [
                    self._payloads.for_person(message)
                    for message in state.messages_in(channel.id)
                    if state.may_read(person, message)
                ]
                for channel in visible
            },
        }

    def _places(self, person: Person) -> Json:
        """Return the guilds, channels and commands as a person sees them."""
        state = self._state
        visible = [channel for channel in state.channels.values() if state.may_see(person, channel)]
        return {
            "guilds": [self._guild(guild, person) for guild in state.guilds.values() if person.id in guild.members],
            "channels": [self._channel_payloads.channel_for_person(channel, person) for channel in visible],
            "commands": self._commands(),
            "offered": {str(channel.id): offered_commands(state, person, channel) for channel in visible},
        }

    def _guild(self, guild: Guild, person: Person) -> Json:
        """Return a guild as the page gets it: with roles and members to pick from, and its settings for its admins."""
        may = self._state.guild_permissions(person.id, guild)
        body: Json = {
            "id": str(guild.id),
            "name": guild.name,
            "installed": guild.installed,
            "has_bot": guild.has_bot,
            "unavailable": guild.id in self._state.unavailable_guilds,
            "roles": [{"id": str(role.id), "name": role.name} for role in guild.roles],
            "members": [str(member) for member in guild.members],
            "my_roles": [str(role) for role in guild.members[person.id]],
            "all_channels_id": str(all_channels_id(guild.id)),
            "may_set": {
                "permissions": not (p.MANAGE_GUILD | p.MANAGE_ROLES) & ~may,
                "channels": bool(may & p.MANAGE_CHANNELS),
                "app": bool(may & p.MANAGE_GUILD),
            },
        }
        if may & p.MANAGE_GUILD:
            own = {key: entries for key, entries in self._state.command_permissions.items() if key[0] == guild.id}
            body["command_permissions"] = {str(target): entries for (_, target), entries in own.items()}
        return body

    def _commands(self) -> list[Json]:
        return [command for scope in self._state.commands.values() for command in scope]

    def _on_change(self, change: Change) -> None:
        for subscription in self._subscriptions:
            for event in self._events_for(subscription.person, change):
                subscription.events.put_nowait(event)

    def _events_for(self, person: Person, change: Change) -> list[Json]:
        match change:
            case MessageSaved(message, _, pings):
                if not self._state.may_read(person, message):
                    return []
                body = self._payloads.for_person(message)
                events: list[Json] = [{"type": "message", "channel_id": str(message.channel_id), "message": body}]
                if person.id in pings:
                    events.append({"type": "ping", "message_id": str(message.id)})
                return events
            case MessageDeleted(message):
                return [_deleted(message.channel_id, message.id)] if self._state.may_read(person, message) else []
            case MessageDismissed(message, person_id):
                return [_deleted(message.channel_id, message.id)] if person.id == person_id else []
            case InteractionChanged(interaction):
                return [_interaction(interaction)] if person.id == interaction.person_id else []
            case ModalOpened(interaction):
                modal: Json = {
                    "type": "modal",
                    "interaction_id": str(interaction.id),
                    "modal": interaction.modal,
                }
                return [modal] if person.id == interaction.person_id else []
            case CommandsChanged() | CommandPermissionsChanged() | ChannelSaved() | GuildAdded() | GuildLeft():
                return [{"type": "places", **self._places(person)}]
            case _:
                return []


def person_json(person: Person) -> Json:
    return {
        "id": str(person.id),
        "name": person.name,
        "color": person.color,
        "role": person.role,
        "initials": person.initials,
    }


def _deleted(channel_id: int, message_id: int) -> Json:
    return {"type": "message_delete", "channel_id": str(channel_id), "message_id": str(message_id)}


def _interaction(interaction: Interaction) -> Json:
    return {
        "type": "interaction",
        "interaction_id": str(interaction.id),
        "channel_id": str(interaction.channel_id),
        "state": interaction.outcome.value,
        "error": NO_ANSWER if interaction.outcome is Outcome.FAILED else None,
        "command_name": interaction.command_name,
    }
