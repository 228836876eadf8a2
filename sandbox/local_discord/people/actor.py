"""What a person does and sees in Discord, for the page's routes and for tests.

A method raises Refused with a sentence where Discord's client would not let the person act.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.local_discord.errors import DiscordError
from sandbox.local_discord.media.uploads import Upload
from sandbox.local_discord.people import administration
from sandbox.local_discord.people.client_context import ClientContext, OpenForm
from sandbox.local_discord.people.command_checks import (
    NO_POST_CHOSEN,
    Refused,
    check_options,
    chosen_leaves,
    find_command,
    from_keywords,
    owners,
    why_not_here,
)
from sandbox.local_discord.people.forms import check_picks, fields_of, fill_form
from sandbox.local_discord.people.resolved import ResolvedData
from sandbox.local_discord.rules.message_body import walk
from sandbox.local_discord.rules.messages import Draft
from sandbox.local_discord.schemas import commands as kinds
from sandbox.local_discord.schemas import components as parts
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import (
    Channel,
    ChannelKind,
    Interaction,
    InteractionKind,
    Json,
    Message,
    Outcome,
    Person,
)

T = TypeVar("T")
POLL_SECONDS = 0.05
NO_ANSWER = "The application did not respond"


class Actor:
    def __init__(self, person: Person, context: ClientContext) -> None:
        self.person = person
        self._context = context
        self._state = context.state
        self._resolving = ResolvedData(context.state, context.payloads, context.channel_payloads)

    async def command(self, channel: str | int, name: str, **options: Any) -> int:
        """Type `/name` with its options; "admin limits" names a sub-command. Return the interaction's id."""
        place = self.find_channel(channel)
        root, *path = name.split(" ")
        command = self._find(kinds.CHAT_INPUT, root, place)
        return self.run_command(place, kinds.CHAT_INPUT, root, from_keywords(command, path, options))

    async def message_menu(self, channel: str | int, name: str, message_id: int) -> int:
        """Pick a command from a message's menu. Return the interaction's id."""
        return self.run_command(self.find_channel(channel), kinds.MESSAGE_MENU, name, [], message_id)

    def run_command(
        self, channel: Channel, kind: int, name: str, options: Sequence[Json], target_id: int | None = None
    ) -> int:
        """Send a command with options as a client nests them. *target_id*: a menu's message or person."""
        command = self._find(kind, name, channel)
        guild = self._state.guild_of(channel)
        if (reason := why_not_here(self._state, command, self.person, channel)) is not None:
            raise Refused(reason)
        chosen = check_options(command.get("options") or [], options)
        data: Json = {"id": command["id"], "name": name, "type": kind}
        if kind == kinds.CHAT_INPUT:
            data |= {"options": chosen} if chosen else {}
            data |= self._resolving.resolved(
                self.person, channel, [(leaf["type"], str(leaf["value"])) for leaf in chosen_leaves(chosen)]
            )
        else:
            data |= self._resolving.target(self.person, channel, kind, target_id)
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        authorized = owners(command, self.person, channel, guild)
        started = self._context.interactions.start(
            self.person, channel, InteractionKind.COMMAND, data, owners=authorized, command_name=name
        )
        return started.id

    async def press(self, message_id: int, button: str, values: Sequence[str] | None = None) -> int:
        """Press a button (by custom_id or label), or pick *values* in a select (by custom_id or placeholder)."""
        message = self._readable(message_id)
        for _, part in walk(message.components):
            names = (part.get("custom_id"), part.get("label"), part.get("placeholder"))
            if part["type"] in (parts.BUTTON, *parts.SELECTS) and button in names:
                return self._use(message, part, values)
        raise Refused(f"There is nothing called {button} on this message.")

    def press_custom_id(self, message_id: int, custom_id: str, values: Sequence[str] | None = None) -> int:
        """Press a button or use a select, by custom_id alone."""
        message = self._readable(message_id)
        for _, part in walk(message.components):
            if part.get("custom_id") == custom_id:
                return self._use(message, part, values)
        raise Refused("That is not there any more.")

    def _use(self, message: Message, part: Json, values: Sequence[str] | None) -> int:
        if part.get("disabled"):
            raise Refused("This is switched off.")
        if "custom_id" not in part:
            raise Refused("This only opens an address.")
        channel = self._state.channel(message.channel_id)
        guild, authorized = self._state.guild_of(channel), self._owners_of(message)
        if guild is not None and not guild.installed and set(authorized) == {"0"}:
            raise Refused("The app is no longer in this server.")
        data: Json = {"component_type": part["type"], "custom_id": part["custom_id"], "id": part["id"]}
        if part["type"] != parts.BUTTON:
            picked = list(values or [])
            check_picks(part, picked, part.get("placeholder", "This"))
            data |= {"values": picked, **self._resolving.picks(self.person, channel, [(part, picked)])}
        started = self._context.interactions.start(
            self.person, channel, InteractionKind.COMPONENT, data, owners=authorized, message=message
        )
        return started.id

    async def submit(self, form: OpenForm | int, values: Mapping[str, Any]) -> int:
        """Send a form. *form* may be the id of the interaction that it answered; *values* by custom_id or label."""
        opened_by, modal = self._opened(form)
        channel = self._state.channel(opened_by.channel_id)
        fields = modal["components"]
        filled = fill_form(fields, values)
        picked = {field["custom_id"]: field.get("values", []) for field in fields_of(filled)}
        resolved = self._resolving.picks(
            self.person,
            channel,
            [(field, picked[field["custom_id"]]) for field in fields_of(fields)],
            opened_by.uploads,
        )
        started = self._context.interactions.start(
            self.person,
            channel,
            InteractionKind.MODAL_SUBMIT,
            {"custom_id": modal["custom_id"], "components": filled, **resolved},
            owners=opened_by.owners,
            command_name=opened_by.command_name,
            message=self._state.messages.get(opened_by.message_id or 0),
            triggered_by=opened_by,
        )
        return started.id

    async def upload(self, form: OpenForm | int, filename: str, data: bytes) -> str:
        """Upload a file for an open form, before it is sent. Return its id, which is a value of a file field."""
        opened_by, _ = self._opened(form)
        if len(data) > opened_by.attachment_size_limit:
            raise Refused("This file is too large to be uploaded here.")
        attachment = self._context.messages.keep_upload(opened_by.channel_id, Upload("files[0]", 0, filename, data))
        opened_by.uploads[str(attachment.id)] = attachment
        return str(attachment.id)

    def _opened(self, form: OpenForm | int) -> tuple[Interaction, Json]:
        """Return the interaction that opened a form on this person's screen, and the form."""
        opened_by = self._state.interactions.get(form if isinstance(form, int) else form.interaction_id)
        if opened_by is None or opened_by.modal is None or opened_by.person_id != self.person.id:
            raise Refused("There is no such form on your screen.")
        return opened_by, opened_by.modal

    async def say(self, channel: str | int, text: str) -> int:
        """Write a message; return its id."""
        place = self.find_channel(channel)
        if place.kind is ChannelKind.FORUM:
            raise Refused(NO_POST_CHOSEN)
        held = self._state.permissions(self.person.id, place)
        needed = p.SEND_MESSAGES_IN_THREADS if place.is_thread else p.SEND_MESSAGES
        if not held & needed:
            raise Refused("You may not write here.")
        if not text.strip() or len(text) > 2000:
            raise Refused("A message has 1 to 2000 characters.")
        try:
            message = self._context.messages.create(Draft(place, self.person.id, {"content": text}, permissions=held))
        except DiscordError as error:
            raise Refused(error.message) from error
        return message.id

    async def delete_message(self, message_id: int) -> None:
        """Delete a message, or dismiss an ephemeral one, which the bot can still edit."""
        message = self._readable(message_id)
        if message.only_for is not None:
            self._context.messages.dismiss(message, self.person.id)
            return
        held = self._state.permissions(self.person.id, self._state.channel(message.channel_id))
        if message.author_id != self.person.id and not held & p.MANAGE_MESSAGES:
            raise Refused("You may only delete your own messages here.")
        self._context.messages.delete(message)

    async def permit(self, guild: str, command: str | None, *entries: tuple[str, str, bool]) -> None:
        """Replace a command's permissions in a guild, or with None those of the whole app; as its admin.

        Each entry: "role", "user" or "channel", a name ("@everyone", "*" for all channels), and whether it may.
        """
        found = administration.find_guild(self._state, guild)
        sent = [administration.entry(self._state, found, *each) for each in entries]
        administration.set_command_permissions(self._state, self.person, found, command, sent)

    async def make_channel(self, guild: str, name: str, *, nsfw: bool = False) -> Channel:
        found = administration.find_guild(self._state, guild)
        return administration.make_channel(self._state, self.person, found, name, nsfw=nsfw)

    async def set_age_restricted(self, channel: str | int, nsfw: bool) -> None:
        administration.set_age_restricted(self._state, self.person, self.find_channel(channel), nsfw)

    async def remove_app(self, guild: str) -> None:
        """Remove the app and its bot from a guild; needs MANAGE_GUILD, as adding it does."""
        administration.remove_app(self._state, self.person, administration.find_guild(self._state, guild))

    async def add_app(self, guild: str) -> None:
        administration.add_app(self._state, self.person, administration.find_guild(self._state, guild))

    async def archive(self, channel: str | int) -> None:
        """Archive a thread; needs MANAGE_THREADS."""
        place = self.find_channel(channel)
        if not place.is_thread:
            raise Refused("Only a thread can be archived.")
        if not self._state.permissions(self.person.id, place) & p.MANAGE_THREADS:
            raise Refused("You may not archive this thread.")
        self._state.archived_threads.add(place.id)

    def messages(self, channel: str | int) -> list[Json]:
        """Return what this person sees in a channel, oldest first, as the page gets it."""
        found = self._state.messages_in(self.find_channel(channel).id)
        return [self._context.payloads.for_person(message) for message in found if self.may_read(message)]

    def message(self, message_id: int) -> Json:
        return self._context.payloads.for_person(self._readable(message_id))

    def may_read(self, message: Message) -> bool:
        return self._state.may_read(self.person, message)

    def interaction(self, interaction_id: int) -> Interaction:
        """Return one of this person's own interactions."""
        found = self._state.interactions.get(interaction_id)
        if found is None or found.person_id != self.person.id:
            raise Refused("That was not yours.")
        return found

    def form(self, interaction_id: int) -> OpenForm | None:
        """Return the form with which an interaction was answered, None as long as there is none."""
        modal = self.interaction(interaction_id).modal
        return (
            None if modal is None else OpenForm(interaction_id, modal["custom_id"], modal["title"], modal["components"])
        )

    def answer(self, interaction_id: int) -> Json | None:
        """Return the message with which an interaction was answered, None while there is none or when it is deleted."""
        message = self._state.messages.get(self.interaction(interaction_id).original_id or 0)
        return self._context.payloads.for_person(message) if message is not None and self.may_read(message) else None

    def error(self, interaction_id: int) -> str | None:
        return NO_ANSWER if self.interaction(interaction_id).outcome is Outcome.FAILED else None

    async def wait_for(self, predicate: Callable[[], T | None], timeout_seconds: float = 90.0) -> T:
        """Return what *predicate* gives once it is true; it is called at every change and every 50 ms.

        Raises TimeoutError after *timeout_seconds* of real time.
        """
        async with asyncio.timeout(timeout_seconds):
            while not (found := predicate()):
                await asyncio.wait([self._context.changes.next()], timeout=POLL_SECONDS)
            return found

    def find_channel(self, channel: str | int) -> Channel:
        """Return a channel by name, id, or "dm"."""
        name = f"dm-{self.person.name}" if channel == "dm" else str(channel)
        found = self._state.channels.get(name) or self._state.channels_by_id.get(int(name) if name.isdigit() else 0)
        if found is None or not self._state.may_see(self.person, found):
            raise Refused("You cannot see that channel.")
        return found

    def _find(self, kind: int, name: str, channel: Channel) -> Json:
        everything = [command for scope in self._state.commands.values() for command in scope]
        return find_command(everything, kind, name, channel.guild_id)

    def _readable(self, message_id: int) -> Message:
        message = self._state.messages.get(message_id)
        if message is None or not self.may_read(message):
            raise Refused("That message is not there any more.")
        return message

    def _owners_of(self, message: Message) -> dict[str, str]:
        """Return the owners of a component's interaction: those of its message."""
        if message.metadata is not None:
            return message.metadata["authorizing_integration_owners"]
        channel = self._state.channel(message.channel_id)
        return {"0": "0" if channel.guild_id is None else str(channel.guild_id)}
