"""What this process learned of a card by showing it: where it stands, and which images are on it. Pure.

It may be lost at any time: then it is learned again, from the rows or by trying.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import discord

from generations.model import Generation, SeparateMessage, State
from ui.delivery.payload import KeptAttachment, Payload, count_images, images_on
from ui.views.file_names import file_name

CLOSED_SECONDS = 60.0  # to the first new try where the bot may not write now; doubled with each
CLOSED_TRIES = 6  # an hour in all


@dataclass(frozen=True, slots=True)
class Replacement:
    """A message that took the place of the card. A *plain* one can't become a card. *by_token*: it was sent by the
    interaction's token, where the card was asked for."""

    channel_id: int
    guild_id: int | None
    message_id: int
    plain: bool
    by_token: bool = False


@dataclass(slots=True)
class CardState:
    """One card's. *attached*, *linked* and *apart*: by image position."""

    token_dead: bool = False
    token_missed: int | None = None  # the message that the token did not reach, or was not to be tried on
    bot_reached: bool = False  # an edit with the bot's own token was taken where the card was asked for
    bot_refused: bool = False  # the bot's own edit was refused there
    follow_up_lost: bool = False  # a message by the token was sent, and whether Discord took it is not known
    follow_up_known_at_ms: int | None = None  # the note in the row of the last one that this process sent
    replacement: Replacement | None = None
    closed: bool = False  # the bot was refused at the last place there was
    archived: bool = False  # it stands in a thread that is archived: there it can't be edited
    failures: int = 0  # calls in a row that got a 5xx, whatever was sent
    seen_there: bool = False  # Discord answered other calls since the first of them
    brief: bool = False  # Discord failed over the card with all its words
    separate_only: bool = False  # and over the brief one with an image: images go in messages of their own
    tries: int = 0  # how often the card was left alone because of that
    asked: bool = False  # the card has been asked for ids that no answer told
    message_id: int | None = None  # what *attached* stands on
    attached: dict[int, KeptAttachment] = field(default_factory=dict[int, KeptAttachment])
    linked: dict[int, str] = field(default_factory=dict[int, str])
    separate: dict[int, SeparateMessage] = field(default_factory=dict[int, SeparateMessage])

    def replace_card(self, replacement: Replacement) -> None:
        """From now on the card is another message, which holds no image yet."""
        self.replacement = replacement
        self.message_id = replacement.message_id
        self.asked = False
        self.attached.clear()

    def note_uploads(self, payload: Payload, message: discord.Message) -> None:
        """The images of *sheet* stand on *message* now."""
        names = {position: image_file.file_name for position, image_file in self.attached.items()}
        names |= {position: payload.names()[position] for position in payload.uploads}
        found = images_on(message, dict(sorted(names.items())))
        for position, image_file in found.items():
            before = self.attached.get(position)
            if position in payload.uploads or (before is not None and before.attachment_id is None):
                self.attached[position] = image_file

    def note_kept(self, message: discord.Message) -> None:
        """*message* is the card as it stands. What it can't hold is forgotten; of the rest it may tell the ids."""
        found = images_on(message, {position: self.attached[position].file_name for position in sorted(self.attached)})
        if message.flags.components_v2 and count_images(message) < len(found):
            found = {
                position: image_file for position, image_file in found.items() if image_file.attachment_id is not None
            }
        self.attached = found

    def may_follow_up(self, generation: Generation) -> bool:
        """Whether no message by the token may have been posted of which only the note in the row is known."""
        return not self.follow_up_lost and generation.follow_up_begun_at_ms in (None, self.follow_up_known_at_ms)

    @property
    def leaves_list(self) -> bool:
        """Whether an image stands on the card whose id is not known."""
        return any(image_file.attachment_id is None for image_file in self.attached.values())

    def kept(self, generation: Generation) -> dict[int, KeptAttachment]:
        """The images that stand on the message to be edited: by the rows, if they speak of it, else as remembered.

        Other processes write rows too; what could not be written down is known here only.
        """
        card = generation.message_id if self.replacement is None else self.replacement.message_id
        if self.message_id != card:
            self.message_id = card
            self.attached.clear()
        if card == generation.message_id:
            self._take_from_rows(generation)
        return dict(self.attached)

    def seconds_to_reopening(self) -> float | None:
        """After how long to try again what a card owes whose channel is closed to the bot; None: it is not, or for
        too long."""
        if not self.closed or self.tries >= CLOSED_TRIES:
            return None
        self.tries += 1
        return CLOSED_SECONDS * 2 ** (self.tries - 1)

    def _take_from_rows(self, generation: Generation) -> None:
        for image in generation.images:
            if image.attachment_id is None:
                # Its name stands in the rows although no answer told its id: it is on the card all the same.
                if image.state is State.DELIVERED and image.file_name and image.separate_message is None:
                    self.attached.setdefault(image.position, KeptAttachment(None, image.file_name))
                continue
            remembered = self.attached.get(image.position)
            if image.state is State.DELIVERED:
                name = image.file_name or file_name(generation, image)
                self.attached[image.position] = KeptAttachment(image.attachment_id, name)
            elif remembered is not None and remembered.attachment_id == image.attachment_id:
                del self.attached[image.position]  # a late edit took it off the card: it is to be posted again
