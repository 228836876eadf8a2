"""Build what one request for a card carries: its components and its images. No network.

A discord.File can be sent once only (a second send silently uploads nothing), so each try builds new ones.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit

import discord

from discord_api.links import message_link
from generations.model import Generation, Progress, SeparateMessage, State
from qwen.images import OversizedImage
from ui.texts.text_budget import FILES_BYTES_MAX, TEXT_BYTES_MAX, image_descriptions, utf8_bytes
from ui.views.cards import CardButtons, build_card
from ui.views.file_names import SPOILER_PREFIX, ImageFile, file_name


@dataclass(frozen=True, slots=True)
class KeptAttachment:
    """An image that is on the card already. discord.py asks such an object only for to_dict (http.py,
    `handle_message_parameters`); Discord keeps what is listed by its id (Discord docs: Message, "Edit Message").

    The file name must be sent with the id: Discord resolves `attachment://name` from the request alone. With the id
    alone it answers 400, 50035, UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND (seen on Discord by an operator of
    a panel bot; discord.py, hikari and JDA send both).
    """

    attachment_id: int | None  # None: not known
    file_name: str
    address: str = ""  # of the gallery's item, if the id is not known

    @property
    def reference(self) -> str:
        """Return how a gallery names it: by its file name if its id is known, and else by its address."""
        return self.address if self.attachment_id is None and self.address else f"attachment://{self.file_name}"

    def to_dict(self) -> dict[str, Any]:
        return {"id": str(self.attachment_id), "filename": self.file_name}


@dataclass(frozen=True, slots=True)
class Payload:
    """One version of a card, ready to be sent. All keys are image positions.

    *uploads*: images to send now; *kept*: those on the message already; *linked*: addresses of images too large to
    be attached; *separate*: messages that hold what could not be put on this card; *last_word*: the card can't be
    edited after this, and not all images are ready; *brief*: with little text, where Discord fails over more.
    """

    generation: Generation
    progress: Progress
    buttons: CardButtons
    uploads: Mapping[int, ImageFile]
    kept: Mapping[int, KeptAttachment]
    linked: Mapping[int, str]
    separate: Mapping[int, SeparateMessage] = field(default_factory=dict[int, SeparateMessage])
    last_word: bool = False
    brief: bool = False

    def view(self) -> discord.ui.LayoutView:
        """Build the components. The gallery names the images of this message by their file names."""
        names = self.names()
        attached = {position: f"attachment://{name}" for position, name in names.items()}
        attached |= {position: image_file.reference for position, image_file in self.kept.items()}
        return build_card(
            self.generation,
            self.progress,
            buttons=self.buttons,
            attached=attached,
            names=names,
            linked=self.linked,
            elsewhere=addresses(self.generation, self.separate),
            last_word=self.last_word,
            brief=self.brief,
        )

    @property
    def leaves_list(self) -> bool:
        """Whether no list of attachments is sent, as an id is unknown: Discord keeps all (Discord docs: Message)."""
        return any(image_file.attachment_id is None for image_file in self.kept.values())

    @property
    def attachment_ids(self) -> dict[int, int]:
        """Return the attachments that an edit keeps, by image position, as far as their ids are known."""
        known = ((position, image_file.attachment_id) for position, image_file in self.kept.items())
        return {position: found for position, found in known if found is not None}

    @property
    def appends(self) -> bool:
        """Whether to add new files without sending a list (discord_api.appending)."""
        return self.leaves_list and bool(self.uploads)

    def names(self) -> dict[int, str]:
        """Return the file names on the message by position, in gallery order."""
        names = {position: image_file.file_name for position, image_file in self.kept.items()}
        names |= {position: self._file_name(position, image_file) for position, image_file in self.uploads.items()}
        return dict(sorted(names.items()))

    def files(self, *, beside: str = "") -> list[discord.File]:
        """Build the files to send, with the prompt as their description.

        *beside*: the text of a message without components, whose only alt text these descriptions are.
        """
        request = self.generation.request
        room = TEXT_BYTES_MAX - utf8_bytes(beside) if beside else FILES_BYTES_MAX
        room = 0 if self.brief else room
        descriptions = image_descriptions(request.prompt, self.uploads, request.count, room)
        return [
            discord.File(
                io.BytesIO(self.uploads[position].data),
                self._file_name(position, self.uploads[position]).removeprefix(SPOILER_PREFIX),
                description=description,
                spoiler=request.spoiler,
            )
            for position, description in descriptions.items()
        ]

    def attachments(self) -> Sequence[discord.Attachment | discord.File]:
        """Build the whole list for an edit, kept ones first; MISSING (send no list) when it is empty, or the id of a
        kept one is not known."""
        if self.leaves_list:
            return discord.utils.MISSING
        kept = [cast("discord.Attachment", self.kept[position]) for position in sorted(self.kept)]
        return [*kept, *self.files()] or discord.utils.MISSING

    def posted_at(self, message: SeparateMessage) -> Payload:
        """Return the card without the new images, saying that they are in *message*."""
        return replace(self, uploads={}, separate={**self.separate, **dict.fromkeys(self.uploads, message)})

    def kept_back(self) -> Payload:
        """Return the card without the new images, saying that there is no place for them.

        New links are left out too: a kept image may be refunded, so its address is not shown.
        """
        linked = {at: url for at, url in self.linked.items() if self.generation.images[at].state is State.DELIVERED}
        new = self.uploads.keys() | self.linked.keys() - linked.keys()
        images = (
            replace(image, state=State.UNDELIVERED) if image.position in new else image
            for image in self.generation.images
        )
        return replace(self, generation=replace(self.generation, images=tuple(images)), uploads={}, linked=linked)

    def on_new_message(self, image_files: Mapping[int, ImageFile | OversizedImage]) -> Payload:
        """Return the card as a new message that holds nothing but *image_files*."""
        uploads = {
            position: image_file
            for position, image_file in image_files.items()
            if position not in self.linked and not isinstance(image_file, OversizedImage)
        }
        return replace(self, uploads=uploads, kept={}, separate={}, last_word=False)

    def _file_name(self, position: int, image_file: ImageFile) -> str:
        return file_name(self.generation, self.generation.images[position], image_file)


def addresses(generation: Generation, separate: Mapping[int, SeparateMessage]) -> list[str]:
    """Return the links to separate messages; empty for one that only its person sees, which has no address."""
    places = dict.fromkeys(separate[position] for position in sorted(separate))
    return [_address(generation, place) for place in places]


def is_ephemeral(generation: Generation, separate: SeparateMessage) -> bool:
    """Whether only its person sees that message: a private one that is not in the direct messages."""
    return generation.request.private and separate.channel_id == generation.origin.channel_id


def _address(generation: Generation, separate: SeparateMessage) -> str:
    if is_ephemeral(generation, separate):
        return ""
    origin = generation.origin
    guild_id = origin.guild_id if origin.channel_id == separate.channel_id else None
    return message_link(guild_id, separate.channel_id, separate.message_id)


def images_on(message: discord.Message, names: Mapping[int, str]) -> dict[int, KeptAttachment]:
    """Return the images *names*, by position, with the ids and addresses that *message* has of them.

    A message that shows its attachments in components lists none of them in `attachments` (discord-api-docs#8277),
    so they are read from the gallery: by file name, and by order where the name was changed.
    """
    media = list(gallery_media(message.components))
    by_name = {attachment.filename: attachment.id for attachment in message.attachments}
    by_name |= {_name_in(item.url): found for item in media if (found := _id_of(item)) is not None}
    by_place = dict(zip(names, media, strict=True)) if len(media) == len(names) else {}
    image_files: dict[int, KeptAttachment] = {}
    for position, name in names.items():
        item = by_place.get(position)
        found = by_name.get(name) or (_id_of(item) if item is not None else None)
        address = item.url if item is not None and item.url.startswith(("http://", "https://")) else ""
        image_files[position] = KeptAttachment(found, name, "" if found is not None else address)
    return image_files


def has_ids(message: discord.Message, names: Mapping[int, str]) -> bool:
    """Whether *message* has the id of each of the images *names*."""
    return all(image_file.attachment_id is not None for image_file in images_on(message, names).values())


def ids_on(message: discord.Message) -> set[int] | None:
    """Return the ids of all images on *message*; None: it has one whose id it does not tell."""
    ids = {attachment.id for attachment in message.attachments}
    for item in gallery_media(message.components):
        found = _id_of(item)
        if found is None:
            return None
        ids.add(found)
    return ids


def count_images(message: discord.Message) -> int:
    """Return how many images *message* has."""
    return len(message.attachments) + sum(1 for _ in gallery_media(message.components))


def gallery_media(components: Sequence[Any]) -> Iterator[discord.UnfurledMediaItem]:
    """Yield the media of all galleries in *components*, at any depth."""
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            yield from (item.media for item in component.items)
        else:
            yield from gallery_media(getattr(component, "children", ()))


def _id_of(media: discord.UnfurledMediaItem) -> int | None:
    """Return the attachment's id from its field, or from its address: .../<channel id>/<attachment id>/<file name>."""
    if media.attachment_id is not None:
        return media.attachment_id
    parts = urlsplit(media.url).path.split("/")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isascii() and parts[-2].isdigit() else None


def _name_in(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
