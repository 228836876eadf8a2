"""Send the command list to Discord when it has changed, again and again until it is taken. Discord allows 200 new
commands a day. Keep the ids that Discord gave the commands.

Where both are stored is the caller's: load and save are parameters.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any

import discord
from discord import app_commands

from backoff import doubled_seconds
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
        log.error("the command list could not be sent to Discord, again in %.0f s: %s", wait, _reason(sent))
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


async def sync_commands(tree: app_commands.CommandTree[Any], *, load: Load, save: Save, api_url: str) -> bool:
    """Send the commands in one request if they are not those that were sent last. Return whether they were sent.

    What was sent, and the ids in the answer, are saved for each application at each *api_url*: another bot token, a
    proxy or the sandbox starts from nothing. Raises discord.HTTPException (of which app_commands.CommandSyncFailure is
    one) and those of discord_api.errors.NO_ANSWER; then nothing is saved.
    """
    application_id = tree.client.application_id
    key, ids_key = sent_list_key(application_id, api_url), _ids_key(application_id, api_url)
    fingerprint = fingerprint_of(tree)
    if await load(key) == fingerprint and await load(ids_key) is not None:
        return False
    with asking(tree.client):
        taken = await tree.sync()
    await save(ids_key, json.dumps(_ids_of(taken)))
    await save(key, fingerprint)
    return True


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


def _ids_of(taken: Iterable[app_commands.AppCommand]) -> dict[str, str]:
    return {name_of(command.type, command.name): str(command.id) for command in taken}


def sent_list_key(application_id: int | None, api_url: str) -> str:
    """Return the key under which the fingerprint of the last list that Discord took is saved."""
    return f"commands:{application_id}:{api_url}"


def _ids_key(application_id: int | None, api_url: str) -> str:
    return f"command_ids:{application_id}:{api_url}"


def _guild_ids_key(application_id: int | None, api_url: str) -> str:
    return f"guild_command_ids:{application_id}:{api_url}"


def name_of(type: discord.AppCommandType, name: str) -> str:
    """Name one command: a command and a menu may have the same name."""
    return f"{type.value}:{name}"


async def sync_guild_commands(
    tree: app_commands.CommandTree[Any], guild_ids: Collection[int], *, load: Load, save: Save, api_url: str
) -> bool:
    """Send each server its own commands if they are not those that were sent last. Return whether any were sent.

    Servers that had some and are not in *guild_ids* any more get an empty list. One that the bot is not in is a warning
    in the log, and is tried again at the next start. Raises as sync_commands does; what was taken by then is saved.
    """
    key = f"guild_commands:{tree.client.application_id}:{api_url}"
    ids_key = _guild_ids_key(tree.client.application_id, api_url)
    sent: dict[str, str] = json.loads(await load(key) or "{}")
    ids: dict[str, dict[str, str]] = json.loads(await load(ids_key) or "{}")
    changed = False
    for guild_id in sorted({*guild_ids, *map(int, sent)}):
        guild = discord.Object(guild_id)
        fingerprint = fingerprint_of(tree, guild) if tree.get_commands(guild=guild) else ""
        if sent.get(str(guild_id), "") == fingerprint and (str(guild_id) in ids or not fingerprint):
            continue
        taken = await _send_to_guild(tree, guild)
        if taken is not None or not fingerprint:  # where the bot is not, there is nothing to take away
            changed, sent[str(guild_id)] = changed or taken is not None, fingerprint
            ids[str(guild_id)] = _ids_of(taken or ())
            await save(ids_key, json.dumps({each: ids[each] for each in ids if sent.get(each)}))
            await save(key, json.dumps({each: kept for each, kept in sent.items() if kept}))
    return changed


async def _send_to_guild(
    tree: app_commands.CommandTree[Any], guild: discord.Object
) -> list[app_commands.AppCommand] | None:
    """Send a server its commands. Return what Discord made of them; None if the bot is not there."""
    try:
        with asking(tree.client):
            return await tree.sync(guild=guild)
    except discord.HTTPException as error:
        if error.code not in NOT_THERE:
            raise
        log.warning("server %s has no commands of its own: the bot is not in it", guild.id)
        return None


def payloads_of(
    tree: app_commands.CommandTree[Any], guild: discord.abc.Snowflake | None = None
) -> list[dict[str, Any]]:
    """Return what is sent to Discord. *guild*: for this server."""
    return [command.to_dict(tree) for command in tree.get_commands(guild=guild)]


def fingerprint_of(tree: app_commands.CommandTree[Any], guild: discord.abc.Snowflake | None = None) -> str:
    """Return the SHA-256 of what is sent to Discord, whatever the order of the commands. *guild*: for this server."""
    payloads = [json.dumps(payload, sort_keys=True) for payload in payloads_of(tree, guild)]
    return hashlib.sha256("\n".join(sorted(payloads)).encode()).hexdigest()
