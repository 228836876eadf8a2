"""The gateway: sessions, shards, and the event that each change of the state becomes for the bot.

Source: Discord docs, Gateway and Gateway Events.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from aiohttp import web

from sandbox.local_discord.gateway.connection import Closing, Connection, frame
from sandbox.local_discord.gateway.session import GUILDS, Session, identify_fault
from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.command_permissions import permissions_json
from sandbox.local_discord.payloads.interactions import InteractionPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.recording import Recording
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import (
    Change,
    ChannelSaved,
    CommandPermissionsChanged,
    EntitlementChanged,
    GuildAdded,
    GuildLeft,
    InteractionSent,
    MessageDeleted,
    MessageSaved,
)
from sandbox.local_discord.state.model import Channel, Guild, Json, Message
from sandbox.local_discord.state.snowflakes import shard_of
from sandbox.local_discord.state.state import State

RESUME_WITHIN_MS = 180_000
IDENTIFY_SPACING_MS = 5_000
DAY_MS, MOST_IDENTIFIES, MOST_GUILDS = 86_400_000, 1000, 2500
_NO_VIOLATION = frozenset({4000, 4007, 4009, 4011})


class Gateway:
    """Holds the bot's sessions, whichever process they come from.

    Discord's limits for starting shards: of the shards with the same `shard_id % max_concurrency` one may IDENTIFY in
    `identify_spacing_ms`, and all of them together `most_identifies` times in 24 h. A shard has at most `most_guilds`
    guilds, and the number of a large bot's shards is a multiple of `shard_multiple`.
    """

    def __init__(
        self,
        state: State,
        payloads: Payloads,
        channel_payloads: ChannelPayloads,
        interactions: InteractionPayloads,
        recording: Recording,
        url: Callable[[], str],
    ) -> None:
        self._state = state
        self._payloads = payloads
        self._channel_payloads = channel_payloads
        self._interactions = interactions
        self._recording = recording
        self._url = url
        self._sessions: dict[str, Session] = {}
        self._connections: list[Connection] = []
        self._identified_at_ms: dict[int, int] = {}
        self._identified_today_ms: list[int] = []
        self._repeats: dict[str, int] = {}
        self._channel_type: int | None = None
        self._refused_upgrades = 0
        self._closed_before_hello: deque[int] = deque()
        self.max_concurrency = 1
        self.shards = 1  # what GET /gateway/bot recommends
        self.identify_spacing_ms = IDENTIFY_SPACING_MS
        self.most_identifies = MOST_IDENTIFIES
        self.most_guilds = MOST_GUILDS
        self.shard_multiple = 1
        self.identifies = 0
        self.identifies_too_soon = 0  # those that were answered with op 9
        self.resumes = 0
        self.upgrades = 0  # requests for a websocket, those that were refused as well
        state.listen(self._on_change)

    @property
    def connected(self) -> bool:
        """Whether at least one session has a socket."""
        return any(session.connected for session in self._sessions.values())

    @property
    def connected_shards(self) -> frozenset[int]:
        """The ids of the shards that have a session with a socket; 0 for a session without `shard`."""
        return frozenset(session.shard_id for session in self._sessions.values() if session.connected)

    def guilds_of(self, shard_id: int, shard_count: int) -> list[Guild]:
        """Return the guilds whose events this shard gets, those without the bot user as well."""
        return [guild for guild in self._state.guilds.values() if shard_of(guild.id, shard_count) == shard_id]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.upgrades += 1
        if self._refused_upgrades > 0:
            self._refused_upgrades -= 1
            return web.Response(status=503, text="upstream connect error")
        connection = Connection(self, time.monotonic)
        self._connections.append(connection)
        code = self._closed_before_hello.popleft() if self._closed_before_hello else None
        return await connection.run(request, code_instead_of_hello=code)

    # --- called by a connection ---

    def identify(self, connection: Connection, body: Json) -> Session | None:
        """Start a session, or send op 9 and return None when shards start faster than `max_concurrency` allows.

        Raises Closing for a bad token, shard or intents, and after `most_identifies`.
        """
        self._check_token(body)
        if not isinstance(body.get("properties"), dict):
            raise Closing(4002, "Error while decoding payload.")
        if (fault := identify_fault(body)) is not None:
            raise Closing(*fault)
        shard = None if body.get("shard") is None else (int(body["shard"][0]), int(body["shard"][1]))
        self._check_shard(*(shard or (0, 1)))
        self._count_identify()
        if not self._may_start(shard):
            self.identifies_too_soon += 1
            connection.send(frame(9, False))
            return None
        self.identifies += 1
        session = Session(f"{self._state.rng.getrandbits(128):032x}", body["intents"], shard)
        self._sessions[session.id] = session
        session.take_socket(connection.send)
        self._send_ready(session)
        return session

    def _check_token(self, body: Json) -> None:
        if str(body.get("token", "")).removeprefix("Bot ") != self._state.token:
            raise Closing(4004, "Authentication failed.")

    def _check_shard(self, shard_id: int, shard_count: int) -> None:
        """Raise Closing 4010 where a large bot has another number of shards than Discord allows it, 4011 where the
        shard would have too many guilds."""
        if shard_count % self.shard_multiple:
            raise Closing(4010, "Invalid shard.")
        if sum(guild.has_bot for guild in self.guilds_of(shard_id, shard_count)) > self.most_guilds:
            raise Closing(4011, "Sharding required.")

    def _count_identify(self) -> None:
        """Count an IDENTIFY, one that is answered with op 9 as well (assumed).

        After `most_identifies` in 24 h end every session, make a new token and raise Closing 4004 (Discord docs:
        Gateway, "Identifying").
        """
        now = self._state.clock.now_ms()
        self._identified_today_ms = [*self._identified_today(), now]
        if len(self._identified_today_ms) <= self.most_identifies:
            return
        self._recording.violation("gateway", f"more than {self.most_identifies} IDENTIFYs in 24 h: the token was reset")
        self._identified_today_ms.clear()
        self._state.reset_token()
        self._sessions.clear()
        for connection in self._connections:
            connection.close(4004, "Authentication failed.")
        raise Closing(4004, "Authentication failed.")

    def _identified_today(self) -> list[int]:
        now = self._state.clock.now_ms()
        return [at_ms for at_ms in self._identified_today_ms if now - at_ms < DAY_MS]

    def _may_start(self, shard: tuple[int, int] | None) -> bool:
        now, key = self._state.clock.now_ms(), (shard or (0, 1))[0] % self.max_concurrency
        last = self._identified_at_ms.get(key)
        if last is not None and now - last < self.identify_spacing_ms:
            return False
        self._identified_at_ms[key] = now
        return True

    def _send_ready(self, session: Session) -> None:
        guilds = [guild for guild in self._state.guilds.values() if guild.has_bot and session.serves(guild.id)]
        ready: Json = {
            "v": 10,
            "user": self._payloads.user(self._state.application_id) | {"verified": True, "mfa_enabled": True},
            "user_settings": {},
            "guilds": [self._channel_payloads.guild_stub(guild) for guild in guilds],
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self._url(),
            "application": {"id": str(self._state.application_id), "flags": 0},
        }
        if session.shard is not None:
            ready["shard"] = list(session.shard)
        session.dispatch("READY", ready)
        if session.intents & GUILDS:
            for guild in guilds:
                if guild.id in self._state.unavailable_guilds:
                    session.dispatch("GUILD_DELETE", self._channel_payloads.guild_stub(guild))
                else:
                    session.dispatch("GUILD_CREATE", self._channel_payloads.guild(guild))

    def start_limit(self) -> Json:
        """Return `session_start_limit` of GET /gateway/bot."""
        now, today = self._state.clock.now_ms(), self._identified_today()
        first = today[0] if today else now
        return {
            "total": self.most_identifies,
            "remaining": max(0, self.most_identifies - len(today)),
            "reset_after": DAY_MS - (now - first),
            "max_concurrency": self.max_concurrency,
        }

    def resume(self, connection: Connection, body: Json) -> Session | None:
        """Take a session up again and replay what it missed, or send op 9 and return None when it is gone."""
        self._check_token(body)
        session, sequence = self._sessions.get(str(body.get("session_id"))), body.get("seq")
        if session is None or not isinstance(sequence, int) or self._expired(session):
            connection.send(frame(9, False))
            return None
        if not session.can_resume_from(sequence):
            raise Closing(4007, "Invalid seq.")
        self.resumes += 1
        session.take_socket(connection.send)
        session.replay_from(sequence)
        return session

    def _expired(self, session: Session) -> bool:
        left = session.left_at_ms
        return left is not None and self._state.clock.now_ms() - left > RESUME_WITHIN_MS

    def left(self, connection: Connection, *, by_client: bool) -> None:
        """Note that a connection has ended. A close by the client with 1000 or 1001 ends its session; any other end
        keeps the session for 3 minutes.
        """
        self._connections.remove(connection)
        session = connection.session
        if session is None:
            return
        if any(other.session is session for other in self._connections):
            return
        session.lose_socket(self._state.clock.now_ms())
        if by_client:
            self._sessions.pop(session.id, None)

    def closing(self, code: int, reason: str) -> None:
        if code not in _NO_VIOLATION:
            self._recording.violation("gateway", f"closed with {code}: {reason}")

    # --- events ---

    def _on_change(self, change: Change) -> None:
        if isinstance(change, InteractionSent):
            event = self._interactions.event(change.interaction)
            if self._channel_type is not None:
                event |= {"channel": event["channel"] | {"type": self._channel_type}}
            self._emit("INTERACTION_CREATE", event, change.interaction.guild_id)
        elif isinstance(change, EntitlementChanged):
            self._emit(change.event, dict(change.entitlement), None)
        elif isinstance(change, CommandPermissionsChanged):
            body = permissions_json(self._state, change.guild_id, change.target_id)
            self._emit("APPLICATION_COMMAND_PERMISSIONS_UPDATE", body, change.guild_id)
        elif isinstance(change, ChannelSaved | GuildAdded | GuildLeft):
            self._emit_of_guild(change)
        elif isinstance(change, MessageSaved):
            self._emit_message("MESSAGE_CREATE" if change.created else "MESSAGE_UPDATE", change.message)
        elif isinstance(change, MessageDeleted) and change.message.only_for is None:
            self._emit_deleted(change.message)

    def _emit(self, event: str, body: Json, guild_id: int | None) -> None:
        times = 1
        if self._repeats.get(event, 0) > 0:
            self._repeats[event] -= 1
            times = 2
        for session in self._serving(guild_id):
            for _ in range(times):
                session.dispatch(event, body)

    def _emit_of_guild(self, change: ChannelSaved | GuildAdded | GuildLeft) -> None:
        """Send what becomes of a guild and its channels to sessions with the GUILDS intent; others get none of these
        events (Discord docs: Gateway, 'List of Intents'). GUILD_DELETE without `unavailable` means that the bot was
        removed (Gateway Events, 'Guild Delete').
        """
        if isinstance(change, ChannelSaved):
            channel, guild_id = change.channel, change.channel.guild_id
            if not self._sees(channel):
                return
            event = "CHANNEL_CREATE" if change.created else "CHANNEL_UPDATE"
            body = self._channel_payloads.channel(channel)
        elif isinstance(change, GuildAdded):
            guild_id = change.guild_id
            event, body = "GUILD_CREATE", self._channel_payloads.guild(self._state.guilds[guild_id])
            if not change.after_outage:
                del body["unavailable"]  # by this discord.py 2.7.1 tells a new guild from one that is back
        else:
            guild_id = change.guild_id
            event, body = "GUILD_DELETE", {"id": str(guild_id)} | ({"unavailable": True} if change.unavailable else {})
        for session in self._serving(guild_id):
            if session.intents & GUILDS:
                session.dispatch(event, body)

    def _serving(self, guild_id: int | None) -> list[Session]:
        for session in [each for each in self._sessions.values() if self._expired(each)]:
            del self._sessions[session.id]
        return [session for session in self._sessions.values() if session.serves(guild_id)]

    def _sees(self, channel: Channel) -> bool:
        return bool(self._state.permissions(self._state.application_id, channel) & p.VIEW_CHANNEL)

    def _emit_message(self, event: str, message: Message) -> None:
        channel = self._state.channel(message.channel_id)
        guild = self._state.guild_of(channel)
        if message.only_for is not None or not self._sees(channel):
            return
        body = self._payloads.message(message)
        if guild is not None:
            body |= {"guild_id": str(guild.id), "member": self._payloads.member(guild, message.author_id)}
            body["member"].pop("user")
        for session in self._serving(channel.guild_id):
            if session.wants_messages(channel.guild_id):
                bot_id = self._state.application_id
                session.dispatch(event, session.without_content(body, bot_id, channel.guild_id))

    def _emit_deleted(self, message: Message) -> None:
        channel = self._state.channel(message.channel_id)
        if not self._sees(channel):
            return
        body: Json = {"id": str(message.id), "channel_id": str(message.channel_id)}
        if channel.guild_id is not None:
            body["guild_id"] = str(channel.guild_id)
        for session in self._serving(channel.guild_id):
            if session.wants_messages(channel.guild_id):
                session.dispatch("MESSAGE_DELETE", body)

    # --- faults, see FaultyGateway ---

    def reconnect(self) -> None:
        for connection in self._connections:
            connection.send(frame(7))

    def invalidate(self, *, resumable: bool) -> None:
        for connection in self._connections:
            connection.send(frame(9, resumable))
            if not resumable and connection.session is not None:
                self._sessions.pop(connection.session.id, None)

    def close_sockets(self, code: int) -> None:
        for connection in self._connections:
            connection.close(code, "Closed on purpose.")

    def repeat(self, event: str, times: int) -> None:
        self._repeats[event] = self._repeats.get(event, 0) + times

    def set_channel_type(self, channel_type: int | None) -> None:
        self._channel_type = channel_type

    def refuse_upgrades(self, times: int) -> None:
        """Answer the next *times* upgrades with 503; 0: none."""
        self._refused_upgrades = times

    def close_before_hello(self, times: int, code: int) -> None:
        self._closed_before_hello.extend([code] * times)

    def send(self, event: str, body: object) -> None:
        for session in self._sessions.values():
            session.dispatch(event, body)

    async def close(self) -> None:
        self.close_sockets(1001)
