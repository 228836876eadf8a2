"""Build the card of a generation from Discord's Components V2 (Discord docs: Components, Reference): one container.

Pure: the same generation, progress and attachments always give the same components. Must not know how or where a card
is sent. For any prompt a card has at most 4000 characters of text, 40 components and TEXT_BYTES_MAX bytes of text
(ui/texts/text_budget).

Each call builds new objects without a timeout, whose buttons are all dynamic: discord.py 2.7.1 (ui/view.py, remove_view
and add_view) unregisters a dynamic item for good when a view that mixes kinds ends or is sent a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import discord
from discord import ui

from generations.model import HELD, IN_FLIGHT, MADE, RETURNED, Ending, Generation, Image, Progress, State
from generations.prices import charged_for, price_of
from qwen.models import PROMPT_MAX
from qwen.refusals import speaks_of_length
from ui.texts import card as texts
from ui.texts import places as texts_places
from ui.texts.escaping import escape, units
from ui.texts.formatting import duration
from ui.texts.text_budget import FILES_BYTES_MAX, TEXT_BYTES_MAX, image_descriptions, utf8_bytes
from ui.views.file_names import reencoding_in

PROMPT_EXCERPT = 300  # UTF-16 units after escaping; the whole prompt is in Details and, if it fits, in the alt text
PROMPT_BRIEF = 100  # of a brief card
DETAIL_EXCERPT = 200
BUTTON_URL_MAX = 512  # Discord docs: Components, "Button"
TEXT_URL_MAX = 1200  # UTF-8 bytes; longer addresses would leave no room for the sentences

LABELS_BYTES_MAX = 200  # UTF-8 bytes of all buttons' labels

# Colours repeat what the words say.
_GREY, _BLUE, _GREEN, _AMBER, _RED = 0x99AAB5, 0x5865F2, 0x3BA55D, 0xFAA61A, 0xED4245
_NOTHING: Mapping[int, str] = MappingProxyType({})


# Builds the buttons under a card, new each time: a button may be sent only once.
CardButtons = Callable[[Generation], Sequence[ui.Item[Any]]]


def build_card(
    generation: Generation,
    progress: Progress,
    *,
    buttons: CardButtons,
    attached: Mapping[int, str],
    names: Mapping[int, str] = _NOTHING,
    linked: Mapping[int, str] = _NOTHING,
    elsewhere: Sequence[str] = (),
    last_word: bool = False,
    brief: bool = False,
) -> ui.LayoutView:
    """Build the card of *generation*.

    *buttons*: those under it, at most five.
    *attached*: image position -> media reference ("attachment://name.png") of the images that this message holds.
    *names*: their file names, if the references don't end in them.
    *linked*: image position -> address at the image service, for images too large to be attached.
    *elsewhere*: addresses of the separate messages of this card.
    *last_word*: the token that edits this card runs out soon, and not all images are ready.
    *brief*: with the start of the prompt only, after Discord failed to take the longer card.
    """
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=_accent(generation))
    lines = [
        f"**{escape(generation.request.prompt, PROMPT_BRIEF if brief else PROMPT_EXCERPT)}**",
        *_ready_lines(generation, progress, attached, linked, elsewhere),
        *_live_lines(generation.images, progress),
        *_ending_lines(generation),
        *([texts_places.LEAVING] if last_word else []),
        *_fitting_lines(generation, names or attached),
        _small_print(generation),
    ]
    text = "\n".join(lines)
    if attached:
        room = 0 if brief else TEXT_BYTES_MAX - FILES_BYTES_MAX - LABELS_BYTES_MAX - utf8_bytes(text)
        container.add_item(_gallery(generation, attached, room))
    container.add_item(ui.TextDisplay(text))
    for row in (_link_buttons(linked, len(generation.images)), buttons(generation)):
        if row:
            container.add_item(ui.ActionRow(*row))
    return ui.LayoutView(timeout=None).add_item(container)


def plain_text(
    generation: Generation, linked: Mapping[int, str], names: Mapping[int, str] = _NOTHING, *, brief: bool = False
) -> str:
    """Return the text of a message with images but no components; at most 2000 characters. *names*: of the images."""
    lines = [f"**{escape(generation.request.prompt, PROMPT_BRIEF if brief else PROMPT_EXCERPT)}**"]
    if linked:
        lines.append(texts.too_large(sorted(linked), len(generation.images)))
        lines.extend(_text_urls(linked, above=0))
    return "\n".join([*lines, *_fitting_lines(generation, names), _small_print(generation)])


def _gallery(generation: Generation, attached: Mapping[int, str], room: int) -> ui.MediaGallery[ui.LayoutView]:
    """*room*: UTF-8 bytes for all descriptions."""
    request = generation.request
    descriptions = image_descriptions(request.prompt, attached, request.count, room)
    return ui.MediaGallery(
        *(
            discord.MediaGalleryItem(attached[position], description=description, spoiler=request.spoiler)
            for position, description in descriptions.items()
        )
    )


def _ready_lines(
    generation: Generation,
    progress: Progress,
    attached: Mapping[int, str],
    linked: Mapping[int, str],
    elsewhere: Sequence[str],
) -> list[str]:
    images = generation.images
    made = [image for image in images if image.state in MADE]
    lines: list[str] = []
    if 0 < len(made) < len(images):
        lines.append(texts.ready_of(len(made), len(images)))
    if linked:
        lines.append(texts.too_large(sorted(linked), len(images)))
        lines.extend(_text_urls(linked, above=BUTTON_URL_MAX))
    if elsewhere:
        lines.append(texts.posted_separately(elsewhere))
    else:
        posting = texts.POSTING_STEP if progress.shows_steps else texts.POSTING
        separate = [image for image in made if image.position not in attached and image.position not in linked]
        lines.extend(
            _labelled(images, [image for image in separate if image.state is state], sentence)
            for state, sentence in ((State.SUCCEEDED, posting), (State.UNDELIVERED, texts.KEPT))
            if any(image.state is state for image in separate)
        )
    if any(image.ending is not None for image in made):
        lines.append(texts.ARRIVED_LATE)
    return lines


def _live_lines(images: Sequence[Image], progress: Progress) -> list[str]:
    """Return one line for each state of the images that are not ready yet."""
    groups: dict[str, list[Image]] = {}
    for image in images:
        if image.state in HELD:
            groups.setdefault(_progress_text(image, progress), []).append(image)
    if len(groups) == 1:
        return list(groups)
    return [_labelled(images, group, text) for text, group in groups.items()]


def _progress_text(image: Image, progress: Progress) -> str:
    if image.state is State.RUNNING:
        return texts.painting_text(progress.estimate)
    if image.state is State.REQUESTED and progress.stopped is not None:
        return texts.stopped_text(progress.stopped)
    waits = image.admitted_at_ms is None or progress.is_held_up
    if image.state is State.REQUESTED and waits and progress.line is not None:
        return texts.waiting_text(progress.line)
    return texts.SENDING_STEP if progress.shows_steps else texts.SENDING


def _ending_lines(generation: Generation) -> list[str]:
    groups: dict[str, list[Image]] = {}
    for image in generation.images:
        if image.state in RETURNED:
            detail = escape(image.ending_detail, DETAIL_EXCERPT) if image.ending_detail else ""
            hint = _length_hint(generation.request.prompt, image) if image.ending is Ending.PROMPT_REFUSED else ""
            groups.setdefault(texts.ending_sentence(image.ending, detail, hint), []).append(image)
    lines = [_labelled(generation.images, group, sentence) for sentence, group in groups.items()]
    if groups:
        lines.append(texts.returned_sentence(price_of(sum(map(len, groups.values())))))
    return lines


def _length_hint(prompt: str, image: Image) -> str:
    """Return a hint if the prompt may be too long for the service, whose 2000 characters may be UTF-16 units."""
    counted = units(prompt)
    if counted <= PROMPT_MAX and not speaks_of_length(image.ending_detail or "", prompt):
        return ""
    return texts.shorter_hint(counted, PROMPT_MAX)


def _fitting_lines(generation: Generation, attached: Mapping[int, str]) -> list[str]:
    """Return small print about the images that were re-encoded; their names hold the sizes."""
    groups: dict[str, list[Image]] = {}
    for position, name in attached.items():
        image = generation.images[position]
        found = reencoding_in(name, image.seed)
        if found is not None:
            groups.setdefault(texts_places.reencoded(found.format.value, found.before, found.after), []).append(image)
    return [texts.small_print([_labelled(generation.images, group, text)]) for text, group in groups.items()]


def _labelled(images: Sequence[Image], group: Sequence[Image], text: str) -> str:
    """Put the numbers of the images before *text*, unless it applies to all."""
    if len(group) == len(images):
        return text
    return f"{texts.images_label([image.position for image in group])}: {text}"


def _small_print(generation: Generation) -> str:
    request, images = generation.request, generation.images
    return texts.small_print(
        [
            request.size.label,
            texts.seeds_text([image.seed for image in images]),
            request.format.value,
            "" if generation.seconds_taken is None else duration(generation.seconds_taken),
            texts.price_text(
                held=price_of(sum(1 for image in images if image.state in HELD)),
                charged=sum(charged_for(image) for image in images),
                settled=any(image.state in MADE for image in images),
            ),
            texts.made_for(generation.origin.user_id),
            texts.AI_IMAGE,
        ]
    )


def _link_buttons(linked: Mapping[int, str], count: int) -> list[ui.Item[Any]]:
    return [
        ui.Button(style=discord.ButtonStyle.link, label=texts.open_label(position, count), url=linked[position])
        for position in sorted(linked)
        if 0 < len(linked[position]) <= BUTTON_URL_MAX
    ]


def _text_urls(linked: Mapping[int, str], *, above: int) -> Iterable[str]:
    """Yield the addresses of more than *above* characters that fit into TEXT_URL_MAX: too long for a button."""
    room = TEXT_URL_MAX
    for position in sorted(linked):
        url = linked[position]
        escaped = url.replace("<", "%3C").replace(">", "%3E")  # or the rest of it would be read as Markdown
        if above < len(url) and utf8_bytes(escaped) <= room:
            room -= utf8_bytes(escaped)
            yield f"<{escaped}>"


def _accent(generation: Generation) -> int:
    states = {image.state for image in generation.images}
    if states & IN_FLIGHT:
        return _BLUE
    if not generation.finished or states == {State.CANCELLED}:
        return _GREY
    if states <= MADE:
        return _GREEN
    return _AMBER if states & MADE else _RED
