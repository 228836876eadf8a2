"""Send the command list to Discord where Discord's is another one, again and again until it is taken. Discord allows
200 new commands a day. Keep the ids that Discord gave the commands.

Where they are stored is the caller's: load and save are parameters.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

import discord
from discord import app_commands

from backoff import doubled_seconds
from discord_api.command_lists import CHAT_INPUT, compare_commands
from discord_api.errors import asking, described
from generations.clock import Clock

log = logging.getLogger("qwen_imagine.commands")

Load = Callable[[str], Awaitable[str | None]]
Save = Callable[[str, str], Awaitable[None]]

RETRY_SECONDS = 60.0
RETRY_SECONDS_MAX = 3600.0  # at most 24 refused lists a day; a list that was taken is not sent again
MESSAGE_MAX = 1000  # characters of Discord's message in the log
NOT_THERE = (50001, 10004)  # Discord docs: JSON Error Codes, "Missing access" and "Unknown guild"


async def keep_commands_current(
    send: Callable[[], Coroutine[Any, Any, bool]], clock: Clock, *, tried: asyncio.Event
) -> None:
    """Try *send* until it succeeds, less and less often. *tried* is set after the first try. Never raises.

    A refusal may end without a restart: after a day for 200 new commands (30034), or when the install is enabled in the
    developer portal.
    """
    for tries in itertools.count(1):
        [sent] = await asyncio.gather(send(), return_exceptions=True)
        tried.set()
        if not isinstance(sent, BaseException):
            if sent:
                log.info("the command list was sent to Discord")
            return
        wait = doubled_seconds(tries, first=RETRY_SECONDS, most=RETRY_SECONDS_MAX)
        log.error("Discord's command list could not be brought up to date, again in %.0f s: %s", wait, _reason(sent))
        await clock.sleep(wait)


def _reason(error: BaseException) -> str:
    """Return class, code, Discord's message and place; the command list holds nothing that a person typed."""
    message = " ".join(str(error).split())[:MESSAGE_MAX] if isinstance(error, discord.HTTPException) else ""
    return f"{message} [{described(error)}]" if message else described(error)


def mark_commands(
    tree: app_commands.CommandTree[Any], *, age_restricted: bool, guild_ids: Collection[int] = ()
) -> None:
    """Mark every command and menu as age-restricted or not, those of the servers *guild_ids* too.

    Discord offers a marked one to adults alone: in age-restricted channels, and in direct messages with the bot to
    those who enabled it (Discord docs: Application Commands, "Age-Restricted Commands").
    """
    for guild in (None, *map(discord.Object, guild_ids)):
        for command in tree.get_commands(guild=guild):
            command.nsfw = age_restricted


async def sync_commands(tree: app_commands.CommandTree[Any], *, save: Save, api_url: str) -> bool:
    """Send the commands in one request unless Discord has them as they are. Return whether they were sent.

    The ids that they have there are saved for each application at each *api_url*, since another bot token, a proxy and
    the sandbox each have others. Raises discord.HTTPException (of which app_commands.CommandSyncFailure is one) and
    those of discord_api.errors.NO_ANSWER; then nothing is saved.
    """
    ids, sent = await _sync_list(tree, None)
    await save(_ids_key(tree.client.application_id, api_url), json.dumps(ids))
    return sent


async def _sync_list(
    tree: app_commands.CommandTree[Any], guild: discord.abc.Snowflake | None
) -> tuple[dict[str, str], bool]:
    """Compare one list with Discord's, and send it if they differ. Return the ids there, and whether it was sent.

    The list is asked for at every start, and not noted as sent: another program with the same token may have replaced
    it (Discord docs: Application Commands, "Bulk Overwrite Global Application Commands"). One that Discord has taken
    before is no new command, of which it allows 200 a day.
    """
    http, application_id = tree.client.http, tree.client.application_id or 0  # it is known after the login
    with asking(tree.client):
        if guild is None:
            theirs = await http.get_global_commands(application_id)
        else:
            theirs = await http.get_guild_commands(application_id, guild.id)
        differ = bool(compare_commands(payloads_of(tree, guild), theirs, in_guild=guild is not None))
        if not differ:
            return {_key_of(each.get("type") or CHAT_INPUT, each["name"]): each["id"] for each in theirs}, False
    with asking(tree.client):
        taken = await tree.sync(guild=guild)
    return {name_of(command.type, command.name): str(command.id) for command in taken}, True


async def load_command_ids(application_id: int | None, *, load: Load, api_url: str) -> Mapping[str, int]:
    """Return the ids of the commands in the last list that Discord took, by name_of(); empty while none is known."""
    stored = await load(_ids_key(application_id, api_url))
    return {} if stored is None else {name: int(number) for name, number in json.loads(stored).items()}


async def load_guild_command_ids(
    application_id: int | None, *, load: Load, api_url: str
) -> Mapping[int, Mapping[str, int]]:
    """Return the same for the servers that have commands of their own, by their ids."""
    stored = json.loads(await load(_guild_ids_key(application_id, api_url)) or "{}")
    return {int(guild): {name: int(number) for name, number in ids.items()} for guild, ids in stored.items()}


def _ids_key(application_id: int | None, api_url: str) -> str:
    return f"command_ids:{application_id}:{api_url}"


def _guild_ids_key(application_id: int | None, api_url: str) -> str:
    return f"guild_command_ids:{application_id}:{api_url}"


def name_of(type: discord.AppCommandType, name: str) -> str:
    """Name one command: a command and a menu may have the same name."""
    return _key_of(type.value, name)


def _key_of(type: int, name: str) -> str:
    return f"{type}:{name}"


async def sync_guild_commands(
    tree: app_commands.CommandTree[Any], guild_ids: Collection[int], *, load: Load, save: Save, api_url: str
) -> bool:
    """Send each server its own commands unless Discord has them as they are. Return whether any were sent.

    Servers that had some and are not in *guild_ids* any more get an empty list. One that the bot is not in is a warning
    in the log, and is tried again at the next start. Raises as sync_commands does; what was taken by then is saved.
    """
    key = _guild_ids_key(tree.client.application_id, api_url)
    stored: dict[str, dict[str, str]] = json.loads(await load(key) or "{}")
    any_sent = False
    for guild_id in sorted({*guild_ids, *map(int, stored)}):
        ids, sent = await _sync_guild_list(tree, discord.Object(guild_id))
        any_sent = any_sent or sent
        if ids != stored.pop(str(guild_id), {}):
            await save(key, json.dumps(stored | ({str(guild_id): ids} if ids else {})))
        if ids:
            stored[str(guild_id)] = ids
    return any_sent


async def _sync_guild_list(tree: app_commands.CommandTree[Any], guild: discord.Object) -> tuple[dict[str, str], bool]:
    """Do what _sync_list does; where the bot is not in the server, nothing is there."""
    try:
        return await _sync_list(tree, guild)
    except discord.HTTPException as error:
        if error.code not in NOT_THERE:
            raise
        log.warning("server %s has no commands of its own: the bot is not in it", guild.id)
        return {}, False


def payloads_of(
    tree: app_commands.CommandTree[Any], guild: discord.abc.Snowflake | None = None
) -> list[dict[str, Any]]:
    """Return what is sent to Discord. *guild*: for this server."""
    return [command.to_dict(tree) for command in tree.get_commands(guild=guild)]
