"""REST routes of guilds, for a bot that gets no guild events: the guilds that it is in, their roles and members.

Sources: Discord docs, User ('Get Current User Guilds', 'Leave Guild') and Guild ('Get Guild', 'Get Guild Member');
discord.py 2.7.1 documents a guild without the bot as not found (`Client.fetch_guild`).
"""

from __future__ import annotations

from sandbox.local_discord import errors
from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.rest.routing import Answer, Call, Route
from sandbox.local_discord.state.model import Guild, Json
from sandbox.local_discord.state.state import State

MOST_GUILDS_OF_A_PAGE = 200
_GUILD = "/guilds/{guild_id}"
_ONLY_IN_EVENTS = (
    *("channels", "threads", "members", "joined_at", "member_count", "large", "unavailable"),
    *("presences", "voice_states", "guild_scheduled_events", "stage_instances", "soundboard_sounds"),
)
_ONLY_IN_ANSWERS: Json = {
    "home_header": None,
    "discovery_splash": None,
    "region": "deprecated",
    "widget_enabled": False,
    "widget_channel_id": None,
    "max_presences": None,
    "max_members": 500_000,
    "max_stage_video_channel_users": 50,
    "max_video_channel_users": 25,
    "safety_alerts_channel_id": None,
    "public_updates_channel_id": None,
    "premium_progress_bar_enabled": False,
    "incidents_data": None,
}


class GuildRoutes:
    def __init__(self, state: State, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads

    def routes(self) -> list[Route]:
        page = frozenset({"before", "after", "limit", "with_counts"})
        return [
            Route("GET", "/users/@me/guilds", self._list, query=page),
            Route("DELETE", f"/users/@me{_GUILD}", self._leave),
            Route("GET", _GUILD, self._get, query=frozenset({"with_counts"})),
            Route("GET", f"{_GUILD}/roles", self._roles),
            Route("GET", f"{_GUILD}/members/{{user_id}}", self._member),
        ]

    def _guild(self, call: Call) -> Guild:
        """Return the guild of the path. Raises 404/10004 for one that the bot user is not in."""
        guild = self._state.guilds.get(call.id("guild_id"))
        if guild is None or not guild.has_bot:
            raise errors.unknown_thing(10004, "Guild")
        return guild

    def _list(self, call: Call) -> Answer:
        """Return the bot's guilds by id, those with an outage as well."""
        limit = call.number("limit", MOST_GUILDS_OF_A_PAGE, 1, MOST_GUILDS_OF_A_PAGE)
        before, after = call.snowflake("before"), call.snowflake("after")
        found = [
            guild
            for guild in sorted(self._state.guilds.values(), key=lambda guild: guild.id)
            if guild.has_bot and (before is None or guild.id < before) and (after is None or guild.id > after)
        ]
        page = found[-limit:] if before is not None and after is None else found[:limit]
        return Answer(200, [self._own(guild, call.flag("with_counts")) for guild in page])

    def _own(self, guild: Guild, with_counts: bool) -> Json:
        body: Json = {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(self._state.guild_permissions(self._state.application_id, guild)),
            "features": [],
        }
        return body | (_counts(guild) if with_counts else {})

    def _leave(self, call: Call) -> Answer:
        self._state.remove_app(self._guild(call).id)
        return Answer(204)

    def _get(self, call: Call) -> Answer:
        """Return a guild (OpenAPI: GuildWithCountsResponse)."""
        guild = self._guild(call)
        counts = _counts(guild) if call.flag("with_counts") else {}
        whole = self._channel_payloads.guild(guild) | _ONLY_IN_ANSWERS | counts
        return Answer(200, {key: value for key, value in whole.items() if key not in _ONLY_IN_EVENTS})

    def _roles(self, call: Call) -> Answer:
        return Answer(200, self._channel_payloads.roles(self._guild(call)))

    def _member(self, call: Call) -> Answer:
        """Return a member. Raises 404/10013 for no user, 404/10007 for a user who is no member."""
        guild, user_id = self._guild(call), call.id("user_id")
        if user_id not in guild.members:
            known = user_id in self._state.people_by_id or user_id == self._state.application_id
            raise errors.unknown_thing(10007, "Member") if known else errors.unknown_thing(10013, "User")
        return Answer(200, self._payloads.member(guild, user_id))


def _counts(guild: Guild) -> Json:
    return {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
