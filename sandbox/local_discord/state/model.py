"""The data of the local Discord: people, guilds, channels, messages, interactions.

Ids are int here and become strings only in `payloads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from sandbox.local_discord.state.permissions import Overwrite

Json = dict[str, Any]

# Message flags (Discord docs: Message, 'Message Flags').
SUPPRESS_EMBEDS, EPHEMERAL, LOADING = 1 << 2, 1 << 6, 1 << 7
SUPPRESS_NOTIFICATIONS, VOICE_MESSAGE, COMPONENTS_V2 = 1 << 12, 1 << 13, 1 << 15


def objects(holder: Mapping[str, Any], key: str) -> list[Json]:
    """Return the list of JSON objects under a key; empty when it is absent or null."""
    return holder.get(key) or []


class Lie(StrEnum):
    """What this Discord does in another way than the real one is known or believed to. All are off at first."""

    KEPT_BY_ID_ALONE = "kept_by_id_alone"  # `attachment://` may name a kept attachment that is listed without filename
    NO_TEXT_LIMIT = "no_text_limit"  # more than MOST_TEXT_BYTES of component text are taken
    OPEN_PRIVATE_THREADS = "open_private_threads"  # the bot posts in private threads that it is no member of
    NO_ATTACHMENT_IDS = "no_attachment_ids"  # answers to REST calls do not name the ids of attachments
    SERVER_COMMANDS_ONLY = "server_commands_only"  # commands for people are made for servers alone


class ChannelKind(IntEnum):
    """The channel types that exist here (Discord docs: Channel, 'Channel Types')."""

    TEXT = 0
    DM = 1
    VOICE = 2
    GROUP_DM = 3
    THREAD = 11
    PRIVATE_THREAD = 12
    FORUM = 15


class MessageKind(IntEnum):
    """The message types that exist here (Discord docs: Message, 'Message Types')."""

    DEFAULT = 0
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    CONTEXT_MENU_COMMAND = 23


class InteractionKind(IntEnum):
    COMMAND = 2
    COMPONENT = 3
    MODAL_SUBMIT = 5


class Ack(IntEnum):
    """Callback types (Discord docs: Receiving and Responding, 'Interaction Callback Type')."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    MODAL = 9


class Outcome(StrEnum):
    """What the person who acted sees of their interaction."""

    SENT = "sent"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Person:
    """A user who can act. `role` tells people at the page who this is: "member", "moderator" or "admin" of a server, or
    "owner" (of the bot, not of a guild). What they may do follows from their roles in each guild.
    """

    id: int
    name: str
    color: str
    role: str
    initials: str
    has_installed_app: bool = True


@dataclass(frozen=True, slots=True)
class Role:
    id: int
    name: str
    permissions: int


@dataclass(frozen=True, slots=True)
class Guild:
    """`members` maps a user's id (people and the bot) to the roles they hold beside everyone's (whose id is the
    guild's). `installed`: its members have the app's commands. `has_bot`: the bot user is a member too, because the app
    was added with the scope `bot` beside `applications.commands`.
    """

    id: int
    name: str
    owner_id: int
    installed: bool
    has_bot: bool
    roles: tuple[Role, ...]
    members: dict[int, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Channel:
    """`recipient_id` is the person of a DM with the bot; `member_ids` are the people of a DM or group among themselves,
    the group's owner first, or those of a private thread.

    A post of a forum is a thread whose parent is the forum.
    """

    id: int
    name: str
    kind: ChannelKind
    guild_id: int | None = None
    topic: str | None = None
    nsfw: bool = False
    parent_id: int | None = None
    recipient_id: int | None = None
    member_ids: tuple[int, ...] = ()
    overwrites: tuple[Overwrite, ...] = ()

    @property
    def is_thread(self) -> bool:
        return self.kind in (ChannelKind.THREAD, ChannelKind.PRIVATE_THREAD)

    @property
    def context(self) -> int:
        """0 GUILD, 1 BOT_DM, 2 PRIVATE_CHANNEL (Discord docs: Application Commands, 'Interaction Context Types').

        In a private channel people can use an app that they installed; the bot user is never a member.
        """
        if self.guild_id is not None:
            return 0
        return 2 if self.member_ids else 1


@dataclass(frozen=True, slots=True)
class Attachment:
    """One stored file. `data` is what the CDN serves; `width` and `height` are set for images."""

    id: int
    channel_id: int
    filename: str
    data: bytes
    content_type: str
    width: int | None
    height: int | None
    description: str | None
    spoiler: bool
    ephemeral: bool


@dataclass(slots=True)
class Message:
    """`components` are stored with their ids and with `{"attachment": id}` or `{"url": …}` where payloads have media.

    `only_for` is the one person who sees an ephemeral message.
    """

    id: int
    channel_id: int
    author_id: int
    kind: MessageKind
    created_at_ms: int
    flags: int = 0
    content: str = ""
    components: list[Json] = field(default_factory=list[Json])
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    embeds: list[Json] = field(default_factory=list[Json])
    edited_at_ms: int | None = None
    metadata: Json | None = None
    reference_id: int | None = None
    mentions: list[int] = field(default_factory=list[int])
    mention_everyone: bool = False
    nonce: str | int | None = None
    through_webhook: bool = False
    only_for: int | None = None


@dataclass(slots=True)
class Interaction:
    """One interaction of one person, until its token runs out.

    `original_id` is the message that `@original` means; `made_ids` are all messages that came from it. `uploads`: files
    for its modal, by id.
    """

    id: int
    token: str
    kind: InteractionKind
    person_id: int
    channel_id: int
    guild_id: int | None
    created_at_ms: int
    data: Json
    owners: dict[str, str]
    attachment_size_limit: int
    command_name: str
    message_id: int | None = None
    metadata: Json = field(default_factory=dict[str, Any])
    outcome: Outcome = Outcome.SENT
    ack: Ack | None = None
    original_id: int | None = None
    made_ids: set[int] = field(default_factory=set[int])
    follow_ups: int = 0
    modal: Json | None = None
    uploads: dict[str, Attachment] = field(default_factory=dict[str, Attachment])

    @property
    def only_user_installed(self) -> bool:
        return set(self.owners) == {"1"}
