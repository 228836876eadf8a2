"""Check requests by the rules and count them. The rules are remembered in this process until their version changes.

Knows no SQL and no Discord library.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from limits import audit, records, usage
from limits.check import check_request
from limits.errors import RulesChanged
from limits.model import BOT, BotRules, GuildOverview, GuildRules, Requester, Rules, UsageKey, Used
from limits.usage import Calendar, SpendLimits
from limits.words import BlockedWords, WordRule
from store.database import Database
from store.transactions import Transaction

CACHED_GUILDS = 2000


@dataclass(frozen=True, slots=True)
class Matched:
    """The words that a prompt was compared with, and the first rule that it breaks."""

    words: tuple[WordRule, ...]
    broken: WordRule | None


class RequestLimits:
    """What every request is checked by. *spend*: the operator's own limits."""

    def __init__(self, database: Database, timezone: ZoneInfo, spend: SpendLimits | None = None) -> None:
        self._database = database
        self.calendar = Calendar(timezone)
        self.spend = spend or SpendLimits()
        self._bot = BotRules()
        self._guilds: dict[int, tuple[GuildRules, BlockedWords]] = {}

    async def rules_for(self, guild_id: int | None) -> Rules:
        """Return all rules that count in a server, or in direct messages."""
        return await self._database.read(self.load_rules, guild_id)

    async def overview(self, guild_id: int, now_ms: int) -> GuildOverview:
        """Return what is set in a server, what it has used, and the newest change."""
        return await self._database.read(self._load_overview, guild_id, now_ms)

    def _load_overview(self, tx: Transaction, guild_id: int, now_ms: int) -> GuildOverview:
        rules, windows = self.load_rules(tx, guild_id), self.calendar.windows(now_ms)
        days = usage.load_guild_images(tx, guild_id, min(window.starts_at_ms for window in windows.values()))
        used = {
            period: Used(sum(images for day_ms, images in days if day_ms >= window.starts_at_ms), window.ends_at_ms)
            for period, window in windows.items()
        }
        last = next(iter(audit.load_changes(tx, guild_id, 1)), None)
        return GuildOverview(rules.guild, rules.bot.pause is not None, used, last, now_ms)

    def load_rules(self, tx: Transaction, guild_id: int | None) -> Rules:
        """Return the rules as they are committed now: by one statement if they have not changed."""
        scope_id = guild_id or BOT
        bot_version, guild_version = records.load_versions(tx, scope_id)
        if bot_version != self._bot.version:
            self._bot = records.load_bot_rules(tx, bot_version)
        guild = self._remembered(scope_id)
        if guild_version != guild.version:
            guild = records.load_guild_rules(tx, scope_id, guild_version)
            if len(self._guilds) >= CACHED_GUILDS:
                self._guilds.clear()
            self._guilds[scope_id] = (guild, BlockedWords(guild.words))
        return Rules(self._bot, guild)

    def _remembered(self, scope_id: int) -> GuildRules:
        return self._guilds[scope_id][0] if scope_id in self._guilds else GuildRules()

    async def match_words(self, guild_id: int | None, prompt: str) -> Matched:
        """Compare *prompt* with the words that this process remembers of the server; patterns are tried in a thread."""
        if guild_id not in self._guilds:
            return Matched((), None)
        guild, words = self._guilds[guild_id]
        broken = await asyncio.to_thread(words.find, prompt) if words.are_slow else words.find(prompt)
        return Matched(guild.words, broken)

    def check(self, tx: Transaction, requester: Requester, matched: Matched, now_ms: int) -> Rules:
        """Return the rules as they are committed now, if they allow the request. *matched*: of its prompt.

        Raises RulesChanged when the server has other words than those; and what limits.check.check_request raises.
        """
        rules = self.load_rules(tx, requester.guild_id)
        if rules.guild.words != matched.words:
            raise RulesChanged
        check_request(rules, requester, matched.broken, now_ms)
        return rules

    def count(self, tx: Transaction, key: UsageKey, rules: Rules, *, images: int, price: int, now_ms: int) -> None:
        """Count a request whose credits are held. Raises BudgetUsedUp, on which the caller rolls back."""
        usage.count_request(
            tx,
            key,
            images=images,
            price=price,
            spend=self.spend,
            guild=rules.guild,
            is_exempt=rules.is_exempt(key.user_id),
            calendar=self.calendar,
            now_ms=now_ms,
        )
