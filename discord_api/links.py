"""Links to messages. Pure; must not know cards."""

from __future__ import annotations


def message_link(guild_id: int | None, channel_id: int, message_id: int) -> str:
    """Return the address of a message, for a browser and for the app. *guild_id* None: a direct message.

    A message's own jump_url has no guild where discord.py's cache does not know the guild.
    """
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"
