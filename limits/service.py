"""The use-cases of /admin and /owner: change what is set, and read who changed what.

Each change is one transaction, which also writes the audit, adds the lines for the server's log channel to the outbox
and gives the scope a new version; a change whose interaction was seen before changes nothing. Knows no SQL and no
Discord library.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from limits import audit, outbox_records, records
from limits.errors import ChangedMeanwhile, TooManyRules
from limits.model import BOT, Actor, Block, Cap, Change, Clock, ContentRule, Pause, Tier
from limits.tables import guild_channels, guild_roles
from limits.usage import CAP_PERIODS
from limits.words import PATTERNS_MAX, WORDS_MAX, WordKind, WordRule, check_word_rule
from store.database import Database
from store.statements import serialize
from store.transactions import Transaction

REASON_MAX = 300  # characters of a reason that are kept


@dataclass(frozen=True, slots=True)
class Changed:
    """A change, and the scope's version after it. *change* None: it was set like that already.

    *is_new*: this call made it, not an earlier one by the same interaction.
    """

    change: Change | None
    version: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Edit:
    """What one transaction changes. *write* gets the transaction and the time, and returns what was set before and
    after, as text; the same twice: nothing was changed."""

    scope_id: int
    action: str
    write: Callable[[Transaction, int], tuple[str, str]]
    subject_id: int | None = None
    reason: str = ""
    expected_version: int | None = None


class Limits:
    """Changes of the rules of the bot and of servers. Whoever calls has checked that the actor may change them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # ---- the audit -------------------------------------------------------------------------------------------

    async def load_audit(self, scope_id: int, limit: int) -> list[Change]:
        """Return the newest changes of a scope, newest first."""
        return await self._database.read(audit.load_changes, scope_id, limit)

    async def last_change(self, scope_id: int) -> Change | None:
        """Return the newest change of a scope."""
        return next(iter(await self.load_audit(scope_id, 1)), None)

    # ---- what admins set, in the server that their interaction comes from ------------------------------------
    # *expected_version*: of the rules that the admin was shown. Each raises ChangedMeanwhile.

    async def set_channels(self, actor: Actor, ids: Collection[int], *, expected_version: int) -> Changed:
        """Allow these channels alone; none: all."""
        return await self._set_ids(actor, "channels", guild_channels, ids, expected_version)

    async def set_roles(self, actor: Actor, ids: Collection[int], *, expected_version: int) -> Changed:
        """Allow people with one of these roles alone; none: everybody."""
        return await self._set_ids(actor, "roles", guild_roles, ids, expected_version)

    async def set_person_cap(self, actor: Actor, cap: Cap | None, *, expected_version: int) -> Changed:
        """Cap the images of each person in a period; None: no cap."""
        return await self._set(actor, "person_cap", _checked(cap), _cap_text, expected_version)

    async def set_budget(self, actor: Actor, cap: Cap | None, *, expected_version: int) -> Changed:
        """Cap the images of the whole server in a period; None: no cap."""
        return await self._set(actor, "budget", _checked(cap), _cap_text, expected_version)

    async def set_content(self, actor: Actor, content: ContentRule, *, expected_version: int) -> Changed:
        """Say where images may be asked for."""
        return await self._set(actor, "content", content, str, expected_version)

    async def set_log_channel(self, actor: Actor, channel_id: int | None, *, expected_version: int) -> Changed:
        """Say where changes are told; None: nowhere."""
        return await self._set(
            actor, "log_channel_id", channel_id, lambda kept: str(kept or ""), expected_version, action="log_channel"
        )

    async def add_words(
        self, actor: Actor, words: Sequence[tuple[WordKind, str, str]], *, expected_version: int
    ) -> Changed:
        """Add word rules: kind, text and name of each. Raises BadWordRule and TooManyRules, having added none."""
        for kind, text, name in words:
            check_word_rule(kind, text, name)
        guild_id = _guild_of(actor)

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_words(tx, guild_id)
            known = {(word.kind, word.text) for word in old}
            first = records.last_word_number(tx, guild_id) + 1
            fresh = [word for word in dict.fromkeys(words) if word[:2] not in known]
            new = [WordRule(number, *word) for number, word in enumerate(fresh, first)]
            _check_word_counts([*old, *new])
            if new:
                records.insert_words(tx, guild_id, new)
            return "", _numbers(new)

        return await self._change(actor, _Edit(guild_id, "add_words", write, expected_version=expected_version))

    async def remove_words(self, actor: Actor, numbers: Collection[int], *, expected_version: int) -> Changed:
        """Remove word rules by their numbers; those that are not there are passed over."""
        guild_id = _guild_of(actor)

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            removed = [word for word in records.load_words(tx, guild_id) if word.number in numbers]
            records.delete_words(tx, guild_id, [word.number for word in removed])
            return _numbers(removed), ""

        return await self._change(actor, _Edit(guild_id, "remove_words", write, expected_version=expected_version))

    async def block_here(
        self, actor: Actor, user_id: int, reason: str, until_ms: int | None, *, expected_version: int | None = None
    ) -> Changed:
        """Block a person in the server."""
        return await self._block(actor, _guild_of(actor), user_id, reason, until_ms, expected_version)

    async def unblock_here(self, actor: Actor, user_id: int, *, expected_version: int | None = None) -> Changed:
        """Unblock a person in the server."""
        return await self._unblock(actor, _guild_of(actor), user_id, "", expected_version)

    async def pause_here(self, actor: Actor, reason: str, *, expected_version: int | None = None) -> Changed:
        """Take nothing on in the server."""
        return await self._pause(actor, _guild_of(actor), reason, expected_version)

    async def resume_here(self, actor: Actor, *, expected_version: int | None = None) -> Changed:
        """Take requests on in the server again."""
        return await self._resume(actor, _guild_of(actor), expected_version)

    # ---- what the owner sets ---------------------------------------------------------------------------------

    async def set_tier(self, actor: Actor, tier: Tier, reason: str = "") -> Changed:
        """Set what everybody, a server, or a role in a server gets in a period."""
        if tier.credits < 0 or (tier.role_id and not tier.guild_id):
            raise ValueError(f"a tier of {tier.credits} credits for {tier.source}")

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_tier(tx, tier.guild_id, tier.role_id)
            records.save_tier(tx, tier)
            return _tier_text(tier, old), _tier_text(tier, tier.credits)

        return await self._change(actor, _Edit(BOT, "set_tier", write, tier.role_id or tier.guild_id, reason))

    async def remove_tier(self, actor: Actor, guild_id: int, role_id: int, reason: str = "") -> Changed:
        """Remove a tier."""

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_tier(tx, guild_id, role_id)
            records.delete_tier(tx, guild_id, role_id)
            return _tier_text(Tier(guild_id, role_id, 0), old), ""

        return await self._change(actor, _Edit(BOT, "remove_tier", write, role_id or guild_id, reason))

    async def exempt(self, actor: Actor, user_id: int, reason: str = "") -> Changed:
        """Let no cap and no limit of requests a minute count for a person."""
        return await self._set_exempt(actor, user_id, reason, exempt=True)

    async def unexempt(self, actor: Actor, user_id: int, reason: str = "") -> Changed:
        """Take an exemption back."""
        return await self._set_exempt(actor, user_id, reason, exempt=False)

    async def block_everywhere(self, actor: Actor, user_id: int, reason: str, until_ms: int | None) -> Changed:
        """Block a person wherever the bot is."""
        return await self._block(actor, BOT, user_id, reason, until_ms, None)

    async def unblock_everywhere(self, actor: Actor, user_id: int, reason: str = "") -> Changed:
        """Take that back; blocks of servers stay."""
        return await self._unblock(actor, BOT, user_id, reason, None)

    async def pause_everywhere(self, actor: Actor, reason: str) -> Changed:
        """Take nothing on anywhere."""
        return await self._pause(actor, BOT, reason, None)

    async def resume_everywhere(self, actor: Actor) -> Changed:
        """Take requests on again."""
        return await self._resume(actor, BOT, None)

    # ---- one change ------------------------------------------------------------------------------------------

    async def _change(self, actor: Actor, edit: _Edit) -> Changed:
        return await self._database.run(_change, actor, edit, self._clock.now_ms())

    async def _set(
        self,
        actor: Actor,
        field: str,
        value: Any,
        text_of: Callable[[Any], str],
        expected_version: int,
        *,
        action: str = "",
    ) -> Changed:
        """Set one field of GuildRules. *action*: its name in the audit, if it is another."""
        guild_id = _guild_of(actor)

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_guild_rules(tx, guild_id, 0)
            records.save_guild_settings(tx, guild_id, replace(old, **{field: value}))
            return text_of(getattr(old, field)), text_of(value)

        return await self._change(actor, _Edit(guild_id, action or field, write, expected_version=expected_version))

    async def _set_ids(
        self, actor: Actor, action: str, table: records.IdTable, ids: Collection[int], expected_version: int
    ) -> Changed:
        guild_id = _guild_of(actor)

        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_ids(tx, table, guild_id)
            records.save_ids(tx, table, guild_id, set(ids))
            return _ids(old), _ids(set(ids))

        return await self._change(actor, _Edit(guild_id, action, write, expected_version=expected_version))

    async def _set_exempt(self, actor: Actor, user_id: int, reason: str, *, exempt: bool) -> Changed:
        def write(tx: Transaction, _: int) -> tuple[str, str]:
            was = records.is_exempt(tx, user_id)
            if was is not exempt:
                records.set_exempt(tx, user_id, exempt=exempt)
            return _yes(was), _yes(exempt)

        return await self._change(actor, _Edit(BOT, "exempt" if exempt else "unexempt", write, user_id, reason))

    async def _block(
        self, actor: Actor, scope_id: int, user_id: int, reason: str, until_ms: int | None, version: int | None
    ) -> Changed:
        block = Block(until_ms, reason[:REASON_MAX], actor.user_id)

        def write(tx: Transaction, now_ms: int) -> tuple[str, str]:
            old = records.load_block(tx, scope_id, user_id)
            records.save_block(tx, scope_id, user_id, block, now_ms)
            return _block_text(old), _block_text(block)

        return await self._change(actor, _Edit(scope_id, "block", write, user_id, reason, version))

    async def _unblock(self, actor: Actor, scope_id: int, user_id: int, reason: str, version: int | None) -> Changed:
        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_block(tx, scope_id, user_id)
            records.delete_block(tx, scope_id, user_id)
            return _block_text(old), ""

        return await self._change(actor, _Edit(scope_id, "unblock", write, user_id, reason, version))

    async def _pause(self, actor: Actor, scope_id: int, reason: str, version: int | None) -> Changed:
        def write(tx: Transaction, now_ms: int) -> tuple[str, str]:
            old = records.load_pause(tx, scope_id)
            pause = Pause(reason[:REASON_MAX], actor.user_id, now_ms)
            records.save_pause(tx, scope_id, pause)
            return _pause_text(old), _pause_text(pause)

        return await self._change(actor, _Edit(scope_id, "pause", write, None, reason, version))

    async def _resume(self, actor: Actor, scope_id: int, version: int | None) -> Changed:
        def write(tx: Transaction, _: int) -> tuple[str, str]:
            old = records.load_pause(tx, scope_id)
            records.delete_pause(tx, scope_id)
            return _pause_text(old), ""

        return await self._change(actor, _Edit(scope_id, "resume", write, None, "", version))


def _change(tx: Transaction, actor: Actor, edit: _Edit, now_ms: int) -> Changed:
    """Make one change, after those of the same scope that began before. Raises ChangedMeanwhile."""
    serialize(tx, f"rules:{edit.scope_id}")
    version = records.load_version(tx, edit.scope_id)
    change_id = audit.change_id_of(actor, edit.scope_id, edit.action, edit.subject_id or 0)
    earlier = audit.find_change(tx, change_id)
    if earlier is not None:
        return Changed(earlier, version, is_new=False)
    if edit.expected_version is not None and edit.expected_version != version:
        raise ChangedMeanwhile(next(iter(audit.load_changes(tx, edit.scope_id, 1)), None))
    before, after = edit.write(tx, now_ms)
    if before == after:
        return Changed(None, version, is_new=False)
    change = audit.write_change(
        tx,
        change_id,
        scope_id=edit.scope_id,
        action=edit.action,
        actor_id=actor.user_id,
        subject_id=edit.subject_id,
        reason=edit.reason[:REASON_MAX],
        before=before,
        after=after,
        at_ms=now_ms,
    )
    outbox_records.add_log_lines(tx, change, _log_channels(tx, change))
    return Changed(change, records.next_version(tx, edit.scope_id), is_new=True)


def _log_channels(tx: Transaction, change: Change) -> list[int]:
    """Return where a change is told: in the server's log channel, and in the one that it was until now."""
    if change.scope_id == BOT:
        return []
    channel_id = records.load_log_channel(tx, change.scope_id)
    before = [change.before] if change.action == "log_channel" and change.before else []
    return [*([] if channel_id is None else [channel_id]), *map(int, before)]


def _guild_of(actor: Actor) -> int:
    """Return the server that may be changed: the one that the interaction comes from."""
    if actor.guild_id is None:
        raise ValueError("an admin's change comes from a server")
    return actor.guild_id


def _checked(cap: Cap | None) -> Cap | None:
    """Return *cap*. Raises ValueError for one that no form offers."""
    if cap is not None and (cap.images < 0 or cap.period not in CAP_PERIODS):
        raise ValueError(f"a cap of {cap.images} images a {cap.period}")
    return cap


def _check_word_counts(words: Sequence[WordRule]) -> None:
    if len(words) > WORDS_MAX:
        raise TooManyRules(WORDS_MAX)
    if sum(word.kind is WordKind.PATTERN for word in words) > PATTERNS_MAX:
        raise TooManyRules(PATTERNS_MAX)


def _cap_text(cap: Cap | None) -> str:
    return "" if cap is None else f"{cap.images} {cap.period}"


def _ids(ids: Iterable[int]) -> str:
    return " ".join(map(str, sorted(ids)))


def _numbers(words: Iterable[WordRule]) -> str:
    """Return the numbers and names of word rules, as "1-3 (violence), 4". The audit is told in the log channel, so it
    holds no word."""
    named = [(name, [word.number for word in each]) for name, each in groupby(words, lambda word: word.name)]
    return ", ".join(f"{_ranges(numbers)} ({name})" if name else _ranges(numbers) for name, numbers in named)


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending *numbers* as "1-3, 7"."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda each: each[1] - each[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _tier_text(tier: Tier, credits: int | None) -> str:
    return "" if credits is None else f"{tier.source} {credits}"


def _block_text(block: Block | None) -> str:
    return "" if block is None else f"{block.until_ms or ''} {block.reason}".strip() or "without end"


def _pause_text(pause: Pause | None) -> str:
    return "" if pause is None else pause.reason or "paused"


def _yes(value: bool) -> str:
    return "yes" if value else ""
