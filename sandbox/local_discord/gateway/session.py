"""One gateway session: its numbered events, kept for a resume, and which events it gets.

Source: Discord docs, Gateway ('Resuming', 'Gateway Intents', 'Sharding').
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sandbox.local_discord.state.model import Json
from sandbox.local_discord.state.snowflakes import shard_of

GUILDS, GUILD_MEMBERS, GUILD_PRESENCES = 1 << 0, 1 << 1, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
ALL_INTENTS = (1 << 26) - 1
MOST_KEPT_EVENTS = 2000

Send = Callable[[Json], None]


class Session:
    """A session; without a socket its events are kept and replayed on resume."""

    def __init__(self, session_id: str, intents: int, shard: tuple[int, int] | None) -> None:
        self.id = session_id
        self.intents = intents
        self.shard = shard
        self.sequence = 0
        self.left_at_ms: int | None = None
        self._send: Send | None = None
        self._kept: deque[Json] = deque(maxlen=MOST_KEPT_EVENTS)

    @property
    def connected(self) -> bool:
        return self._send is not None

    @property
    def shard_id(self) -> int:
        return 0 if self.shard is None else self.shard[0]

    def take_socket(self, send: Send) -> None:
        self._send, self.left_at_ms = send, None

    def lose_socket(self, now_ms: int) -> None:
        self._send, self.left_at_ms = None, now_ms

    def dispatch(self, event: str, body: object) -> None:
        self.sequence += 1
        frame: Json = {"op": 0, "t": event, "s": self.sequence, "d": body}
        self._kept.append(frame)
        if self._send is not None:
            self._send(frame)

    def can_resume_from(self, sequence: int) -> bool:
        if sequence > self.sequence or sequence < 0:
            return False
        return sequence == self.sequence or (bool(self._kept) and self._kept[0]["s"] <= sequence + 1)

    def replay_from(self, sequence: int) -> None:
        """Send the events after *sequence*, then RESUMED."""
        if self._send is None:
            return
        for frame in list(self._kept):
            if frame["s"] > sequence:
                self._send(frame)
        self.dispatch("RESUMED", {"_trace": ["local"]})

    def serves(self, guild_id: int | None) -> bool:
        """Return whether this session's shard gets events of a guild; None means a DM."""
        number, count = self.shard or (0, 1)
        return shard_of(guild_id, count) == number

    def wants_messages(self, guild_id: int | None) -> bool:
        return bool(self.intents & (DIRECT_MESSAGES if guild_id is None else GUILD_MESSAGES))

    def without_content(self, message: Json, bot_id: int, guild_id: int | None) -> Json:
        """Return a message as an app without MESSAGE_CONTENT gets it: whole when its own, in a DM, or mentioning it."""
        mentioned = any(user["id"] == str(bot_id) for user in message["mentions"])
        whole = self.intents & MESSAGE_CONTENT or guild_id is None or message["author"]["id"] == str(bot_id)
        if whole or mentioned:
            return message
        return message | {"content": "", "embeds": [], "attachments": [], "components": []}


def identify_fault(body: Json) -> tuple[int, str] | None:
    """Return a close code and reason where `intents` or `shard` of an IDENTIFY are wrong, else None."""
    intents, shard = body.get("intents"), body.get("shard")
    if not isinstance(intents, int) or isinstance(intents, bool) or not 0 <= intents <= ALL_INTENTS:
        return 4013, "Invalid intent(s)."
    if intents & PRIVILEGED:
        return 4014, "Disallowed intent(s)."
    if shard is None:
        return None
    if not (isinstance(shard, list) and len(shard) == 2 and all(isinstance(each, int) for each in shard)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # JSON
        return 4010, "Invalid shard."
    number, count = int(shard[0]), int(shard[1])  # pyright: ignore[reportUnknownArgumentType]  # JSON
    return None if 0 <= number < count else (4010, "Invalid shard.")
