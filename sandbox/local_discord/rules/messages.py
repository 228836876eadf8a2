"""Creates, edits and deletes messages by Discord's rules, for interactions, the bot's token and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.local_discord import errors
from sandbox.local_discord.media.cdn import Cdn
from sandbox.local_discord.media.file_types import read_facts
from sandbox.local_discord.media.uploads import Upload
from sandbox.local_discord.rules.components import clean_filename, lost_media, resolve_media, text_of, with_ids
from sandbox.local_discord.rules.mentions import contradictions, find_mentions
from sandbox.local_discord.rules.message_body import EDIT_FLAGS, MOST_TEXT_BYTES, examine_message, text_bytes
from sandbox.local_discord.schemas.checks import Findings
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.changes import MessageDeleted, MessageDismissed, MessageSaved
from sandbox.local_discord.state.model import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Attachment,
    Channel,
    Json,
    Lie,
    Message,
    MessageKind,
    objects,
)
from sandbox.local_discord.state.state import State

MOST_ATTACHMENTS = 10


@dataclass(frozen=True, slots=True)
class Draft:
    """A new message before it is checked. `size_limit`: bytes per file. `permissions`: those of the author."""

    channel: Channel
    author_id: int
    body: Json
    uploads: tuple[Upload, ...] = ()
    kind: MessageKind = MessageKind.DEFAULT
    flags: int = 0
    only_for: int | None = None
    metadata: Json | None = None
    reference_id: int | None = None
    through_webhook: bool = False
    size_limit: int = 0
    permissions: int = 0


class Messages:
    def __init__(self, state: State, cdn: Cdn) -> None:
        self._state = state
        self._cdn = cdn

    def create(self, draft: Draft) -> Message:
        """Create a message. Raises 400/50035, 400/50006, 400/50146, 413/40005 or 500 as Discord does, and stores
        nothing.
        """
        body = draft.body
        self._examine(body, draft.flags)
        message = Message(
            id=self._state.ids.next_id(),
            channel_id=draft.channel.id,
            author_id=draft.author_id,
            kind=draft.kind,
            created_at_ms=self._state.clock.now_ms(),
            flags=draft.flags | (EPHEMERAL if draft.only_for else 0),
            content=body.get("content") or "",
            embeds=[_embed(embed) for embed in objects(body, "embeds")],
            metadata=draft.metadata,
            reference_id=draft.reference_id,
            nonce=body.get("nonce"),
            through_webhook=draft.through_webhook,
            only_for=draft.only_for,
        )
        message.attachments, named = self._attachments(message, body, draft.uploads, draft.size_limit)
        message.components = self._components(objects(body, "components"), message.attachments, named)
        if not draft.flags & LOADING:
            _refuse_empty(message)
        self._mention(message, body, draft)
        self._state.add_message(message)
        if message.only_for is None:  # Discord docs: Threads, "Active & Archived Threads": sending unarchives
            self._state.archived_threads.discard(message.channel_id)
        for attachment in message.attachments:
            self._cdn.keep(attachment)
        self._state.tell(MessageSaved(message, True, self._pings(message)))
        return message

    def edit(
        self, message: Message, body: Json, uploads: tuple[Upload, ...], size_limit: int, permissions: int
    ) -> Message:
        """Change what the body names and keep the rest. Raises what `create` does, and changes nothing then.

        Raises 400/50083 in an archived thread, with either token.
        """
        if message.channel_id in self._state.archived_threads:
            raise errors.thread_archived()
        flags = self._flags_after(message, body)
        whole: Json = {
            "content": body.get("content", message.content),
            "embeds": body.get("embeds", message.embeds),
            "allowed_mentions": body.get("allowed_mentions"),
        }
        if body.get("components") is not None:
            whole["components"] = body["components"]
        self._examine(whole, flags)
        attachments, named = self._attachments(message, body, uploads, size_limit)
        if "components" in body:
            components = self._components(body["components"] or [], attachments, named)
        else:
            components = message.components
            if lost := lost_media(components, attachments):
                raise errors.invalid_form(lost)
        changed = Message(
            id=message.id,
            channel_id=message.channel_id,
            author_id=message.author_id,
            kind=message.kind,
            created_at_ms=message.created_at_ms,
            content=whole["content"] or "",
            components=components,
            attachments=attachments,
            embeds=[_embed(embed) for embed in objects(whole, "embeds")],
        )
        _refuse_empty(changed)
        self._apply(message, changed, flags)
        draft = Draft(self._state.channel(message.channel_id), message.author_id, body, permissions=permissions)
        self._mention(message, body, draft)
        self._state.tell(MessageSaved(message, False))
        return message

    def delete(self, message: Message) -> None:
        self._state.remove_message(message)
        for attachment in message.attachments:
            self._cdn.drop(attachment)
        self._state.tell(MessageDeleted(message))

    def dismiss(self, message: Message, person_id: int) -> None:
        """Hide an ephemeral message from its person; the bot can still edit it, as in Discord."""
        self._state.dismissed.add((message.id, person_id))
        self._state.tell(MessageDismissed(message, person_id))

    def _apply(self, message: Message, changed: Message, flags: int) -> None:
        kept = {attachment.id for attachment in changed.attachments}
        for attachment in message.attachments:
            if attachment.id not in kept:
                self._cdn.drop(attachment)
        for attachment in changed.attachments:
            self._cdn.keep(attachment)
        was_loading = bool(message.flags & LOADING)
        message.flags = flags & ~LOADING
        message.content, message.components = changed.content, changed.components
        message.attachments, message.embeds = changed.attachments, changed.embeds
        if not was_loading:
            message.edited_at_ms = self._state.clock.now_ms()

    def _flags_after(self, message: Message, body: Json) -> int:
        """Return the flags after an edit: SUPPRESS_EMBEDS can be set and removed, IS_COMPONENTS_V2 only set."""
        asked = body.get("flags")
        if asked is None:
            return message.flags
        if message.flags & COMPONENTS_V2 and not asked & COMPONENTS_V2:
            raise errors.invalid_field(
                ("flags",), "MESSAGE_COMPONENTS_V2_FLAG_REMOVED", "IS_COMPONENTS_V2 cannot be removed from a message"
            )
        return (message.flags & ~SUPPRESS_EMBEDS) | (asked & EDIT_FLAGS)

    def _examine(self, body: Json, flags: int) -> None:
        found = Findings()
        examine_message(body, flags, found)
        problems = found.problems + contradictions(body.get("allowed_mentions"))
        if problems:
            raise errors.invalid_form(problems)
        limited = Lie.NO_TEXT_LIMIT not in self._state.lies
        if limited and text_bytes(body.get("components")) > MOST_TEXT_BYTES:
            raise errors.server_error()

    def _components(
        self, sent: Sequence[Json], attachments: Sequence[Attachment], named: Mapping[str, Attachment]
    ) -> list[Json]:
        components = with_ids(sent)
        if problems := resolve_media(components, attachments, named, self._cdn.own_attachment_id):
            raise errors.invalid_form(problems)
        return components

    def _attachments(
        self, message: Message, body: Json, uploads: tuple[Upload, ...], size_limit: int
    ) -> tuple[list[Attachment], dict[str, Attachment]]:
        """Return the attachments after the write, and those that `attachment://` may name, by file name.

        `attachments` is the whole list to keep and add; without it all are kept and the uploads are appended. Only
        those can be named whose file name is in this request: uploads, and kept ones that are listed with `filename`
        (seen on Discord by an operator: with the id alone the reference is not found; discord.py, hikari and JDA send
        both).
        """
        if any(len(upload.data) > size_limit for upload in uploads):
            raise errors.too_large()
        present = {attachment.id: attachment for attachment in message.attachments}
        waiting = {upload.number: upload for upload in uploads}
        declared: list[Json] | None = body.get("attachments")
        result = [] if "attachments" in body else list(message.attachments)
        named: dict[str, Attachment] = {}
        for entry in declared or []:
            number = int(entry["id"])
            if number in waiting:
                result.append(self._stored(message, waiting.pop(number), entry))
                named[result[-1].filename] = result[-1]
            elif number in present:
                result.append(present[number])
                if entry.get("filename"):
                    named[clean_filename(entry["filename"])] = present[number]
                elif Lie.KEPT_BY_ID_ALONE in self._state.lies:
                    named[present[number].filename] = present[number]
            else:
                raise errors.upload_not_found()
        appended = [self._stored(message, upload, {}) for upload in waiting.values()]
        result += appended
        named |= {attachment.filename: attachment for attachment in appended}
        if len(result) > MOST_ATTACHMENTS:
            raise errors.invalid_field(("attachments",), "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
        return result, named

    def keep_upload(self, channel_id: int, upload: Upload) -> Attachment:
        """Keep a file of a form, which is in no message."""
        attachment = self._build_attachment(channel_id, upload, {}, ephemeral=True)
        self._cdn.keep(attachment)
        return attachment

    def _stored(self, message: Message, upload: Upload, entry: Json) -> Attachment:
        return self._build_attachment(message.channel_id, upload, entry, ephemeral=message.only_for is not None)

    def _build_attachment(self, channel_id: int, upload: Upload, entry: Json, *, ephemeral: bool) -> Attachment:
        filename = clean_filename(entry.get("filename") or upload.filename)
        facts = read_facts(upload.data, filename)
        return Attachment(
            id=self._state.ids.next_id(),
            channel_id=channel_id,
            filename=filename,
            data=upload.data,
            content_type=facts.content_type,
            width=facts.width,
            height=facts.height,
            description=entry.get("description"),
            spoiler=bool(entry.get("is_spoiler")) or filename.startswith("SPOILER_"),
            ephemeral=ephemeral,
        )

    def _mention(self, message: Message, body: Json, draft: Draft) -> None:
        target = self._state.messages.get(message.reference_id or 0)
        replied_to = target.author_id if target and message.kind is MessageKind.REPLY else None
        found = find_mentions(
            f"{message.content}\n{text_of(message.components)}",
            body.get("allowed_mentions"),
            [*self._state.people_by_id, self._state.application_id],
            replied_to=replied_to,
            may_everyone=bool(draft.permissions & p.MENTION_EVERYONE),
        )
        message.mentions, message.mention_everyone = list(found.users), found.everyone

    def _pings(self, message: Message) -> frozenset[int]:
        if message.flags & SUPPRESS_NOTIFICATIONS:
            return frozenset()
        people = [
            person
            for person in self._state.people.values()
            if person.id != message.author_id
            and (message.mention_everyone or person.id in message.mentions)
            and self._state.may_read(person, message)
        ]
        return frozenset(person.id for person in people)


def _refuse_empty(message: Message) -> None:
    if not (message.content.strip() or message.embeds or message.components or message.attachments):
        raise errors.empty_message()


def _embed(embed: Json) -> Json:
    return {"type": "rich"} | {key: value for key, value in embed.items() if value is not None}
