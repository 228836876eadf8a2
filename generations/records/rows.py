"""Convert rows to the dataclasses of generations.model and back, and lock the row of a generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import itemgetter
from typing import Any

from sqlalchemy import RowMapping, bindparam, exists, select

from generations.errors import LostClaim
from generations.model import Ending, Generation, Image, Origin, Request, State
from generations.records.tables import generations, images
from limits.model import UsageKey
from qwen.models import OutputFormat, Size
from store.statements import is_among
from store.transactions import Transaction

# A separate message beside a card that the bot's own token does not reach: only the interaction's can delete it.
_separate = exists(select(images.c.position)).where(
    images.c.generation_id == generations.c.id, images.c.separate_channel_id == generations.c.channel_id
)
needs_token_to_delete = _separate.correlate(generations) & (generations.c.private | ~generations.c.bot_in_channel)


_LOCK = select(generations).where(generations.c.id == bindparam("generation_id")).with_for_update()
_THEIR_IMAGES = select(images).where(is_among(images.c.generation_id, "generation_ids")).order_by(images.c.position)
_IMAGE_FIELDS = [field.name for field in fields(Image)]
_image_values = itemgetter(*_IMAGE_FIELDS)  # by position, as a long line has thousands of images
_STATE, _ENDING = map(_IMAGE_FIELDS.index, ("state", "ending"))


def lock_generation(tx: Transaction, generation_id: int, fence: int | None) -> RowMapping:
    """Lock the generation's row until this transaction ends, and return it.

    Raises LostClaim when it has another fence than *fence* (None: any will do), or is not there.
    """
    row = tx.execute(_LOCK, {"generation_id": generation_id}).mappings().one_or_none()
    if row is None or (fence is not None and row["fence"] != fence):
        raise LostClaim(generation_id)
    return row


def with_images(tx: Transaction, rows: Iterable[RowMapping]) -> list[Generation]:
    """Return the generations of *rows*, in their order, each with its images."""
    rows = list(rows)
    if not rows:
        return []
    by_generation: dict[int, list[Image]] = {row["id"]: [] for row in rows}
    found = tx.execute(_THEIR_IMAGES, {"generation_ids": list(by_generation)})
    for row in found.mappings().all():
        by_generation[row["generation_id"]].append(read_image(row))
    return [read_generation(row, by_generation[row["id"]]) for row in rows]


def read_generation(row: RowMapping, its_images: Iterable[Image]) -> Generation:
    return Generation(
        id=row["id"],
        request=_read_request(row),
        origin=Origin(
            interaction_id=row["id"],
            application_id=row["application_id"],
            user_id=row["user_id"],
            channel_id=row["channel_id"],
            guild_id=row["guild_id"],
            token=row["token"],
            attachment_size_limit=row["attachment_size_limit"],
            locale=row["locale"],
            bot_in_channel=row["bot_in_channel"],
        ),
        created_at_ms=row["created_at_ms"],
        images=tuple(its_images),
        fence=row["fence"],
        message_id=row["message_id"],
        revision=row["revision"],
        published_revision=row["published_revision"],
        card_channel_id=row["card_channel_id"],
        follow_up_begun_at_ms=row["follow_up_begun_at_ms"],
        usage=_read_usage(row),
    )


def _read_usage(row: RowMapping) -> UsageKey | None:
    if row["usage_day_ms"] is None:
        return None
    return UsageKey(row["usage_day_ms"], row["usage_guild_id"], row["user_id"])


def _read_request(row: RowMapping) -> Request:
    return Request(
        prompt=row["prompt"],
        size=Size(row["size"]),
        seed=row["seed"],
        format=OutputFormat(row["format"]),
        count=row["count"],
        private=row["private"],
        spoiler=row["spoiler"],
    )


def read_image(row: Mapping[Any, Any]) -> Image:
    """Return the image of *row*, which may have more columns."""
    values = list(_image_values(row))
    values[_STATE] = State(values[_STATE])
    values[_ENDING] = None if values[_ENDING] is None else Ending(values[_ENDING])
    return Image(*values)


def generation_columns(generation: Generation) -> dict[str, Any]:
    """Return the columns of a new generation: no lease, and due when the first of its images is."""
    request, origin = generation.request, generation.origin
    return {
        "id": generation.id,
        "prompt": request.prompt,
        "size": request.size.value,
        "seed": request.seed,
        "format": request.format.value,
        "count": request.count,
        "private": request.private,
        "spoiler": request.spoiler,
        "application_id": origin.application_id,
        "user_id": origin.user_id,
        "channel_id": origin.channel_id,
        "guild_id": origin.guild_id,
        "token": origin.token,
        "attachment_size_limit": origin.attachment_size_limit,
        "locale": origin.locale,
        "bot_in_channel": origin.bot_in_channel,
        "created_at_ms": generation.created_at_ms,
        "fence": generation.fence,
        "due_at_ms": min((image.due_at_ms for image in generation.images if image.due_at_ms is not None), default=None),
        "message_id": generation.message_id,
        "card_channel_id": generation.card_channel_id,
        "revision": generation.revision,
        "published_revision": generation.published_revision,
        "follow_up_begun_at_ms": generation.follow_up_begun_at_ms,
        "usage_day_ms": None if generation.usage is None else generation.usage.day_ms,
        "usage_guild_id": None if generation.usage is None else generation.usage.guild_id,
    }


def image_columns(image: Image, user_id: int) -> dict[str, Any]:
    columns = {name: getattr(image, name) for name in images.c.keys() if name != "user_id"}  # noqa: SIM118
    return plain(columns) | {"user_id": user_id}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Replace enums by their values."""
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}
