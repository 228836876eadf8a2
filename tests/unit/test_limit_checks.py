"""The order in which rules refuse a request, what each refusal says, and what a person is entitled to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credits.allowance import CreditPeriod
from limits.check import check_request, entitlement
from limits.errors import (
    AgeRestrictedOnly,
    Blocked,
    Budget,
    BudgetUsedUp,
    ChangedMeanwhile,
    ChannelNotAllowed,
    LimitError,
    Paused,
    RoleNotAllowed,
    RulesChanged,
    TooManyRules,
    WordNotAllowed,
)
from limits.model import Block, BotRules, Cap, Change, ContentRule, GuildRules, Pause, Requester, Rules, Tier
from limits.words import WordKind, WordRule
from ui.interactions.errors import sentence_for

NOW_MS = 1_800_000_000_000
MIRA, GUILD, CHANNEL, ROLE, THREAD = 2**53 + 1, 2**53 + 3, 2**53 + 5, 2**53 + 7, 2**53 + 9
ASKED = Requester(MIRA, GUILD, CHANNEL, role_ids=frozenset({ROLE}))
BLOCK, PAUSE = Block(None, "spam", 1), Pause("maintenance", 1, NOW_MS)
WORD = WordRule(3, WordKind.PLAIN, "gore", "violence")

# Each rule that refuses ASKED, in the order in which they are looked at.
BOT = [({"blocks": {MIRA: BLOCK}}, Blocked), ({"pause": PAUSE}, Paused)]
SERVER = [
    ({"blocks": {MIRA: BLOCK}}, Blocked),
    ({"pause": PAUSE}, Paused),
    ({"channels": frozenset({1})}, ChannelNotAllowed),
    ({"roles": frozenset({1})}, RoleNotAllowed),
    ({"content": ContentRule.AGE_RESTRICTED_ONLY}, AgeRestrictedOnly),
]


def refusal(bot: BotRules, guild: GuildRules, asked: Requester = ASKED, word: WordRule | None = None) -> LimitError:
    with pytest.raises(LimitError) as caught:
        check_request(Rules(bot, guild), asked, word, NOW_MS)
    return caught.value


def test_the_first_rule_that_is_broken_refuses() -> None:
    bot, guild = BotRules(), GuildRules()
    assert type(refusal(bot, guild, word=WORD)) is WordNotAllowed
    for change, error in reversed(SERVER):
        guild = replace(guild, **change)
        assert type(refusal(bot, guild, word=WORD)) is error
    for change, error in reversed(BOT):
        bot = replace(bot, **change)
        assert type(refusal(bot, guild, word=WORD)) is error
        assert getattr(refusal(bot, guild), "is_everywhere", None) is True


def test_nothing_is_refused_where_nothing_is_set() -> None:
    check_request(Rules(), ASKED, None, NOW_MS)


def test_exempt_people_are_refused_by_these_rules_too() -> None:
    assert type(refusal(BotRules(exempt=frozenset({MIRA}), pause=PAUSE), GuildRules())) is Paused


def test_a_servers_rules_do_not_count_in_direct_messages() -> None:
    guild = GuildRules(pause=PAUSE, channels=frozenset({1}))
    check_request(Rules(guild=guild), replace(ASKED, guild_id=None), None, NOW_MS)


def test_a_thread_counts_as_its_parent_channel() -> None:
    guild = GuildRules(channels=frozenset({CHANNEL}))
    check_request(Rules(guild=guild), replace(ASKED, channel_id=THREAD, parent_channel_id=CHANNEL), None, NOW_MS)
    assert type(refusal(BotRules(), guild, replace(ASKED, channel_id=THREAD))) is ChannelNotAllowed


@pytest.mark.parametrize("role_id", [ROLE, GUILD])
def test_one_allowed_role_is_enough_and_everybody_has_the_role_of_everyone(role_id: int) -> None:
    check_request(Rules(guild=GuildRules(roles=frozenset({1, role_id}))), ASKED, None, NOW_MS)


def test_a_block_ends_by_itself() -> None:
    for until_ms in (NOW_MS + 1, NOW_MS):
        rules = Rules(BotRules(blocks={MIRA: replace(BLOCK, until_ms=until_ms)}))
        if until_ms > NOW_MS:
            assert type(refusal(rules.bot, rules.guild)) is Blocked
        else:
            check_request(rules, ASKED, None, NOW_MS)


def test_age_restricted_places_are_allowed_by_the_age_rule() -> None:
    guild = GuildRules(content=ContentRule.AGE_RESTRICTED_ONLY)
    check_request(Rules(guild=guild), replace(ASKED, age_restricted=True), None, NOW_MS)


ALL, HERE, ROLE_HERE = Tier(0, 0, 60), Tier(GUILD, 0, 80), Tier(GUILD, ROLE, 100)


@pytest.mark.parametrize(
    ("tiers", "asked", "stored", "expected"),
    [
        ((), ASKED, None, (50, None)),
        ((ALL,), ASKED, None, (60, None)),
        ((ALL, HERE, ROLE_HERE), ASKED, None, (100, ROLE_HERE.source)),
        ((ALL, HERE, ROLE_HERE), replace(ASKED, role_ids=frozenset()), None, (80, HERE.source)),
        ((ALL, HERE, ROLE_HERE), replace(ASKED, role_ids=frozenset()), ROLE_HERE.source, (80, HERE.source)),
        ((HERE, ROLE_HERE), replace(ASKED, guild_id=None), None, (50, None)),
        ((HERE, ROLE_HERE), replace(ASKED, guild_id=None), ROLE_HERE.source, (100, ROLE_HERE.source)),
        ((HERE,), replace(ASKED, guild_id=1), ROLE_HERE.source, (50, None)),
        ((Tier(GUILD, 0, 10),), ASKED, None, (50, None)),
    ],
)
def test_the_best_tier_counts_and_one_of_another_server_only_if_the_account_was_refilled_by_it(
    tiers: tuple[Tier, ...], asked: Requester, stored: str | None, expected: tuple[int, str | None]
) -> None:
    assert entitlement(BotRules(tiers=tiers), asked, stored, everybody=50) == expected


CAP = Cap(10, CreditPeriod.WEEK)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            Blocked(0, NOW_MS, "spam_"),
            "The bot's owner has blocked you until <t:1800000000:f>: spam\\_. Nothing was charged.",
        ),
        (
            Blocked(GUILD, None, ""),
            "You are blocked in this server. Nothing was charged. Its admins can take that back.",
        ),
        (Paused(0, "back soon."), "The bot is paused by its owner: back soon. Nothing was charged."),
        (Paused(GUILD, ""), "Images are paused in this server by its admins. Nothing was charged."),
        (
            ChannelNotAllowed({2, 1}),
            "Images can't be asked for in this channel. Nothing was charged. They can in <#1> and <#2>.",
        ),
        (
            RoleNotAllowed({1}),
            "In this server images are for people with the role <@&1>. Nothing was charged.",
        ),
        (
            AgeRestrictedOnly(),
            "This server allows images in age-restricted channels and their threads only, and this is none, as "
            "far as the bot can see. Nothing was charged.",
        ),
        (
            WordNotAllowed("*no* gore"),
            "This server doesn't allow something in this prompt (rule: \\*no\\* gore). Nothing was charged.",
        ),
        (
            BudgetUsedUp(Budget.BOT, NOW_MS),
            "What this bot may spend for now is used up. Nothing was charged. It is back <t:1800000000:R>.",
        ),
        (
            BudgetUsedUp(Budget.SERVER, NOW_MS - 1, CAP, 10),
            "This server has 10 images a week here, and they are used up. Nothing was charged. "
            "The next week begins <t:1800000000:R>.",
        ),
        (
            BudgetUsedUp(Budget.PERSON, NOW_MS, CAP, 9),
            "You have 10 images a week here, and 1 image is left. Nothing was charged. "
            "The next week begins <t:1800000000:R>.",
        ),
        (
            RulesChanged(),
            "This server's rules are being changed right now. Nothing was charged. Try again in a moment.",
        ),
        (
            ChangedMeanwhile(Change(1, GUILD, "roles", 7, None, "", "", "", NOW_MS)),
            "<@7> changed this server's rules <t:1800000000:R>, so nothing was changed now. Look at what is set, and "
            "try again.",
        ),
        (TooManyRules(20), "At most 20 rules of this kind are kept. Nothing was added: remove some first."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_refusal_is_a_sentence(error: LimitError, sentence: str) -> None:
    assert sentence_for(error, 1) == sentence


def test_a_long_list_of_channels_is_cut() -> None:
    told = sentence_for(ChannelNotAllowed(range(1, 26)), 1) or ""
    assert "<#20> and 5 more." in told and "<#21>" not in told
