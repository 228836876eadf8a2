"""What Discord's client checks before it sends a command: is it offered here, are its options right.

Sources: Discord docs, Application Commands ('Contexts', 'Permissions', 'Option Structure').
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sandbox.local_discord.rules.command_permissions import may_use
from sandbox.local_discord.schemas import commands as kinds
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind, Guild, Json, Person
from sandbox.local_discord.state.state import State

GUILD_INSTALL, USER_INSTALL = 0, 1
GUILD_CONTEXT = 0
_CONTEXT_NAMES = ("servers", "direct messages with the bot", "messages among people")
NO_POST_CHOSEN = "A forum holds posts only. Open one of them."


class Refused(Exception):
    """Discord's client would not let the person do this; the text is a sentence for them."""


def why_not_here(state: State, command: Json, person: Person, channel: Channel) -> str | None:
    """Return why a command is not offered to a person in a channel, None when it is."""
    name, guild = command["name"], state.guild_of(channel)
    if "guild_id" in command and command["guild_id"] != str(channel.guild_id):
        return f"/{name} belongs to another server."
    if channel.kind is ChannelKind.FORUM:
        return NO_POST_CHOSEN
    if channel.context not in _contexts(command):
        return f"/{name} cannot be used in {_CONTEXT_NAMES[channel.context]}."
    if not owners(command, person, channel, guild):
        return f"The app is not installed in {guild.name if guild else 'this place'} in a way that allows /{name}."
    if command.get("nsfw") and (reason := _why_not_adult(state, name, person, channel)) is not None:
        return reason
    if guild is None:
        return None
    held = state.permissions(person.id, channel)
    places = [channel.id, channel.parent_id] if channel.is_thread and channel.parent_id else [channel.id]
    if not held & p.USE_APPLICATION_COMMANDS or not may_use_command(state, command, person, guild, held, places):
        return f"You lack the permissions for /{name} in this server."
    return None


def _why_not_adult(state: State, name: str, person: Person, channel: Channel) -> str | None:
    """Return why an age-restricted command is not offered: adults alone may use it, in age-restricted channels, and in
    a DM with the app once they enabled it (Discord docs: Application Commands, 'Using Age-Restricted Commands').
    """
    if person.id in state.minors:
        return f"/{name} is for adults only."
    if channel.guild_id is not None and not state.is_age_restricted(channel):
        return f"/{name} can only be used in age-restricted channels."
    if channel.guild_id is None and (channel.member_ids or person.id not in state.age_restricted_dms):
        return f"/{name} can be used in direct messages with the app by those who enabled it."
    return None


def may_use_command(
    state: State, command: Json, person: Person, guild: Guild, held: int, channel_ids: Iterable[int] | None
) -> bool:
    """Return whether a guild's command permissions let a member use a command. *held*: their permissions."""
    lists, needed = state.command_permissions, command.get("default_member_permissions")
    return may_use(
        lists.get((guild.id, int(command["id"]))),
        lists.get((guild.id, state.application_id), []),
        guild_id=guild.id,
        user_id=person.id,
        role_ids=guild.members.get(person.id, frozenset()),
        channel_ids=channel_ids,
        held=held,
        needed=None if needed is None else int(needed),
    )


def _contexts(command: Json) -> Sequence[int]:
    if "guild_id" in command:
        return [GUILD_CONTEXT]
    if command.get("contexts") is not None:
        return command["contexts"]
    return [0, 1, 2] if command.get("dm_permission", True) else [GUILD_CONTEXT]


def owners(command: Json, person: Person, channel: Channel, guild: Guild | None) -> dict[str, str]:
    """Return `authorizing_integration_owners`: key "0" the guild ("0" in a DM with the bot), key "1" the person.

    Empty when neither allows the command. A group or a DM among people has nothing installed.
    """
    types = command.get("integration_types", [GUILD_INSTALL])
    found: dict[str, str] = {}
    is_here = not channel.member_ids if guild is None else guild.installed
    if GUILD_INSTALL in types and is_here:
        found["0"] = "0" if guild is None else str(guild.id)
    if USER_INSTALL in types and person.has_installed_app:
        found["1"] = str(person.id)
    return found


def find_command(commands: Sequence[Json], kind: int, name: str, guild_id: int | None) -> Json:
    """Return the registered command; the guild's own goes before a global one of the same name."""
    fitting = [command for command in commands if command["type"] == kind and command["name"] == name]
    fitting = [command for command in fitting if command.get("guild_id") in (None, str(guild_id))]
    if not fitting:
        label = f"/{name}" if kind == kinds.CHAT_INPUT else name
        raise Refused(f"There is no command {label} here. Has the bot registered its commands yet?")
    return max(fitting, key=lambda command: "guild_id" in command)


def check_options(defined: Sequence[Json], sent: Sequence[Any]) -> list[Json]:
    """Return the options of an event, sub-commands nested. Raises Refused as the client would."""
    by_name = {option["name"]: option for option in defined}
    result: list[Json] = []
    for given in sent:
        if not isinstance(given, dict):
            raise Refused("Each option must be an object.")
        given = cast(Json, given)
        option = by_name.get(str(given.get("name")))
        if option is None:
            raise Refused(f"There is no option {given.get('name')}.")
        if option["type"] in (kinds.SUB_COMMAND, kinds.SUB_COMMAND_GROUP):
            nested = check_options(option.get("options") or [], given.get("options") or [])
            result.append({"name": option["name"], "type": option["type"], "options": nested})
        else:
            value = _check_value(option, given.get("value"))
            result.append({"name": option["name"], "type": option["type"], "value": value})
    given_names = {option["name"] for option in result}
    if len(given_names) < len(result):
        raise Refused("An option was given twice.")
    for option in defined:
        if option.get("required") and option["name"] not in given_names:
            raise Refused(f"{option['name']} is required.")
    is_group = any(option["type"] in (kinds.SUB_COMMAND, kinds.SUB_COMMAND_GROUP) for option in defined)
    if is_group and len(result) != 1:
        raise Refused("Pick one of the sub-commands.")
    return result


def _check_value(option: Json, value: Any) -> Any:
    name, kind = option["name"], option["type"]
    choices = option.get("choices")
    if choices:
        if not any(choice["value"] == value and isinstance(value, bool) is False for choice in choices):
            raise Refused(f"{name}: pick one of the choices.")
        return value
    if kind == kinds.STRING:
        return _check_text(option, value)
    if kind == kinds.INTEGER:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(f"{name} must be a whole number.")
        return _in_range(option, value)
    if kind == kinds.NUMBER:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused(f"{name} must be a number.")
        return _in_range(option, value)
    if kind == kinds.BOOLEAN:
        if not isinstance(value, bool):
            raise Refused(f"{name} must be yes or no.")
        return value
    if not isinstance(value, (str, int)) or not str(value).isdigit():
        raise Refused(f"{name}: pick one from the list.")
    return str(value)


def _check_text(option: Json, value: Any) -> str:
    """Return the text as Discord's client sends it: trimmed, its length checked afterwards."""
    if not isinstance(value, str):
        raise Refused(f"{option['name']} must be text.")
    least, most = option.get("min_length") or 0, option.get("max_length") or 6000
    trimmed = value.strip()
    if option.get("required") and not trimmed:
        raise Refused(f"{option['name']} is required.")
    if not least <= len(trimmed) <= most:
        raise Refused(f"{option['name']} must be {least} to {most} characters long; it has {len(trimmed)}.")
    return trimmed


def _in_range(option: Json, value: float) -> float:
    least, most = option.get("min_value"), option.get("max_value")
    if (least is not None and value < least) or (most is not None and value > most):
        raise Refused(f"{option['name']} must be between {least} and {most}.")
    return value


def from_keywords(command: Json, path: Sequence[str], values: dict[str, Any]) -> list[Json]:
    """Return options as a client sends them, from `name=value`. *path*: the sub-commands below the command."""
    defined: Sequence[Json] = command.get("options") or []
    if not path:
        kinds_by_name = {option["name"]: option["type"] for option in defined}
        return [{"name": name, "type": kinds_by_name.get(name, 0), "value": value} for name, value in values.items()]
    for option in defined:
        if option["name"] == path[0]:
            inner = from_keywords(option, path[1:], values)
            return [{"name": option["name"], "type": option["type"], "options": inner}]
    raise Refused(f"There is no sub-command {path[0]}.")


def chosen_leaves(options: Sequence[Json]) -> list[Json]:
    """Return the options that carry values, of all sub-commands."""
    leaves: list[Json] = []
    for option in options:
        leaves += chosen_leaves(option["options"]) if "options" in option else [option]
    return leaves


def offered_commands(state: State, person: Person, channel: Channel) -> list[str]:
    """Return the ids of the commands that are offered to a person in a channel; a guild's own hides a global one of the
    same type and name.
    """
    scopes = [scope for scope in (channel.guild_id, None) if scope in state.commands]
    found: dict[tuple[int, str], str] = {}
    for command in [command for scope in dict.fromkeys(scopes) for command in state.commands[scope]]:
        key = (command["type"], command["name"])
        if key not in found:
            found[key] = command["id"] if why_not_here(state, command, person, channel) is None else ""
    return [command_id for command_id in found.values() if command_id]
