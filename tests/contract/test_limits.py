"""Changes of rules, their audit, and requests that are checked by them, on both databases and in two processes."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from credits.allowance import CreditPeriod
from generations import records
from generations.errors import LineFull
from generations.model import Request
from limits.errors import BudgetUsedUp, ChangedMeanwhile, ChannelNotAllowed, Paused, TooManyRules, WordNotAllowed
from limits.model import BOT, Actor, Block, Cap, ContentRule, GuildRules, Requester, Rules, Tier
from limits.records import delete_guild, load_guild_ids
from limits.request_limits import RequestLimits
from limits.service import Changed, Limits
from limits.words import PATTERNS_MAX, BadWordRule, WordKind, WordRule
from store.database import Database
from tests.contract.harness import CHANNEL, GUILD, MIRA, NOON_MS, Harness, make_harness, origin

SARA, OWNER, OTHER_GUILD = 2**53 + 11, 2**53 + 13, 2**53 + 15
NUMBERS = itertools.count(2**53 + 101)
GORE = (WordKind.PLAIN, "gore", "violence")


def sara(guild_id: int | None = GUILD) -> Actor:
    return Actor(SARA, next(NUMBERS), guild_id)


@pytest.fixture
def limits(harness: Harness) -> Limits:
    return Limits(harness.database, harness.clock)


async def rules_of(harness: Harness, guild_id: int = GUILD) -> Rules:
    return await RequestLimits(harness.database, ZoneInfo("UTC")).rules_for(guild_id)


async def test_everything_that_an_admin_sets_is_read_as_it_was_set(harness: Harness, limits: Limits) -> None:
    cap, budget = Cap(5, CreditPeriod.DAY), Cap(70, CreditPeriod.MONTH)
    await limits.set_channels(sara(), {SARA, CHANNEL}, expected_version=0)
    await limits.set_roles(sara(), [OWNER], expected_version=1)
    await limits.set_person_cap(sara(), cap, expected_version=2)
    await limits.set_budget(sara(), budget, expected_version=3)
    await limits.set_content(sara(), ContentRule.AGE_RESTRICTED_ONLY, expected_version=4)
    await limits.set_log_channel(sara(), CHANNEL, expected_version=5)
    await limits.add_words(sara(), [GORE, GORE, (WordKind.PATTERN, "b+", "")], expected_version=6)
    await limits.block_here(sara(), MIRA, "spam", NOON_MS, expected_version=7)
    await limits.pause_here(sara(), "a contest")
    guild = (await rules_of(harness)).guild
    assert guild == GuildRules(
        version=9,
        channels=frozenset({SARA, CHANNEL}),
        roles=frozenset({OWNER}),
        person_cap=cap,
        budget=budget,
        content=ContentRule.AGE_RESTRICTED_ONLY,
        log_channel_id=CHANNEL,
        words=(WordRule(1, *GORE), WordRule(2, WordKind.PATTERN, "b+")),
        blocks={MIRA: Block(NOON_MS, "spam", SARA)},
        pause=guild.pause,
    )
    assert guild.pause is not None and guild.pause.reason == "a contest"


async def test_what_was_set_can_be_taken_back(harness: Harness, limits: Limits) -> None:
    for change in (
        limits.set_channels(sara(), [CHANNEL], expected_version=0),
        limits.set_channels(sara(), [], expected_version=1),
        limits.set_budget(sara(), Cap(0, CreditPeriod.DAY), expected_version=2),
        limits.set_budget(sara(), None, expected_version=3),
        limits.add_words(sara(), [GORE], expected_version=4),
        limits.remove_words(sara(), [1], expected_version=5),
        limits.block_here(sara(), MIRA, "", None),
        limits.unblock_here(sara(), MIRA),
        limits.pause_here(sara(), ""),
        limits.resume_here(sara()),
    ):
        assert (await change).is_new
    assert (await rules_of(harness)).guild == GuildRules(version=10)


async def test_the_owner_sets_tiers_exemptions_blocks_and_a_pause_for_all(harness: Harness, limits: Limits) -> None:
    tier, actor = Tier(GUILD, MIRA, 200), Actor(OWNER, 1, None)
    await limits.set_tier(actor, tier)
    await limits.exempt(actor, MIRA)
    await limits.block_everywhere(actor, SARA, "spam", None)
    await limits.pause_everywhere(actor, "an outage")
    bot = (await rules_of(harness)).bot
    assert (bot.version, bot.tiers, bot.exempt, bot.blocks[SARA].reason) == (4, (tier,), {MIRA}, "spam")
    assert bot.pause is not None
    await limits.remove_tier(actor, GUILD, MIRA)
    await limits.unexempt(actor, MIRA)
    await limits.unblock_everywhere(actor, SARA)
    await limits.resume_everywhere(actor)
    bot = (await rules_of(harness)).bot
    assert (bot.tiers, bot.exempt, bot.blocks, bot.pause) == ((), frozenset(), {}, None)


async def test_an_admin_of_one_server_changes_and_sees_nothing_of_another(harness: Harness, limits: Limits) -> None:
    await limits.set_channels(sara(OTHER_GUILD), [1], expected_version=0)
    await limits.block_here(sara(OTHER_GUILD), MIRA, "spam", None)
    await limits.pause_here(sara(OTHER_GUILD), "closed")
    assert await rules_of(harness) == Rules()
    assert await limits.load_audit(GUILD, 10) == await limits.load_audit(BOT, 10) == []
    await harness.ask(1)
    with pytest.raises(ValueError):
        await limits.pause_here(sara(None), "everywhere")


async def test_the_audit_says_who_changed_what_when_and_why(harness: Harness, limits: Limits) -> None:
    await limits.set_person_cap(sara(), Cap(5, CreditPeriod.DAY), expected_version=0)
    harness.clock.at_ms += 1
    await limits.set_person_cap(sara(), Cap(9, CreditPeriod.WEEK), expected_version=1)
    await limits.block_here(sara(), MIRA, "spam", None)
    newest, cap, _ = await limits.load_audit(GUILD, 10)
    assert await limits.last_change(GUILD) == newest
    assert (newest.action, newest.actor_id, newest.subject_id, newest.reason) == ("block", SARA, MIRA, "spam")
    assert (cap.action, cap.before, cap.after, cap.at_ms) == ("person_cap", "5 day", "9 week", NOON_MS + 1)


async def test_the_audit_holds_no_blocked_word(limits: Limits) -> None:
    await limits.add_words(sara(), [GORE], expected_version=0)
    await limits.remove_words(sara(), [1], expected_version=1)
    assert [(c.before, c.after) for c in await limits.load_audit(GUILD, 9)] == [
        ("1 (violence)", ""),
        ("", "1 (violence)"),
    ]


async def test_the_same_interaction_again_is_one_change(
    database: Database, other_database: Database, harness: Harness
) -> None:
    actor = sara()
    processes = [Limits(each, harness.clock) for each in (database, other_database)] * 3
    changes = [each.set_channels(actor, [CHANNEL], expected_version=0) for each in processes]
    made = await asyncio.gather(*changes)
    assert sum(each.is_new for each in made) == 1
    assert {(each.version, each.change) for each in made} == {(1, made[0].change)}
    assert len(await processes[0].load_audit(GUILD, 10)) == 1


async def test_a_change_that_changes_nothing_leaves_no_trace(limits: Limits) -> None:
    assert await limits.set_channels(sara(), [], expected_version=0) == Changed(None, 0, is_new=False)
    assert await limits.load_audit(GUILD, 10) == []


async def test_of_two_admins_at_once_the_later_one_sees_what_the_earlier_did(
    database: Database, other_database: Database, harness: Harness
) -> None:
    here, there = Limits(database, harness.clock), Limits(other_database, harness.clock)
    outcomes = await asyncio.gather(
        here.set_channels(sara(), [1], expected_version=0),
        there.set_channels(sara(), [2], expected_version=0),
        return_exceptions=True,
    )
    (made,) = [outcome for outcome in outcomes if isinstance(outcome, Changed)]
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, ChangedMeanwhile)]
    assert refused.last == made.change is not None
    assert made.change is not None
    assert {str(each) for each in (await rules_of(harness)).guild.channels} == {made.change.after}


async def test_rules_of_words_are_refused_that_are_bad_or_too_many(harness: Harness, limits: Limits) -> None:
    with pytest.raises(BadWordRule):
        await limits.add_words(sara(), [GORE, (WordKind.PATTERN, "(", "")], expected_version=0)
    many = [(WordKind.PATTERN, f"a{number}", "") for number in range(PATTERNS_MAX + 1)]
    with pytest.raises(TooManyRules):
        await limits.add_words(sara(), many, expected_version=0)
    assert await rules_of(harness) == Rules()


# ---- requests ------------------------------------------------------------------------------------------------------


async def test_a_change_in_one_process_counts_at_once_in_another(
    database: Database, other_database: Database, harness: Harness
) -> None:
    limits, other = Limits(database, harness.clock), make_harness(other_database)
    await other.ask(1)
    await limits.set_channels(sara(), [1], expected_version=0)
    with pytest.raises(ChannelNotAllowed) as caught:
        await other.ask(2)
    assert caught.value.channel_ids == (1,)
    await limits.set_channels(sara(), [], expected_version=1)
    await other.ask(3)
    await limits.pause_everywhere(Actor(OWNER, 1, None), "an outage")
    with pytest.raises(Paused):
        await other.ask(4)


async def test_a_refused_request_holds_nothing_and_leaves_no_row(harness: Harness, limits: Limits) -> None:
    await limits.add_words(sara(), [(WordKind.WHOLE, "lighthouse", "towers")], expected_version=0)
    with pytest.raises(WordNotAllowed) as caught:
        await harness.ask(1)
    assert caught.value.rule == "towers"
    assert await harness.numbers() == (50, 0)
    assert await harness.database.run(records.load, 1) is None
    await harness.request(Request("a ship"), origin(2))


async def test_words_that_were_added_between_the_check_and_the_transaction_count(
    harness: Harness, limits: Limits
) -> None:
    await harness.ask(1)  # this process knows the rules, which have no words
    await limits.add_words(sara(), [(WordKind.PLAIN, "light", "")], expected_version=0)
    with pytest.raises(WordNotAllowed) as caught:
        await harness.ask(2)
    assert caught.value.rule == "1"
    await limits.remove_words(sara(), [1], expected_version=1)
    await harness.ask(2)
    assert await harness.numbers() == (40, 10)


async def test_the_same_interaction_stays_accepted_after_a_rule_that_refuses_it(
    harness: Harness, limits: Limits
) -> None:
    first = await harness.request(Request("x"), origin(1))
    await limits.pause_here(sara(), "closed")
    assert (await harness.request(Request("x"), origin(1))).generation == first.generation
    assert await harness.numbers() == (45, 5)


async def test_a_request_is_refused_by_the_first_limit_that_it_breaks(database: Database) -> None:
    """Rules come before the line, and the line before the counters."""
    harness = make_harness(database, max_queue=0, max_in_flight=1)
    await harness.ask(9)
    limits = Limits(database, harness.clock)
    await limits.set_budget(sara(), Cap(0, CreditPeriod.DAY), expected_version=0)
    with pytest.raises(LineFull):
        await harness.ask(1)
    await limits.pause_here(sara(), "")
    with pytest.raises(Paused):
        await harness.ask(1)


async def test_a_servers_rules_count_there_alone(harness: Harness, limits: Limits) -> None:
    await limits.set_budget(sara(), Cap(0, CreditPeriod.DAY), expected_version=0)
    with pytest.raises(BudgetUsedUp):
        await harness.ask(1)
    await harness.request(Request("x"), replace(origin(2), guild_id=OTHER_GUILD))
    await harness.request(Request("x"), replace(origin(3), guild_id=None))


async def test_a_tier_counts_at_the_next_look_and_its_end_takes_nothing_that_is_held(
    harness: Harness, limits: Limits
) -> None:
    patron = Requester(MIRA, GUILD, CHANNEL, role_ids=frozenset({SARA}))
    elsewhere = Requester(MIRA, OTHER_GUILD, CHANNEL)
    assert (await harness.generations.statement(patron)).balance.available == 50
    await limits.set_tier(Actor(OWNER, next(NUMBERS), None), Tier(GUILD, SARA, 60))
    assert (await harness.generations.statement(elsewhere)).balance.available == 50
    asked = origin(next(NUMBERS))
    await harness.generations.request(Request("a lighthouse", seed=5, count=2), asked, patron)
    balance = (await harness.generations.statement(elsewhere)).balance
    assert (balance.available, balance.held, balance.allowance) == (50, 10, 60)
    await limits.remove_tier(Actor(OWNER, next(NUMBERS), None), GUILD, SARA)
    balance = (await harness.generations.statement(elsewhere)).balance
    assert (balance.available, balance.held, balance.allowance) == (40, 10, 50)


async def test_what_a_server_set_is_deleted_whole_and_nothing_of_another_or_of_the_owner(
    harness: Harness, limits: Limits
) -> None:
    assert await harness.database.read(load_guild_ids) == set()
    for number, guild_id in enumerate((GUILD, OTHER_GUILD)):
        actor = sara(guild_id)
        await limits.set_channels(actor, [CHANNEL], expected_version=0)
        await limits.set_budget(sara(guild_id), Cap(7, CreditPeriod.DAY), expected_version=1)
        await limits.add_words(sara(guild_id), [GORE], expected_version=2)
        await limits.block_here(sara(guild_id), MIRA, f"spam {number}", None)
        await limits.pause_here(sara(guild_id), "a contest")
    await limits.set_tier(Actor(OWNER, next(NUMBERS), None), Tier(GUILD, 0, 70))
    await limits.pause_everywhere(Actor(OWNER, next(NUMBERS), None), "repairs")
    other = (await rules_of(harness, OTHER_GUILD)).guild
    assert await harness.database.read(load_guild_ids) == {GUILD, OTHER_GUILD}
    await harness.database.run(delete_guild, GUILD)
    assert await harness.database.read(load_guild_ids) == {OTHER_GUILD}
    left = await rules_of(harness)
    assert left.guild == GuildRules(version=6)
    assert left.bot.tiers == (Tier(GUILD, 0, 70),) and left.bot.pause is not None
    assert (await rules_of(harness, OTHER_GUILD)).guild == other
    assert len(await limits.load_audit(GUILD, 99)) == 5
