"""LocalDiscord: puts the parts together and hangs them into an aiohttp application. Knows no rules itself."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import web

from sandbox.local_discord.faults import Faults
from sandbox.local_discord.gateway.gateway import Gateway
from sandbox.local_discord.media.cdn import Cdn
from sandbox.local_discord.payloads.channels import Places
from sandbox.local_discord.payloads.interactions import InteractionPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.people.actor import Actor
from sandbox.local_discord.people.context import Changes, Stage
from sandbox.local_discord.people.live_feed import Audience
from sandbox.local_discord.people.routes import PeopleRoutes
from sandbox.local_discord.recording import RecordedRequest, Recording, Violation
from sandbox.local_discord.rest.applications import ApplicationRoutes
from sandbox.local_discord.rest.channels import ChannelRoutes
from sandbox.local_discord.rest.interactions import InteractionRoutes
from sandbox.local_discord.rest.server import PREFIX, Rest
from sandbox.local_discord.rules.entitlements import Entitlements
from sandbox.local_discord.rules.interactions import Interactions
from sandbox.local_discord.rules.messages import Messages
from sandbox.local_discord.state.model import Channel, ChannelKind, Person
from sandbox.local_discord.state.snowflakes import Clock
from sandbox.local_discord.state.state import State

SWEEP_SECONDS = 0.05


class LocalDiscord:
    """One local Discord. `token` is the only bot token it accepts; `rng` decides tokens and session ids."""

    def __init__(self, clock: Clock, *, rng: random.Random) -> None:
        self._public_url: Callable[[], str] = lambda: "http://127.0.0.1"
        self._state = State(clock, rng)
        self._recording = Recording(clock)
        self.token = _make_token(self._state.application_id, rng)
        self.cdn = Cdn(clock, rng.randbytes(32), lambda: self._public_url())
        payloads = self._payloads = Payloads(self._state, self.cdn)
        places = Places(self._state, payloads)
        bodies = InteractionPayloads(self._state, payloads, places)
        messages = Messages(self._state, self.cdn)
        self._interactions = Interactions(self._state, messages, bodies)
        self.gateway = Gateway(
            self._state, payloads, places, bodies, self._recording, self.token, lambda: self.gateway_url
        )
        self.faults = Faults(self.gateway)
        self._stage = Stage(self._state, messages, self._interactions, payloads, places, Changes(self._state))
        self._audience = Audience(self._state, payloads, places)
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
            *ChannelRoutes(self._state, messages, payloads, places).routes(),
            *applications.routes(),
        ]
        self.rest = Rest(routes, clock, self._recording, self.faults, self.token)

    @property
    def application_id(self) -> int:
        return self._state.application_id

    @property
    def people(self) -> Mapping[str, Person]:
        return self._state.people

    @property
    def channels(self) -> Mapping[str, Channel]:
        """By name; the DM of the bot with mira is "dm-mira"."""
        return self._state.channels

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
        """Whether a bot holds an identified gateway session."""
        return self.gateway.connected

    @property
    def gateway_url(self) -> str:
        return f"{self._public_url().replace('http', 'ws', 1)}/gateway"

    def actor(self, person: str) -> Actor:
        """A person by name or id. Raises KeyError for nobody."""
        found = self._state.person(person)
        if found is None:
            raise KeyError(person)
        return Actor(found, self._stage)

    def set_attachment_size_limit(self, size: int) -> None:
        """Bytes of one file in interactions from now on (a boosted server, a subscriber)."""
        self._state.attachment_size_limit = size

    def tell_attachment_ids(self, told: bool) -> None:
        """Whether answers to REST calls name the ids of attachments, as Discord's do; without, nothing there does."""
        self._payloads.tells_attachment_ids = told

    def limit_dm_openings(self, count: int, seconds: int) -> None:
        """Let the bot open (or ask for) *count* direct messages in *seconds*; more are 403 with 40003, as was seen on
        Discord, which names no numbers."""
        self._state.dm_openings = (count, seconds)

    def archive(self, thread: str) -> None:
        """Archives a thread by name; the next message in it opens it again. Raises KeyError for no such thread."""
        channel = self._state.channels[thread]
        if channel.kind is not ChannelKind.THREAD:
            raise KeyError(thread)
        self._state.archived_threads.add(channel.id)

    def attach(self, app: web.Application, public_url: Callable[[], str]) -> None:
        """Adds /api/v10/*, /gateway, /cdn/* and the people's routes. `public_url()` is asked once the port is known."""
        self._public_url = public_url
        app.router.add_route("*", f"{PREFIX}/{{path:.*}}", self.rest.serve)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_get("/cdn/{path:.*}", self._serve_file)
        PeopleRoutes(self._state, self._audience, self._recording, lambda person: Actor(person, self._stage)).attach(
            app
        )
        app.cleanup_ctx.append(self._sweeping)
        app.on_shutdown.append(self._on_shutdown)

    async def close(self) -> None:
        """Ends all sockets."""
        await self.gateway.close()
        self._audience.close()

    async def _on_shutdown(self, app: web.Application) -> None:
        await self.close()

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sweep())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _sweep(self) -> None:
        """Deadlines follow the clock, which can be moved: so it is looked at often instead of slept for."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._interactions.sweep()

    async def _serve_file(self, request: web.Request) -> web.Response:
        """404 for an address that is unknown, tampered with or expired, as Discord's CDN answers."""
        found = self.cdn.find(request.path, request.query)
        if found is None:
            return web.Response(status=404, text="This content is no longer available.")
        headers = {"Content-Type": found.content_type, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=found.data, headers=headers)


def _make_token(application_id: int, rng: random.Random) -> str:
    """Three parts as in a real one: the id, a time, a signature."""

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    return f"{encode(str(application_id).encode())}.{encode(rng.randbytes(4))}.{encode(rng.randbytes(28))}"
