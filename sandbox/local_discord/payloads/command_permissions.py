"""The JSON of a command's permissions in a guild (Discord docs: Application Commands, 'Guild Application Command
Permissions Structure').
"""

from __future__ import annotations

from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.state import State


def permissions_json(state: State, guild_id: int, target_id: int) -> Json:
    """Return the entries of a command, or of the application for all commands (`target_id` is its id)."""
    return {
        "id": str(target_id),
        "application_id": str(state.application_id),
        "guild_id": str(guild_id),
        "permissions": state.command_permissions.get((guild_id, target_id), []),
    }
