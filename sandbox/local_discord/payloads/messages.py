"""The JSON of users, members, messages and attachments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sandbox.local_discord.media.cdn import Cdn
from sandbox.local_discord.state.model import EPHEMERAL, LOADING, Attachment, Guild, Json, Lie, Message
from sandbox.local_discord.state.seed_data import APP_NAME
from sandbox.local_discord.state.snowflakes import snowflake_time_ms
from sandbox.local_discord.state.state import State

BOT_NAME = APP_NAME


def iso_time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="microseconds")


class Payloads:
    """Builds JSON from the state. Attachment addresses are signed anew each time."""

    def __init__(self, state: State, cdn: Cdn) -> None:
        self._state = state
        self._cdn = cdn

    def user(self, user_id: int) -> Json:
        person = self._state.people_by_id.get(user_id)
        name = person.name if person else BOT_NAME
        body: Json = {
            "id": str(user_id),
            "username": name,
            "global_name": name.title() if person else None,
            "avatar": None,
            "discriminator": "0" if person else "0001",
            "public_flags": 0,
            "flags": 0,
            "primary_guild": None,
        }
        return body if person else body | {"bot": True}

    def member(self, guild: Guild, user_id: int) -> Json:
        return {
            "user": self.user(user_id),
            "nick": None,
            "avatar": None,
            "banner": None,
            "roles": [str(role) for role in sorted(guild.members.get(user_id, frozenset()))],
            "joined_at": iso_time(snowflake_time_ms(guild.id)),
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "communication_disabled_until": None,
            "flags": 0,
        }

    def answer(self, message: Message) -> Json:
        """Return a message as a REST call gets it.

        Without attachment ids, galleries have addresses that do not contain them and no attachment is listed (seen on
        a server that is compatible with Discord).
        """
        body = self.message(message)
        if Lie.NO_ATTACHMENT_IDS not in self._state.lies:
            return body
        return _without_ids(body, self._cdn.opaque_url) | {"attachments": []}

    def message(self, message: Message, *, with_reference: bool = True) -> Json:
        state = self._state
        used = set(_attachments_used(message.components))
        embeds = [self._embed(embed, message, used) for embed in message.embeds]
        body: Json = {
            "id": str(message.id),
            "channel_id": str(message.channel_id),
            "type": int(message.kind),
            "author": self.user(message.author_id),
            "content": message.content,
            "timestamp": iso_time(message.created_at_ms),
            "edited_timestamp": None if message.edited_at_ms is None else iso_time(message.edited_at_ms),
            "flags": message.flags,
            "tts": False,
            "pinned": False,
            "mention_everyone": message.mention_everyone,
            "mentions": [self.user(user_id) for user_id in message.mentions],
            "mention_roles": [],
            "embeds": embeds,
            "attachments": [self.attachment(each) for each in message.attachments if each.id not in used],
            "components": [self._component(each, message) for each in message.components],
        }
        if message.nonce is not None:
            body["nonce"] = message.nonce
        if message.author_id == state.application_id:
            body["application_id"] = str(state.application_id)
        if message.through_webhook:
            body["webhook_id"] = str(state.application_id)
        if message.metadata is not None:
            body["interaction_metadata"] = message.metadata
        if message.reference_id is not None:
            body |= self._reference(message, with_reference)
        return body

    def _reference(self, message: Message, with_reference: bool) -> Json:
        channel = self._state.channel(message.channel_id)
        reference: Json = {"type": 0, "channel_id": str(channel.id), "message_id": str(message.reference_id)}
        if channel.guild_id is not None:
            reference["guild_id"] = str(channel.guild_id)
        body: Json = {"message_reference": reference}
        if with_reference and message.kind is message.kind.REPLY:
            target = self._state.messages.get(message.reference_id or 0)
            body["referenced_message"] = None if target is None else self.message(target, with_reference=False)
        return body

    def attachment(self, attachment: Attachment) -> Json:
        url = self._cdn.signed_url(attachment)
        body: Json = {
            "id": str(attachment.id),
            "filename": attachment.filename,
            "size": len(attachment.data),
            "url": url,
            "proxy_url": url,
            "content_type": attachment.content_type,
            "flags": 8 if attachment.spoiler else 0,
        }
        if attachment.width is not None:
            body |= {"width": attachment.width, "height": attachment.height}
        if attachment.description is not None:
            body["description"] = attachment.description
        return body | ({"ephemeral": True} if attachment.ephemeral else {})

    def _embed(self, embed: Json, message: Message, used: set[int]) -> Json:
        """Return an embed with addresses for its `attachment://` images; add the ids of those attachments to *used*."""
        body = dict(embed)
        for key in ("image", "thumbnail"):
            url = str(body.get(key, {}).get("url", ""))
            for attachment in message.attachments:
                if url == f"attachment://{attachment.filename}":
                    used.add(attachment.id)
                    body[key] = self._media({"attachment": attachment.id}, message)
        return body

    def _component(self, component: Json, message: Message) -> Json:
        """Return a stored component with addresses in place of attachment ids."""
        body = dict(component)
        for key in ("components", "items"):
            if key in body:
                body[key] = [self._component(each, message) for each in body[key]]
        if "accessory" in body:
            body["accessory"] = self._component(body["accessory"], message)
        for key in ("media", "file"):
            if key in body:
                body[key] = self._media(body[key], message)
        return body

    def _media(self, stored: Json, message: Message) -> Json:
        for attachment in message.attachments:
            if attachment.id == stored.get("attachment"):
                url = self._cdn.signed_url(attachment)
                return {
                    "id": str(attachment.id),
                    "url": url,
                    "proxy_url": url,
                    "width": attachment.width,
                    "height": attachment.height,
                    "content_type": attachment.content_type,
                    "attachment_id": str(attachment.id),
                }
        url = stored.get("url", "")
        empty = {"width": None, "height": None, "content_type": None}
        return {"id": str(message.id), "url": url, "proxy_url": url, **empty}

    def for_person(self, message: Message) -> Json:
        """Return a message as the page gets it, with what Discord's client knows beside the payload."""
        seen = {
            "ephemeral": bool(message.flags & EPHEMERAL),
            "loading": bool(message.flags & LOADING),
            "url_base": self._cdn.base_url(),
        }
        return self.message(message) | {"x_sandbox": seen}


def _attachments_used(components: list[Json]) -> list[int]:
    """Return the ids of the attachments in components; Discord does not list these a second time."""
    found: list[int] = []
    for component in components:
        for key in ("media", "file"):
            if "attachment" in component.get(key, {}):
                found.append(component[key]["attachment"])
        nested: list[Json] = [*component.get("components", []), *component.get("items", [])]
        if "accessory" in component:
            nested.append(component["accessory"])
        found += _attachments_used(nested)
    return found


def _without_ids(part: Any, opaque_url: Callable[[int], str]) -> Any:
    """Return a copy without attachment ids."""
    if isinstance(part, list):
        return [_without_ids(each, opaque_url) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    body = {key: _without_ids(value, opaque_url) for key, value in cast(Json, part).items()}
    if "attachment_id" in body:
        url = opaque_url(int(body.pop("attachment_id")))
        body |= {"id": "0", "url": url, "proxy_url": url}
    return body
