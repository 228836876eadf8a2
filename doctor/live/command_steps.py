"""Steps with the application's command list: one command is made as the bot makes its own, and deleted at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from discord_api.live_calls import Tried
from discord_api.live_commands import USER_INSTALL, CreatedCommand, create_command, load_install_types
from doctor.live.expectations import Expected, judge_created
from doctor.live.run_state import MadeCommand, Run

INTEGRATION_TYPES, CONTEXTS = (0, 1), (0, 1, 2)  # those of the bot's commands: ui/interactions/client


async def try_command(run: Run) -> None:
    """Make a command for servers and people, and delete it. Its name is of this run alone, so no other is changed."""
    installs = await load_install_types(run.client)
    run.judge(Expected.INSTALLS, installs.answer)
    if installs.value is None:
        return
    is_on = USER_INSTALL in installs.value
    run.report.add("The application", f"User Install is {'on' if is_on else 'off'}")
    name = f"doctor-{run.rng.getrandbits(64):016x}"

    def register(tried: Tried[CreatedCommand]) -> None:
        status = tried.answer.status
        if tried.value is not None:
            run.made.append(MadeCommand(name, tried.value.id))
        elif status is None or status < 300 or status >= 500:
            run.made.append(MadeCommand(name, 0))

    tried = await create_command(run.client, build_command(name), register)
    run.judge(Expected.COMMAND if is_on else Expected.COMMAND_SWITCHED_OFF, tried.answer)
    await run.remove_commands()
    if tried.value is not None:
        made = _described(tried.value.integration_types, tried.value.contexts)
        run.judged(judge_created(made, _described(INTEGRATION_TYPES, CONTEXTS)), tried.answer)
    if is_on:
        run.untried.append("commands for people while User Install is off: it is on (Developer portal, Installation)")


def build_command(name: str) -> dict[str, Any]:
    """Build a command for servers and people as the bot's are, which at first administrators alone see in a server."""
    return {
        "name": name,
        "description": "A trial of this bot by python bot.py doctor --live, removed in a moment",
        "type": 1,
        "integration_types": [*INTEGRATION_TYPES],
        "contexts": [*CONTEXTS],
        "default_member_permissions": 0,
    }


def _described(integration_types: Iterable[int], contexts: Iterable[int]) -> str:
    return f"integration_types {sorted(integration_types)}, contexts {sorted(contexts)}"
