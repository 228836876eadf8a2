"""What a person can do and see: used by the page's routes and by tests alike. Knows no HTTP.

A method raises Refused with a sentence where Discord's client would not let the person act.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sandbox.local_discord import permissions as p
from sandbox.local_discord import shapes_commands as kinds
from sandbox.local_discord import shapes_components as parts
from sandbox.local_discord.errors import DiscordError
from sandbox.local_discord.messages import Draft
from sandbox.local_discord.model import (
    Channel,
    ChannelKind,
    Interaction,
    InteractionKind,
    Json,
    Message,
    Outcome,
    Person,
)
from sandbox.local_discord.people_commands import (
    NO_POST_CHOSEN,
    Refused,
    check_options,
    chosen_leaves,
    find_command,
    from_keywords,
    owners,
    why_not_here,
)
from sandbox.local_discord.people_forms import check_picks, fill_form
from sandbox.local_discord.people_resolved import Resolving
from sandbox.local_discord.rules_messages import walk
from sandbox.local_discord.stage import ShownForm, Stage

T = TypeVar("T")
LOOK_AGAIN_SECONDS = 0.05
NO_ANSWER = "The application did not respond"


class Actor:
    def __init__(self, person: Person, stage: Stage) -> None:
        self.person = person
        self._stage = stage
        self._state = stage.state
        self._resolving = Resolving(stage.state, stage.payloads, stage.places)

    # --- acting ---

    async def command(self, channel: str | int, name: str, **options: Any) -> int:
        """Types `/name` with its options; "admin limits" names a sub-command. Returns the interaction's id."""
        place = self.place(channel)
        root, *path = name.split(" ")
        command = self._find(kinds.CHAT_INPUT, root, place)
        return self.run_command(place, kinds.CHAT_INPUT, root, from_keywords(command, path, options))

    async def message_menu(self, channel: str | int, name: str, message_id: int) -> int:
        """Picks a command from a message's menu."""
        return self.run_command(self.place(channel), kinds.MESSAGE_MENU, name, [], message_id)

    async def user_menu(self, channel: str | int, name: str, user_id: int) -> int:
        """Picks a command from a person's menu."""
        return self.run_command(self.place(channel), kinds.USER_MENU, name, [], user_id)

    def run_command(
        self, channel: Channel, kind: int, name: str, options: Sequence[Json], target_id: int | None = None
    ) -> int:
        """Sends a command with options as a client nests them. `target_id` is a menu's message or person."""
        command = self._find(kind, name, channel)
        guild = self._state.guild_of(channel)
        held = self._state.permissions(self.person.id, channel)
        if (reason := why_not_here(command, self.person, channel, guild, held)) is not None:
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
        started = self._stage.interactions.start(
            self.person, channel, InteractionKind.COMMAND, data, owners=authorized, command_name=name
        )
        return started.id

    async def press(self, message_id: int, button: str, values: Sequence[str] | None = None) -> int:
        """Presses a button (named by custom_id or label) or picks `values` in a select (custom_id or placeholder)."""
        message = self._readable(message_id)
        for _, part in walk(message.components):
            names = (part.get("custom_id"), part.get("label"), part.get("placeholder"))
            if part["type"] in (2, 3, 5, 6, 7, 8) and button in names:
                return self._use(message, part, values)
        raise Refused(f"There is nothing called {button} on this message.")

    def press_custom_id(self, message_id: int, custom_id: str, values: Sequence[str] | None = None) -> int:
        """As `press`, by custom_id alone."""
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
        data: Json = {"component_type": part["type"], "custom_id": part["custom_id"], "id": part["id"]}
        if part["type"] != parts.BUTTON:
            picked = list(values or [])
            check_picks(part, picked, part.get("placeholder", "This"))
            data["values"] = picked
            option_kinds = {5: kinds.USER, 6: kinds.ROLE, 7: kinds.MENTIONABLE, 8: kinds.CHANNEL}
            if part["type"] in option_kinds:
                data |= self._resolving.resolved(
                    self.person, channel, [(option_kinds[part["type"]], value) for value in picked]
                )
        started = self._stage.interactions.start(
            self.person, channel, InteractionKind.COMPONENT, data, owners=self._owners_of(message), message=message
        )
        return started.id

    async def submit(self, form: ShownForm | int, values: Mapping[str, Any]) -> int:
        """Sends a form.

        `form` may be the id of the interaction that was answered with it; `values` by custom_id or label.
        """
        shown_by = self._state.interactions.get(form if isinstance(form, int) else form.interaction_id)
        if shown_by is None or shown_by.modal is None or shown_by.person_id != self.person.id:
            raise Refused("There is no such form on your screen.")
        filled = fill_form(shown_by.modal, values)
        started = self._stage.interactions.start(
            self.person,
            self._state.channel(shown_by.channel_id),
            InteractionKind.MODAL_SUBMIT,
            {"custom_id": shown_by.modal["custom_id"], "components": filled},
            owners=shown_by.owners,
            command_name=shown_by.command_name,
            message=self._state.messages.get(shown_by.message_id or 0),
            triggered_by=shown_by,
        )
        return started.id

    async def say(self, channel: str | int, text: str) -> int:
        """Says something; returns the message's id."""
        place = self.place(channel)
        if place.kind is ChannelKind.FORUM:
            raise Refused(NO_POST_CHOSEN)
        held = self._state.permissions(self.person.id, place)
        needed = p.SEND_MESSAGES_IN_THREADS if place.is_thread else p.SEND_MESSAGES
        if not held & needed:
            raise Refused("You may not write here.")
        if not text.strip() or len(text) > 2000:
            raise Refused("A message has 1 to 2000 characters.")
        try:
            message = self._stage.messages.create(Draft(place, self.person.id, {"content": text}, permissions=held))
        except DiscordError as error:
            raise Refused(error.message) from error
        return message.id

    async def delete_message(self, message_id: int) -> None:
        """Deletes a message, or closes an ephemeral one (which lives on for the bot)."""
        message = self._readable(message_id)
        if message.only_for is not None:
            self._stage.messages.dismiss(message, self.person.id)
            return
        held = self._state.permissions(self.person.id, self._state.channel(message.channel_id))
        if message.author_id != self.person.id and not held & p.MANAGE_MESSAGES:
            raise Refused("You may only delete your own messages here.")
        self._stage.messages.delete(message)

    async def archive(self, channel: str | int) -> None:
        """Archives a thread: its moderators may."""
        place = self.place(channel)
        if place.kind is not ChannelKind.THREAD:
            raise Refused("Only a thread can be archived.")
        if not self._state.permissions(self.person.id, place) & p.MANAGE_THREADS:
            raise Refused("You may not archive this thread.")
        self._state.archived_threads.add(place.id)

    # --- seeing ---

    def messages(self, channel: str | int) -> list[Json]:
        """What is on this person's screen, oldest first, as the page gets it."""
        found = self._state.messages_in(self.place(channel).id)
        return [self._stage.payloads.for_person(message) for message in found if self.may_read(message)]

    def message(self, message_id: int) -> Json:
        return self._stage.payloads.for_person(self._readable(message_id))

    def may_read(self, message: Message) -> bool:
        return self._state.may_read(self.person, message)

    def interaction(self, interaction_id: int) -> Interaction:
        """One of this person's own interactions."""
        found = self._state.interactions.get(interaction_id)
        if found is None or found.person_id != self.person.id:
            raise Refused("That was not yours.")
        return found

    def form(self, interaction_id: int) -> ShownForm | None:
        """The form with which an interaction was answered, None as long as there is none."""
        modal = self.interaction(interaction_id).modal
        return (
            None
            if modal is None
            else ShownForm(interaction_id, modal["custom_id"], modal["title"], modal["components"])
        )

    def answer(self, interaction_id: int) -> Json | None:
        """The message with which an interaction was answered, None as long as there is none (or it is gone)."""
        message = self._state.messages.get(self.interaction(interaction_id).original_id or 0)
        return self._stage.payloads.for_person(message) if message is not None and self.may_read(message) else None

    def error(self, interaction_id: int) -> str | None:
        return NO_ANSWER if self.interaction(interaction_id).outcome is Outcome.FAILED else None

    async def wait_for(self, predicate: Callable[[], T | None], timeout_seconds: float = 90.0) -> T:
        """Waits until `predicate()` is true, looking again whenever something happens and every 50 ms.

        Raises TimeoutError after `timeout_seconds` of real time.
        """
        async with asyncio.timeout(timeout_seconds):
            while not (found := predicate()):
                await asyncio.wait([self._stage.changes.next()], timeout=LOOK_AGAIN_SECONDS)
            return found

    # --- finding ---

    def place(self, channel: str | int) -> Channel:
        """A channel by name, id, or "dm"."""
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
        """A component is authorized as the message it sits on was."""
        if message.metadata is not None:
            return message.metadata["authorizing_integration_owners"]
        channel = self._state.channel(message.channel_id)
        return {"0": "0" if channel.guild_id is None else str(channel.guild_id)}
