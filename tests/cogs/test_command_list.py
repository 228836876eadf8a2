"""The command list: what is sent to Discord, and when."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from discord import app_commands

from discord_api.command_ids import CommandIds
from discord_api.command_sync import (
    fingerprint_of,
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


async def test_the_list_is_sent_once_and_not_again_after_a_restart(scene: Scene) -> None:
    assert puts(scene) == 1
    await scene.restart()
    assert puts(scene) == 1


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


class CountingTree(app_commands.CommandTree[Any]):
    """A command tree that counts syncs instead of sending them."""

    sent = 0
    refused = False
    taken: tuple[Any, ...] = ()  # what Discord answers

    def __init__(self, client: discord.Client) -> None:
        super().__init__(client)
        self.by_guild: list[tuple[int, int]] = []  # guild, and the number of its commands
        self.faults: dict[int, int] = {}  # guild -> code of the error that Discord answers

    async def sync(self, *, guild: discord.abc.Snowflake | None = None) -> list[app_commands.AppCommand]:
        if self.refused:
            raise RuntimeError("refused")
        if guild is not None:
            if guild.id in self.faults:
                raise discord.Forbidden(Answer(), {"code": self.faults[guild.id], "message": "no"})  # type: ignore[arg-type]
            self.by_guild.append((guild.id, len(self.get_commands(guild=guild))))
        self.sent += 1
        return list(self.taken)


def tree_of(*names: str, guild_ids: tuple[int, ...] = ()) -> CountingTree:
    tree = CountingTree(discord.Client(intents=discord.Intents.none(), application_id=5))
    for name in names:

        async def nothing(interaction: discord.Interaction) -> None: ...

        command = app_commands.Command(name=name, description=f"does {name}", callback=nothing)
        tree.add_command(command, guilds=[discord.Object(each) for each in guild_ids])
    return tree


async def synced(tree: CountingTree, memory: Store, api_url: str = API_URL) -> bool:
    return await sync_commands(tree, load=memory.load, save=memory.save, api_url=api_url)


async def test_a_changed_command_is_sent_again() -> None:
    memory = Store()
    assert await synced(tree_of("one"), memory)
    assert not await synced(tree_of("one"), memory)
    assert await synced(tree_of("one", "two"), memory)


async def test_another_age_restriction_is_a_change_of_every_list() -> None:
    memory, lists = Store(), (tree_of("one"), tree_of("owner", guild_ids=(8,)))

    async def sent(*, age_restricted: bool) -> list[bool]:
        for tree in lists:
            mark_commands(tree, age_restricted=age_restricted, guild_ids=(8,))
        return [await synced(lists[0], memory), await synced_in_guilds(lists[1], memory, 8)]

    assert await sent(age_restricted=False) == [True, True]
    assert await sent(age_restricted=True) == [True, True]
    assert await sent(age_restricted=True) == [False, False]
    assert await sent(age_restricted=False) == [True, True]


async def test_for_another_api_address_the_list_is_sent_again() -> None:
    memory = Store()
    assert await synced(tree_of("one"), memory)
    assert await synced(tree_of("one"), memory, api_url="http://127.0.0.1:1/api/v10")


async def test_the_ids_that_discord_gave_are_kept_for_processes_that_did_not_send_the_list(scene: Scene) -> None:
    ids = await load_command_ids(
        scene.bot.application_id, load=partial(scene.database.real.read, load_value), api_url=API_URL
    )
    assert ids == {
        f"{kind}:{name}": int(listed["id"]) for (name, kind), listed in scene.env.backend.commands[None].items()
    }
    assert name_of(discord.AppCommandType.message, "Imagine this") in ids


async def test_a_list_that_was_sent_before_ids_were_kept_is_sent_once_more() -> None:
    memory, tree = Store(), tree_of("one")
    tree.taken = (SimpleNamespace(id=2**60 + 1, name="one", type=discord.AppCommandType.chat_input),)
    assert await load_command_ids(5, load=memory.load, api_url=API_URL) == {}
    await synced(tree, memory)
    del memory.values[f"command_ids:5:{API_URL}"]
    assert await synced(tree, memory)
    assert not await synced(tree, memory)
    assert await load_command_ids(5, load=memory.load, api_url=API_URL) == {"1:one": 2**60 + 1}


async def test_a_list_that_discord_refused_is_sent_again() -> None:
    memory, tree = Store(), tree_of("one")
    tree.refused = True
    with pytest.raises(RuntimeError):
        await synced(tree, memory)
    tree.refused = False
    assert await synced(tree, memory)
    assert tree.sent == 1


def test_the_order_of_the_commands_does_not_count_as_a_change() -> None:
    assert fingerprint_of(tree_of("one", "two")) == fingerprint_of(tree_of("two", "one"))


async def synced_in_guilds(tree: CountingTree, memory: Store, *guild_ids: int) -> bool:
    return await sync_guild_commands(tree, guild_ids, load=memory.load, save=memory.save, api_url=API_URL)


async def test_a_servers_own_list_is_sent_when_it_changed_and_emptied_when_it_is_no_longer_wanted() -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(2**60, 8))
    assert await synced_in_guilds(tree, memory, 2**60, 8)
    assert not await synced_in_guilds(tree, memory, 2**60, 8)
    assert tree.by_guild == [(8, 1), (2**60, 1)]
    tree = tree_of("owner", guild_ids=(8,))
    assert await synced_in_guilds(tree, memory, 8)
    assert not await synced_in_guilds(tree, memory, 8)
    assert tree.by_guild == [(2**60, 0)]
    tree = tree_of("owner", "another", guild_ids=(8,))
    assert await synced_in_guilds(tree, memory, 8)
    assert tree.by_guild == [(8, 2)]


async def test_a_servers_own_ids_are_kept_and_go_with_its_list() -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(2**60, 8))
    tree.taken = (SimpleNamespace(id=2**60 + 1, name="owner", type=discord.AppCommandType.chat_input),)
    await synced_in_guilds(tree, memory, 2**60, 8)
    ids = CommandIds(tree.client, memory.load, API_URL)
    await ids.load()
    assert [ids.slash_commands(each) for each in (2**60, 9, None)] == [{"owner": 2**60 + 1}, {}, {}]
    await synced_in_guilds(tree_of("owner", guild_ids=(8,)), memory, 8)
    await ids.load()
    assert (ids.slash_commands(2**60), ids.slash_commands(8)) == ({}, {"owner": 2**60 + 1})


async def test_a_servers_list_that_was_sent_before_its_ids_were_kept_is_sent_once_more() -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(8,))
    await synced_in_guilds(tree, memory, 8)
    del memory.values[f"guild_command_ids:5:{API_URL}"]
    assert await synced_in_guilds(tree, memory, 8)
    assert not await synced_in_guilds(tree, memory, 8)


async def test_a_server_that_the_bot_is_not_in_is_a_warning_and_tried_at_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(7, 8))
    tree.faults = {7: 50001}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert tree.by_guild == [(8, 1)]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "qwen_imagine.commands"]
    assert said == "server 7 has no commands of its own: the bot is not in it"
    tree.faults = {}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert tree.by_guild == [(8, 1), (7, 1)]
    tree = tree_of()
    tree.faults = {7: 50001}
    await synced_in_guilds(tree, memory)
    caplog.clear()
    await synced_in_guilds(tree, memory)
    assert not caplog.records, "what is gone is asked for once"


async def test_any_other_refusal_of_a_servers_list_is_raised_and_what_was_taken_before_is_kept() -> None:
    memory, tree = Store(), tree_of("owner", guild_ids=(7, 8))
    tree.faults = {8: 30034}
    with pytest.raises(discord.Forbidden):
        await synced_in_guilds(tree, memory, 7, 8)
    tree.faults = {}
    assert await synced_in_guilds(tree, memory, 7, 8)
    assert tree.by_guild == [(7, 1), (8, 1)]
