"""REST routes of channels and messages, called with the bot's token and limited by the bot's permissions."""

from __future__ import annotations

from sandbox.local_discord import errors
from sandbox.local_discord.payloads.channels import ChannelPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.rest.routing import Answer, Call, Route
from sandbox.local_discord.rules.message_body import CREATE_FLAGS, EDIT_FLAGS
from sandbox.local_discord.rules.messages import Draft, Messages
from sandbox.local_discord.rules.rate_limits import CHANNEL_MESSAGES, too_many_late_edits
from sandbox.local_discord.schemas.messages import message_create, message_edit, private_channel
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind, Json, Message, MessageKind
from sandbox.local_discord.state.state import State

HOUR_MS = 3_600_000
LATE_EDITS_ALLOWED, LATE_WINDOW_MS = 3, 6_000
"""How many edits of messages older than an hour one channel allows, and in how long (userdoccers, an unofficial
reference). Discord publishes no numbers; a bot must not rely on these."""

_MESSAGES = "/channels/{channel_id}/messages"


class ChannelRoutes:
    def __init__(self, state: State, messages: Messages, payloads: Payloads, channel_payloads: ChannelPayloads) -> None:
        self._state = state
        self._messages = messages
        self._payloads = payloads
        self._channel_payloads = channel_payloads
        self._late_edits_at_ms: dict[int, list[int]] = {}

    def routes(self) -> list[Route]:
        one, page = f"{_MESSAGES}/{{message_id}}", frozenset({"around", "before", "after", "limit"})
        return [
            Route("GET", "/channels/{channel_id}", self._get_channel),
            Route("GET", _MESSAGES, self._list, CHANNEL_MESSAGES, query=page),
            Route("POST", _MESSAGES, self._create, CHANNEL_MESSAGES),
            Route("GET", one, self._get, CHANNEL_MESSAGES),
            Route("PATCH", one, self._edit, CHANNEL_MESSAGES),
            Route("DELETE", one, self._delete, CHANNEL_MESSAGES),
            Route("POST", "/users/@me/channels", self._open_dm),
        ]

    def _channel(self, call: Call, needed: int = p.VIEW_CHANNEL) -> Channel:
        """Return the channel of the path.

        Raises 404/10003, 403/50001 without VIEW_CHANNEL, 403/50013 without *needed*.
        """
        channel = self._state.channel(call.id("channel_id"))
        held = self._state.permissions(self._state.application_id, channel)
        if not held & p.VIEW_CHANNEL:
            raise errors.missing_access()
        if needed & ~held:
            raise errors.missing_permissions()
        return channel

    def _message(self, call: Call, needed: int = p.VIEW_CHANNEL) -> Message:
        """Return the message of the path.

        Raises 404/10008 for ephemeral ones too: the bot's token does not reach them.
        """
        channel = self._channel(call, needed)
        message = self._state.messages.get(call.id("message_id"))
        if message is None or message.channel_id != channel.id or message.only_for is not None:
            raise errors.unknown_message()
        return message

    def _get_channel(self, call: Call) -> Answer:
        return Answer(200, self._channel_payloads.channel(self._channel(call)))

    def _get(self, call: Call) -> Answer:
        return Answer(200, self._payloads.answer(self._message(call, p.READ_MESSAGE_HISTORY)))

    def _list(self, call: Call) -> Answer:
        """Return messages, newest first, at most `limit` (1-100, default 50)."""
        channel, limit = self._channel(call), call.number("limit", 50, 1, 100)
        if not self._state.permissions(self._state.application_id, channel) & p.READ_MESSAGE_HISTORY:
            return Answer(200, [])
        found = [message for message in self._state.messages_in(channel.id) if message.only_for is None]
        before, after, around = (call.snowflake(name) for name in ("before", "after", "around"))
        if before is not None:
            found = [message for message in found if message.id < before]
        if after is not None:
            found = [message for message in found if message.id > after][:limit]
        if around is not None:
            nearest = sorted(found, key=lambda message: abs(message.id - around))[:limit]
            found = sorted(nearest, key=lambda message: message.id)
        return Answer(200, [self._payloads.answer(message) for message in reversed(found[-limit:])])

    def _create(self, call: Call) -> Answer:
        channel = self._channel(call)
        if channel.kind is ChannelKind.FORUM:
            raise errors.not_a_text_channel()
        self._may_post(channel, bool(call.uploads))
        body = call.checked(message_create)
        if (body.get("flags") or 0) & ~CREATE_FLAGS:
            raise errors.invalid_field(("flags",), "BASE_TYPE_CHOICES", "Flags that a message cannot be created with")
        if (again := self._same_nonce(channel, body)) is not None:
            return Answer(200, self._payloads.answer(again))
        reference = self._reference(channel, body)
        message = self._messages.create(
            Draft(
                channel=channel,
                author_id=self._state.application_id,
                body=body,
                uploads=call.uploads,
                kind=MessageKind.DEFAULT if reference is None else MessageKind.REPLY,
                flags=body.get("flags") or 0,
                reference_id=reference,
                size_limit=self._state.attachment_size_limit,
                permissions=self._state.permissions(self._state.application_id, channel),
            )
        )
        return Answer(200, self._payloads.answer(message))

    def _may_post(self, channel: Channel, with_files: bool) -> None:
        if channel.recipient_id in self._state.closed_dms:
            raise errors.closed_direct_messages()
        needed = p.SEND_MESSAGES_IN_THREADS if channel.is_thread else p.SEND_MESSAGES
        needed |= p.ATTACH_FILES if with_files else 0
        if needed & ~self._state.permissions(self._state.application_id, channel):
            raise errors.missing_permissions()

    def _same_nonce(self, channel: Channel, body: Json) -> Message | None:
        """Return the bot's message of the last 5 minutes with this nonce where `enforce_nonce` asks for it,
        else None.
        """
        nonce, since = body.get("nonce"), self._state.clock.now_ms() - 5 * 60_000
        if nonce is None or not body.get("enforce_nonce"):
            return None
        for message in self._state.messages_in(channel.id):
            mine = message.author_id == self._state.application_id
            if (
                mine
                and message.nonce is not None
                and str(message.nonce) == str(nonce)
                and message.created_at_ms > since
            ):
                return message
        return None

    def _reference(self, channel: Channel, body: Json) -> int | None:
        """Return the id of the message that is replied to, or None. Raises 403/160002 without READ_MESSAGE_HISTORY
        (Discord docs: Message, "Create Message": replies need it; the status was seen in reports of discord.py).
        """
        reference: Json | None = body.get("message_reference")
        if reference is None:
            return None
        if not self._state.permissions(self._state.application_id, channel) & p.READ_MESSAGE_HISTORY:
            raise errors.no_reply_without_history()
        target = self._state.messages.get(int(reference["message_id"]))
        if target is not None and target.channel_id == channel.id and target.only_for is None:
            return target.id
        if reference.get("fail_if_not_exists") is False:
            return None
        raise errors.invalid_field(("message_reference",), "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")

    def _edit(self, call: Call) -> Answer:
        message = self._message(call)
        body = call.checked(message_edit)
        if message.author_id != self._state.application_id:
            raise errors.not_the_author()
        if (body.get("flags") or 0) & ~EDIT_FLAGS:
            raise errors.invalid_field(("flags",), "BASE_TYPE_CHOICES", "Flags that an edit cannot set")
        channel = self._state.channel(message.channel_id)
        held = self._state.permissions(self._state.application_id, channel)
        if call.uploads and not held & p.ATTACH_FILES:
            raise errors.missing_permissions()
        late = self._count_late_edit(message)
        self._messages.edit(message, body, call.uploads, self._state.attachment_size_limit, held)
        self._late_edits_at_ms[channel.id] = late
        return Answer(200, self._payloads.answer(message))

    def _count_late_edit(self, message: Message) -> list[int]:
        """Return the times of this channel's late edits, this one included. Raises 429/30046 when messages older than
        an hour were edited too often there.
        """
        now, before = self._state.clock.now_ms(), self._late_edits_at_ms.get(message.channel_id, [])
        recent = [at_ms for at_ms in before if now - at_ms < LATE_WINDOW_MS]
        if now - message.created_at_ms <= HOUR_MS:
            return recent
        if len(recent) >= LATE_EDITS_ALLOWED:
            raise too_many_late_edits((recent[0] + LATE_WINDOW_MS - now) / 1000)
        return [*recent, now]

    def _delete(self, call: Call) -> Answer:
        message = self._message(call)
        held = self._state.permissions(self._state.application_id, self._state.channel(message.channel_id))
        if message.author_id != self._state.application_id and not held & p.MANAGE_MESSAGES:
            raise errors.missing_permissions()
        self._messages.delete(message)
        return Answer(204)

    def _limit_new_dms(self) -> None:
        if self._state.new_dm_limit is None:
            return
        count, seconds = self._state.new_dm_limit
        now_ms = self._state.clock.now_ms()
        recent = [at_ms for at_ms in self._state.dms_opened_at_ms if at_ms > now_ms - seconds * 1000]
        if len(recent) >= count:
            raise errors.direct_messages_too_fast()
        self._state.dms_opened_at_ms = [*recent, now_ms]

    def _open_dm(self, call: Call) -> Answer:
        """Return the DM with a person. Closed DMs are refused only when a message is sent there (403/50007), as in
        Discord."""
        recipient = int(call.checked(private_channel)["recipient_id"])
        self._limit_new_dms()
        for channel in self._state.channels.values():
            if channel.kind is ChannelKind.DM and channel.recipient_id == recipient:
                return Answer(200, self._channel_payloads.channel(channel))
        raise errors.unknown_thing(10013, "User")
