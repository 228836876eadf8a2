"""The JSON of guilds, roles and channels, as Discord sends it and as the page gets it."""

from __future__ import annotations

from typing import Any

from sandbox.local_discord.payloads.messages import BOT_NAME, Payloads, iso_time
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind, Guild, Json, Person
from sandbox.local_discord.state.snowflakes import snowflake_time_ms
from sandbox.local_discord.state.state import State


class ChannelPayloads:
    def __init__(self, state: State, payloads: Payloads) -> None:
        self._state = state
        self._payloads = payloads

    def channel(self, channel: Channel) -> Json:
        last = self._state.last_message_id(channel.id)
        body: Json = {
            "id": str(channel.id),
            "type": int(channel.kind),
            "flags": 0,
            "last_message_id": None if last is None else str(last),
        }
        if channel.guild_id is None:
            return body | self._private(channel)
        body |= {
            "guild_id": str(channel.guild_id),
            "name": channel.name,
            "rate_limit_per_user": 0,
            "parent_id": None if channel.parent_id is None else str(channel.parent_id),
        }
        if channel.is_thread:
            return body | self._thread(channel)
        position = [each.id for each in self._state.channels.values() if each.guild_id == channel.guild_id]
        return body | {
            "topic": channel.topic,
            "position": position.index(channel.id),
            "nsfw": channel.nsfw,
            "permission_overwrites": [
                {"id": str(each.target_id), "type": each.kind, "allow": str(each.allow), "deny": str(each.deny)}
                for each in channel.overwrites
            ],
            **_KIND_DEFAULTS.get(channel.kind, {}),
        }

    def _private(self, channel: Channel) -> Json:
        people = channel.member_ids if channel.recipient_id is None else (channel.recipient_id,)
        body: Json = {"recipients": [self._payloads.user(person_id) for person_id in people]}
        if channel.kind is ChannelKind.GROUP_DM:
            body |= {"name": channel.name, "icon": None, "owner_id": str(people[0])}
        return body

    def _thread(self, channel: Channel) -> Json:
        made_at = iso_time(snowflake_time_ms(channel.id))
        guild = self._state.guild_of(channel)
        members = channel.member_ids or (tuple(guild.members) if guild else (0,))
        is_private = channel.kind is ChannelKind.PRIVATE_THREAD
        return {
            "owner_id": str(members[0]),
            "message_count": self._state.message_count(channel.id),
            "total_message_sent": self._state.message_count(channel.id),
            "member_count": len(members),
            "thread_metadata": {
                "archived": channel.id in self._state.archived_threads,
                "archive_timestamp": made_at,
                "auto_archive_duration": 10080,
                "locked": False,
                "create_timestamp": made_at,
                **({"invitable": True} if is_private else {}),
            },
        }

    def roles(self, guild: Guild) -> list[Json]:
        return [_role(guild, number) for number in range(len(guild.roles))]

    def guild_stub(self, guild: Guild) -> Json:
        return {"id": str(guild.id), "unavailable": True}

    def guild(self, guild: Guild) -> Json:
        """Return GUILD_CREATE's body, with the threads that the bot can see (Discord docs: Gateway Events, 'Guild
        Create').
        """
        inside = [each for each in self._state.channels.values() if each.guild_id == guild.id]
        return {
            **_GUILD_DEFAULTS,
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.owner_id),
            "roles": self.roles(guild),
            "joined_at": iso_time(snowflake_time_ms(guild.id)),
            "member_count": len(guild.members),
            "members": [self._payloads.member(guild, self._state.application_id)],
            "channels": [self.channel(each) for each in inside if not each.is_thread],
            "threads": [self.channel(each) for each in inside if each.is_thread and self._has_bot(each)],
        }

    def channel_for_person(self, channel: Channel, person: Person) -> Json:
        send = p.SEND_MESSAGES_IN_THREADS if channel.is_thread else p.SEND_MESSAGES
        may, guild = self._state.app_permissions(person.id, channel), self._state.guild_of(channel)
        return {
            "id": str(channel.id),
            "guild_id": None if channel.guild_id is None else str(channel.guild_id),
            "parent_id": None if channel.parent_id is None else str(channel.parent_id),
            "name": self._name_for(channel, person),
            "kind": _KIND_NAMES[channel.kind],
            "type": int(channel.kind),
            "context": channel.context,
            "nsfw": self._state.is_age_restricted(channel),
            "may_delete": bool(self._state.permissions(person.id, channel) & p.MANAGE_MESSAGES),
            "app_answers_privately": bool(guild and not guild.installed)
            and self._state.must_be_private(person.id, channel),
            "has_bot": self._has_bot(channel),
            "app_can_post": guild is None or (guild.installed and not guild.has_bot) or bool(may & send),
            "topic": channel.topic,
        }

    def _has_bot(self, channel: Channel) -> bool:
        """Return whether the bot user is in the channel and sees it."""
        return bool(self._state.permissions(self._state.application_id, channel) & p.VIEW_CHANNEL)

    def _name_for(self, channel: Channel, person: Person) -> str:
        """Return a channel's name; a DM is named after the other person in it."""
        if channel.kind is not ChannelKind.DM:
            return channel.name
        others = [self._state.people_by_id[member].name for member in channel.member_ids if member != person.id]
        return others[0] if others else BOT_NAME


_KIND_NAMES = {
    ChannelKind.TEXT: "text",
    ChannelKind.DM: "dm",
    ChannelKind.VOICE: "voice",
    ChannelKind.GROUP_DM: "group",
    ChannelKind.THREAD: "thread",
    ChannelKind.PRIVATE_THREAD: "thread",
    ChannelKind.FORUM: "forum",
}
_KIND_DEFAULTS: dict[ChannelKind, Json] = {
    ChannelKind.VOICE: {"bitrate": 64000, "user_limit": 0, "rtc_region": None},
    ChannelKind.FORUM: {
        "available_tags": [],
        "default_reaction_emoji": None,
        "default_sort_order": None,
        "default_forum_layout": 0,
        "default_thread_rate_limit_per_user": 0,
    },
}
_GUILD_DEFAULTS: dict[str, Any] = {
    "icon": None,
    "splash": None,
    "banner": None,
    "description": None,
    "features": [],
    "emojis": [],
    "stickers": [],
    "afk_channel_id": None,
    "afk_timeout": 300,
    "application_id": None,
    "default_message_notifications": 1,
    "explicit_content_filter": 0,
    "large": False,
    "mfa_level": 0,
    "nsfw": False,
    "nsfw_level": 0,
    "preferred_locale": "en-US",
    "premium_tier": 0,
    "premium_subscription_count": 0,
    "presences": [],
    "rules_channel_id": None,
    "guild_scheduled_events": [],
    "soundboard_sounds": [],
    "stage_instances": [],
    "system_channel_flags": 0,
    "system_channel_id": None,
    "unavailable": False,
    "vanity_url_code": None,
    "verification_level": 1,
    "voice_states": [],
}


def _role(guild: Guild, number: int) -> Json:
    role = guild.roles[number]
    return {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(role.permissions),
        "position": number,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "managed": role.name == BOT_NAME,
        "mentionable": False,
        "flags": 0,
    }
