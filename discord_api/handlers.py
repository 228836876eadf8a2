"""Wait for the commands, buttons and forms that discord.py is handling: closing its client would cut them off."""

from __future__ import annotations

import asyncio

# The names that discord.py 2.7.1 gives to the tasks in which it handles an interaction: app_commands/tree.py
# `_from_interaction`; ui/view.py `dispatch_dynamic_items` and `_dispatch_item`; ui/modal.py `_dispatch_submit`.
NAMES = ("CommandTree-invoker", "discord-ui-")


def running_handlers() -> set[asyncio.Task[object]]:
    """Return the tasks in which interactions are handled now."""
    return {task for task in asyncio.all_tasks() if task.get_name().startswith(NAMES)}


async def finish_handlers(seconds: float) -> int:
    """Wait until all interactions are handled, for *seconds* at most. Return how many are not."""
    running = running_handlers()
    if running:
        _, running = await asyncio.wait(running, timeout=seconds)
    return len(running)
