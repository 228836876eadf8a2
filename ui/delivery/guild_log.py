"""Post what was changed to a server's log channel. A change counts whether it could be posted or not."""

from __future__ import annotations

import logging

import discord

from discord_api.errors import NO_ANSWER, asking
from ui.delivery.channel_lookup import ChannelLookup

log = logging.getLogger("qwen_imagine.delivery")


class GuildLog:
    """Posts with the bot's own token."""

    def __init__(self, client: discord.Client, channels: ChannelLookup) -> None:
        self._client = client
        self._channels = channels

    async def post(self, guild_id: int, channel_id: int, line: str, *, nonce: str) -> bool:
        """Post *line* in a channel of this server, and of no other. Return whether it stands there. Never raises.

        *nonce*: the same for every try, so that Discord makes one message of them (Discord docs: "Create Message").
        """
        facts = await self._channels.find(channel_id)
        if facts is None or facts.guild_id != guild_id:
            return False
        channel = self._client.get_partial_messageable(channel_id, guild_id=guild_id)
        try:
            with asking(self._client):
                nobody = discord.AllowedMentions.none()
                await channel.send(line, allowed_mentions=nobody, nonce=nonce, suppress_embeds=True)
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.info("guild %s: its log channel could not be told (%s)", guild_id, type(error).__name__)
            return False
        return True
