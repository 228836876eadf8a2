"""Calls of one short run against the real Discord, each made once, with what Discord answered word for word.

discord.py tries a call again after a 5xx, for half a minute; here a 5xx is an answer like any other. For
`python bot.py doctor --live`; the bot itself uses none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import discord
from discord import ui
from discord.gateway import ReconnectWebSocket

from discord_api.endpoints import point_library_at, read_leniently
from discord_api.errors import NO_ANSWER, UnreadableAnswer, asking
from discord_api.follow_ups import send_follow_up
from discord_api.gateway import OPEN_SECONDS, GatewaySocket, close
from discord_api.shards import Shards
from generations.clock import Clock, done_within

T = TypeVar("T")
SentMessage = discord.Message
Buttons = list[ui.Item[Any]]

NOBODY = discord.AllowedMentions.none()
RATE_LIMIT_SECONDS = 60.0  # a call that would have to wait longer is not made
IDENTIFY_TRIES = 3
IDENTIFY_AGAIN_SECONDS = 6.0  # Discord takes one IDENTIFY in 5 s (Discord docs: Gateway, "Rate Limiting")
# Not a prefix of any button of the bot: a bot that runs meanwhile gets the press too, and leaves it alone.
PRESS_PREFIX = "doctor:press:"
# The most that app_permissions hold in a server that has the commands without the bot (Discord docs: Change Log,
# 2024-06-27).
COMMANDS_ONLY = discord.Permissions(attach_files=True, embed_links=True, mention_everyone=True, external_emojis=True)


class LoginFailed(Exception):
    """Discord did not answer the login, or not as it should. The text says what came instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the last request of one call. *status*: of HTTP; None: none came, and *words* name the fault.

    *words*: the body, as it came. *milliseconds*: how long the answer took.
    """

    status: int | None
    words: str = field(default="", repr=False)
    milliseconds: int = 0

    @property
    def code(self) -> int:
        """Discord's own code in the body; 0 without one."""
        try:
            code = json.loads(self.words)["code"]
        except (ValueError, LookupError, TypeError):
            return 0
        return code if isinstance(code, int) else 0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Tried(Generic[T]):
    """What a call returned, None where it failed, and Discord's answer."""

    value: T | None
    answer: Answer


class RecordedSession:
    """Stand in for discord.py's HTTP session: note each answer, and raise at once for a 5xx."""

    def __init__(self, session: Any, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.last: Answer | None = None

    @contextlib.asynccontextmanager
    async def request(self, method: str, url: str, **options: Any) -> AsyncGenerator[Any]:
        began = self._clock.monotonic()
        async with self._session.request(method, url, **options) as response:
            words = await response.text("utf-8", "replace")  # the response keeps the bytes for discord.py
            took = round((self._clock.monotonic() - began) * 1000)
            self.last = Answer(response.status, words, took)
            if response.status >= 500:
                raise discord.DiscordServerError(response, words)
            yield response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What Discord tells of a channel. *guild_id* None: a direct message."""

    id: int
    type: int
    guild_id: int | None


@dataclass(frozen=True, slots=True)
class Press:
    """A press of the button, as it came by the gateway. *permissions*: app_permissions as a number."""

    interaction: discord.Interaction[Any] = field(repr=False)
    id: int
    token: str = field(repr=False)
    user_id: int
    permissions: int
    attachment_size_limit: int

    @property
    def may_attach(self) -> bool:
        """Whether app_permissions have Attach Files."""
        has = discord.Permissions(self.permissions)
        return has.attach_files or has.administrator

    @property
    def may_embed(self) -> bool:
        """Whether app_permissions have Embed Links."""
        has = discord.Permissions(self.permissions)
        return has.embed_links or has.administrator

    @property
    def is_of_commands_alone(self) -> bool:
        """Whether app_permissions hold no more than in a server that has the commands without the bot."""
        return discord.Permissions(self.permissions) <= COMMANDS_ONLY


class LiveClient(discord.Client):
    """A client without intents that waits for a press of one button. Log in by open_client()."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(
            intents=discord.Intents.none(),
            max_messages=None,
            allowed_mentions=NOBODY,
            max_ratelimit_timeout=RATE_LIMIT_SECONDS,
        )
        self.clock = clock
        self.recorded: RecordedSession
        self._custom_id = ""
        self._shard_id = 0
        self._pressed: asyncio.Future[Press] | None = None

    async def attempt(self, call: Awaitable[T], register: Callable[[Tried[T]], None] = lambda _: None) -> Tried[T]:
        """Await *call*, and return what it returned with Discord's last answer, after handing both to *register*.

        A call that was begun goes on to its end if the caller is cancelled, so that what it makes is known:
        CancelledError is raised afterwards. Raises what is no answer of Discord's: a fault of the bot's own.
        """
        task, cancelled = asyncio.ensure_future(self._attempt(call)), False
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                cancelled = True
        register(task.result())
        if cancelled:
            raise asyncio.CancelledError
        return task.result()

    async def _attempt(self, call: Awaitable[T]) -> Tried[T]:
        self.recorded.last = None
        try:
            with asking(self):
                value = await call
        except discord.HTTPException:
            return Tried(None, self.recorded.last or Answer(None, "no answer"))
        except NO_ANSWER as error:
            return Tried(None, _unanswered(error, self.recorded.last))
        return Tried(value, self.recorded.last or Answer(None, "no request was made"))

    async def find_channel(self, channel_id: int) -> Tried[ChannelFacts]:
        """Fetch a channel."""

        async def fetch() -> ChannelFacts:
            found: Any = await self.http.get_channel(channel_id)
            guild_id = found.get("guild_id")
            return ChannelFacts(int(found["id"]), int(found["type"]), None if guild_id is None else int(guild_id))

        return await self.attempt(fetch())

    def press_button(self, custom_id: str, label: str) -> Buttons:
        """Build the button that expect_press() waits for."""
        self._custom_id = custom_id
        self._pressed = asyncio.get_running_loop().create_future()
        return [ui.Button(label=label, style=discord.ButtonStyle.primary, custom_id=custom_id)]

    async def expect_press(self, seconds: float) -> Press | None:
        """Wait for a press of the button by anybody; None: it did not come in so many *seconds*."""
        pressed = self._pressed
        if pressed is None:
            return None
        return pressed.result() if await done_within(pressed, seconds, self.clock) else None

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Called by discord.py for each interaction: note the first press of our button, leave the rest to the bot."""
        data = cast("dict[str, Any]", interaction.data or {})
        if self._pressed is None or self._pressed.done() or data.get("custom_id") != self._custom_id:
            return
        self._pressed.set_result(
            Press(
                interaction,
                interaction.id,
                interaction.token,
                interaction.user.id,
                interaction.app_permissions.value,
                interaction.filesize_limit,
            )
        )

    @contextlib.asynccontextmanager
    async def listening(self, guild_id: int | None, shards: Shards | None) -> AsyncGenerator[str]:
        """Hold a gateway session of the shard that has the guild. Yields "", or why there is no session.

        *shards*: as the settings divide them; None: as many as Discord recommends. A session of a running bot goes on
        beside it (Discord docs: Gateway, "Sharding").
        """
        socket, fault = await self._identify(guild_id, shards)
        if socket is None:
            yield fault
            return
        reading = asyncio.create_task(_read(socket), name="gateway")
        try:
            yield ""
        finally:
            reading.cancel()
            await asyncio.wait({reading})
            await close(socket, 1000)

    def hears(self, guild_id: int | None) -> bool:
        """Whether a press in that guild comes by the session that listening() holds."""
        return _shard_of(guild_id, self.shard_count or 1) == self._shard_id

    async def _identify(self, guild_id: int | None, shards: Shards | None) -> tuple[GatewaySocket | None, str]:
        """Return a socket that is READY, or None and why. An IDENTIFY too soon after the bot's is sent once more."""
        fault = ""
        for tries in range(IDENTIFY_TRIES):
            if tries:
                await self.clock.sleep(IDENTIFY_AGAIN_SECONDS)
            try:
                with asking(self):
                    count = shards.count if shards is not None else int((await self.http.get_bot_gateway())[0])
                    return await self._open_socket(_shard_of(guild_id, count), count), ""
            except (discord.HTTPException, discord.ConnectionClosed, ReconnectWebSocket, *NO_ANSWER) as error:
                fault = f"{type(error).__name__}: {error}"
        return None, fault

    async def _open_socket(self, shard_id: int, count: int) -> GatewaySocket:
        """Open a session of one shard of *count*. Returns once READY came."""
        self._shard_id = shard_id
        self.shard_count = self._connection.shard_count = count
        async with asyncio.timeout(OPEN_SECONDS), contextlib.AsyncExitStack() as unless_ready:
            socket = await GatewaySocket.from_client(self, initial=True, shard_id=shard_id)
            unless_ready.push_async_callback(close, socket, 1000)
            while socket.session_id is None:
                await socket.poll_event()
            unless_ready.pop_all()
        return socket

    async def defer(self, press: Press, register: Callable[[Tried[int]], None]) -> Tried[int]:
        """Answer a press with "thinking…", for all to see. Returns the id of that message, 0 if it is not told."""

        async def send() -> int:
            taken = await press.interaction.response.defer(thinking=True)
            return (taken.message_id if taken is not None else None) or 0

        return await self.attempt(send(), register)

    async def edit_response(
        self, press: Press, view: ui.LayoutView, files: Sequence[discord.File]
    ) -> Tried[SentMessage]:
        """Edit the response to a press by its token, as @original, and upload *files*."""
        editing = press.interaction.edit_original_response(view=view, attachments=files, allowed_mentions=NOBODY)
        return await self.attempt(cast("Awaitable[SentMessage]", editing))

    async def whisper(self, press: Press, text: str) -> SentMessage:
        """Send a follow-up that only the person who pressed sees. Raises as discord.py does."""
        application_id = press.interaction.application_id
        return await send_follow_up(
            self, application_id, press.token, ephemeral=True, content=text, allowed_mentions=NOBODY
        )

    async def delete(self, channel_id: int, message_id: int) -> Tried[None]:
        """Delete a message with the bot's own token."""
        return await self.attempt(self.get_partial_messageable(channel_id).get_partial_message(message_id).delete())

    async def delete_by_token(self, application_id: int, token: str, message_id: int) -> Tried[None]:
        """Delete a message of an interaction with its token; 0: its response (Discord docs: "Delete Original
        Interaction Response"; the library's type knows numbers only)."""
        webhook = discord.Webhook.partial(application_id, token, client=self)
        return await self.attempt(webhook.delete_message(cast("Any", message_id or "@original")))

    async def send_view(self, channel: ChannelFacts, view: ui.LayoutView) -> SentMessage:
        """Post a new message with the bot's own token. Raises as discord.py does."""
        return await self.get_partial_messageable(channel.id).send(view=view, allowed_mentions=NOBODY)

    async def edit(
        self,
        message: SentMessage,
        view: ui.LayoutView,
        attachments: Sequence[discord.Attachment | discord.File],
    ) -> Tried[SentMessage]:
        """Edit a message with the bot's own token."""
        partial = self.get_partial_messageable(message.channel.id).get_partial_message(message.id)
        return await self.attempt(partial.edit(view=view, attachments=attachments, allowed_mentions=NOBODY))


@contextlib.asynccontextmanager
async def open_client(clock: Clock, token: str, *, api_url: str, gateway_url: str) -> AsyncGenerator[LiveClient]:
    """Log in, once, and yield the client. Raises discord.LoginFailure for a refused token, and LoginFailed."""
    point_library_at(api_url, gateway_url)
    read_leniently()
    client = LiveClient(clock)
    async with client:
        try:
            with asking(client):
                await client.login(token)
        except (discord.HTTPException, *NO_ANSWER) as error:
            raise LoginFailed(f"{type(error).__name__}: {error}") from error
        client.recorded = record(client, clock)
        yield client


def record(client: discord.Client, clock: Clock) -> RecordedSession:
    """Put a RecordedSession in the place of the session of *client*, which is logged in.

    discord.py 2.7.1 has no option for it: its webhooks and interactions read this attribute too (webhook/async_.py,
    `Webhook.partial`; interactions.py, `_from_data`). Raises RuntimeError where another release has none.
    """
    http, name = client.http, "_HTTPClient__session"
    if not hasattr(http, name):
        raise RuntimeError("this release of discord.py names its session differently; requirements.txt pins 2.7.1")
    recorded = RecordedSession(getattr(http, name), clock)
    setattr(http, name, recorded)
    return recorded


def build_text_view(text: str) -> ui.LayoutView:
    """Build a message of one text."""
    return ui.LayoutView(timeout=None).add_item(ui.TextDisplay(text))


def build_gallery_view(references: Sequence[str], description: str | None) -> ui.LayoutView:
    """Build a gallery in which all images have one *description*."""
    items = [discord.MediaGalleryItem(reference, description=description) for reference in references]
    return ui.LayoutView(timeout=None).add_item(ui.MediaGallery(*items))


def build_menu_view(labels: Sequence[str], menus: int) -> ui.LayoutView:
    """Build *menus* menus that nobody can use, each with all *labels*."""
    view = ui.LayoutView(timeout=None)
    for menu in range(menus):
        options = [discord.SelectOption(label=label, value=str(at)) for at, label in enumerate(labels)]
        view.add_item(ui.ActionRow(ui.Select(custom_id=f"{PRESS_PREFIX}{menu}", options=options, disabled=True)))
    return view


def build_files(images: Sequence[tuple[str, bytes]], description: str | None) -> list[discord.File]:
    """Build files of (name, bytes), all with one *description*, new each time: a file can be sent once only."""
    return [discord.File(io.BytesIO(data), name, description=description) for name, data in images]


def _unanswered(error: BaseException, last: Answer | None) -> Answer:
    """Return what to say of a call that ended with *error*; *last*: the answer to one of its requests, if any came."""
    if isinstance(error, UnreadableAnswer) and last is not None:
        return Answer(None, f"discord.py can't read HTTP {last.status}: {last.words}", last.milliseconds)
    return Answer(None, type(error).__name__)


def _shard_of(guild_id: int | None, count: int) -> int:
    """Return the shard that has a guild, 0 for direct messages (Discord docs: Gateway, "Sharding Formula")."""
    return ((guild_id or 0) >> 22) % count


async def _read(socket: GatewaySocket) -> None:
    """Handle the events of *socket* until it ends."""
    with contextlib.suppress(discord.ConnectionClosed, ReconnectWebSocket, *NO_ANSWER):
        while True:
            await socket.poll_event()
