"""LocalDiscord: builds the parts and adds them to an aiohttp application."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from aiohttp import web

from sandbox.clock import Clock
from sandbox.local_discord.faults import Faults
from sandbox.local_discord.gateway.gateway import Gateway
from sandbox.local_discord.media.cdn import Cdn
from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.interactions import InteractionPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.people.actor import Actor
from sandbox.local_discord.people.client_context import ChangeSignal, ClientContext
from sandbox.local_discord.people.live_feed import LiveFeed
from sandbox.local_discord.people.routes import PeopleRoutes
from sandbox.local_discord.recording import RecordedRequest, Recording, Violation
from sandbox.local_discord.rest.applications import ApplicationRoutes
from sandbox.local_discord.rest.channels import ChannelRoutes
from sandbox.local_discord.rest.command_permissions import CommandPermissionRoutes
from sandbox.local_discord.rest.guilds import GuildRoutes
from sandbox.local_discord.rest.interactions import InteractionRoutes
from sandbox.local_discord.rest.server import PREFIX, Rest
from sandbox.local_discord.rules.entitlements import Entitlements
from sandbox.local_discord.rules.interactions import Interactions
from sandbox.local_discord.rules.messages import Messages
from sandbox.local_discord.state.model import Channel, Guild, Json, Person
from sandbox.local_discord.state.permissions import Overwrite
from sandbox.local_discord.state.state import State

SWEEP_SECONDS = 0.05


class LocalDiscord:
    """One local Discord. *rng* makes tokens and session ids."""

    def __init__(self, clock: Clock, *, rng: random.Random) -> None:
        self._public_url: Callable[[], str] = lambda: "http://127.0.0.1"
        self._state = State(clock, rng)
        self._recording = Recording(clock)
        self.cdn = Cdn(clock, rng.randbytes(32), lambda: self._public_url())
        payloads = self._payloads = Payloads(self._state, self.cdn)
        channel_payloads = ChannelPayloads(self._state, payloads)
        bodies = InteractionPayloads(self._state, payloads, channel_payloads)
        messages = Messages(self._state, self.cdn)
        self._interactions = Interactions(self._state, messages, bodies)
        self.gateway = Gateway(
            self._state, payloads, channel_payloads, bodies, self._recording, lambda: self.gateway_url
        )
        self.faults = Faults(self.gateway, self._state.lies)
        self._context = ClientContext(
            self._state, messages, self._interactions, payloads, channel_payloads, ChangeSignal(self._state)
        )
        self._live_feed = LiveFeed(self._state, payloads, channel_payloads)
        self.entitlements = Entitlements(self._state)
        applications = ApplicationRoutes(
            self._state,
            payloads,
            self.entitlements,
            lambda: self.gateway_url,
            self.gateway.start_limit,
            lambda: self.gateway.shards,
            owner="olga",
        )
        routes = [
            *InteractionRoutes(self._interactions, payloads, bodies).routes(),
            *ChannelRoutes(self._state, messages, payloads, channel_payloads).routes(),
            *applications.routes(),
            *CommandPermissionRoutes(self._state).routes(),
            *GuildRoutes(self._state, payloads, channel_payloads).routes(),
        ]
        self.rest = Rest(routes, clock, self._recording, self.faults, lambda: self.token)

    @property
    def token(self) -> str:
        """The only bot token that is accepted. It is made anew when the bot has identified too often."""
        return self._state.token

    @property
    def application_id(self) -> int:
        return self._state.application_id

    @property
    def people(self) -> Mapping[str, Person]:
        return self._state.people

    @property
    def channels(self) -> Mapping[str, Channel]:
        """Channels by name; the DM of the bot with mira is "dm-mira"."""
        return self._state.channels

    @property
    def commands(self) -> list[Json]:
        """The application's global commands."""
        return list(self._state.commands[None])

    @property
    def requests(self) -> list[RecordedRequest]:
        return self._recording.requests

    @property
    def violations(self) -> list[Violation]:
        return self._recording.violations

    @property
    def closed_dms(self) -> set[int]:
        """Ids of people to whom the bot cannot write (403/50007)."""
        return self._state.closed_dms

    @property
    def is_connected(self) -> bool:
        """Whether the bot has an identified gateway session with a socket."""
        return self.gateway.connected

    @property
    def api_url(self) -> str:
        return f"{self._public_url()}{PREFIX}"

    @property
    def gateway_url(self) -> str:
        return f"{self._public_url().replace('http', 'ws', 1)}/gateway"

    def actor(self, person: str) -> Actor:
        """Return a person by name or id. Raises KeyError for an unknown one."""
        found = self._state.person(person)
        if found is None:
            raise KeyError(person)
        return Actor(found, self._context)

    def set_attachment_size_limit(self, size: int) -> None:
        """Set how many bytes one file may have in interactions from now on (a boosted server, a subscriber)."""
        self._state.attachment_size_limit = size

    def limit_new_dms(self, count: int, seconds: int) -> None:
        """Let the bot open (or ask for) *count* direct messages in *seconds*; more are refused with 403/40003. Seen on
        Discord, which publishes no numbers."""
        self._state.new_dm_limit = (count, seconds)

    def deny(self, channel: str, permissions: int) -> None:
        """Deny the bot user *permissions* in a channel, from now on. Raises KeyError for an unknown one."""
        found, mine = self._state.channels[channel], Overwrite(self.application_id, 1, allow=0, deny=permissions)
        self._state.save_channel(replace(found, overwrites=(*found.overwrites, mine)))

    @property
    def minors(self) -> set[int]:
        """Ids of people under 18: age-restricted commands are not for them."""
        return self._state.minors

    @property
    def age_restricted_dms(self) -> set[int]:
        """Ids of people who enabled age-restricted commands in direct messages; nobody has at the start."""
        return self._state.age_restricted_dms

    @property
    def portal(self) -> Json:
        """Fields of the application that differ from those of a well-configured one, as in the developer portal."""
        return self._state.portal

    def set_team(self, members: Mapping[str, str]) -> None:
        """Give the application to a team: people's names with "admin", "developer" or "read_only", its owner first;
        empty: to one person again. Raises KeyError for an unknown name.
        """
        self._state.team = {self._state.people[name].id: role for name, role in members.items()}

    def set_outage(self, guild: str, unavailable: bool) -> None:
        """Begin or end an outage of a guild by its name, as Discord has them. Raises KeyError for an unknown one."""
        self._state.set_outage(self.guild(guild).id, unavailable)

    @property
    def guilds(self) -> list[Guild]:
        return list(self._state.guilds.values())

    def has_outage(self, guild: str) -> bool:
        return self.guild(guild).id in self._state.unavailable_guilds

    def guild(self, name: str) -> Guild:
        """Return a guild by its name. Raises KeyError for an unknown one."""
        return {guild.name: guild for guild in self.guilds}[name]

    def archive(self, thread: str) -> None:
        """Archive a thread by name; the next message in it opens it again. Raises KeyError for no such thread."""
        channel = self._state.channels[thread]
        if not channel.is_thread:
            raise KeyError(thread)
        self._state.archived_threads.add(channel.id)

    def attach(self, app: web.Application, public_url: Callable[[], str]) -> None:
        """Add /api/v10/*, /gateway, /cdn/* and /sandbox/*. *public_url* gives the server's address once it listens."""
        self._public_url = public_url
        app.router.add_route("*", f"{PREFIX}/{{path:.*}}", self.rest.serve)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_get("/cdn/{path:.*}", self._serve_file)
        PeopleRoutes(self._state, self._live_feed, self._recording, lambda person: Actor(person, self._context)).attach(
            app
        )
        app.cleanup_ctx.append(self._sweeping)
        app.on_shutdown.append(self._on_shutdown)

    async def close(self) -> None:
        """Close all websockets."""
        await self.gateway.close()
        self._live_feed.close()

    async def _on_shutdown(self, app: web.Application) -> None:
        await self.close()

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sweep())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _sweep(self) -> None:
        """Check deadlines every 50 ms: they follow the sandbox's clock, which can jump, so sleeping until
        one is wrong.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._interactions.sweep()

    async def _serve_file(self, request: web.Request) -> web.Response:
        """Serve a file; 404 for an address that is unknown, changed or expired, as on Discord's CDN."""
        found = self.cdn.find(request.path, request.query)
        if found is None:
            return web.Response(status=404, text="This content is no longer available.")
        headers = {"Content-Type": found.content_type, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=found.data, headers=headers)
