"""Tells Discord which commands there are, only when they changed: it allows 200 new ones a day.

Must not know where the last state is kept; load and save are handed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from discord import app_commands

Load = Callable[[str], Awaitable[str | None]]
Save = Callable[[str, str], Awaitable[None]]


async def sync_commands(tree: app_commands.CommandTree[Any], *, load: Load, save: Save, api_url: str) -> bool:
    """Send the commands in one request if they are not those that were sent last. Returns whether they were sent.

    What was sent is remembered for each application at each *api_url*: another bot token, a proxy or the sandbox
    starts from nothing. Raises discord.HTTPException and app_commands.CommandSyncFailure; then nothing is remembered.
    """
    key = f"commands:{tree.client.application_id}:{api_url}"
    fingerprint = fingerprint_of(tree)
    if await load(key) == fingerprint:
        return False
    await tree.sync()
    await save(key, fingerprint)
    return True


def fingerprint_of(tree: app_commands.CommandTree[Any]) -> str:
    """The SHA-256 of what Discord would be sent; the order of the commands doesn't matter to it."""
    payloads = [json.dumps(command.to_dict(tree), sort_keys=True) for command in tree.get_commands()]
    return hashlib.sha256("\n".join(sorted(payloads)).encode()).hexdigest()
