"""What this process knows of a card: which message it is, and which images are attached to it. Pure.

It may be lost at any time, and is then learned again from the rows or by trying.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import discord

from backoff import doubled_seconds
from generations.model import Generation, SeparateMessage, State
from ui.delivery.payload import KeptAttachment, Payload, count_images, images_on
from ui.views.file_names import file_name

CLOSED_SECONDS = 60.0  # to the first new try where the card can't be edited now; doubled with each try
CLOSED_SECONDS_MAX = 1920.0
CLOSED_TRIES = 6  # an hour in all


@dataclass(frozen=True, slots=True)
class Replacement:
    """A message that took the place of the card. *plain*: text with attachments, which can't be edited into a card.
    *by_token*: sent by the interaction's token, in the channel of the request."""

    channel_id: int
    guild_id: int | None
    message_id: int
    plain: bool
    by_token: bool = False


@dataclass(slots=True)
class CardState:
    """*attached*, *linked* and *separate*: by image position."""

    token_dead: bool = False
    token_missed: int | None = None  # the message that the token did not reach, or must not be tried on
    bot_reached: bool = False  # an edit by the bot's own token succeeded in the channel of the request
    bot_refused: bool = False  # an edit by the bot's own token was refused there
    follow_up_lost: bool = False  # a follow-up was sent, and whether Discord took it is not known
    follow_up_known_at_ms: int | None = None  # what the row says of the last one that this process sent
    post_delayed: bool = False  # a new message was sent, and Discord may have it as it was then
    replacement: Replacement | None = None
    closed: bool = False  # the last way to edit the card was refused with 403, or it is in an archived thread
    archived: bool = False  # it is in an archived thread, where nothing can be edited
    failures: int = 0  # calls in a row that got a 5xx, whatever was sent
    seen_there: bool = False  # Discord answered another call since the first of them
    brief: bool = False  # the card with all its text got 5xx: send little text
    separate_only: bool = False  # so did the brief one with an image: post images in separate messages
    tries: int = 0  # how often an edit was put off because *closed* is set
    asked: bool = False  # the card was fetched for ids that no response had
    posted_again: set[int] = field(default_factory=set[int])  # images once found gone from the card; not again
    message_id: int | None = None  # the message that *attached* is on
    attached: dict[int, KeptAttachment] = field(default_factory=dict[int, KeptAttachment])
    linked: dict[int, str] = field(default_factory=dict[int, str])
    separate: dict[int, SeparateMessage] = field(default_factory=dict[int, SeparateMessage])

    def replace_card(self, replacement: Replacement) -> None:
        """Note that *replacement* is the card now. It holds no image yet."""
        self.replacement = replacement
        self.message_id = replacement.message_id
        self.asked = False
        self.attached.clear()

    def note_uploads(self, payload: Payload, message: discord.Message) -> None:
        """Note that the uploads of *payload* are on *message* now."""
        names = {position: image_file.file_name for position, image_file in self.attached.items()}
        names |= {position: payload.names()[position] for position in payload.uploads}
        found = images_on(message, dict(sorted(names.items())))
        for position, image_file in found.items():
            before = self.attached.get(position)
            if position in payload.uploads or (before is not None and before.attachment_id is None):
                self.attached[position] = image_file

    def note_kept(self, message: discord.Message) -> None:
        """Take the ids of attached images from *message*, the card as fetched; forget images that it doesn't hold."""
        found = images_on(message, {position: self.attached[position].file_name for position in sorted(self.attached)})
        if message.flags.components_v2 and count_images(message) < len(found):
            found = {
                position: image_file for position, image_file in found.items() if image_file.attachment_id is not None
            }
        self.attached = found

    def note_gone(self, gone: Iterable[int]) -> None:
        """Note that the images at these positions are no longer on the card."""
        for position in gone:
            self.posted_again.add(position)
            self.attached.pop(position, None)

    def may_follow_up(self, generation: Generation) -> bool:
        """Whether a follow-up may be sent: False where an earlier one was begun and its outcome is not known."""
        return not self.follow_up_lost and generation.follow_up_begun_at_ms in (None, self.follow_up_known_at_ms)

    @property
    def leaves_list(self) -> bool:
        """Whether the id of an image on the card is not known."""
        return any(image_file.attachment_id is None for image_file in self.attached.values())

    def kept(self, generation: Generation) -> dict[int, KeptAttachment]:
        """Return the images on the message to be edited: from the rows, if they name that message, else as known here.

        Other processes write rows too; what could not be written is known here only.
        """
        card = generation.message_id if self.replacement is None else self.replacement.message_id
        if self.message_id != card:
            self.message_id = card
            self.attached.clear()
        if card == generation.message_id:
            self._take_from_rows(generation)
        return dict(self.attached)

    def seconds_to_reopening(self) -> float | None:
        """Count a try, and return the pause before the next one for a card whose channel is closed to the bot or
        archived; None: it is neither, or CLOSED_TRIES were made."""
        if not self.closed or self.tries >= CLOSED_TRIES:
            return None
        self.tries += 1
        return doubled_seconds(self.tries, first=CLOSED_SECONDS, most=CLOSED_SECONDS_MAX)

    def _take_from_rows(self, generation: Generation) -> None:
        for image in generation.images:
            if image.attachment_id is None:
                # A file name without an id: it is on the card, and no response had its id.
                if image.state is State.DELIVERED and image.file_name and image.separate_message is None:
                    self.attached.setdefault(image.position, KeptAttachment(None, image.file_name))
                continue
            remembered = self.attached.get(image.position)
            if image.state is State.DELIVERED:
                name = image.file_name or file_name(generation, image)
                self.attached[image.position] = KeptAttachment(image.attachment_id, name)
            elif remembered is not None and remembered.attachment_id == image.attachment_id:
                del self.attached[image.position]  # a late edit removed it from the card: it must be posted again
