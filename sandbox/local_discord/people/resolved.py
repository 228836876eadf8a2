"""`resolved`: the users, roles, channels and messages that a command's options name, as whole objects.

Source: Discord docs, Receiving and Responding ('Resolved Data Structure').
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.schemas import commands as kinds
from sandbox.local_discord.state.model import Channel, Guild, Json, Person
from sandbox.local_discord.state.state import State


class ResolvedData:
    def __init__(self, state: State, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads

    def target(self, person: Person, channel: Channel, kind: int, target_id: int | None) -> Json:
        """Return `target_id` and `resolved` of a command of a message's or person's menu."""
        if kind == kinds.MESSAGE_MENU:
            message = self._state.messages.get(target_id or 0)
            if message is None or message.channel_id != channel.id or not self._state.may_read(person, message):
                raise Refused("That message is not there any more.")
            resolved: Json = {"messages": {str(message.id): self._payloads.message(message)}}
        else:
            resolved = self.resolved(person, channel, [(kinds.USER, str(target_id))])["resolved"]
        return {"target_id": str(target_id), "resolved": resolved}

    def resolved(self, person: Person, channel: Channel, picked: Sequence[tuple[int, str]]) -> Json:
        """Return `{"resolved": …}` for option values (type, value) that name something; empty when none does."""
        found: dict[str, Json] = {}
        guild = self._state.guild_of(channel)
        for kind, value in picked:
            if kind in (kinds.USER, kinds.MENTIONABLE) and self._is_user(value):
                self._add_user(found, guild, channel, value)
            elif kind in (kinds.ROLE, kinds.MENTIONABLE) and guild is not None:
                role = next((role for role in self._channel_payloads.roles(guild) if role["id"] == value), None)
                if role is None:
                    raise Refused("There is no such role.")
                found.setdefault("roles", {})[value] = role
            elif kind == kinds.CHANNEL:
                found.setdefault("channels", {})[value] = self._channel(person, value)
            elif kind in (kinds.USER, kinds.ROLE, kinds.MENTIONABLE, kinds.ATTACHMENT):
                raise Refused("There is nothing of that kind to pick here.")
        return {"resolved": found} if found else {}

    def _add_user(self, found: dict[str, Json], guild: Guild | None, channel: Channel, value: str) -> None:
        found.setdefault("users", {})[value] = self._payloads.user(int(value))
        if guild is None or int(value) not in guild.members:
            return
        member = self._payloads.member(guild, int(value))
        del member["user"], member["deaf"], member["mute"]
        member["permissions"] = str(self._state.permissions(int(value), channel))
        found.setdefault("members", {})[value] = member

    def _channel(self, person: Person, value: str) -> Json:
        target = self._state.channels_by_id.get(int(value))
        if target is None or not self._state.may_see(person, target):
            raise Refused("You cannot see that channel.")
        return self._channel_payloads.channel(target) | {"permissions": str(self._state.permissions(person.id, target))}

    def _is_user(self, value: str) -> bool:
        return int(value) in self._state.people_by_id or int(value) == self._state.application_id
