"""What the bot's owner and the admins of a server have set, who asks, and what is counted. Pure.

Scope: the bot's (BOT, 0), or a server's, whose id is its guild's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from credits.allowance import CreditPeriod
from limits.words import WordRule

BOT = 0  # the scope of the bot itself


class Clock(Protocol):
    """The wall clock."""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for images, and where. *parent_channel_id*: of the thread that *channel_id* is; None elsewhere.

    *age_restricted*: Discord shows the place to adults alone. False where that is not known.
    """

    user_id: int
    guild_id: int | None
    channel_id: int
    parent_channel_id: int | None = None
    role_ids: frozenset[int] = frozenset()  # without @everyone
    age_restricted: bool = False

    @property
    def scope_id(self) -> int:
        """The server's scope; BOT in direct messages."""
        return self.guild_id or BOT


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something by which interaction. *guild_id*: the server that the interaction comes from."""

    user_id: int
    interaction_id: int
    guild_id: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """A person who may ask for nothing in a scope. *until_ms* None: until somebody takes it back."""

    until_ms: int | None
    reason: str
    by_id: int

    def is_active(self, now_ms: int) -> bool:
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is taken on in a scope until somebody resumes."""

    reason: str
    by_id: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Tier:
    """The credits of a period for everybody (both ids 0), for a server (role 0), or for a role in a server."""

    guild_id: int
    role_id: int
    credits: int

    @property
    def source(self) -> str:
        """The name by which an account remembers the tier that it was refilled by."""
        return f"{self.guild_id}:{self.role_id}"


class ContentRule(StrEnum):
    """Where in a server images may be asked for; SQL stores the values."""

    GENERAL = "general"
    AGE_RESTRICTED_ONLY = "age_restricted_only"  # in places alone that Discord shows to adults


@dataclass(frozen=True, slots=True)
class Cap:
    """The most images in one period (day, week or month), which begins by the operator's calendar."""

    images: int
    period: CreditPeriod


@dataclass(frozen=True, slots=True)
class BotRules:
    """What the owner has set. *version* grows with each change; 0: nothing was ever set."""

    version: int = 0
    pause: Pause | None = None
    blocks: Mapping[int, Block] = field(default_factory=dict[int, Block])  # by person
    tiers: tuple[Tier, ...] = ()
    exempt: frozenset[int] = frozenset()  # people


@dataclass(frozen=True, slots=True)
class GuildRules:
    """What the admins of one server have set. *version* grows with each change; 0: nothing was ever set."""

    version: int = 0
    channels: frozenset[int] = frozenset()  # empty: all
    roles: frozenset[int] = frozenset()  # empty: everybody
    person_cap: Cap | None = None
    budget: Cap | None = None
    content: ContentRule = ContentRule.GENERAL
    log_channel_id: int | None = None
    words: tuple[WordRule, ...] = ()
    blocks: Mapping[int, Block] = field(default_factory=dict[int, Block])  # by person
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules for one request. *guild* has nothing set in direct messages."""

    bot: BotRules = BotRules()
    guild: GuildRules = GuildRules()

    def is_exempt(self, user_id: int) -> bool:
        """Whether no cap and no limit of requests a minute counts for this person."""
        return user_id in self.bot.exempt


@dataclass(frozen=True, slots=True)
class UsageKey:
    """Under what a request is counted: the operator's day, the server (0: direct messages) and the person."""

    day_ms: int  # first moment of the day, unix milliseconds
    guild_id: int
    user_id: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit. *before* and *after*: what was set, as limits.service writes it; empty: nothing."""

    number: int
    scope_id: int
    action: str
    actor_id: int
    subject_id: int | None
    reason: str
    before: str
    after: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class News:
    """A message to the bot's owners. *told*: those who have it."""

    number: int
    text: str
    told: frozenset[int]
    at_ms: int

    @property
    def nonce(self) -> str:
        """The same for every try. A number alone may come again: SQLite begins anew when all rows are gone."""
        return f"{self.number}-{self.at_ms}"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line about *change* for one log channel."""

    number: int
    channel_id: int
    change: Change

    @property
    def at_ms(self) -> int:
        return self.change.at_ms

    @property
    def nonce(self) -> str:
        """The same for every try."""
        return f"{self.number}-{self.at_ms}"


@dataclass(frozen=True, slots=True)
class Used:
    """The images that a server's budget counts in the running period, and when that ends, in unix milliseconds."""

    images: int
    ends_at_ms: int | None


@dataclass(frozen=True, slots=True)
class GuildOverview:
    """What is set in a server, what it has used by day, week and month, and the newest change, at one moment."""

    rules: GuildRules
    is_bot_paused: bool  # by the owner, everywhere
    used: Mapping[CreditPeriod, Used]
    last: Change | None
    now_ms: int

    def active_blocks(self) -> list[tuple[int, Block]]:
        """Return who is blocked now: first whose block ends first, last those without end."""
        active = [(who, block) for who, block in self.rules.blocks.items() if block.is_active(self.now_ms)]
        return sorted(active, key=lambda each: (each[1].until_ms is None, each[1].until_ms or 0, each[0]))
