"""Invariants of changes by hand and of reports: each is done as a whole or not at all, audited once and told of."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from generations.worker.submit import IMAGES_BACK, STOPPED
from limits.model import Change
from tests.simulation.changes import ACTIONS, OWNER
from tests.simulation.fake_discord import GUILD, LOG_CHANNEL
from ui.texts.admin_changes import change_text

if TYPE_CHECKING:
    from tests.simulation.run import Run

CREDITS = ("grant", "take", "undo", "refund")
AUDIT = 'SELECT number, scope_id, action, actor_id, subject_id, reason, "before", "after", at_ms FROM audit'


def changes_are_whole(run: Run) -> Iterator[str]:
    """Yield a message for each violation."""
    changes = [Change(*row) for row in run.environment.disk.ask(f"{AUDIT} ORDER BY number")]
    yield from _what_is_set_is_what_was_changed(run, changes)
    yield from _entries_by_hand_are_audited(run, changes)
    yield from _who_was_answered_was_audited(run)
    yield from _log_channels_have_every_line_once(run, changes)
    yield from _reports_are_told_and_decided_once(run, changes)
    yield from _the_owner_heard_what_happened(run)


def _what_is_set_is_what_was_changed(run: Run, changes: list[Change]) -> Iterator[str]:
    """Compare the tables with the newest change of each kind."""
    ask, newest = run.environment.disk.ask, dict[tuple[Any, ...], str]()
    for change in changes:
        action = change.action.removeprefix("un").removeprefix("remove_").removeprefix("set_")
        pair = {"resume": "pause"}.get(action, action)
        newest[change.scope_id, pair, change.subject_id] = change.after
    for (scope_id, kind, subject_id), after in newest.items():
        own = "scope_id = ? AND user_id = ?", scope_id, subject_id
        match kind:
            case "block":
                found: Any = bool(ask(f"SELECT 1 FROM blocks WHERE {own[0]}", *own[1:]))
                wanted: Any = bool(after)
            case "exempt":
                found, wanted = bool(ask("SELECT 1 FROM exemptions WHERE user_id = ?", subject_id)), bool(after)
            case "pause":
                found, wanted = bool(ask("SELECT 1 FROM pauses WHERE scope_id = ?", scope_id)), bool(after)
            case "tier":
                rows = ask("SELECT credits FROM tiers WHERE guild_id = ?", subject_id)
                found, wanted = " ".join(str(row[0]) for row in rows), after.rpartition(" ")[2]
            case "channels" | "roles":
                column = kind.removesuffix("s") + "_id"
                rows = ask(f"SELECT {column} FROM guild_{kind} WHERE guild_id = ? ORDER BY 1", scope_id)
                found, wanted = " ".join(str(row[0]) for row in rows), after
            case "person_cap" | "budget":
                name = kind.removesuffix("_cap")
                row = ask(f"SELECT {name}_images, {name}_period FROM guild_settings WHERE guild_id = ?", scope_id)[0]
                found, wanted = f"{row[0]} {row[1]}", after
            case "content" | "log_channel":
                column = "content" if kind == "content" else "log_channel_id"
                row = ask(f"SELECT {column} FROM guild_settings WHERE guild_id = ?", scope_id)[0]
                found, wanted = str(row[0] or ""), after
            case _:
                continue
        if found != wanted:
            yield f"{kind} of {scope_id} is {found!r}, the audit says {wanted!r}"
    words = {"add_words": 2, "words": -1}  # two are added, one is removed
    count = sum(words.get(change.action.removeprefix("remove_"), 0) for change in changes)
    if ask("SELECT count(*) FROM blocked_words")[0][0] != count:
        yield f"the audit says that there are {count} blocked words"
    versions = Counter(change.scope_id for change in changes if _changes_rules(change))
    if dict(ask("SELECT scope_id, version FROM rule_versions")) != versions:
        yield f"the audit has {dict(versions)} changes, the versions are others"


def _changes_rules(change: Change) -> bool:
    return change.action not in CREDITS and not change.action.startswith("report_")


def _entries_by_hand_are_audited(run: Run, changes: list[Change]) -> Iterator[str]:
    sql = "SELECT number, abs(available_delta), user_id FROM entries WHERE actor_id IS NOT NULL"
    entries = {(f"entry {number}: {amount} credits", user) for number, amount, user in run.environment.disk.ask(sql)}
    audited = [(change.after, change.subject_id) for change in changes if change.action in CREDITS]
    if sorted(audited, key=str) != sorted(entries, key=str):
        yield f"credits moved by hand: {sorted(entries, key=str)}, audited: {sorted(audited, key=str)}"


def _who_was_answered_was_audited(run: Run) -> Iterator[str]:
    """Each action was made for the first time at a moment at which it changes something."""
    rows = run.environment.disk.ask("SELECT id, action FROM audit")
    audited = Counter((int(change_id.partition(":")[0]), action) for change_id, action in rows)
    if audited and max(audited.values()) > 1:
        yield f"one interaction was audited twice: {audited.most_common(1)}"
    known = {interaction_id for interaction_id, _ in audited}
    for interaction_id in run.environment.answered:
        if ACTIONS[run.changed[interaction_id].action].changes and interaction_id not in known:
            yield f"{run.changed[interaction_id]} was answered and is not in the audit"


def _log_channels_have_every_line_once(run: Run, changes: list[Change]) -> Iterator[str]:
    told, channel = list[Change](), ""
    for change in changes:
        if change.scope_id != GUILD or not _changes_rules(change):
            continue
        before, channel = channel, change.after if change.action == "log_channel" else channel
        told += [change] if before or channel else []
    messages = run.environment.discord.messages.values()
    texts = [message.content for message in messages if message.channel_id == LOG_CHANNEL and message.content]
    for text, times in Counter(change_text(change) for change in told).items():
        found = sum(text in each for each in texts)
        if found != times:
            yield f"the log channel was told {found} times: {text}"
    if len(texts) != len(told):
        yield f"the log channel was told {len(texts)} changes of {len(told)}"


def _reports_are_told_and_decided_once(run: Run, changes: list[Change]) -> Iterator[str]:
    ask = run.environment.disk.ask
    reports = ask("SELECT id, due_at_ms, told_at_ms FROM reports")
    for report_id, due_at_ms, told_at_ms in reports:
        if due_at_ms is not None or told_at_ms is None:
            yield f"report {report_id} was never told"
    has_log = any(change.action == "log_channel" for change in changes)
    cards = Counter(each.channel_id for each in run.environment.discord.messages.values() if each.components)
    for channel_id in (OWNER * 10, *([LOG_CHANNEL] if has_log else [])):
        if cards[channel_id] != len(reports):
            yield f"{len(reports)} reports were told {cards[channel_id]} times in {channel_id}"
    decided = ask("SELECT report_id, scope_id, decision FROM report_decisions")
    wanted = sorted((str(report), scope, f"report_{decision}") for report, scope, decision in decided)
    audited = [(change.after, change.scope_id, change.action) for change in changes]
    if sorted(each for each in audited if each[2].startswith("report_")) != wanted:
        yield f"decided: {wanted}, the audit differs"
    for report_id, scope_id, decision in decided:
        if decision == "removed":
            rows = ask("SELECT message_id FROM generations WHERE id = (SELECT image_of FROM reports)")
            if not run.environment.discord.messages[rows[0][0]].deleted or not ask("SELECT 1 FROM removed_cards"):
                yield f"report {report_id} was decided, but its card is there"
        if decision == "blocked" and not ask("SELECT 1 FROM blocks WHERE scope_id = ?", scope_id):
            yield f"report {report_id} was decided, but nobody is blocked in {scope_id}"


def _the_owner_heard_what_happened(run: Run) -> Iterator[str]:
    """A stop is followed by its end, and each mark of a limit is told once, whatever died in between."""
    messages = run.environment.discord.messages.values()
    heard = [message.content for message in messages if message.channel_id == OWNER * 10]
    told = [text for text in heard if STOPPED in text or IMAGES_BACK in text]
    if any(earlier == later for earlier, later in itertools.pairwise(told)):
        yield f"the owner heard the same twice: {told}"
    turns = ["stop" if STOPPED in text else "back" for text in told]
    rows = dict(run.environment.disk.ask("SELECT key, value FROM key_values"))
    circuit = next((json.loads(value) for value in rows.values() if value.startswith('{"reason"')), None)
    is_open = circuit is not None and circuit["reason"] is not None and circuit["is_told"]
    was_told = circuit is not None and circuit["told_at_ms"] is not None
    if was_told != bool(turns):
        yield f"the owner heard {turns} of a stop"
    if turns and (turns[0] != "stop" or turns[-1] != ("stop" if is_open else "back")):
        yield f"the owner heard {turns}, and the circuit is {circuit}"
    noted = json.loads(rows.get("spend_told:v1", "{}"))
    for period, (_, percent) in noted.items():
        marks = [text for text in heard if f"SPEND_LIMIT_{period.upper()}" in text]
        if not marks or len(set(marks)) != len(marks) or len(marks) > (1 if percent == 80 else 2):
            yield f"{percent} % of a limit is noted as told, and the owner heard {marks}"
    if not noted and any("SPEND_LIMIT" in text for text in heard):
        yield "the owner heard of a limit that nothing is noted of"
