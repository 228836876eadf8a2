"""What one try to show a card sends: its components and its pictures. No network.

A discord.File can be sent once only (a second send uploads nothing, silently), so every try takes new ones from here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit

import discord

from generations.model import Generation, Progress, SeparateMessage, State
from qwen.images import OversizedImage
from ui.texts.text_budget import FILES_BYTES_MAX, TEXT_BYTES_MAX, image_descriptions, utf8_bytes
from ui.views.cards import CardButtons, build_card
from ui.views.file_names import SPOILER_PREFIX, Picture, file_name


@dataclass(frozen=True, slots=True)
class KeptAttachment:
    """A picture that stands on the card already. discord.py asks such an object only for to_dict (http.py,
    `handle_message_parameters`); Discord keeps what is listed by its id (Discord docs: Message, "Edit Message").

    The file name must stand beside the id: Discord resolves `attachment://name` from the request alone. With the id
    alone it answers 400, 50035, UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND (seen on Discord by an operator of
    a panel bot; discord.py, hikari and JDA send both).
    """

    attachment_id: int | None  # None: Discord has not told it
    file_name: str
    address: str = ""  # where the message's gallery shows it, if Discord tells no more

    @property
    def reference(self) -> str:
        """How a gallery names it: by its file name, if it is listed with its id, and else by its address."""
        return self.address if self.attachment_id is None and self.address else f"attachment://{self.file_name}"

    def to_dict(self) -> dict[str, Any]:
        return {"id": str(self.attachment_id), "filename": self.file_name}


@dataclass(frozen=True, slots=True)
class Payload:
    """One state of a card, ready to be sent. All keys are image positions.

    *uploads*: pictures to send now; *kept*: those on the message already; *linked*: addresses of images too large to
    be attached; *apart*: messages that hold what could not be put on this card; *leaving*: soon it can't be changed any
    more, and not all is ready; *brief*: with little text, for a Discord that fails over more.
    """

    generation: Generation
    progress: Progress
    buttons: CardButtons
    uploads: Mapping[int, Picture]
    kept: Mapping[int, KeptAttachment]
    linked: Mapping[int, str]
    apart: Mapping[int, SeparateMessage] = field(default_factory=dict[int, SeparateMessage])
    leaving: bool = False
    brief: bool = False

    def view(self) -> discord.ui.LayoutView:
        """New components. The gallery names the pictures of this message by their file names."""
        names = self.names()
        attached = {position: f"attachment://{name}" for position, name in names.items()}
        attached |= {position: picture.reference for position, picture in self.kept.items()}
        return build_card(
            self.generation,
            self.progress,
            buttons=self.buttons,
            attached=attached,
            names=names,
            linked=self.linked,
            elsewhere=addresses(self.generation, self.apart),
            leaving=self.leaving,
            brief=self.brief,
        )

    @property
    def leaves_list(self) -> bool:
        """Whether no list of attachments can be sent: without one Discord keeps them all (Discord docs: Message)."""
        return any(picture.attachment_id is None for picture in self.kept.values())

    @property
    def standing(self) -> dict[int, int]:
        """The attachments that an edit keeps, by image position, as far as their ids are known."""
        known = ((position, picture.attachment_id) for position, picture in self.kept.items())
        return {position: found for position, found in known if found is not None}

    @property
    def appends(self) -> bool:
        """Whether new files are to be added to a list that is left alone."""
        return self.leaves_list and bool(self.uploads)

    def names(self) -> dict[int, str]:
        """The file names on the message, in gallery order."""
        names = {position: picture.file_name for position, picture in self.kept.items()}
        names |= {position: self._file_name(position, picture) for position, picture in self.uploads.items()}
        return dict(sorted(names.items()))

    def files(self, *, beside: str = "") -> list[discord.File]:
        """New files of the pictures to send, with the prompt as their description.

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
        """The whole list for an edit, kept ones first; MISSING (leave alone) when there is none, or when it can't be
        whole because the id of a kept one is not known."""
        if self.leaves_list:
            return discord.utils.MISSING
        kept = [cast("discord.Attachment", self.kept[position]) for position in sorted(self.kept)]
        return [*kept, *self.files()] or discord.utils.MISSING

    def posted_at(self, message: SeparateMessage) -> Payload:
        """The same card without the new pictures, saying that they are in *message*."""
        return replace(self, uploads={}, apart={**self.apart, **dict.fromkeys(self.uploads, message)})

    def kept_back(self) -> Payload:
        """The same card without the new pictures, saying that there is no place for them.

        Nor does it link to new ones: an image that is kept may be refunded, so nobody is told its address.
        """
        linked = {at: url for at, url in self.linked.items() if self.generation.images[at].state is State.DELIVERED}
        new = self.uploads.keys() | self.linked.keys() - linked.keys()
        images = (
            replace(image, state=State.UNDELIVERED) if image.position in new else image
            for image in self.generation.images
        )
        return replace(self, generation=replace(self.generation, images=tuple(images)), uploads={}, linked=linked)

    def on_new_message(self, pictures: Mapping[int, Picture | OversizedImage]) -> Payload:
        """The same state on a message that holds nothing yet but *pictures*."""
        uploads = {
            position: picture
            for position, picture in pictures.items()
            if position not in self.linked and not isinstance(picture, OversizedImage)
        }
        return replace(self, uploads=uploads, kept={}, apart={}, leaving=False)

    def _file_name(self, position: int, picture: Picture) -> str:
        return file_name(self.generation, self.generation.images[position], picture)


def addresses(generation: Generation, apart: Mapping[int, SeparateMessage]) -> list[str]:
    """Where clicks lead to the messages *apart*. A message's own jump_url says "@me" for a server no cache knows."""
    origin = generation.origin
    places = dict.fromkeys(apart[position] for position in sorted(apart))
    return [
        f"https://discord.com/channels/{(origin.channel_id == place.channel_id and origin.guild_id) or '@me'}"
        f"/{place.channel_id}/{place.message_id}"
        for place in places
    ]


def pictures_on(message: discord.Message, names: Mapping[int, str]) -> dict[int, KeptAttachment]:
    """The pictures *names*, by position, as far as *message* tells of them: all of them, with the ids it tells.

    A message that shows its attachments in components lists none of them in `attachments` (discord-api-docs#8277),
    so they are read from the gallery: by file name, and by place where the name was changed.
    """
    media = list(_media(message.components))
    by_name = {attachment.filename: attachment.id for attachment in message.attachments}
    by_name |= {_name_in(item.url): found for item in media if (found := _id_of(item)) is not None}
    by_place = dict(zip(names, media, strict=True)) if len(media) == len(names) else {}
    pictures: dict[int, KeptAttachment] = {}
    for position, name in names.items():
        item = by_place.get(position)
        found = by_name.get(name) or (_id_of(item) if item is not None else None)
        address = item.url if item is not None and item.url.startswith(("http://", "https://")) else ""
        pictures[position] = KeptAttachment(found, name, "" if found is not None else address)
    return pictures


def tells_ids(message: discord.Message, names: Mapping[int, str]) -> bool:
    """Whether *message* tells the id of each of the pictures *names*."""
    return all(picture.attachment_id is not None for picture in pictures_on(message, names).values())


def count_pictures(message: discord.Message) -> int:
    """How many pictures *message* shows."""
    return len(message.attachments) + sum(1 for _ in _media(message.components))


def _media(components: Sequence[Any]) -> Iterator[discord.UnfurledMediaItem]:
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            yield from (item.media for item in component.items)
        else:
            yield from _media(getattr(component, "children", ()))


def _id_of(media: discord.UnfurledMediaItem) -> int | None:
    """From its own field, or from its address, which ends in <channel id>/<attachment id>/<file name>."""
    if media.attachment_id is not None:
        return media.attachment_id
    parts = urlsplit(media.url).path.split("/")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isascii() and parts[-2].isdigit() else None


def _name_in(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
