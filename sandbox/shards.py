"""Divide the gateway's shards between the bot's processes, and tell which of them are connected."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.local_discord.gateway.gateway import Gateway

SHARD_COUNT = 6

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class ProcessShards:
    """The shards of one process: an even share in a row. With a single process the bot asks Discord for its shards."""

    gateway: Gateway
    process: int
    processes: int

    @property
    def ids(self) -> range:
        """The ids of the shards; empty with a single process."""
        if self.processes == 1:
            return range(0)
        return range(self.process * SHARD_COUNT // self.processes, (self.process + 1) * SHARD_COUNT // self.processes)

    def settings(self) -> dict[str, str]:
        """Return the bot's settings for these shards."""
        if self.processes == 1:
            return {}
        return {
            "SHARD_COUNT": str(SHARD_COUNT),
            "SHARD_PROCESS": str(self.process),
            "SHARD_PROCESSES": str(self.processes),
        }

    def are_connected(self) -> bool:
        """Return whether every shard has a session with a socket."""
        return self.gateway.connected and self.gateway.connected_shards.issuperset(self.ids)

    def describe(self) -> list[Json]:
        """Return each shard as JSON, with what commands come from on it."""
        return [
            {
                "id": number,
                "connected": number in self.gateway.connected_shards,
                "places": [guild.name for guild in self.gateway.guilds_of(number, SHARD_COUNT)]
                + (["direct messages"] if number == 0 else []),
            }
            for number in self.ids
        ]
