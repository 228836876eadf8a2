"""The unmodified discord.py against the local Discord."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.sandbox.discord_bench import Bench, open_bench, png

EVERYWHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
BOTH_INSTALLS = app_commands.AppInstallationType(guild=True, user=True)


@contextlib.contextmanager
def pointed_at(url: str) -> Iterator[None]:
    """Point discord.py at the local Discord by its two class attributes; put them back afterwards."""
    route, socket = Route, DiscordWebSocket
    before = route.BASE, socket.DEFAULT_GATEWAY
    route.BASE = f"{url}/api/v10"
    socket.DEFAULT_GATEWAY = yarl.URL(url.replace("http", "ws", 1)) / "gateway"
    try:
        yield
    finally:
        route.BASE, socket.DEFAULT_GATEWAY = before


class Again(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"again:(?P<seed>\d+)"):
    def __init__(self, seed: int) -> None:
        super().__init__(discord.ui.Button(label="Again", custom_id=f"again:{seed}"))
        self.seed = seed

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str]
    ) -> Again:
        return cls(int(match["seed"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.edit_message(view=card("pressed", self.seed + 1, interaction.message))


class EditForm(discord.ui.Modal, title="Edit"):
    prompt: discord.ui.Label[Any] = discord.ui.Label(
        text="Prompt", component=discord.ui.TextInput(max_length=50, default="a castle")
    )

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        assert isinstance(self.prompt.component, discord.ui.TextInput)
        await interaction.response.send_message(f"form: {self.prompt.component.value}", ephemeral=True)


def card(text: str, seed: int, image: discord.File | discord.Message | None = None) -> discord.ui.LayoutView:
    view = discord.ui.LayoutView(timeout=None)
    container: discord.ui.Container[Any] = discord.ui.Container(accent_colour=0xAA3300)
    if isinstance(image, discord.File):
        container.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem(image)))
    container.add_item(discord.ui.TextDisplay(text))
    container.add_item(discord.ui.Separator())
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    container.add_item(row.add_item(Again(seed)))
    view.add_item(container)
    return view


class TinyBot(discord.AutoShardedClient):
    """A bot with a command that defers, edits and follows up, a dynamic button, a form, and a command of facts."""

    def __init__(self, *, intents: discord.Intents | None = None, **options: Any) -> None:
        super().__init__(intents=intents or discord.Intents.none(), max_messages=None, **options)
        self.tree = app_commands.CommandTree(self, allowed_installs=BOTH_INSTALLS, allowed_contexts=EVERYWHERE)
        self.seen: list[int] = []
        self.resumed = 0

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Again)

        @self.tree.command(description="Paint")
        async def paint(
            interaction: discord.Interaction, prompt: app_commands.Range[str, 1, 50], seed: int = 1
        ) -> None:
            self.seen.append(interaction.id)
            await interaction.response.defer()
            file = discord.File(io.BytesIO(png(64, 96)), f"castle_{seed}.png", description=prompt)
            await interaction.edit_original_response(attachments=[file], view=card(prompt, seed, file))
            await interaction.followup.send(f"{interaction.user.mention} ready", ephemeral=True)

        @self.tree.command(description="Edit")
        async def edit(interaction: discord.Interaction) -> None:
            await interaction.response.send_modal(EditForm(timeout=5))

        @self.tree.command(description="Tell what the interaction says")
        async def facts(interaction: discord.Interaction) -> None:
            parts = [
                interaction.app_permissions.send_messages,
                interaction.permissions.manage_guild,
                interaction.is_guild_integration(),
                interaction.is_user_integration(),
                interaction.filesize_limit,
                type(interaction.channel).__name__,
                type(interaction.user).__name__,
                interaction.is_expired(),
            ]
            await interaction.response.send_message(" ".join(str(part) for part in parts), ephemeral=True)

        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        return

    async def on_shard_resumed(self, shard_id: int) -> None:
        self.resumed += 1


@contextlib.asynccontextmanager
async def running(bench: Bench, bot: TinyBot, shards: int = 1) -> AsyncIterator[None]:
    with pointed_at(bench.url):
        task = asyncio.create_task(bot.start(bench.discord.token))
        try:
            await bench.actor("mira").wait_for(lambda: len(bench.discord.gateway.connected_shards) == shards)
            yield
        finally:
            await bot.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench() as opened:
        opened.discord.gateway.identify_spacing_ms = 0
        yield opened
        assert opened.discord.violations == []


def texts(message: dict[str, Any]) -> list[str]:
    return [part["content"] for part in message["components"][0]["components"] if part["type"] == 10]


async def test_a_command_is_answered_with_an_image_and_a_private_follow_up(bench: Bench) -> None:
    async with running(bench, TinyBot()):
        mira = bench.actor("mira")
        number = await mira.command("gallery", "paint", prompt="a castle", seed=7)
        shown = await mira.wait_for(lambda: (mira.answer(number) or {}).get("components") and mira.answer(number))
        assert texts(shown) == ["a castle"] and shown["flags"] & (1 << 15)
        item = shown["components"][0]["components"][0]["items"][0]
        assert (item["description"], item["media"]["width"]) == ("a castle", 64)
        async with bench.http.get(item["media"]["url"]) as response:
            assert await response.read() == png(64, 96)
        await mira.wait_for(lambda: len(mira.messages("gallery")) == 2)
        assert len(bench.actor("jonas").messages("gallery")) == 1
        assert [request.method for request in bench.discord.requests[-3:]] == ["POST", "PATCH", "POST"]
        assert not any(request.authorized for request in bench.discord.requests[-3:])


async def test_a_button_works_after_the_bot_has_restarted(bench: Bench) -> None:
    mira = bench.actor("mira")
    async with running(bench, TinyBot()):
        number = await mira.command("dm", "paint", prompt="a boat")
        await mira.wait_for(lambda: len(mira.messages("dm")) == 2)
    async with running(bench, TinyBot()):
        message = mira.answer(number)
        assert message is not None
        await mira.press(int(message["id"]), "Again")
        await mira.wait_for(lambda: texts(mira.answer(number) or message) == ["pressed"])
        assert (mira.answer(number) or {})["components"][0]["components"][2]["components"][0]["custom_id"] == "again:2"


async def test_a_form_is_opened_filled_and_answered(bench: Bench) -> None:
    async with running(bench, TinyBot()):
        jonas = bench.actor("jonas")
        number = await jonas.command("studio", "edit")
        form = await jonas.wait_for(lambda: jonas.form(number))
        answer = await jonas.submit(form, {"Prompt": "two boats"})
        shown = await jonas.wait_for(lambda: jonas.answer(answer))
        assert shown["content"] == "form: two boats" and shown["x_sandbox"]["ephemeral"]


@pytest.mark.parametrize(
    ("person", "channel", "facts"),
    [
        ("mira", "gallery", "True False True True 10485760 TextChannel Member False"),
        ("ada", "no-posting", "False True True True 10485760 TextChannel Member False"),
        ("mira", "sketches", "True False True True 10485760 Thread Member False"),
        ("mira", "dm", "False False False True 10485760 DMChannel User False"),
        ("mira", "pier", "True False False True 10485760 TextChannel Member False"),
        ("mira", "slipway", "False False True True 10485760 TextChannel Member False"),
        ("mira", "night-watch", "True False True True 10485760 Thread Member False"),
    ],
)
async def test_discord_py_reads_permissions_installs_and_channel_from_the_event(
    bench: Bench, person: str, channel: str, facts: str
) -> None:
    async with running(bench, TinyBot()):
        actor = bench.actor(person)
        number = await actor.command(channel, "facts")
        assert (await actor.wait_for(lambda: actor.answer(number)))["content"] == facts


async def test_two_shards_share_the_guilds(bench: Bench) -> None:
    bot = TinyBot(shard_count=2)
    async with running(bench, bot, shards=2):
        mira = bench.actor("mira")
        for channel in ("gallery", "pier", "dm"):
            number = await mira.command(channel, "paint", prompt=channel)
            shown = await mira.wait_for(lambda n=number: (mira.answer(n) or {}).get("components") and mira.answer(n))
            assert texts(shown) == [channel]
        assert set(bot.shards) == {0, 1} and bench.discord.gateway.identifies == 2


async def test_a_dropped_socket_is_resumed_and_a_command_typed_meanwhile_is_answered_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "discord")
    bot = TinyBot()
    async with running(bench, bot):
        mira = bench.actor("mira")
        bench.discord.faults.gateway_close(1006)
        number = await mira.command("gallery", "paint", prompt="meanwhile")
        await mira.wait_for(lambda: len(mira.messages("gallery")) == 2)
        assert bot.seen == [number] and bot.resumed == 1
        assert (bench.discord.gateway.identifies, bench.discord.gateway.resumes) == (1, 1)
        bench.discord.faults.gateway_reconnect()
        await mira.wait_for(lambda: bench.discord.gateway.resumes == 2)


async def test_a_doubled_event_is_received_twice_and_only_the_first_answer_is_accepted(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "discord")
    bot = TinyBot()
    async with running(bench, bot):
        bench.discord.faults.gateway_repeat("INTERACTION_CREATE")
        mira = bench.actor("mira")
        number = await mira.command("gallery", "paint", prompt="twice")
        await mira.wait_for(lambda: len(mira.messages("gallery")) == 2)
        assert bot.seen == [number, number]
        callbacks = [each.status for each in bench.discord.requests if each.path.endswith("/callback")]
        assert sorted(callbacks) == [200, 400]


async def test_discord_py_waits_and_retries_a_rate_limited_edit(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "discord")
    async with running(bench, TinyBot()):
        bench.discord.faults.rest("PATCH", "@original", status=429, retry_after=0.2)
        mira = bench.actor("mira")
        number = await mira.command("gallery", "paint", prompt="patience")
        await mira.wait_for(lambda: len(mira.messages("gallery")) == 2)
        patches = [each.status for each in bench.discord.requests if each.method == "PATCH"]
        assert patches == [429, 200] and texts(mira.answer(number) or {}) == ["patience"]


async def test_the_bots_token_edits_a_message_by_its_id_and_opens_a_dm(bench: Bench) -> None:
    bot = TinyBot()
    async with running(bench, bot):
        mira = bench.actor("mira")
        number = await mira.command("gallery", "paint", prompt="first")
        await mira.wait_for(lambda: len(mira.messages("gallery")) == 2)
        bench.clock.advance(16 * 60)
        place = bot.get_partial_messageable(bench.channel_id("gallery"))
        message_id = int((mira.answer(number) or {})["id"])
        file = discord.File(io.BytesIO(png(8, 8)), "late.png")
        await place.get_partial_message(message_id).edit(
            content=None, embeds=[], attachments=[file], view=card("late", 1, file)
        )
        assert texts(mira.answer(number) or {}) == ["late"]
        dm = await bot.create_dm(discord.Object(bench.discord.people["mira"].id))
        await dm.send(view=card("in the DM", 1))
        assert texts(mira.messages("dm")[-1]) == ["in the DM"]
        bench.discord.closed_dms.add(bench.discord.people["mira"].id)
        with pytest.raises(discord.Forbidden) as refused:
            await dm.send("closed")
        assert refused.value.code == 50007


async def test_discord_py_hears_of_command_permissions_without_an_intent_and_fetches_them(bench: Bench) -> None:
    bot = TinyBot()
    heard: asyncio.Queue[discord.RawAppCommandPermissionsUpdateEvent] = asyncio.Queue()

    @bot.event
    async def on_raw_app_command_permissions_update(event: discord.RawAppCommandPermissionsUpdateEvent) -> None:
        heard.put_nowait(event)

    async with running(bench, bot):
        guild = discord.Object(bench.discord.guild("Lighthouse").id)
        paint = next(each for each in await bot.tree.fetch_commands() if each.name == "paint")
        with pytest.raises(discord.NotFound) as missing:
            await paint.fetch_permissions(guild)
        assert missing.value.code == 10066
        await bench.actor("ada").permit("Lighthouse", "paint", ("channel", "*", False), ("role", "@everyone", True))
        event = await asyncio.wait_for(heard.get(), 60)
        assert (event.target_id, event.guild.id) == (paint.id, guild.id)
        fetched = await paint.fetch_permissions(guild)
        named = [(type(each.target).__name__, each.permission) for each in fetched.permissions]
        assert named == [("AllChannels", False), ("Object", True)]


async def test_discord_py_tells_a_removal_from_an_outage_with_the_guilds_intent(bench: Bench) -> None:
    bot = TinyBot(intents=discord.Intents(guilds=True), guild_ready_timeout=0.05)
    heard: asyncio.Queue[str] = asyncio.Queue()
    for name in ("guild_unavailable", "guild_available", "guild_remove", "guild_join"):

        async def note(guild: discord.Guild, name: str = name) -> None:
            heard.put_nowait(f"{name} {guild.name}")

        setattr(bot, f"on_{name}", note)
    async with running(bench, bot):
        await asyncio.wait_for(bot.wait_until_ready(), 60)
        while not heard.empty():
            heard.get_nowait()
        bench.discord.set_outage("Orchard", True)
        bench.discord.set_outage("Orchard", False)
        await bench.actor("hugo").remove_app("Orchard")
        await bench.actor("hugo").add_app("Orchard")
        told = [await asyncio.wait_for(heard.get(), 60) for _ in range(4)]
        assert told == [f"guild_{what} Orchard" for what in ("unavailable", "available", "remove", "join")]
        bench.discord.set_team({"ada": "admin", "sam": "developer"})
        team = (await bot.application_info()).team
        assert team is not None and team.owner is not None
        assert (team.owner.name, [member.role.name for member in team.members]) == ("ada", ["admin", "developer"])
