"""`resolved`: the users, roles, channels and messages that a command's options name, as whole objects.

Source: Discord docs, Receiving and Responding ('Resolved Data Structure').
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.schemas import commands as kinds
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.state.model import Attachment, Channel, ChannelKind, Guild, Json, Person
from sandbox.local_discord.state.snowflakes import is_snowflake
from sandbox.local_discord.state.state import State

_OPTION_KINDS = {
    parts.USER_SELECT: kinds.USER,
    parts.ROLE_SELECT: kinds.ROLE,
    parts.MENTIONABLE_SELECT: kinds.MENTIONABLE,
    parts.CHANNEL_SELECT: kinds.CHANNEL,
}


class ResolvedData:
    def __init__(self, state: State, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads

    def target(self, person: Person, channel: Channel, kind: int, target_id: int | None) -> Json:
        """Return `target_id` and `resolved` of a command of a message's or person's menu."""
        if kind == kinds.MESSAGE_MENU:
            message = self._state.messages.get(target_id or 0)
            if message is not None and message.only_for is not None:
                raise Refused("Private answers have no apps in their menu.")
            if message is None or message.channel_id != channel.id or not self._state.may_read(person, message):
                raise Refused("That message is not there any more.")
            resolved: Json = {"messages": {str(message.id): self._payloads.message(message)}}
        else:
            resolved = self.resolved(person, channel, [(kinds.USER, str(target_id))])["resolved"]
        return {"target_id": str(target_id), "resolved": resolved}

    def picks(
        self,
        person: Person,
        channel: Channel,
        filled: Sequence[tuple[Json, Sequence[str]]],
        uploads: Mapping[str, Attachment] = MappingProxyType({}),
    ) -> Json:
        """Return `{"resolved": …}` for what was picked in selects (component, values), of a message or of a whole form,
        and for its files; empty when nothing was. *uploads*: what was uploaded for the form, by id.

        Raises Refused for what the select does not offer: people who are not here, channels of another server or of
        another type, files that were not uploaded.
        """
        files = [value for field, values in filled if field["type"] == parts.FILE_UPLOAD for value in values]
        if not uploads.keys() >= set(files):
            raise Refused("That file was not uploaded.")
        named: list[tuple[int, str]] = []
        for select, values in filled:
            kind = _OPTION_KINDS.get(select["type"])
            if kind is None:
                continue
            for value in values:
                if not is_snowflake(value) or not self._is_offered(select, channel, int(value)):
                    raise Refused("That cannot be picked here.")
                named.append((kind, value))
        picked = self.resolved(person, channel, named)
        if not files:
            return picked
        attachments = {value: self._payloads.attachment(uploads[value]) for value in files}
        return {"resolved": {**picked.get("resolved", {}), "attachments": attachments}}

    def _is_offered(self, select: Json, channel: Channel, value: int) -> bool:
        guild = self._state.guild_of(channel)
        if select["type"] == parts.CHANNEL_SELECT:
            target = self._state.channels_by_id.get(value)
            types = select.get("channel_types") or [int(kind) for kind in ChannelKind]
            return target is not None and target.guild_id == channel.guild_id and int(target.kind) in types
        roles = {role.id for role in guild.roles} if guild is not None else set[int]()
        if select["type"] == parts.ROLE_SELECT:
            return value in roles
        here = set(guild.members) if guild is not None else {*self._state.people_by_id, self._state.application_id}
        return value in here or (select["type"] == parts.MENTIONABLE_SELECT and value in roles)

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
        body = self._channel_payloads.channel(target)
        body.pop("permission_overwrites", None)
        return body | {"permissions": str(self._state.permissions(person.id, target))}

    def _is_user(self, value: str) -> bool:
        return int(value) in self._state.people_by_id or int(value) == self._state.application_id
