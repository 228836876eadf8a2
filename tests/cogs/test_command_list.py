"""The command list: what is sent to Discord, and when."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, cast

import discord
import pytest
from discord import app_commands

from discord_api.command_ids import CommandIds
from discord_api.command_sync import (
    load_command_ids,
    mark_commands,
    name_of,
    sync_commands,
    sync_guild_commands,
)
from store.key_values import load_value
from tests.cogs.scene import API_URL, Scene
from ui.texts.options import OPTIONS


def command(scene: Scene, name: str) -> dict[str, Any]:
    return scene.env.backend.commands[None][name, 1]


def option(scene: Scene, name: str) -> dict[str, Any]:
    return next(part for part in command(scene, "imagine")["options"] if part["name"] == name)


def test_the_commands_are_those_of_this_release(scene: Scene) -> None:
    assert {name for name, kind in scene.env.backend.commands[None] if kind == 1} == {
        *("imagine", "credits", "history", "settings", "privacy", "help", "admin", "owner")
    }


def test_the_message_menu_has_two_entries_with_the_contexts_of_the_commands(scene: Scene) -> None:
    entries = {key: entry for key, entry in scene.env.backend.commands[None].items() if key[1] != 1}
    assert set(entries) == {("Imagine this", 3), ("Report this image", 3)}
    assert all(entry["contexts"] == [0, 1, 2] for entry in entries.values())
    assert all(entry["integration_types"] == [0, 1] for entry in entries.values())


@pytest.mark.parametrize("name", ["imagine", "credits"])
def test_a_command_has_all_contexts_and_both_install_types(scene: Scene, name: str) -> None:
    assert command(scene, name)["contexts"] == [0, 1, 2]
    assert command(scene, name)["integration_types"] == [0, 1]


def test_only_the_prompt_is_required_and_it_comes_first(scene: Scene) -> None:
    options = command(scene, "imagine")["options"]
    assert [part["name"] for part in options] == ["prompt", "size", "seed", "format", "count", "private", "spoiler"]
    assert [part.get("required", False) for part in options] == [True] + [False] * 6


def test_the_ranges_of_options_are_sent_to_discord(scene: Scene) -> None:
    assert (option(scene, "prompt")["min_length"], option(scene, "prompt")["max_length"]) == (1, 2000)
    assert (option(scene, "seed")["min_value"], option(scene, "seed")["max_value"]) == (-1, 2_147_483_647)
    assert (option(scene, "count")["min_value"], option(scene, "count")["max_value"]) == (1, 4)


def test_the_five_sizes_and_three_formats_are_offered_by_name(scene: Scene) -> None:
    assert [choice["name"] for choice in option(scene, "size")["choices"]] == [
        "Square 1024×1024",
        "Portrait 1024×1536",
        "Landscape 1536×1024",
        "Portrait 768×1024",
        "Landscape 1024×768",
    ]
    assert [choice["value"] for choice in option(scene, "size")["choices"]] == [
        "1024*1024",
        "1024*1536",
        "1536*1024",
        "768*1024",
        "1024*768",
    ]
    assert [choice["value"] for choice in option(scene, "format")["choices"]] == ["jpeg", "png", "webp"]


def test_imagine_takes_the_options_of_the_table_and_no_other(scene: Scene) -> None:
    listed = scene.env.backend.commands[None]["imagine", 1]["options"]
    assert {each["name"]: each["description"] for each in listed} == {each.name: each.description for each in OPTIONS}


def test_every_command_and_option_is_described_within_discords_limit(scene: Scene) -> None:
    for listed in (listed for (_, kind), listed in scene.env.backend.commands[None].items() if kind == 1):
        for described in (listed, *listed["options"]):
            assert 1 < len(described["description"]) <= 100


def puts(scene: Scene) -> int:
    return sum(request.method == "PUT" for request in scene.env.http_requests)


async def test_the_list_is_sent_once_and_after_a_restart_only_if_discord_lost_it(scene: Scene) -> None:
    assert puts(scene) == 1
    await scene.restart()
    assert not await scene.sync() and puts(scene) == 1
    scene.env.backend.commands[None].clear()
    await scene.restart()
    assert await scene.sync() and puts(scene) == 2
    assert ("imagine", 1) in scene.env.backend.commands[None]


@pytest.mark.scene(owner_guilds=(5,))
async def test_commands_and_menus_are_age_restricted_only_while_the_setting_says_yes(scene: Scene) -> None:
    def marks() -> list[bool]:
        lists = [scene.bot.tree.get_commands(guild=guild) for guild in (None, discord.Object(5))]
        assert all(lists)
        return sorted({command.to_dict(scene.bot.tree)["nsfw"] for commands in lists for command in commands})

    assert marks() == [False]
    await scene.restart(age_restricted=True)
    assert marks() == [True]
    await scene.restart(age_restricted=False)
    assert marks() == [False]


class Store:
    """Keeps values in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def load(self, key: str) -> str | None:
        return self.values.get(key)

    async def save(self, key: str, value: str) -> None:
        self.values[key] = value


class Answer:
    """What discord.py reads of a refused request."""

    status, reason = 403, "Forbidden"


class DiscordsLists:
    """Stand in for discord.py's HTTP client: the lists that Discord has, for all places (None) and for servers."""

    def __init__(self) -> None:
        self.lists: dict[int | None, list[dict[str, Any]]] = {}
        self.taken: list[tuple[int | None, int]] = []  # place, and how many commands it got
        self.faults: dict[int | None, int] = {}  # place -> code of the error that Discord answers
        self._ids = itertools.count(2**60 + 1)

    async def get_global_commands(self, _: int) -> list[dict[str, Any]]:
        return self._read(None)

    async def get_guild_commands(self, _: int, guild_id: int) -> list[dict[str, Any]]:
        return self._read(guild_id)

    async def bulk_upsert_global_commands(self, _: int, payload: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._take(None, payload)

    async def bulk_upsert_guild_commands(
        self, _: int, guild_id: int, payload: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        return self._take(guild_id, payload)

    def _read(self, place: int | None) -> list[dict[str, Any]]:
        if place in self.faults:
            raise discord.Forbidden(Answer(), {"code": self.faults[place], "message": "no"})  # type: ignore[arg-type]
        return self.lists.get(place, [])

    def _take(self, place: int | None, payload: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._read(place)
        added = {"application_id": "5", "version": "1", "default_member_permissions": None}
        self.lists[place] = [command | added | {"id": str(next(self._ids))} for command in payload]
        self.taken.append((place, len(payload)))
        return self.lists[place]


def tree_of(
    *names: str, guild_ids: tuple[int, ...] = (), lists: DiscordsLists | None = None
) -> app_commands.CommandTree[Any]:
    """A tree with these commands, of a client that talks to *lists*."""
    client = discord.Client(intents=discord.Intents.none(), application_id=5)
    cast("Any", client).http = lists or DiscordsLists()
    tree = app_commands.CommandTree[Any](client)
    for name in names:

        async def nothing(interaction: discord.Interaction) -> None: ...

        command = app_commands.Command(name=name, description=f"does {name}", callback=nothing)
        tree.add_command(command, guilds=[discord.Object(each) for each in guild_ids])
    return tree


@pytest.fixture
def lists() -> DiscordsLists:
    return DiscordsLists()


async def synced(tree: app_commands.CommandTree[Any], memory: Store | None = None) -> bool:
    return await sync_commands(tree, save=(memory or Store()).save, api_url=API_URL)


async def test_a_changed_command_is_sent_again(lists: DiscordsLists) -> None:
    assert await synced(tree_of("one", lists=lists))
    assert not await synced(tree_of("one", lists=lists))
    assert await synced(tree_of("one", "two", lists=lists))
    assert await synced(tree_of("one", lists=lists)), "what is no longer wanted is taken away"
    assert lists.taken == [(None, 1), (None, 2), (None, 1)]


async def test_a_list_that_discord_lost_or_another_program_replaced_is_sent_again(lists: DiscordsLists) -> None:
    tree, memory = tree_of("one", lists=lists), Store()
    await synced(tree, memory)
    for theirs in ([], [{"id": "9", "type": 1, "name": "other", "description": "of another program"}]):
        lists.lists[None] = theirs
        assert await synced(tree, memory)
        assert not await synced(tree, memory)
        (command,) = lists.lists[None]
        assert await load_command_ids(5, load=memory.load, api_url=API_URL) == {"1:one": int(command["id"])}


async def test_another_age_restriction_is_a_change_of_every_list(lists: DiscordsLists) -> None:
    trees, memory = (tree_of("one", lists=lists), tree_of("owner", guild_ids=(8,), lists=lists)), Store()

    async def sent(*, age_restricted: bool) -> list[bool]:
        for tree in trees:
            mark_commands(tree, age_restricted=age_restricted, guild_ids=(8,))
        return [await synced(trees[0]), await synced_in_guilds(trees[1], memory, 8)]

    assert await sent(age_restricted=False) == [True, True]
    assert await sent(age_restricted=True) == [True, True]
    assert await sent(age_restricted=True) == [False, False]
    assert await sent(age_restricted=False) == [True, True]


async def test_the_ids_that_discord_gave_are_kept_for_processes_that_did_not_send_the_list(scene: Scene) -> None:
    ids = await load_command_ids(
        scene.bot.application_id, load=partial(scene.database.real.read, load_value), api_url=API_URL
    )
    assert ids == {
        f"{kind}:{name}": int(listed["id"]) for (name, kind), listed in scene.env.backend.commands[None].items()
    }
    assert name_of(discord.AppCommandType.message, "Imagine this") in ids


async def test_the_ids_of_a_list_that_another_installation_sent_are_kept_without_sending_it(
    lists: DiscordsLists,
) -> None:
    await synced(tree_of("one", lists=lists))
    memory = Store()
    assert await load_command_ids(5, load=memory.load, api_url=API_URL) == {}
    assert not await synced(tree_of("one", lists=lists), memory)
    assert await load_command_ids(5, load=memory.load, api_url=API_URL) == {"1:one": 2**60 + 1}
    assert await load_command_ids(5, load=memory.load, api_url="http://127.0.0.1:1/api/v10") == {}


async def test_a_list_that_discord_refused_is_sent_again(lists: DiscordsLists) -> None:
    tree, memory = tree_of("one", lists=lists), Store()
    lists.faults = {None: 50001}
    with pytest.raises(discord.Forbidden):
        await synced(tree, memory)
    assert memory.values == {}
    lists.faults = {}
    assert await synced(tree, memory)
    assert lists.taken == [(None, 1)]


async def test_the_order_of_the_commands_does_not_count_as_a_change(lists: DiscordsLists) -> None:
    assert await synced(tree_of("one", "two", lists=lists))
    assert not await synced(tree_of("two", "one", lists=lists))


async def synced_in_guilds(tree: app_commands.CommandTree[Any], memory: Store, *guild_ids: int) -> bool:
    return await sync_guild_commands(tree, guild_ids, load=memory.load, save=memory.save, api_url=API_URL)


async def test_a_servers_own_list_is_sent_when_it_differs_and_emptied_when_it_is_no_longer_wanted(
    lists: DiscordsLists,
) -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(2**60, 8), lists=lists)
    assert await synced_in_guilds(tree, memory, 2**60, 8)
    assert not await synced_in_guilds(tree, memory, 2**60, 8)
    assert lists.taken == [(8, 1), (2**60, 1)]
    tree = tree_of("owner", guild_ids=(8,), lists=lists)
    assert await synced_in_guilds(tree, memory, 8)
    assert not await synced_in_guilds(tree, memory, 8)
    assert lists.taken[2:] == [(2**60, 0)]
    tree = tree_of("owner", "another", guild_ids=(8,), lists=lists)
    assert await synced_in_guilds(tree, memory, 8)
    assert lists.taken[3:] == [(8, 2)]
    lists.lists[8] = []
    assert await synced_in_guilds(tree, memory, 8)
    assert lists.taken[4:] == [(8, 2)]


async def test_a_servers_own_ids_are_kept_and_go_with_its_list(lists: DiscordsLists) -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(2**60, 8), lists=lists)
    await synced_in_guilds(tree, memory, 2**60, 8)
    ids = CommandIds(tree.client, memory.load, API_URL)
    await ids.load()
    assert [ids.slash_commands(each) for each in (8, 2**60, 9, None)] == [
        *({"owner": 2**60 + 1}, {"owner": 2**60 + 2}, {}, {})
    ]
    await synced_in_guilds(tree_of("owner", guild_ids=(8,), lists=lists), memory, 8)
    await ids.load()
    assert (ids.slash_commands(2**60), ids.slash_commands(8)) == ({}, {"owner": 2**60 + 1})


async def test_a_server_that_the_bot_is_not_in_is_a_warning_and_tried_at_the_next_start(
    caplog: pytest.LogCaptureFixture, lists: DiscordsLists
) -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(7, 8), lists=lists)
    lists.faults = {7: 50001}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert lists.taken == [(8, 1)]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "qwen_imagine.commands"]
    assert said == "server 7 has no commands of its own: the bot is not in it"
    lists.faults = {}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert lists.taken[1:] == [(7, 1)]
    lists.faults = {7: 50001}
    unwanted = tree_of(lists=lists)
    await synced_in_guilds(unwanted, memory)
    caplog.clear()
    await synced_in_guilds(unwanted, memory)
    assert not caplog.records, "what is gone is asked for once"


async def test_any_other_refusal_of_a_servers_list_is_raised_and_what_was_taken_before_is_kept(
    lists: DiscordsLists,
) -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(7, 8), lists=lists)
    lists.faults = {8: 30034}
    with pytest.raises(discord.Forbidden):
        await synced_in_guilds(tree, memory, 7, 8)
    lists.faults = {}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert lists.taken == [(7, 1), (8, 1)]
