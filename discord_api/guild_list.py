"""Read the list of the bot's servers once a day, and have deleted what is stored of those that removed it.

What a list proves is in discord_api.guild_removals. Which servers have anything stored, and how it is deleted, is the
caller's: parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import discord

from discord_api.errors import NO_ANSWER, UnreadableAnswer, asking, described
from discord_api.guild_removals import dump_looks, is_time_to_look, judge, parse_looks
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


class GuildList:
    """Looks at the list of servers. *holder*: the name of this process. *with_settings*: the ids of all servers that
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
        """Look again and again, until it is cancelled."""
        while True:
            try:
                await self.look()
            except (discord.HTTPException, DatabaseLost, *NO_ANSWER) as error:
                log.warning("the list of servers can't be read, again in %.0f s: %s", TRY_SECONDS, described(error))
            await self._clock.sleep(TRY_SECONDS)

    async def look(self) -> None:
        """Read the list and judge it, if a day has passed and no other process does so.

        Raises as fetch_guild_ids() and the database do; then nothing is counted.
        """
        if not await self._database.run(self._begin):
            return
        try:
            listed = await fetch_guild_ids(self._client)
            removed = await self._database.run(self._judge, listed)
        finally:
            await self._database.run(give_back_lease, LEASE, self._holder)
        for guild_id in sorted(removed):
            log.info("server %s: it removed the bot long ago; its settings were deleted", guild_id)

    def _begin(self, tx: Transaction) -> bool:
        now_ms = self._clock.now_ms()
        if not is_time_to_look(parse_looks(load_value(tx, KEY)), now_ms) or not self._with_settings(tx):
            return False
        return take_lease(tx, LEASE, self._holder, now_ms, now_ms + LEASE_MS)

    def _judge(self, tx: Transaction, listed: frozenset[int]) -> frozenset[int]:
        looks = parse_looks(load_value(tx, KEY))
        judgement = judge(looks, self._with_settings(tx), listed, self._clock.now_ms())
        if judgement.looks != looks:
            save_value(tx, KEY, dump_looks(judgement.looks))
        for guild_id in sorted(judgement.removed):
            self._delete(tx, guild_id)
        return judgement.removed
