"""Insert and load generations, and what is known of their cards on Discord."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    RowMapping,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy import insert as insert_into

from discord_api.snowflakes import snowflake_at
from generations.model import TOKEN_LIFETIME_MS, WAITING, CardLink, Generation, link_to_card
from generations.records.rows import (
    generation_columns,
    image_columns,
    lock_generation,
    needs_token_to_delete,
    with_images,
)
from generations.records.search import index_prompt
from generations.records.tables import generations, has_token, images, pings, removed_cards
from people.records import left_at_ms
from store.statements import insert_if_new, is_among
from store.tables import one_of
from store.transactions import Transaction

FOUND_BY_MESSAGE_MS = 86_400_000
_LOAD = select(generations).where(generations.c.id == bindparam("generation_id"))
_LOAD_SEVERAL = select(generations).where(is_among(generations.c.id, "ids")).order_by(generations.c.id)
_LOAD_LOCKED = _LOAD.with_for_update()
_INSERT_IMAGES = insert_into(images)
_EARLIER_REQUEST = select(
    select(generations.c.created_at_ms)
    .where(generations.c.user_id == bindparam("user_id"), generations.c.id != bindparam("but"))
    .order_by(generations.c.id.desc())
    .limit(1)
    .offset(bindparam("number", type_=Integer))
    .scalar_subquery(),
    left_at_ms(bindparam("user_id")),
)


def insert(tx: Transaction, generation: Generation) -> bool:
    """Write a new generation and its images, and bring the index of prompts up to date.

    False, and nothing changed, when its interaction is known already.
    """
    if not insert_if_new(tx, generations, generation_columns(generation)):
        return False
    user_id = generation.origin.user_id
    tx.execute(_INSERT_IMAGES, [image_columns(image, user_id) for image in generation.images])
    index_prompt(tx, generation)
    return True


def load(tx: Transaction, generation_id: int) -> Generation | None:
    """Load the generation and its images, or None."""
    rows = tx.execute(_LOAD, {"generation_id": generation_id})
    return next(iter(with_images(tx, rows.mappings())), None)


def load_several(tx: Transaction, ids: Sequence[int]) -> list[Generation]:
    """Load these generations and their images, oldest first."""
    return with_images(tx, tx.execute(_LOAD_SEVERAL, {"ids": ids}).mappings())


def find_by_separate(tx: Transaction, channel_id: int, message_id: int) -> int | None:
    """Return the id of the generation with an image in that message, which stands beside its card."""
    there = (images.c.separate_message_id == message_id) & (images.c.separate_channel_id == channel_id)
    return tx.scalar(select(images.c.generation_id).where(there).limit(1))


def earlier_requests_at_ms(tx: Transaction, user_id: int, number: int, *, but: int) -> list[int]:
    """Return when the *number*-th newest request of a person was taken on, counted from 1, and when the person had
    everything deleted, in unix milliseconds, as far as there are any.

    *but*: a generation that is not counted.
    """
    row = tx.execute(_EARLIER_REQUEST, {"user_id": user_id, "but": but, "number": number - 1}).one()
    return [at_ms for at_ms in row if at_ms is not None]


def load_locked(tx: Transaction, generation_id: int) -> Generation | None:
    """Load it locked until this transaction ends. For decisions that are not a worker's."""
    rows = tx.execute(_LOAD_LOCKED, {"generation_id": generation_id})
    return next(iter(with_images(tx, rows.mappings())), None)


def confirm_card(tx: Transaction, generation_id: int, message_id: int, now_ms: int, *, deadline_seconds: int) -> bool:
    """Note that Discord has the card: its images can be admitted, and those that still wait at the deadline are due
    then. False when that was known, or there is no such row.

    A generation that was cancelled meanwhile still has to publish its ending, so published_revision becomes 0.
    """
    key = {"of_generation": generation_id, "deadline_ms": deadline_seconds * 1000}
    if tx.execute(_CONFIRM, {**key, "new_message_id": message_id, "now_ms": now_ms}).rowcount == 0:
        return False
    tx.execute(_WAIT_FOR_ADMISSION, key)
    return True


def make_due(tx: Transaction, generation_id: int, now_ms: int) -> None:
    """Have a worker see to the generation at once, and to its images in line.

    Images in flight keep their time, so that polls of one task stay apart.
    """
    tx.execute(
        update(generations)
        .where(generations.c.id == generation_id)
        .values(due_at_ms=_least(func.coalesce(generations.c.due_at_ms, now_ms), now_ms))
    )
    later = (images.c.generation_id == generation_id) & (images.c.due_at_ms > now_ms)
    tx.execute(update(images).where(later, one_of(images.c.state, *WAITING)).values(due_at_ms=now_ms))


_id = generations.c.id == bindparam("of_generation")
_deadline = generations.c.created_at_ms + bindparam("deadline_ms", type_=BigInteger)
_CONFIRM = (
    update(generations)
    .where(_id, generations.c.message_id.is_(None))
    .values(
        message_id=bindparam("new_message_id"),
        published_revision=0,
        due_at_ms=case(
            (generations.c.revision > 0, bindparam("now_ms", type_=BigInteger)),
            else_=_deadline,
        ),
    )
)
_WAIT_FOR_ADMISSION = (
    update(images)
    .where(images.c.generation_id == bindparam("of_generation"), one_of(images.c.state, *WAITING))
    .values(due_at_ms=select(_deadline).where(_id).scalar_subquery())
)
_NAME_OF_A_LINK = case((images.c.file_name == "", ""), else_=None)


def mark_published(
    tx: Transaction,
    generation_id: int,
    fence: int,
    revision: int,
    *,
    message_id: int | None,
    channel_id: int | None,
) -> RowMapping:
    """Note that the card shows *revision*; an earlier one than before makes it due again. Return the row as it is then.

    *message_id* and *channel_id*: where it stands; None: where it stood. Another message has none of
    the images of the one before: their ids and names are cleared, and the empty name that stands for a link stays.
    Raises LostClaim.
    """
    row = lock_generation(tx, generation_id, fence)
    changes: dict[str, int | None] = {"published_revision": revision, "follow_up_begun_at_ms": None}
    if message_id is not None:
        changes["message_id"] = message_id
        if message_id != row["message_id"]:
            tx.execute(delete(removed_cards).where(removed_cards.c.generation_id == generation_id))
            theirs = images.c.generation_id == generation_id
            tx.execute(update(images).where(theirs).values(attachment_id=None, file_name=_NAME_OF_A_LINK))
    if channel_id is not None:
        changes["card_channel_id"] = channel_id if channel_id != row["channel_id"] else None
    changed = tx.execute(_update_generation(frozenset(changes)), {"of_generation": generation_id, **changes})
    return changed.mappings().one()


@cache
def _update_generation(columns: frozenset[str]) -> Executable:
    values: dict[str, Any] = {name: bindparam(name) for name in sorted(columns)}
    return update(generations).where(_id).values(values).returning(generations)


def begin_follow_up(tx: Transaction, generation_id: int, fence: int, now_ms: int) -> None:
    """Note that a message by the interaction's token is about to be sent. mark_published() takes the note back.

    Raises LostClaim.
    """
    lock_generation(tx, generation_id, fence)
    changed = update(generations).where(generations.c.id == generation_id)
    tx.execute(changed.values(follow_up_begun_at_ms=now_ms))


def forget_card(tx: Transaction, generation_id: int) -> None:
    """Note that there is no card and won't be one, so nothing is to be published."""
    next_due = select(func.min(images.c.due_at_ms)).where(images.c.generation_id == generation_id).scalar_subquery()
    tx.execute(
        update(generations)
        .where(generations.c.id == generation_id)
        .values(published_revision=generations.c.revision, due_at_ms=next_due)
    )


def set_token_only(tx: Transaction, generation_id: int, channel_id: int) -> None:
    """Note that Discord refused the bot's own token in this channel: only the interaction's token reaches the card.
    Changes nothing once the card is in another channel."""
    tx.execute(
        update(generations)
        .where(generations.c.id == generation_id, generations.c.channel_id == channel_id)
        .values(bot_in_channel=False)
    )


def find_by_message(tx: Transaction, message_id: int) -> tuple[int, int | None] | None:
    """Return the generation whose card, or one of whose images, was posted as this message, and that image's position.

    Only of requests that were made in the FOUND_BY_MESSAGE_MS before it: without an index so few rows are read.
    """
    earliest = message_id - (FOUND_BY_MESSAGE_MS << 22)
    near = images.c.generation_id.between(earliest, message_id)
    own = select(images.c.generation_id, images.c.position).where(near, images.c.separate_message_id == message_id)
    if (image := tx.execute(own.limit(1)).one_or_none()) is not None:
        return image.generation_id, image.position
    card = select(generations.c.id).where(
        generations.c.id.between(earliest, message_id), generations.c.message_id == message_id
    )
    generation_id = tx.scalar(card.limit(1))
    return None if generation_id is None else (generation_id, None)


def set_removed(tx: Transaction, generation_id: int, now_ms: int) -> None:
    """Note that the card was removed: nothing links to it any more. A second call changes nothing."""
    insert_if_new(tx, removed_cards, {"generation_id": generation_id, "removed_at_ms": now_ms})


def decide_ping(tx: Transaction, generation_id: int, now_ms: int) -> bool:
    """Note that the ping of a generation is decided now. False: it was decided before."""
    return insert_if_new(tx, pings, {"generation_id": generation_id, "decided_at_ms": now_ms})


def wipe_tokens(tx: Transaction, now_ms: int) -> None:
    """Delete interaction tokens that are of no use: expired, or with nothing left to publish or delete."""
    oldest_useful = snowflake_at(now_ms - TOKEN_LIFETIME_MS + 1)
    nothing_left = (
        generations.c.due_at_ms.is_(None)
        & generations.c.lease_until_ms.is_(None)
        & (generations.c.published_revision >= generations.c.revision)
        & ~needs_token_to_delete
    )
    useless = or_(generations.c.id < oldest_useful, nothing_left)
    tx.execute(update(generations).where(has_token, useless).values(token=""))


def links(tx: Transaction, image_ids: Iterable[str]) -> Mapping[str, CardLink]:
    """Return the links to the cards of these images; images whose card has no link are left out."""
    wanted = {image_id: int(image_id.partition("-")[0]) for image_id in image_ids}
    names = ("id", "guild_id", "channel_id", "message_id", "card_channel_id", "private")
    removed = generations.c.id.in_(select(removed_cards.c.generation_id))
    found = tx.execute(
        select(*(generations.c[name] for name in names)).where(generations.c.id.in_(set(wanted.values())), ~removed)
    )
    cards = {
        row.id: link_to_card(row.guild_id, row.channel_id, row.message_id, row.card_channel_id, private=row.private)
        for row in found
    }
    return {image_id: link for image_id, number in wanted.items() if (link := cards.get(number)) is not None}


def _least(one: ColumnElement[int], other: int) -> ColumnElement[int]:
    """The smaller of two; PostgreSQL and SQLite have different functions for it."""
    return case((one < other, one), else_=other)
