"""A simulated Discord in memory: interactions, messages, attachments, closed channels, and faults.

The product's calls go through the real discord.py (webhooks, partial messages, views, files); wire.py replaces only its
two objects that would open a connection. Retries are those of discord.py 2.7.1.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import discord

from discord_api.snowflakes import snowflake_at
from generations.model import TOKEN_LIFETIME_MS
from tests.simulation.image_api import HOST
from tests.simulation.loop import LIFE, VirtualLoop
from tests.simulation.scenario import USUAL_LIMIT

APPLICATION, GUILD = 500, 900
FIRST_CHANNEL, FIRST_PERSON = 70, 100
LOG_CHANNEL = 75  # of the server
ANSWER_SECONDS = 3.0
NONCE_SECONDS = 300.0
TRIES = 5
TEXT_BYTES_MAX = 10_170  # UTF-8 bytes of all component text; beyond it Discord answers 500 (discord-api-docs#8554)
_LINK = re.compile(rf"https://{re.escape(HOST)}/([\w-]+)\.png")
_MENTION = re.compile(r"<@!?(\d+)>")
BOT = {"id": str(APPLICATION), "username": "imagine", "discriminator": "0", "avatar": None, "bot": True}

Answer = tuple[int, Any]


@dataclass(slots=True)
class Interaction:
    id: int
    token: str
    person: int
    channel_id: int
    created_at: float
    request: int | None = None  # number of the scenario's request; None: a button press
    answered: bool = False
    message_id: int | None = None
    limit: int = USUAL_LIMIT  # bytes a file may have


@dataclass(frozen=True, slots=True)
class Version:
    """The contents of a message at one time. *image_files* and *links* are ids of tasks."""

    at: float
    text: str
    image_files: frozenset[str]
    cancellable: bool
    links: frozenset[str] = frozenset()

    @property
    def holds(self) -> frozenset[str]:
        """The images that a person can see here, directly or by a link."""
        return self.image_files | self.links


@dataclass(slots=True)
class Message:
    id: int
    channel_id: int
    interaction: Interaction | None = None
    ephemeral: bool = False
    components: list[Any] = field(default_factory=list)
    content: str = ""
    attachments: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    deleted: bool = False
    nonce: str = ""
    created_at: float = 0.0
    versions: list[Version] = field(default_factory=list)
    pinged: frozenset[int] = frozenset()  # users whom its posting notified
    replies_to: int | None = None


@dataclass
class FakeDiscord:
    """*start_ms*: the true time at the start of the run, independent of the processes' clocks."""

    loop: VirtualLoop
    seed: int
    start_ms: int
    pick_fault: Callable[[str], str | None]
    note: Callable[[str], None]
    task_of: Callable[[bytes], str]
    bot_limit: int = USUAL_LIMIT
    interactions: dict[int, Interaction] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    closed_channels: set[int] = field(default_factory=set)
    closed_dms: set[int] = field(default_factory=set)
    uploads: Counter[tuple[str, str]] = field(default_factory=Counter)  # successful ones, by (life, task)
    token_only_channels: set[int] = field(default_factory=set)  # reached by the interaction's token alone
    archived: set[int] = field(default_factory=set)  # threads in which nothing can be edited until something is sent
    _number: int = 0

    def now_ms(self) -> int:
        return self.start_ms + round(self.loop.time() * 1000)

    def new_id(self) -> int:
        self._number += 1
        return snowflake_at(self.now_ms()) | self._number

    def new_interaction(self, person: int, channel: int, request: int | None, limit: int = USUAL_LIMIT) -> Interaction:
        number = self.new_id()
        interaction = Interaction(
            number, f"token-{number}", FIRST_PERSON + person, FIRST_CHANNEL + channel, self.loop.time(), request
        )
        interaction.limit = limit
        self.interactions[number] = interaction
        return interaction

    # -- one call and its faults ---------------------------------------------------------------

    async def call(
        self, method: str, path: str, payload: dict[str, Any], files: dict[str, bytes], *, repeats: bool = True
    ) -> Any:
        """Send one call as discord.py does, with its retries.

        *repeats*: False for a call that is not sent again after a 5xx.
        """
        self._number += 1
        rng = random.Random(f"{self.seed} {method} {path} {self._number}")
        status, data = 500, {}
        outage = False
        for attempt in range(TRIES):
            fault = "500 before" if outage else self.pick_fault("discord")
            outage = outage or fault == "outage"
            status, data = await self._exchange(fault, rng, method, path, payload, files)
            self.note(f"discord {method} {path}: {fault or 'ok'} -> {status}{_error_code(data)}")
            if status < 300:
                self._note_uploads(files)
                return data
            if status == 429:
                await asyncio.sleep(data["retry_after"])
            elif status >= 500 and repeats:
                await asyncio.sleep(1 + attempt * 2)
            else:
                break
        raise _error(status, data)

    def _note_uploads(self, files: dict[str, bytes]) -> None:
        life = LIFE.get()
        for data in files.values():
            self.uploads["" if life is None else life.name, self.task_of(data)] += 1

    async def _exchange(
        self,
        fault: str | None,
        rng: random.Random,
        method: str,
        path: str,
        payload: dict[str, Any],
        files: dict[str, bytes],
    ) -> Answer:
        answer: asyncio.Future[Answer] = self.loop.create_future()

        async def serve() -> None:
            await asyncio.sleep(rng.uniform(0.01, 0.2) + (rng.uniform(0.5, 5.0) if fault == "slow" else 0.0))
            outcome: Answer | None = _refusal(fault, method, files, rng)
            if outcome is None and fault != "cut before":
                outcome = self._answer(method, path.strip("/").split("/"), payload, files)
            if fault == "500 after":
                outcome = 500, {}
            await asyncio.sleep(rng.uniform(0.01, 0.2))
            if answer.done():
                return
            if fault in ("cut before", "cut after") or outcome is None:
                answer.set_exception(aiohttp.ClientOSError(104, "connection reset"))
            else:
                answer.set_result(outcome)

        self.loop.spawn(None, serve())
        return await answer

    def _answer(self, method: str, path: list[str], payload: dict[str, Any], files: dict[str, bytes]) -> Answer:
        if _text_bytes(payload) > TEXT_BYTES_MAX:
            return 500, {}
        match method, path:
            case "POST", ["interactions", number, _, "callback"]:
                return self._first_answer(self.interactions[int(number)], payload)
            case "POST", ["users", "@me", "channels"]:
                person = int(payload["recipient_id"])
                return 200, {"id": str(person * 10), "type": 1, "recipients": [{**BOT, "id": str(person)}]}
            case "POST", ["channels", channel, "messages"]:
                return self._post(int(channel), payload, files)
            case "GET", ["channels", channel] if int(channel) == LOG_CHANNEL:
                return 200, {"id": channel, "type": 0, "guild_id": str(GUILD)}
            case "GET", ["channels", channel]:
                return self._closed(int(channel)) or (200, {"id": channel, "type": 1})
            case "GET", ["channels", channel, "messages", message]:
                asked = self.messages.get(int(message))
                gone = asked is None or asked.deleted or asked.ephemeral
                unknown = (404, {"code": 10008, "message": "Unknown Message"}) if gone else None
                return self._closed(int(channel)) or unknown or (200, self.message_payload(asked))
            case "DELETE", ["channels", channel, "messages", message]:
                return self._closed(int(channel)) or self._delete(self.messages.get(int(message)))
            case "PATCH", ["channels", channel, "messages", message]:
                refusal = self._closed(int(channel)) or _too_large(files, self.bot_limit)
                return refusal or self._edit(self.messages.get(int(message)), payload, files, token=False)
            case _, ["webhooks", _, token, *rest]:
                return self._by_token(method, token, rest, payload, files)
        raise AssertionError(f"unexpected {method} {path}")

    def _first_answer(self, interaction: Interaction, payload: dict[str, Any]) -> Answer:
        if interaction.answered:  # also after the three seconds
            return 400, {"code": 40060, "message": "already acknowledged"}
        if self.loop.time() - interaction.created_at > ANSWER_SECONDS:
            return 404, {"code": 10062, "message": "Unknown interaction"}
        interaction.answered = True
        response: dict[str, Any] = {"id": str(interaction.id), "type": 2}
        if payload["type"] in (4, 5):
            data = payload.get("data") or {}
            message = Message(
                self.new_id(),
                interaction.channel_id,
                interaction,
                bool(data.get("flags", 0) & 64),
                created_at=self.loop.time(),
            )
            self.messages[message.id] = message
            interaction.message_id = message.id
            self._write(message, data, {})
            message.pinged = _pinged(message.versions[-1].text, data)
            response["response_message_id"] = str(message.id)
        return 200, {"interaction": response}

    def _by_token(
        self, method: str, token: str, rest: list[str], payload: dict[str, Any], files: dict[str, bytes]
    ) -> Answer:
        interaction = self.interactions[int(token.removeprefix("token-"))]
        if (self.loop.time() - interaction.created_at) * 1000 > TOKEN_LIFETIME_MS:
            return 401, {"code": 50027, "message": "Invalid Webhook Token"}
        if not interaction.answered:
            return 404, {"code": 10015, "message": "Unknown Webhook"}
        if not rest:
            return _too_large(files, interaction.limit) or self._follow_up(interaction, payload, files)
        number = interaction.message_id if rest[1] == "@original" else int(rest[1])
        message = None if number is None else self.messages.get(number)
        if method == "GET":
            gone = message is None or message.deleted
            return (
                (404, {"code": 10008, "message": "Unknown Message"}) if gone else (200, self.message_payload(message))
            )
        if method == "DELETE":
            if message is not None:
                message.deleted = True
            return 204, {}
        return _too_large(files, interaction.limit) or self._edit(message, payload, files, token=True)

    def _follow_up(self, interaction: Interaction, payload: dict[str, Any], files: dict[str, bytes]) -> Answer:
        """Create a message by the interaction's token, also where the bot's own token is refused. Discord
        shows it as a reply to the first response; it has no nonce (Discord docs: Webhook, "Execute Webhook"). It
        reopens an archived thread, unless only its person sees it (Discord docs: Threads, "Active & Archived
        Threads")."""
        message = Message(self.new_id(), interaction.channel_id, interaction, created_at=self.loop.time())
        message.ephemeral = bool(payload.get("flags", 0) & 64)
        if not message.ephemeral:
            self.archived.discard(interaction.channel_id)
        if not message.ephemeral or files or payload.get("flags", 0) & 32768:
            self.messages[message.id] = message
            self._write(message, payload, files)
            message.pinged = _pinged(message.versions[-1].text, payload)
            message.replies_to = interaction.message_id
        return 200, self.message_payload(message)

    def _closed(self, channel_id: int) -> Answer | None:
        person = channel_id // 10
        if channel_id in self.token_only_channels:
            return 403, {"code": 50001, "message": "Missing Access"}
        if channel_id in self.closed_channels:
            return 403, {"code": 50013, "message": "Missing Permissions"}
        if person in self.closed_dms:
            return 403, {"code": 50007, "message": "Cannot send messages to this user"}
        return None

    def _post(self, channel_id: int, payload: dict[str, Any], files: dict[str, bytes]) -> Answer:
        refusal = self._closed(channel_id) or _too_large(files, self.bot_limit)
        if refusal is not None:
            return refusal
        nonce = str(payload.get("nonce", ""))
        for message in self.messages.values():
            fresh = self.loop.time() - message.created_at < NONCE_SECONDS
            if nonce and payload.get("enforce_nonce") and message.nonce == nonce and fresh:
                return 200, self.message_payload(message)
        message = Message(self.new_id(), channel_id, nonce=nonce, created_at=self.loop.time())
        self.archived.discard(channel_id)
        self.messages[message.id] = message
        self._write(message, payload, files)
        message.pinged = _pinged(message.versions[-1].text, payload)
        reference = payload.get("message_reference")
        message.replies_to = int(reference["message_id"]) if reference else None
        return 200, self.message_payload(message)

    def _edit(
        self, message: Message | None, payload: dict[str, Any], files: dict[str, bytes], *, token: bool
    ) -> Answer:
        if message is None or message.deleted or (message.ephemeral and not token):
            return 404, {"code": 10008, "message": "Unknown Message"}
        if message.channel_id in self.archived:
            return 400, {"code": 50083, "message": "Thread is archived"}
        listed = self._attached(message, payload, files)
        media_names, names = set(_media(payload.get("components", []))), {name for name, _ in listed.values()}
        listed_names = {entry.get("filename") for entry in payload.get("attachments", [])} | set(files)
        # Discord resolves attachment:// from the request alone: a kept attachment must be listed with its file name.
        assert not (media_names & names) - listed_names, (
            "a gallery names a kept attachment that is listed without its file name"
        )
        unknown = media_names - names
        if unknown:
            return 400, {"code": 50035, "message": f"no such attachment: {unknown}"}
        self._write(message, payload, files)
        return 200, self.message_payload(message)

    def _delete(self, message: Message | None) -> Answer:
        if message is None or message.deleted or message.ephemeral:
            return 404, {"code": 10008, "message": "Unknown Message"}
        message.deleted = True
        return 204, {}

    # -- messages ---------------------------------------------------------------

    def _attached(
        self, message: Message, payload: dict[str, Any], files: dict[str, bytes]
    ) -> dict[int, tuple[str, bytes]]:
        """Return the attachments after a write. The list in an edit names all that are kept or added."""
        if "attachments" not in payload:  # Discord docs: Webhook, "Edit Webhook Message": files alone are appended
            return message.attachments | {self.new_id(): (name, data) for name, data in files.items()}
        after: dict[int, tuple[str, bytes]] = {}
        for listed in payload["attachments"]:
            kept = message.attachments.get(int(listed["id"]))
            if kept is not None:
                after[int(listed["id"])] = kept
            elif listed.get("filename") in files:
                after[self.new_id()] = (listed["filename"], files[listed["filename"]])
        return after

    def _write(self, message: Message, payload: dict[str, Any], files: dict[str, bytes]) -> None:
        message.attachments = self._attached(message, payload, files)
        message.components = payload.get("components", message.components)
        message.content = payload.get("content") or message.content
        media_names = set(_media(message.components))
        image_files = [
            self.task_of(data)
            for name, data in message.attachments.values()
            if name in media_names or not message.components
        ]
        assert len(image_files) == len(set(image_files)), "one image twice on one message"
        text = "\n".join([message.content, *_texts(message.components)])
        version = Version(
            self.loop.time(),
            text,
            frozenset(image_files),
            "imagine:cancel:" in json.dumps(message.components),
            frozenset(_LINK.findall(text)),
        )
        message.versions.append(version)
        self.note(f"message {message.id} now shows {sorted(version.image_files)} {version.text!r}")

    def message_payload(self, message: Message | None) -> dict[str, Any]:
        """Return the message as Discord sends it."""
        assert message is not None
        ids = {name: number for number, (name, _) in message.attachments.items()}
        attachments = [
            {"id": str(number), "filename": name, "size": 1, "url": "https://x.example/x", "proxy_url": "https://x"}
            for name, number in ids.items()
            if not message.components
        ]
        return {
            **{"id": str(message.id), "channel_id": str(message.channel_id), "author": BOT, "type": 0, "tts": False},
            **{"content": message.content, "timestamp": "2026-01-01T00:00:00+00:00", "embeds": []},
            "flags": _flags(message),
            **{"edited_timestamp": None, "mention_everyone": False, "mentions": [], "mention_roles": []},
            **{"attachments": attachments, "pinned": False, "components": _resolved(message.components, ids)},
        }


def _flags(message: Message) -> int:
    """Discord docs: Message, "Message Flags"."""
    is_card, is_loading = bool(message.components), not message.components and not message.content
    return 64 * message.ephemeral + 128 * is_loading + 32768 * is_card


def _refusal(fault: str | None, method: str, files: dict[str, bytes], rng: random.Random) -> Answer | None:
    match fault:
        case "500 before" | "outage":
            return 500, {}
        case "429":
            return 429, {"retry_after": rng.uniform(0.3, 4.0)}
        case "400" if method == "PATCH" and files:
            return 400, {"code": 50035, "message": "Invalid Form Body"}
        case _:
            return None


def _too_large(files: dict[str, bytes], limit: int) -> Answer | None:
    if all(len(data) <= limit for data in files.values()):
        return None
    return 413, {"code": 40005, "message": "Request entity too large"}


def _pinged(text: str, payload: dict[str, Any]) -> frozenset[int]:
    """Return the users whom a new message notifies (Discord docs: Allowed Mentions Object)."""
    named = {int(number) for number in _MENTION.findall(text)}
    allowed = payload.get("allowed_mentions")
    if allowed is None or "users" in allowed.get("parse", []):
        return frozenset(named)
    return frozenset(named & {int(number) for number in allowed.get("users", [])})


class _Response:
    """The part of an HTTP response that discord.py's exceptions read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.reason = ""
        self.headers = {"Retry-After": "3"}


def _error(status: int, data: Any) -> discord.HTTPException:
    kinds: dict[int, type[discord.HTTPException]] = {403: discord.Forbidden, 404: discord.NotFound}
    kind = discord.DiscordServerError if status >= 500 else kinds.get(status, discord.HTTPException)
    return kind(_Response(status), data)  # type: ignore[arg-type]


def _error_code(data: Any) -> str:
    return f" {data['code']}" if isinstance(data, dict) and "code" in data else ""


def _media(part: Any) -> list[str]:
    """Return the names of the attachments that components show."""
    if isinstance(part, list):
        return [name for item in part for name in _media(item)]
    if not isinstance(part, dict):
        return []
    own = str(part.get("url", ""))
    found = [own.removeprefix("attachment://")] if own.startswith("attachment://") else []
    return found + [name for value in part.values() for name in _media(value)]


def _texts(part: Any) -> list[str]:
    if isinstance(part, list):
        return [text for item in part for text in _texts(item)]
    if not isinstance(part, dict):
        return []
    own = (
        [part["content"]]
        if part.get("type") == 10
        else [part["url"]]
        if part.get("type") == 2 and "url" in part
        else []
    )
    return own + [text for value in part.values() for text in _texts(value)]


def _text_bytes(part: Any) -> int:
    """Count the UTF-8 bytes of all contents, descriptions and labels in a payload."""
    if isinstance(part, list):
        return sum(map(_text_bytes, part))
    if not isinstance(part, dict):
        return 0
    own = [part[key] for key in ("content", "description", "label") if isinstance(part.get(key), str)]
    return sum(len(text.encode()) for text in own) + sum(map(_text_bytes, part.values()))


def _resolved(part: Any, ids: dict[str, int]) -> Any:
    if isinstance(part, list):
        return [_resolved(item, ids) for item in part]
    if not isinstance(part, dict):
        return part
    name = str(part.get("url", "")).removeprefix("attachment://")
    if name in ids and str(part.get("url", "")).startswith("attachment://"):
        return {"url": f"https://x.example/{name}", "attachment_id": str(ids[name])}
    return {key: _resolved(value, ids) for key, value in part.items()}
