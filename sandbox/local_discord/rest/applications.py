"""REST routes of the application: itself, its commands, its entitlements, and its gateway's address."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.local_discord import errors
from sandbox.local_discord.payloads.messages import BOT_NAME, Payloads
from sandbox.local_discord.rest.routing import Answer, Call, Route, refuse
from sandbox.local_discord.rules.command_list import examine_command, examine_commands
from sandbox.local_discord.rules.entitlements import Entitlements
from sandbox.local_discord.schemas.commands import CHAT_INPUT
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import CommandsChanged
from sandbox.local_discord.state.model import Json, Lie, objects
from sandbox.local_discord.state.snowflakes import snowflake_at
from sandbox.local_discord.state.state import State

SCOPES = ["applications.commands", "bot"]
PERMISSIONS = str(
    p.VIEW_CHANNEL | p.SEND_MESSAGES | p.SEND_MESSAGES_IN_THREADS | p.ATTACH_FILES | p.READ_MESSAGE_HISTORY | p.CONNECT
)
TEAM_ID = snowflake_at(1_700_000_000_000, 9)
_APPLICATION = "/applications/{application_id}"
_GLOBAL = f"{_APPLICATION}/commands"
_GUILD = f"{_APPLICATION}/guilds/{{guild_id}}/commands"


class ApplicationRoutes:
    """*owner*: the name of the person whose application it is. *shards*: how many shards Discord recommends."""

    def __init__(
        self,
        state: State,
        payloads: Payloads,
        entitlements: Entitlements,
        gateway_url: Callable[[], str],
        start_limit: Callable[[], Json],
        shards: Callable[[], int],
        owner: str,
    ) -> None:
        self._state = state
        self._payloads = payloads
        self._entitlements = entitlements
        self._gateway_url = gateway_url
        self._start_limit = start_limit
        self._shards = shards
        self._owner = owner

    def routes(self) -> list[Route]:
        localized = frozenset({"with_localizations"})
        filters = frozenset(
            {"user_id", "sku_ids", "before", "after", "limit", "guild_id", "exclude_ended", "exclude_deleted"}
        )
        entitlements = f"{_APPLICATION}/entitlements"
        return [
            Route("GET", "/users/@me", self._me),
            Route("GET", "/users/{user_id}", self._user),
            Route("GET", "/oauth2/applications/@me", self._application),
            Route("GET", "/applications/@me", self._application),
            Route("GET", "/gateway", lambda call: Answer(200, {"url": self._gateway_url()}), needs_bot=False),
            Route("GET", "/gateway/bot", self._gateway),
            Route("GET", _GLOBAL, self._list_commands, query=localized),
            Route("PUT", _GLOBAL, self._put_commands),
            Route("POST", _GLOBAL, self._post_command),
            Route("GET", f"{_GLOBAL}/{{command_id}}", self._get_command),
            Route("DELETE", f"{_GLOBAL}/{{command_id}}", self._delete_command),
            Route("GET", _GUILD, self._list_commands, query=localized),
            Route("PUT", _GUILD, self._put_commands),
            Route("GET", f"{_GUILD}/{{command_id}}", self._get_command),
            Route("GET", entitlements, self._list_entitlements, query=filters),
            Route("POST", f"{entitlements}/{{entitlement_id}}/consume", self._consume),
        ]

    def _me(self, call: Call) -> Answer:
        user = self._payloads.user(self._state.application_id)
        return Answer(200, user | {"mfa_enabled": True, "locale": "en-US", "verified": True, "email": None})

    def _user(self, call: Call) -> Answer:
        if call.id("user_id") not in {*self._state.people_by_id, self._state.application_id}:
            raise errors.unknown_thing(10013, "User")
        return Answer(200, self._payloads.user(call.id("user_id")))

    def _application(self, call: Call) -> Answer:
        owner, team = self._state.people[self._owner], self._team()
        return Answer(
            200,
            {
                "id": str(self._state.application_id),
                "name": BOT_NAME,
                "icon": None,
                "description": "A bot under test, in a Discord that runs on this machine.",
                "type": None,
                "bot": self._payloads.user(self._state.application_id),
                "bot_public": True,
                "bot_require_code_grant": False,
                "integration_types_config": {
                    "0": {"oauth2_install_params": {"scopes": SCOPES, "permissions": PERMISSIONS}},
                    "1": {"oauth2_install_params": {"scopes": SCOPES[:1], "permissions": "0"}},
                },
                "verify_key": "0" * 64,
                "flags": 0,
                "flags_new": "0",
                "redirect_uris": [],
                "interactions_endpoint_url": None,
                "privacy_policy_url": None,
                "terms_of_service_url": None,
                "role_connections_verification_url": None,
                "owner": self._payloads.user(owner.id) if team is None else self._team_user(),
                "approximate_guild_count": sum(guild.installed for guild in self._state.guilds.values()),
                "approximate_user_install_count": sum(each.has_installed_app for each in self._state.people.values()),
                "approximate_user_authorization_count": 0,
                "explicit_content_filter": 0,
                "team": team,
                "eligible_oauth2_scopes": [],
            }
            | self._state.portal,
        )

    def _team(self) -> Json | None:
        """Return the application's team, None when one person owns it. `owner_user_id` tells who
        owns it; the owner's role is "admin" (Discord docs: Teams, 'Data Models'; OpenAPI: TeamResponse).
        """
        if not self._state.team:
            return None
        members = [
            {
                "user": self._payloads.user(person_id),
                "team_id": str(TEAM_ID),
                "membership_state": 2,
                "role": role,
                "permissions": ["*"],
            }
            for person_id, role in self._state.team.items()
        ]
        return {
            "id": str(TEAM_ID),
            "icon": None,
            "name": "The lamp keepers",
            "owner_user_id": str(next(iter(self._state.team))),
            "members": members,
        }

    def _team_user(self) -> Json:
        """Return the user that stands for the team in `owner` (Discord docs: User, 'User Flags', TEAM_PSEUDO_USER)."""
        about: Json = {"id": str(TEAM_ID), "username": f"team{TEAM_ID}", "discriminator": "0000"}
        return self._payloads.user(self._state.application_id) | about | {"bot": False, "flags": 1 << 10}

    def _gateway(self, call: Call) -> Answer:
        limit = self._start_limit()
        return Answer(200, {"url": self._gateway_url(), "shards": self._shards(), "session_start_limit": limit})

    def _scope(self, call: Call) -> int | None:
        """Return the guild id of the path, None for global commands. Raises 404/10002 for another application,
        403/50001 for a guild without it.
        """
        if call.id("application_id") != self._state.application_id:
            raise errors.unknown_thing(10002, "Application")
        if "guild_id" not in call.parts:
            return None
        guild = self._state.guilds.get(call.id("guild_id"))
        if guild is None or not guild.installed:
            raise errors.missing_access()
        return guild.id

    def _list_commands(self, call: Call) -> Answer:
        return Answer(200, self._state.commands.get(self._scope(call), []))

    def _get_command(self, call: Call) -> Answer:
        for command in self._state.commands.get(self._scope(call), []):
            if command["id"] == call.parts["command_id"]:
                return Answer(200, command)
        raise errors.unknown_thing(10063, "application command")

    def _put_commands(self, call: Call) -> Answer:
        """Overwrite all commands of a guild, or all global ones; a command of the same type and name keeps its id."""
        scope = self._scope(call)
        refuse(examine_commands(call.json))
        before = {(command["type"], command["name"]): command for command in self._state.commands.get(scope, [])}
        after = [self._command(sent, scope, before) for sent in call.json]
        self._state.commands[scope] = after
        self._state.tell(CommandsChanged())
        return Answer(200, after)

    def _post_command(self, call: Call) -> Answer:
        """Create one command and leave the others; one of the same type and name is overwritten (200 instead of 201).

        Integration types are taken also where that install is off: Discord's docs don't say what happens then.
        """
        scope = self._scope(call)
        refuse(examine_command(call.json))
        kept = {(command["type"], command["name"]): command for command in self._state.commands.get(scope, [])}
        command = self._command(call.json, scope, kept)
        is_new = (command["type"], command["name"]) not in kept
        kept[command["type"], command["name"]] = command
        self._state.commands[scope] = list(kept.values())
        self._state.tell(CommandsChanged())
        return Answer(201 if is_new else 200, command)

    def _delete_command(self, call: Call) -> Answer:
        found = self._get_command(call).body
        self._state.commands[self._scope(call)].remove(found)
        self._state.tell(CommandsChanged())
        return Answer(204)

    def _command(self, sent: Json, scope: int | None, before: dict[tuple[int, str], Json]) -> Json:
        kind = sent.get("type") or CHAT_INPUT
        known = before.get((kind, sent["name"]))
        permissions = sent.get("default_member_permissions")
        command: Json = {
            "id": known["id"] if known else str(self._state.ids.next_id()),
            "application_id": str(self._state.application_id),
            "version": str(self._state.ids.next_id()),
            "type": kind,
            "name": sent["name"],
            "name_localizations": sent.get("name_localizations"),
            "description": sent.get("description") or "",
            "description_localizations": sent.get("description_localizations"),
            "default_member_permissions": None if permissions is None else str(permissions),
            "nsfw": bool(sent.get("nsfw")),
        }
        if kind == CHAT_INPUT:
            command["options"] = [_without_nulls(option) for option in objects(sent, "options")]
        if scope is not None:
            return command | {"guild_id": str(scope)}
        command["dm_permission"] = sent.get("dm_permission") is not False
        command["contexts"] = sent.get("contexts")
        only_servers = Lie.SERVER_COMMANDS_ONLY in self._state.lies
        command["integration_types"] = [0] if only_servers else sent.get("integration_types") or [0]
        return command

    def _list_entitlements(self, call: Call) -> Answer:
        self._scope(call)
        limit = call.number("limit", 100, 1, 100)
        before, after = call.snowflake("before"), call.snowflake("after")
        skus = [sku for sku in call.query.get("sku_ids", "").split(",") if sku]
        found = [
            each
            for each in self._state.entitlements
            if (not skus or each["sku_id"] in skus)
            and call.query.get("user_id") in (None, each.get("user_id"))
            and call.query.get("guild_id") in (None, each.get("guild_id"))
            and not (each["deleted"] and call.query.get("exclude_deleted", "true").lower() in ("true", "1"))
            and (after is None or int(each["id"]) > after)
            and (before is None or int(each["id"]) < before)
        ]
        return Answer(200, found[:limit])

    def _consume(self, call: Call) -> Answer:
        self._scope(call)
        self._entitlements.consume(call.id("entitlement_id"))
        return Answer(204)


def _without_nulls(option: Json) -> Json:
    kept = {key: value for key, value in option.items() if value is not None}
    if "options" in kept:
        kept["options"] = [_without_nulls(child) for child in kept["options"]]
    return kept
