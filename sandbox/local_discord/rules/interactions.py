"""The rules of an interaction: one answer within 3 s, then 15 minutes of webhook calls with its token.

Source: Discord docs, Receiving and Responding ('Responding to an Interaction', 'Followup Messages').
"""

from __future__ import annotations

import base64

from sandbox.local_discord import errors
from sandbox.local_discord.errors import DiscordError
from sandbox.local_discord.media.uploads import Upload
from sandbox.local_discord.payloads.interactions import InteractionPayloads
from sandbox.local_discord.rules.choices import examine_form
from sandbox.local_discord.rules.components import with_ids
from sandbox.local_discord.rules.message_body import RESPONSE_FLAGS, walk
from sandbox.local_discord.rules.messages import Draft, Messages
from sandbox.local_discord.schemas.checks import Findings
from sandbox.local_discord.state.changes import InteractionChanged, InteractionSent, ModalOpened
from sandbox.local_discord.state.model import (
    EPHEMERAL,
    LOADING,
    Ack,
    Channel,
    Interaction,
    InteractionKind,
    Json,
    Message,
    MessageKind,
    Outcome,
    Person,
)
from sandbox.local_discord.state.state import State

ANSWER_WITHIN_MS = 3_000
TOKEN_LIVES_MS = 15 * 60 * 1000
MOST_FOLLOW_UPS = 5
"""How many follow-ups an interaction may have that only a user install authorizes."""


class Interactions:
    def __init__(self, state: State, messages: Messages, payloads: InteractionPayloads) -> None:
        self._state = state
        self._messages = messages
        self._payloads = payloads
        self._open: dict[int, Interaction] = {}

    def start(
        self,
        person: Person,
        channel: Channel,
        kind: InteractionKind,
        data: Json,
        *,
        owners: dict[str, str],
        command_name: str = "",
        message: Message | None = None,
        triggered_by: Interaction | None = None,
    ) -> Interaction:
        """Create an interaction and tell the bot. *triggered_by*: the interaction that was answered with a form."""
        number = self._state.ids.next_id()
        random_part = base64.urlsafe_b64encode(self._state.rng.randbytes(96)).decode()
        interaction = Interaction(
            id=number,
            token=base64.urlsafe_b64encode(f"interaction:{number}:{random_part}".encode()).decode().rstrip("="),
            kind=kind,
            person_id=person.id,
            channel_id=channel.id,
            guild_id=channel.guild_id,
            created_at_ms=self._state.clock.now_ms(),
            data=data,
            owners=owners,
            attachment_size_limit=self._state.attachment_size_limit,
            command_name=command_name,
            message_id=None if message is None else message.id,
            metadata={} if triggered_by is None else self._payloads.metadata(triggered_by),
        )
        self._state.interactions[number] = interaction
        self._state.interactions_by_token[interaction.token] = interaction
        self._open[number] = interaction
        self._state.tell(InteractionChanged(interaction))
        self._state.tell(InteractionSent(interaction))
        return interaction

    def answer(self, interaction_id: int, token: str, body: Json, uploads: tuple[Upload, ...]) -> Interaction:
        """Give an interaction its one answer. Raises 404/10062 when it is unknown or older than 3 s, 400/40060 when it
        has an answer.
        """
        interaction = self._state.interactions.get(interaction_id)
        if interaction is None or interaction.token != token:
            raise errors.unknown_interaction()
        if interaction.ack is not None:
            raise errors.already_acknowledged()
        if self._state.clock.now_ms() - interaction.created_at_ms > ANSWER_WITHIN_MS:
            raise errors.unknown_interaction()
        ack = Ack(body["type"])
        _refuse_wrong_type(interaction, ack)
        try:
            self._perform(interaction, ack, body.get("data") or {}, uploads)
        except DiscordError as error:
            raise error.within("data") from None
        interaction.ack = ack
        interaction.outcome = Outcome.ANSWERED
        if ack is not Ack.DEFERRED_MESSAGE:
            self._open.pop(interaction.id, None)
        self._state.tell(InteractionChanged(interaction))
        if ack is Ack.MODAL:
            self._state.tell(ModalOpened(interaction))
        return interaction

    def _perform(self, interaction: Interaction, ack: Ack, data: Json, uploads: tuple[Upload, ...]) -> None:
        if ack in (Ack.DEFERRED_UPDATE, Ack.UPDATE):
            self._update(interaction, ack, data, uploads)
        elif ack is Ack.MODAL:
            found = Findings()
            examine_form(list(walk(data["components"])), found)
            if found.problems:
                raise errors.invalid_form(found.problems)
            interaction.modal = data | {"components": with_ids(data["components"])}
        else:
            self._respond(interaction, ack, data, uploads)

    def _respond(self, interaction: Interaction, ack: Ack, data: Json, uploads: tuple[Upload, ...]) -> None:
        flags = data.get("flags") or 0
        if ack is Ack.DEFERRED_MESSAGE:
            if flags & ~EPHEMERAL:
                raise errors.invalid_field(
                    ("flags",), "INTERACTION_DEFER_FLAGS", "Only EPHEMERAL may be set on a deferred response"
                )
            flags |= LOADING
        elif flags & ~RESPONSE_FLAGS:
            raise errors.invalid_field(("flags",), "BASE_TYPE_CHOICES", "Flags that a response cannot set")
        kind, reference = MessageKind.CHAT_INPUT_COMMAND, None
        if interaction.kind is InteractionKind.COMMAND and interaction.data["type"] != 1:
            kind = MessageKind.CONTEXT_MENU_COMMAND
        elif interaction.message_id is not None:
            kind, reference = MessageKind.REPLY, interaction.message_id
        message = self._create(interaction, data, uploads, kind, flags, reference)
        interaction.original_id = message.id

    def _create(
        self,
        interaction: Interaction,
        data: Json,
        uploads: tuple[Upload, ...],
        kind: MessageKind,
        flags: int,
        reference: int | None,
    ) -> Message:
        channel = self._state.channel(interaction.channel_id)
        alone = interaction.only_user_installed and self._state.must_be_private(interaction.person_id, channel)
        private = bool(flags & EPHEMERAL) or alone
        metadata = self._payloads.metadata(interaction)
        if interaction.original_id is not None:
            metadata["original_response_message_id"] = str(interaction.original_id)
        message = self._messages.create(
            Draft(
                channel=channel,
                author_id=self._state.application_id,
                body=data,
                uploads=uploads,
                kind=kind,
                flags=flags & ~EPHEMERAL,
                only_for=interaction.person_id if private else None,
                metadata=metadata,
                reference_id=reference,
                through_webhook=True,
                size_limit=interaction.attachment_size_limit,
                permissions=self._state.app_permissions(interaction.person_id, channel),
            )
        )
        interaction.made_ids.add(message.id)
        return message

    def _update(self, interaction: Interaction, ack: Ack, data: Json, uploads: tuple[Upload, ...]) -> None:
        message = self._state.messages.get(interaction.message_id or 0)
        if message is None:
            raise errors.unknown_message()
        if ack is Ack.UPDATE:
            self._edit(interaction, message, data, uploads)
        interaction.original_id = message.id
        interaction.made_ids.add(message.id)

    def by_webhook(self, application_id: int, token: str) -> Interaction:
        """Return the interaction of a webhook call. Raises 401/50027 for a token that is unknown or 15 minutes old,
        404/10015 before the answer or for another application.
        """
        interaction = self._state.interactions_by_token.get(token)
        if application_id != self._state.application_id:
            raise errors.unknown_webhook()
        if interaction is None or self._state.clock.now_ms() - interaction.created_at_ms > TOKEN_LIVES_MS:
            raise errors.invalid_webhook_token()
        if interaction.ack is None:
            raise errors.unknown_webhook()
        return interaction

    def follow_up(self, interaction: Interaction, body: Json, uploads: tuple[Upload, ...]) -> Message:
        """Create a follow-up. Right after a deferral, edit the loading message instead and keep it ephemeral or not
        (Discord docs, deprecated).
        """
        original = self._state.messages.get(interaction.original_id or 0)
        if original is not None and original.flags & LOADING:
            return self.edit(interaction, original, body, uploads)
        if interaction.only_user_installed and interaction.follow_ups >= MOST_FOLLOW_UPS:
            raise errors.too_many_follow_ups()
        flags = body.get("flags") or 0
        if flags & ~RESPONSE_FLAGS:
            raise errors.invalid_field(("flags",), "BASE_TYPE_CHOICES", "Flags that a follow-up cannot set")
        reference = interaction.original_id
        kind = MessageKind.DEFAULT if reference is None else MessageKind.REPLY
        message = self._create(interaction, body, uploads, kind, flags, reference)
        interaction.follow_ups += 1
        return message

    def message_of(self, interaction: Interaction, message_id: int | None) -> Message:
        """Return a message of this interaction; None means `@original`. Raises 404/10008 for any other message."""
        wanted = interaction.original_id if message_id is None else message_id
        message = self._state.messages.get(wanted or 0)
        if message is None or message.id not in interaction.made_ids:
            raise errors.unknown_message()
        return message

    def edit(self, interaction: Interaction, message: Message, body: Json, uploads: tuple[Upload, ...]) -> Message:
        self._edit(interaction, message, body, uploads)
        if message.id == interaction.original_id:
            self._open.pop(interaction.id, None)
        return message

    def delete(self, interaction: Interaction, message: Message) -> None:
        self._messages.delete(message)
        if message.id == interaction.original_id:
            self._open.pop(interaction.id, None)

    def _edit(self, interaction: Interaction, message: Message, body: Json, uploads: tuple[Upload, ...]) -> None:
        permissions = self._state.app_permissions(interaction.person_id, self._state.channel(message.channel_id))
        self._messages.edit(message, body, uploads, interaction.attachment_size_limit, permissions)

    def sweep(self) -> None:
        """Fail interactions that have no answer after 3 s, or are still "thinking" when their token has run out."""
        now = self._state.clock.now_ms()
        for interaction in list(self._open.values()):
            limit = ANSWER_WITHIN_MS if interaction.ack is None else TOKEN_LIVES_MS
            if now - interaction.created_at_ms > limit:
                del self._open[interaction.id]
                interaction.outcome = Outcome.FAILED
                self._state.tell(InteractionChanged(interaction))


def _refuse_wrong_type(interaction: Interaction, ack: Ack) -> None:
    """Refuse types 6 and 7 without a component's message, and 9 as the answer to a form (Discord docs: 'Interaction
    Callback Type')."""
    if ack in (Ack.DEFERRED_UPDATE, Ack.UPDATE) and interaction.message_id is None:
        raise errors.invalid_field(("type",), "INTERACTION_TYPE_INVALID", "Only a component's message can be updated")
    if ack is Ack.MODAL and interaction.kind is InteractionKind.MODAL_SUBMIT:
        raise errors.invalid_field(("type",), "INTERACTION_TYPE_INVALID", "A form cannot be answered with a form")
