"""What an interaction says about where it came from. Pure: reads the event alone, asks Discord nothing.

Must not know the database or what is done with it.
"""

from __future__ import annotations

from typing import Any

import discord

from discord_api.snowflakes import snowflake_time_ms
from generations.model import Origin
from limits.model import Actor, Requester

INSTALLED_BY_USER = 1  # Discord docs: Application, "Application Integration Types"
ANSWER_SECONDS = 3.0  # Discord docs: Receiving and Responding, "you must send an initial response within 3 seconds"


def origin_of(interaction: discord.Interaction[Any]) -> Origin:
    """Everything that is needed to reach the card later, by ids alone."""
    return Origin(
        interaction_id=interaction.id,
        application_id=interaction.application_id,
        user_id=interaction.user.id,
        # 0 where discord.py 2.7.1 dropped the id together with a channel of a kind it doesn't know: the token alone
        # reaches that.
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        token=interaction.token,
        attachment_size_limit=interaction.filesize_limit,
        locale=str(interaction.locale),
        bot_in_channel=interaction.channel_id is not None and is_bot_there(interaction),
    )


def requester_of(interaction: discord.Interaction[Any]) -> Requester:
    """Who asks and where, as rules are checked by. What the event does not tell counts as missing: the roles of
    somebody who is no member, and that a place is age-restricted."""
    channel, user = interaction.channel, interaction.user
    # Not Member.roles: 2.7.1 looks the roles up in its cache of guilds, which is empty without intents.
    role_ids = user._roles if isinstance(user, discord.Member) else ()  # pyright: ignore[reportPrivateUsage]
    return Requester(
        user_id=user.id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id or 0,
        parent_channel_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
        role_ids=frozenset(role_ids),
        age_restricted=is_age_restricted(interaction),
    )


def actor_of(interaction: discord.Interaction[Any]) -> Actor:
    """Who changes something, and in which server."""
    return Actor(interaction.user.id, interaction.id, interaction.guild_id)


def is_age_restricted(interaction: discord.Interaction[Any]) -> bool:
    """Whether Discord shows the place to adults alone, as far as the event tells (Discord docs: Channel, "nsfw").

    False in direct messages, and in threads: the event says nothing of their parent (FirstResponse asks for it).
    """
    channel = interaction.channel
    kinds = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.ForumChannel)
    return isinstance(channel, kinds) and channel.is_nsfw()


def is_bot_there(interaction: discord.Interaction[Any]) -> bool:
    """Whether the bot is itself in the place and sees it, or its commands alone are there.

    A person brings them along by their own install; a server has them without the bot user when the app was added with
    the scope applications.commands alone. Then `app_permissions` have no View Channel, which nobody can grant (Discord
    docs: Change Log, 2024-06-27).
    """
    if interaction.guild_id is None:
        return bool(interaction.context.dm_channel)  # the bot's own DM; a DM between people is a private_channel
    # Not is_user_integration(): it asks whether *this* person brought the bot, and anybody may press a button there.
    owners = interaction._integration_owners  # pyright: ignore[reportPrivateUsage] (2.7.1 has no public name for it)
    installed = interaction.is_guild_integration() or INSTALLED_BY_USER not in owners
    return installed and (interaction.app_permissions.view_channel or interaction.app_permissions.administrator)


def may_bot_post(interaction: discord.Interaction[Any]) -> bool:
    """Whether the event shows that the bot itself may post in the place with its own token.

    In a private thread the permissions say nothing of whether the bot was invited: there only Manage Threads shows that
    the bot sees it (Discord docs: Threads, "Private Threads"). Nor does a channel of an unknown kind show anything.
    """
    channel = interaction.channel
    if channel is None or isinstance(channel, discord.PartialMessageable) or not is_bot_there(interaction):
        return False
    has = interaction.app_permissions
    if isinstance(channel, discord.Thread) and channel.is_private() and not (has.manage_threads or has.administrator):
        return False
    return not missing_permissions(interaction, private=False)


def missing_permissions(interaction: discord.Interaction[Any], *, private: bool) -> list[str]:
    """The names, as Discord's settings show them, of the permissions without which the image could not be posted.

    In DMs nobody can take a permission away (Discord docs: Receiving and Responding, "app_permissions"). Where the bot
    is not, the interaction's token posts, and what it may send is told by Attach Files alone.
    """
    if interaction.guild_id is None:
        return []
    has = interaction.app_permissions
    if has.administrator:
        return []
    needed = {"Attach Files": has.attach_files}
    if is_bot_there(interaction) and not private:
        if isinstance(interaction.channel, discord.Thread):
            needed["Send Messages in Threads"] = has.send_messages_in_threads
        else:
            needed["Send Messages"] = has.send_messages
        if isinstance(interaction.channel, discord.VoiceChannel | discord.StageChannel):
            needed["Connect"] = has.connect  # without it the bot sees nothing of the chat beside the call either
    return [name for name, granted in needed.items() if not granted]


def channel_without_history(interaction: discord.Interaction[Any]) -> int | None:
    """The channel of *interaction*, if the bot is in it and may not look at its messages: Read Message History is
    missing (Discord docs: Message, "Get Channel Message")."""
    has = interaction.app_permissions
    if interaction.guild_id is None or has.administrator or has.read_message_history or not is_bot_there(interaction):
        return None
    return interaction.channel_id


def pressed_in(interaction: discord.Interaction[Any]) -> tuple[int, int] | None:
    """The ids of the guild and of the channel that *interaction* comes from; None for direct messages."""
    if interaction.guild_id is None or interaction.channel_id is None:
        return None
    return interaction.guild_id, interaction.channel_id


def is_late(interaction_id: int, now_ms: int) -> bool:
    """Whether Discord will no longer take a first answer, if this machine's clock is right."""
    return now_ms - snowflake_time_ms(interaction_id) > ANSWER_SECONDS * 1000
