"""The JSON of interactions: the INTERACTION_CREATE event, message metadata and callback answers.

Source: Discord docs, Receiving and Responding ('Interaction Object', 'Interaction Callback Response Object').
"""

from __future__ import annotations

from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.state.model import (
    EPHEMERAL,
    LOADING,
    Ack,
    Channel,
    Guild,
    Interaction,
    InteractionKind,
    Json,
)
from sandbox.local_discord.state.state import State


class InteractionPayloads:
    def __init__(self, state: State, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads

    def event(self, interaction: Interaction) -> Json:
        """Return the body of INTERACTION_CREATE; permissions are those in the channel that it came from."""
        state = self._state
        channel = state.channel(interaction.channel_id)
        guild = state.guild_of(channel)
        body: Json = {
            "id": str(interaction.id),
            "application_id": str(state.application_id),
            "type": int(interaction.kind),
            "data": interaction.data,
            "channel_id": str(channel.id),
            "channel": self._channel(channel, interaction.person_id),
            "token": interaction.token,
            "version": 1,
            "app_permissions": str(state.app_permissions(interaction.person_id, channel)),
            "locale": "en-US",
            "entitlements": self._entitlements(interaction.person_id, guild),
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": interaction.owners,
            "context": channel.context,
            "attachment_size_limit": interaction.attachment_size_limit,
        }
        if guild is None:
            body["user"] = self._payloads.user(interaction.person_id)
        else:
            member = self._payloads.member(guild, interaction.person_id)
            member["permissions"] = str(state.permissions(interaction.person_id, channel))
            body |= {"guild_id": str(guild.id), "guild_locale": "en-US", "member": member}
            body["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
        message = state.messages.get(interaction.message_id or 0)
        if message is not None:
            body["message"] = self._payloads.message(message)
        return body

    def _channel(self, channel: Channel, person_id: int) -> Json:
        body = self._channel_payloads.channel(channel)
        body.pop("permission_overwrites", None)
        return body | {"permissions": str(self._state.permissions(person_id, channel))}

    def _entitlements(self, person_id: int, guild: Guild | None) -> list[Json]:
        owners = {("user_id", str(person_id)), ("guild_id", str(guild.id) if guild else "")}
        return [
            each
            for each in self._state.entitlements
            if not each["deleted"] and any(each.get(key) == owner for key, owner in owners)
        ]

    def metadata(self, interaction: Interaction) -> Json:
        """Return `interaction_metadata` of the messages that this interaction makes."""
        body: Json = {
            "id": str(interaction.id),
            "type": int(interaction.kind),
            "user": self._payloads.user(interaction.person_id),
            "authorizing_integration_owners": interaction.owners,
        }
        if interaction.kind is InteractionKind.COMMAND:
            body["name"] = interaction.command_name
            if "target_id" in interaction.data and interaction.data["type"] == 3:
                body["target_message_id"] = interaction.data["target_id"]
        elif interaction.kind is InteractionKind.COMPONENT:
            body["interacted_message_id"] = str(interaction.message_id)
        else:
            body["triggering_interaction_metadata"] = interaction.metadata
        return body

    def callback(self, interaction: Interaction) -> Json:
        """Return the answer to a callback with `with_response=true`; `resource.message` only for types 4 and 7."""
        about: Json = {
            "id": str(interaction.id),
            "type": int(interaction.kind),
            "channel_id": str(interaction.channel_id),
        }
        if interaction.guild_id is not None:
            about["guild_id"] = str(interaction.guild_id)
        body: Json = {"interaction": about}
        message = self._state.messages.get(interaction.original_id or 0)
        if message is None or interaction.ack is Ack.MODAL:
            return body
        about |= {
            "response_message_id": str(message.id),
            "response_message_loading": bool(message.flags & LOADING),
            "response_message_ephemeral": bool(message.flags & EPHEMERAL),
        }
        if interaction.ack is Ack.MESSAGE or interaction.ack is Ack.UPDATE:
            body["resource"] = {"type": int(interaction.ack), "message": self._payloads.message(message)}
        return body
