"""All SQL about what is set. Each function takes the open transaction first.

A value of a newer version of the bot that this one doesn't know is read as the stricter of those it knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Table, bindparam, delete, func, insert, literal, select, union

from credits.allowance import CreditPeriod
from limits.model import BOT, Block, BotRules, Cap, ContentRule, GuildRules, Pause, Tier
from limits.tables import (
    blocked_words,
    blocks,
    exemptions,
    guild_channels,
    guild_roles,
    guild_settings,
    pauses,
    rule_versions,
    tiers,
)
from limits.words import WordKind, WordRule
from store.statements import insert_on_conflict, insert_or_replace
from store.transactions import Transaction

IdTable = Table  # guild_channels or guild_roles
_VERSIONS = select(rule_versions.c.scope_id, rule_versions.c.version).where(
    rule_versions.c.scope_id.in_((literal(BOT, BigInteger), bindparam("guild_id", type_=BigInteger)))
)

# Everything that admins set, by server.
GUILD_COLUMNS = (
    *(guild_settings.c.guild_id, guild_channels.c.guild_id, guild_roles.c.guild_id, blocked_words.c.guild_id),
    *(blocks.c.scope_id, pauses.c.scope_id),
)


def load_versions(tx: Transaction, guild_id: int) -> tuple[int, int]:
    """Return the versions of the bot's rules and of a server's, by one statement. 0: nothing was ever set."""
    found = {row.scope_id: row.version for row in tx.execute(_VERSIONS, {"guild_id": guild_id})}
    return found.get(BOT, 0), found.get(guild_id, 0) if guild_id != BOT else 0


def load_version(tx: Transaction, scope_id: int) -> int:
    """Return the version of one scope."""
    return tx.scalar(select(rule_versions.c.version).where(rule_versions.c.scope_id == scope_id)) or 0


def next_version(tx: Transaction, scope_id: int) -> int:
    """Give the scope a new version, and return it."""
    new = insert_on_conflict(tx.dialect.name, rule_versions).values(scope_id=scope_id, version=1)
    raised = {"version": rule_versions.c.version + 1}
    upsert = new.on_conflict_do_update(index_elements=["scope_id"], set_=raised).returning(rule_versions.c.version)
    return tx.execute(upsert).scalar_one()


def load_bot_rules(tx: Transaction, version: int) -> BotRules:
    """Load what the owner has set. *version*: read before, in the same transaction."""
    return BotRules(
        version=version,
        pause=load_pause(tx, BOT),
        blocks=_load_blocks(tx, BOT),
        tiers=tuple(Tier(*row) for row in tx.execute(select(tiers.c.guild_id, tiers.c.role_id, tiers.c.credits))),
        exempt=frozenset(tx.scalars(select(exemptions.c.user_id))),
    )


def load_guild_rules(tx: Transaction, guild_id: int, version: int) -> GuildRules:
    """Load what the admins of a server have set. *version*: read before, in the same transaction."""
    row = tx.execute(select(guild_settings).where(guild_settings.c.guild_id == guild_id)).one_or_none()
    return GuildRules(
        version=version,
        channels=frozenset(load_ids(tx, guild_channels, guild_id)),
        roles=frozenset(load_ids(tx, guild_roles, guild_id)),
        person_cap=None if row is None else _read_cap(row.person_images, row.person_period),
        budget=None if row is None else _read_cap(row.budget_images, row.budget_period),
        content=ContentRule.GENERAL if row is None else _read_content(row.content),
        log_channel_id=None if row is None else row.log_channel_id,
        words=load_words(tx, guild_id),
        blocks=_load_blocks(tx, guild_id),
        pause=load_pause(tx, guild_id),
    )


def load_log_channel(tx: Transaction, guild_id: int) -> int | None:
    """Return where changes of a server's rules are told; None: nowhere."""
    return tx.scalar(select(guild_settings.c.log_channel_id).where(guild_settings.c.guild_id == guild_id))


def save_guild_settings(tx: Transaction, guild_id: int, rules: GuildRules) -> None:
    """Store the settings of *rules* that have one value: caps, content rule, log channel."""
    person, budget = rules.person_cap, rules.budget
    columns = {
        "guild_id": guild_id,
        "person_images": None if person is None else person.images,
        "person_period": None if person is None else person.period.value,
        "budget_images": None if budget is None else budget.images,
        "budget_period": None if budget is None else budget.period.value,
        "content": rules.content.value,
        "log_channel_id": rules.log_channel_id,
    }
    insert_or_replace(tx, guild_settings, columns, key=("guild_id",))


def load_ids(tx: Transaction, table: IdTable, guild_id: int) -> list[int]:
    """Return the ids that *table* has for a server."""
    return list(tx.scalars(select(_other(table)).where(table.c.guild_id == guild_id).order_by(_other(table))))


def save_ids(tx: Transaction, table: IdTable, guild_id: int, ids: Collection[int]) -> None:
    """Replace the ids that *table* has for a server."""
    tx.execute(delete(table).where(table.c.guild_id == guild_id))
    if ids:
        tx.execute(insert(table), [{"guild_id": guild_id, _other(table).name: each} for each in sorted(ids)])


def _other(table: IdTable) -> ColumnElement[int]:
    return table.c.channel_id if table is guild_channels else table.c.role_id


def insert_words(tx: Transaction, guild_id: int, words: Iterable[WordRule]) -> None:
    rows = [_word_columns(guild_id, word) for word in words]
    tx.execute(insert(blocked_words), rows)


def delete_words(tx: Transaction, guild_id: int, numbers: Collection[int]) -> None:
    own = blocked_words.c.guild_id == guild_id
    tx.execute(delete(blocked_words).where(own, blocked_words.c.number.in_(numbers)))


def last_word_number(tx: Transaction, guild_id: int) -> int:
    """Return the highest number of a server's word rules; 0: there are none."""
    highest = select(func.max(blocked_words.c.number)).where(blocked_words.c.guild_id == guild_id)
    return tx.scalar(highest) or 0


def load_block(tx: Transaction, scope_id: int, user_id: int) -> Block | None:
    return _load_blocks(tx, scope_id, blocks.c.user_id == user_id).get(user_id)


def save_block(tx: Transaction, scope_id: int, user_id: int, block: Block, at_ms: int) -> None:
    """Store a block in place of an earlier one."""
    columns = {"until_ms": block.until_ms, "reason": block.reason, "by_id": block.by_id, "at_ms": at_ms}
    key = {"scope_id": scope_id, "user_id": user_id}
    insert_or_replace(tx, blocks, key | columns, key=("scope_id", "user_id"))


def delete_block(tx: Transaction, scope_id: int, user_id: int) -> None:
    tx.execute(delete(blocks).where(blocks.c.scope_id == scope_id, blocks.c.user_id == user_id))


def load_blocks_of(tx: Transaction, user_id: int) -> list[dict[str, Any]]:
    """Return the blocks of a person in all scopes, without who made them."""
    wanted = (blocks.c.scope_id, blocks.c.until_ms, blocks.c.reason, blocks.c.at_ms)
    own = select(*wanted).where(blocks.c.user_id == user_id).order_by(blocks.c.scope_id)
    return [dict(row) for row in tx.execute(own).mappings()]


def load_pause(tx: Transaction, scope_id: int) -> Pause | None:
    row = tx.execute(select(pauses).where(pauses.c.scope_id == scope_id)).one_or_none()
    return None if row is None else Pause(row.reason, row.by_id, row.at_ms)


def save_pause(tx: Transaction, scope_id: int, pause: Pause) -> None:
    columns = {"scope_id": scope_id, "reason": pause.reason, "by_id": pause.by_id, "at_ms": pause.at_ms}
    insert_or_replace(tx, pauses, columns, key=("scope_id",))


def delete_pause(tx: Transaction, scope_id: int) -> None:
    tx.execute(delete(pauses).where(pauses.c.scope_id == scope_id))


def load_tier(tx: Transaction, guild_id: int, role_id: int) -> int | None:
    """Return the credits of a tier; None: there is no such tier."""
    return tx.scalar(select(tiers.c.credits).where(tiers.c.guild_id == guild_id, tiers.c.role_id == role_id))


def save_tier(tx: Transaction, tier: Tier) -> None:
    columns = {"guild_id": tier.guild_id, "role_id": tier.role_id, "credits": tier.credits}
    insert_or_replace(tx, tiers, columns, key=("guild_id", "role_id"))


def delete_tier(tx: Transaction, guild_id: int, role_id: int) -> None:
    tx.execute(delete(tiers).where(tiers.c.guild_id == guild_id, tiers.c.role_id == role_id))


def is_exempt(tx: Transaction, user_id: int) -> bool:
    return tx.scalar(select(exemptions.c.user_id).where(exemptions.c.user_id == user_id)) is not None


def set_exempt(tx: Transaction, user_id: int, *, exempt: bool) -> None:
    """Add or delete an exemption. Callers have read that it is not as it shall be."""
    own = exemptions.c.user_id == user_id
    tx.execute(insert(exemptions).values(user_id=user_id) if exempt else delete(exemptions).where(own))


def load_guild_ids(tx: Transaction) -> set[int]:
    """Return the ids of all servers whose admins have set anything."""
    found = union(*(select(column).distinct() for column in GUILD_COLUMNS))
    return {guild_id for guild_id in tx.scalars(found) if guild_id != BOT}


def delete_guild(tx: Transaction, guild_id: int) -> None:
    """Delete what the admins of a server have set. What the owner has set for it, and the audit, stay."""
    for column in GUILD_COLUMNS:
        tx.execute(delete(column.table).where(column == guild_id))
    next_version(tx, guild_id)


def _load_blocks(tx: Transaction, scope_id: int, *conditions: ColumnElement[bool]) -> Mapping[int, Block]:
    found = tx.execute(select(blocks).where(blocks.c.scope_id == scope_id, *conditions))
    return {row.user_id: Block(row.until_ms, row.reason, row.by_id) for row in found}


def load_words(tx: Transaction, guild_id: int) -> tuple[WordRule, ...]:
    """Return the word rules of a server, by number."""
    found = select(blocked_words).where(blocked_words.c.guild_id == guild_id).order_by(blocked_words.c.number)
    known = {kind.value for kind in WordKind}
    rows = [row for row in tx.execute(found) if row.kind in known]
    return tuple(WordRule(row.number, WordKind(row.kind), row.text, row.name) for row in rows)


def _word_columns(guild_id: int, word: WordRule) -> dict[str, Any]:
    return {"guild_id": guild_id, "number": word.number, "kind": word.kind.value, "text": word.text, "name": word.name}


def _read_cap(images: int | None, period: str | None) -> Cap | None:
    if images is None:
        return None
    known = {each.value: each for each in CreditPeriod}
    return Cap(images, known.get(period or "", CreditPeriod.MONTH))


def _read_content(value: str) -> ContentRule:
    return ContentRule.GENERAL if value == ContentRule.GENERAL.value else ContentRule.AGE_RESTRICTED_ONLY
