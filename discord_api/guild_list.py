"""Ask Discord once a day which servers still have the bot, and have deleted what is stored of those that removed it.

What an answer proves is in discord_api.guild_removals. Which servers have anything stored, and how it is deleted, is
the caller's: parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import discord

from discord_api.errors import MISSING_ACCESS, NO_ANSWER, UNKNOWN_GUILD, UnreadableAnswer, asking, described
from discord_api.guild_removals import count_day, dump_absences, is_count_due, parse_absences
from generations.clock import Clock
from store.database import Database
from store.errors import DatabaseLost
from store.key_values import load_value, save_value
from store.leases import give_back_lease, take_lease
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.guilds")

PAGE = 200  # the most that Discord gives at once
TRY_SECONDS = 3600.0  # between two tries; a list counts once a day
LEASE = "guild list"
LEASE_MS = 600_000  # a list of 100,000 servers is 500 calls
KEY = "guild_looks:v1"

LoadGuilds = Callable[[Transaction], Collection[int]]
DeleteGuild = Callable[[Transaction, int], None]


async def fetch_guild_ids(client: discord.Client) -> frozenset[int]:
    """Return the ids of all servers that the bot user is in, by pages until an empty one.

    A failure on any page fails the whole: part of a list is never returned. Raises discord.HTTPException and those of
    discord_api.errors.NO_ANSWER.
    """
    found: set[int] = set()
    last = 1
    while True:
        with asking(client):
            page = await client.http.get_guilds(PAGE, after=last, with_counts=False)
            if not isinstance(page, list):  # pyright: ignore[reportUnnecessaryIsInstance] (as declared, not as it comes)
                raise UnreadableAnswer
            ids = [int(guild["id"]) for guild in page]
        if not ids:
            return frozenset(found)
        if min(ids) <= last:
            raise UnreadableAnswer  # a page that was there before: this would go on for ever
        found.update(ids)
        last = max(ids)


async def has_commands(client: discord.Client, guild_id: int) -> bool:
    """Whether the app is in a server, with or without the bot user: its own command list can be read there alone.

    Any other answer says nothing of the server, which then counts as one that has the app. Raises those of
    discord_api.errors.NO_ANSWER.
    """
    application_id = client.application_id
    assert application_id is not None  # noqa: S101 (known since the login)
    try:
        with asking(client):
            await client.http.get_guild_commands(application_id, guild_id)
    except discord.HTTPException as error:
        return error.code not in (MISSING_ACCESS, UNKNOWN_GUILD)
    return True


class GuildList:
    """Asks which servers have the bot. *holder*: the name of this process. *with_settings*: the ids of all servers that
    something is stored of. *delete*: delete what is stored of one server."""

    def __init__(
        self,
        client: discord.Client,
        database: Database,
        clock: Clock,
        holder: str,
        *,
        with_settings: LoadGuilds,
        delete: DeleteGuild,
    ) -> None:
        self._client = client
        self._database = database
        self._clock = clock
        self._holder = holder
        self._with_settings = with_settings
        self._delete = delete

    async def run(self) -> None:
        """Check again and again, until it is cancelled."""
        while True:
            try:
                await self.check()
            except (discord.HTTPException, DatabaseLost, *NO_ANSWER) as error:
                log.warning("the list of servers can't be read, again in %.0f s: %s", TRY_SECONDS, described(error))
            await self._clock.sleep(TRY_SECONDS)

    async def check(self) -> None:
        """Ask of every server with settings, if a day has passed and no other process does so, and count the day.

        Raises as fetch_guild_ids() and the database do; then nothing is counted.
        """
        with_settings = await self._database.run(self._begin)
        if not with_settings:
            return
        try:
            there = await self._find(with_settings)
            removed = await self._database.run(self._count, with_settings, there)
        finally:
            await self._database.run(give_back_lease, LEASE, self._holder)
        for guild_id in sorted(removed):
            log.info("server %s: it removed the bot long ago; its settings were deleted", guild_id)

    async def _find(self, guild_ids: Collection[int]) -> Collection[int]:
        """Return those of *guild_ids* that the app is in, by the one list or, where it is silent, one by one."""
        listed = await fetch_guild_ids(self._client)
        return {each for each in guild_ids if each in listed or await has_commands(self._client, each)}

    def _begin(self, tx: Transaction) -> Collection[int]:
        """Take the lease and return the servers to ask of; none if it is too soon, or another process asks."""
        now_ms, with_settings = self._clock.now_ms(), self._with_settings(tx)
        if not with_settings or not is_count_due(parse_absences(load_value(tx, KEY)), now_ms):
            return ()
        return with_settings if take_lease(tx, LEASE, self._holder, now_ms, now_ms + LEASE_MS) else ()

    def _count(self, tx: Transaction, with_settings: Collection[int], there: Collection[int]) -> frozenset[int]:
        absences = parse_absences(load_value(tx, KEY))
        count = count_day(absences, with_settings, there, self._clock.now_ms())
        if count.absences != absences:
            save_value(tx, KEY, dump_absences(count.absences))
        for guild_id in sorted(count.removed):
            self._delete(tx, guild_id)
        return count.removed
