"""Bring Discord's command list up to date from one process at a time, and note its ids in the database."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from discord import app_commands

from discord_api.command_sync import sync_commands, sync_guild_commands
from generations.clock import Clock
from store.database import Database
from store.key_values import load_value, save_value
from store.leases import give_back_lease, take_lease
from store.transactions import Transaction

COMMANDS_LEASE = "commands"
COMMANDS_LEASE_MS = 20_000
COMMANDS_POLL_SECONDS = 5.0  # how often a process asks whether another one has sent the command list


async def sync_stored_commands(
    tree: app_commands.CommandTree[Any],
    database: Database,
    api_url: str,
    *,
    clock: Clock,
    holder: str,
    guild_ids: Collection[int] = (),
) -> bool:
    """Send the command list where Discord's differs, and those of single servers (*guild_ids*). Return whether any was
    sent.

    One process at a time does so, under a lease for *holder*. Raises what discord_api.command_sync.sync_commands and
    the database raise.
    """

    def take(tx: Transaction) -> bool:
        now_ms = clock.now_ms()
        return take_lease(tx, COMMANDS_LEASE, holder, now_ms, now_ms + COMMANDS_LEASE_MS)

    while not await database.run(take):
        await clock.sleep(COMMANDS_POLL_SECONDS)
    try:
        load, save = partial(database.read, load_value), partial(database.run, save_value)
        sent = await sync_commands(tree, save=save, api_url=api_url)
        return await sync_guild_commands(tree, guild_ids, load=load, save=save, api_url=api_url) or sent
    finally:
        await database.run(give_back_lease, COMMANDS_LEASE, holder)
