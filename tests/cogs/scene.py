"""A virtual Discord with the real cogs, cards, buttons, delivery, service and worker over SQLite.

The worker does not run by itself: a test calls `await scene.step()`. Time passes with
`await scene.env.advance_time(5)`. EventCompleter adds to an interaction what simcord 3.2.1 leaves out (who authorized
the app, the bot's permissions in DMs), as documented (Discord docs: Receiving and Responding, Interaction object).
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import discord
import simcord
from simcord.http import RequestContext, route

from bot import ImagineBot
from credits.allowance import CreditPeriod
from credits.model import Balance
from discord_api.stored_commands import sync_stored_commands
from generations import records
from generations.model import Generation
from services.build import Services, build_services
from services.resources import Resources
from store.database import Database
from tests.doubles import DatabaseInFront, FakeImageStore, ScriptedService, make_settings

DM_PERMISSIONS = discord.Permissions(attach_files=True, embed_links=True, mention_everyone=True)
API_URL = "https://discord.com/api/v10"


@route("GET", "/applications/{application_id}/guilds/{guild_id}/commands/permissions")
def list_command_permissions(context: RequestContext) -> Any:
    """Discord docs: Application Commands, "Get Guild Application Command Permissions"; simcord 3.2.1 has not got it."""
    backend, guild_id = context.backend, context.int_arg("guild_id")
    return [
        {
            "id": str(target),
            "application_id": context.args["application_id"],
            "guild_id": str(guild_id),
            "permissions": list(entries),
        }
        for (where, target), entries in backend.command_permissions.items()
        if where == guild_id
    ]


class SimulatedClock:
    """The virtual Discord's time as the bot's clock. *ahead_seconds*: how far this machine's wall clock is ahead."""

    def __init__(self) -> None:
        self.env: simcord.Env | None = None
        self.ahead_seconds = 0.0

    def now_ms(self) -> int:
        assert self.env is not None
        return int((self.env.now().timestamp() + self.ahead_seconds) * 1000)

    def monotonic(self) -> float:
        assert self.env is not None
        return self.env.backend.clock.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FaultyDatabase(DatabaseInFront):
    """The real database, slow or failing as a test sets it."""

    def __init__(self, real: Database) -> None:
        super().__init__(real)
        self.delays: list[float] = []  # seconds that the next transactions wait first
        self.failures = 0  # how many of the next transactions fail

    @asynccontextmanager
    async def around(self) -> AsyncIterator[None]:
        if self.delays:
            await asyncio.sleep(self.delays.pop(0))
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is gone; its parameters were: a secret prompt")
        yield


class BrokenConnection(dict[str, Any]):
    """A fault for Env.backend.faults: the connection breaks at the next call of *method* to *path* (fnmatch)."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method=method, path=path, times=1)

    def __missing__(self, key: str) -> Any:
        raise ConnectionResetError(key)


@dataclass
class EventCompleter:
    """Completes each interaction before the bot gets it, and can deliver the last one again."""

    env: simcord.Env
    user_install: bool = False  # the app is installed by the person and not in the server
    change: Callable[[dict[str, Any]], None] | None = None
    twice: bool = False  # the next event comes twice at the same moment
    last: dict[str, Any] = field(default_factory=dict[str, Any])
    command_id: int = 0  # the last command's interaction, which is its generation's id

    def __call__(self, event: str, payload: Any) -> None:
        if event != "INTERACTION_CREATE":
            return
        self._complete(payload)
        if self.change is not None:
            self.change(payload)
        self.last = copy.deepcopy(payload)
        if payload["type"] == discord.InteractionType.application_command.value:
            self.command_id = int(payload["id"])
        if self.twice:
            self.twice = False
            self.env.backend.emit(event, copy.deepcopy(payload))

    def _complete(self, payload: dict[str, Any]) -> None:
        person = payload.get("user") or payload["member"]["user"]
        if self.user_install:
            payload["authorizing_integration_owners"] = {"1": person["id"]}
        elif "guild_id" in payload:
            payload["authorizing_integration_owners"] = {"0": payload["guild_id"]}
        else:
            payload["authorizing_integration_owners"] = {"0": "0"}
        if "guild_id" not in payload:
            payload["app_permissions"] = str(DM_PERMISSIONS.value)

    async def deliver_anew(self, earlier: dict[str, Any], person_id: int) -> simcord.InteractionResult:
        """Deliver *earlier* anew, as by a client that still shows the message as it was then. Return its result."""
        backend, payload = self.env.backend, copy.deepcopy(earlier)
        record = backend.new_interaction(
            payload["type"], int(payload["channel_id"]), person_id, int(payload["guild_id"])
        )
        record.source_message_id = int(payload["message"]["id"])
        payload.update(id=str(record.id), token=record.token)
        payload["member"]["user"]["id"] = str(person_id)
        backend.emit("INTERACTION_CREATE", payload)
        await self.env.settle()
        return simcord.InteractionResult(self.env, record)

    async def deliver_again(self) -> None:
        """Deliver the last event a second time, as the gateway may (Discord docs: Reference, "N times")."""
        change, self.change = self.change, None
        self.env.backend.emit("INTERACTION_CREATE", copy.deepcopy(self.last))
        self.change = change
        await self.env.settle()


class SceneBot(ImagineBot):
    """The bot, with each cog's module run once for all tests.

    discord.py runs it anew for each bot, which takes a quarter of the time of the tests in this folder.
    tests/integration/test_login.py loads the cogs as discord.py does.
    """

    async def load_extension(self, name: str, *, package: str | None = None) -> None:
        """Set up the cog in the module *name*."""
        await importlib.import_module(name, package).setup(self)


class Scene:
    """One server with a channel and three people, the bot and its services."""

    env: simcord.Env
    bot: ImagineBot
    services: Services
    completer: EventCompleter
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor
    bob: simcord.MemberActor
    moderator: simcord.MemberActor

    def __init__(
        self,
        database: Database,
        *,
        allowance: int,
        period: CreditPeriod,
        max_queue: int,
        requests_per_minute: int,
        **settings: Any,
    ) -> None:
        self.clock = SimulatedClock()
        self.database = FaultyDatabase(database)
        self.settings = make_settings(
            credits_per_period=allowance,
            credit_period=period,
            max_queue=max_queue,
            requests_per_minute=requests_per_minute,
            **settings,
        )
        self.service = ScriptedService(self.clock)  # type: ignore[arg-type]
        self.image_store = FakeImageStore()
        self.start_process()

    def start_process(self) -> None:
        """Build a bot and its services, as a new process does."""
        resources = Resources(
            self.database,
            shared=False,
            service=self.service,
            store=self.image_store,
            clock=self.clock,
            rng=random.Random(7),
            owner="scene",
        )
        self.bot = SceneBot()
        self.services = build_services(self.settings, resources, self.bot)

    def people(self) -> None:
        self.guild = self.env.create_guild()
        self.channel = self.guild.create_text_channel("general")
        may_manage = self.guild.create_role("moderator", permissions=discord.Permissions(manage_messages=True))
        self.alice = self.guild.add_member(self.env.create_user("alice"))
        self.bob = self.guild.add_member(self.env.create_user("bob"))
        self.moderator = self.guild.add_member(self.env.create_user("moderator"), roles=[may_manage])

    # -- what a test does --------------------------------------------------------------------------------------

    async def imagine(self, prompt: str = "a lighthouse in a storm", **options: Any) -> simcord.InteractionResult:
        """Alice types /imagine in the channel."""
        return await self.alice.slash(self.channel, "imagine", prompt=prompt, **options)

    async def step(self) -> int:
        """Do one step of the worker, and wait for everything that it started."""
        with self.env.time_context():
            done = await self.services.worker.step()
        await self.env.settle()
        return done

    async def restart(self, **settings: Any) -> None:
        """Replace the bot by a new process, with other *settings*. The database and Discord stay."""
        self.settings = replace(self.settings, **settings)
        self.start_process()
        await self.env.restart_bot(self.bot)
        await self.services.command_ids.load()

    async def sync(self) -> bool:
        """Send Discord the command lists that changed."""
        sent = await sync_stored_commands(
            *(self.bot.tree, self.database.real, API_URL),
            clock=self.clock,
            holder="scene",
            guild_ids=self.settings.owner_guilds,
        )
        await self.services.command_ids.load()
        return sent

    # -- what a test reads ----------------------------------------------------------------------------------

    def mention(self, command: str) -> str:
        """Return the mention of a command or subcommand, with the id that Discord gave it."""
        return f"</{command}:{self.env.backend.commands[None][command.split()[0], 1]['id']}>"

    async def balance(self, person: simcord.MemberActor | simcord.UserHandle) -> Balance:
        return await self.database.real.run(self.services.ledger.balance, person.id, self.clock.now_ms())

    async def generation(self, generation_id: int) -> Generation | None:
        return await self.database.real.run(records.load, generation_id)

    async def only_generation(self) -> Generation:
        """Return the generation of the last /imagine."""
        found = await self.generation(self.completer.command_id)
        assert found is not None
        return found

    def posts(self) -> list[discord.Message]:
        """Return the messages that everybody sees in the channel."""
        return [message for message in self.channel.history() if not message.flags.ephemeral]

    async def ledger_is_sound(self) -> bool:
        return not await self.database.real.run(self.services.ledger.audit)


@asynccontextmanager
async def open_scene(
    database: Database,
    *,
    allowance: int = 50,
    period: CreditPeriod = CreditPeriod.DAY,
    max_queue: int = 500,
    requests_per_minute: int = 0,
    **settings: Any,
) -> AsyncIterator[Scene]:
    """Open a scene. When it ends, the ledger must be sound."""
    scene = Scene(
        database,
        allowance=allowance,
        period=period,
        max_queue=max_queue,
        requests_per_minute=requests_per_minute,
        **settings,
    )
    # Refusals are exceptions too; the log tells faults apart.
    env = simcord.Env(scene.bot, shard_count=1, check_errors=False, settle_timeout=120)
    scene.clock.env = scene.env = env  # the bot reads the clock while it starts
    await env.start()
    await sync_stored_commands(scene.bot.tree, database, API_URL, clock=scene.clock, holder="scene")
    await scene.services.command_ids.load()
    try:
        scene.completer = EventCompleter(env)
        env.backend.subscribers.insert(0, scene.completer)
        scene.people()
        yield scene
        assert await scene.ledger_is_sound()
    finally:
        await env.shutdown()


def words(message: simcord.ResponseMessage | discord.Message | None) -> str:
    """Return everything that can be read in a message, Components V2 or plain."""
    assert message is not None
    if message.content:
        return message.content
    components = message.components
    plain = [part if isinstance(part, dict) else part.to_dict() for part in components]
    return "\n".join(_texts(plain))


def _texts(components: list[Any]) -> Iterator[str]:
    for component in components:
        if component.get("type") == 10:
            yield component["content"]
        yield from _texts(component.get("components") or [])


def private_words(result: simcord.InteractionResult) -> str:
    """Return the text of the response in *result*, which must be private and the only one."""
    said = [message for message in (result.response, *result.followups) if message is not None]
    assert [message.ephemeral for message in said] == [True], said
    return words(said[0])
