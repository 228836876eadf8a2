"""The views of /admin within Discord's limits with everything at its largest, and what their texts say."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import ui

from credits.allowance import CreditPeriod
from limits.model import Block, Cap, Change, ContentRule, GuildOverview, GuildRules, Pause, Used
from limits.usage import CAP_PERIODS
from limits.words import WORD_MAX, WORDS_MAX, WordKind, WordRule
from ui.interactions.admin import ACTIONS, AdminItem
from ui.interactions.admin_forms import (
    build_block_form,
    build_cap_form,
    build_pause_form,
    build_words_form,
)
from ui.texts.admin_changes import change_text, changed, changed_by_another, log_line
from ui.texts.text_budget import TEXT_BYTES_MAX, utf8_bytes
from ui.views.cards_admin import build_budget_question, build_limits
from ui.views.cards_admin_lists import build_people, build_words

NOW_MS = 1_764_422_817_000
ID_MAX = 2**63 - 1
LONGEST = Change(
    10**9, ID_MAX, "channels", ID_MAX, None, "", " ".join([str(ID_MAX)] * 25), " ".join([str(ID_MAX)] * 25), NOW_MS
)
CLASSES = {"wide": "全", "escaped": "*", "emoji": "🦊", "plain": "w"}


def fullest(character: str) -> GuildOverview:
    ids = frozenset(range(ID_MAX - 25, ID_MAX))
    text = character * WORD_MAX
    block = Block(NOW_MS + 10**12, character * 300, ID_MAX)
    rules = GuildRules(
        version=10**18,
        channels=ids,
        roles=ids,
        person_cap=Cap(100_000, CreditPeriod.MONTH),
        budget=Cap(100_000, CreditPeriod.MONTH),
        content=ContentRule.AGE_RESTRICTED_ONLY,
        log_channel_id=ID_MAX,
        words=tuple(WordRule(10**8 + number, WordKind.WHOLE, text, text) for number in range(WORDS_MAX)),
        blocks=dict.fromkeys(range(ID_MAX - 500, ID_MAX), block),
        pause=Pause(character * 300, ID_MAX, NOW_MS),
    )
    used = {period: Used(10**9, NOW_MS + 10**9) for period in CAP_PERIODS}
    return GuildOverview(rules, True, used, LONGEST, NOW_MS)


def sent_texts(part: Any) -> list[str]:
    """Return every text that a view shows."""
    keys = ("content", "label", "description", "placeholder")
    if isinstance(part, list):
        return [text for each in part for text in sent_texts(each)]
    if not isinstance(part, dict):
        return []
    return [str(part[key]) for key in keys if part.get(key)] + sent_texts(list(part.values()))


def pages() -> dict[str, Any]:
    notes = [changed_by_another(LONGEST), "x" * 150]
    return {
        "limits": lambda overview: build_limits(overview, AdminItem, notes),
        "words": lambda overview: build_words(overview, AdminItem, 3, notes),
        "people": lambda overview: build_people(overview, AdminItem, 3, notes),
        "question": lambda overview: build_budget_question(overview, Cap(100_000, CreditPeriod.MONTH), AdminItem),
    }


@pytest.mark.parametrize("character", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("name", pages())
def test_each_view_stays_within_discords_limits(name: str, character: str) -> None:
    view: ui.LayoutView = pages()[name](fullest(character))
    assert view.content_length() <= 4000 and view.total_children_count <= 40
    assert utf8_bytes(*sent_texts(view.to_components())) <= TEXT_BYTES_MAX
    controls = [item for item in view.walk_children() if item.is_dispatchable()]
    ids = [str(item.custom_id) for item in controls]  # type: ignore[attr-defined]
    assert all(isinstance(item, AdminItem) for item in controls)
    assert len(set(ids)) == len(ids) and max(map(len, ids)) <= 100
    assert {each.split(":")[1] for each in ids} <= ACTIONS.keys()


def test_every_action_stands_on_some_view_and_holds_no_servers_id() -> None:
    paused, nothing = fullest("w"), GuildOverview(GuildRules(), False, fullest("w").used, None, NOW_MS)
    views = [page(overview) for page in pages().values() for overview in (paused, nothing)]
    ids = [str(item.custom_id) for view in views for item in view.walk_children() if item.is_dispatchable()]
    assert {each.split(":")[1] for each in ids} == set(ACTIONS)
    assert all(str(ID_MAX) not in each for each in ids)


def test_each_form_stays_within_discords_limits() -> None:
    overview = fullest("w")
    forms = [
        build_cap_form("person", overview, ID_MAX),
        build_cap_form("budget", overview, ID_MAX),
        build_words_form(overview, ID_MAX),
        build_block_form(overview, ID_MAX),
        build_pause_form(overview, ID_MAX),
    ]
    for form in forms:
        sent = form.to_dict()
        assert len(sent["title"]) <= 45 and len(sent["custom_id"]) <= 100 and 1 <= len(sent["components"]) <= 5
        for label in sent["components"]:
            assert len(label.get("label", "")) <= 45 and len(label.get("description") or "") <= 100, label
            for option in label.get("component", {}).get("options", ()):
                assert len(option["label"]) <= 100 and len(option.get("description") or "") <= 100


def test_the_pages_hold_every_word_and_every_person_once() -> None:
    overview = fullest("w")
    removable = [value for page in range(20) for value in values(build_words(overview, AdminItem, page))]
    assert removable == [str(word.number) for word in overview.rules.words]
    freed = [value for page in range(50) for value in values(build_people(overview, AdminItem, page))]
    assert sorted(freed) == sorted(map(str, overview.rules.blocks))
    assert values(build_words(overview, AdminItem, 10**9)) == removable[-10:]


def values(view: ui.LayoutView) -> list[str]:
    selects = [item.item for item in view.walk_children() if isinstance(item, AdminItem)]
    return [option.value for each in selects if isinstance(each, ui.Select) for option in each.options]


def test_blocks_that_have_ended_are_not_listed() -> None:
    blocks = {1: Block(NOW_MS, "", 9), 2: Block(NOW_MS + 1, "", 9), 3: Block(None, "", 9)}
    overview = GuildOverview(GuildRules(blocks=blocks), False, fullest("w").used, None, NOW_MS)
    assert values(build_people(overview, AdminItem)) == ["2", "3"]


def change(action: str, before: str = "", after: str = "", **more: Any) -> Change:
    return Change(1, 2, action, 3, more.get("subject"), more.get("reason", ""), before, after, NOW_MS)


SAID = {
    change("channels", "", "5 6"): "channels: everywhere → <#5> and <#6>",
    change("roles", "7", ""): "roles: <@&7> → everybody",
    change("person_cap", "", "5 day"): "each person: no cap → 5 images a day",
    change("budget", "1 week", ""): "this server: 1 image a week → no budget",
    change("content", "general", "age_restricted_only"): "content: general → age-restricted places only",
    change("content", "general", "something newer"): "content: general → age-restricted places only",
    change("log_channel", "5", ""): "log channel: <#5> → none",
    change("add_words", "", "3-4 (a*b), 7"): r"blocked words: added rules 3-4 \(a\*b\), 7",
    change("remove_words", "3", ""): "blocked words: removed rule 3",
    change("block", "", "1764422817000 spam", reason="spam", subject=8): "blocked <@8> until <t:1764422817:f>: spam",
    change("block", "", "1764422817000 is no date", reason="1764422817000 is no date", subject=8): (
        "blocked <@8>: 1764422817000 is no date"
    ),
    change("block", "spam", "without end", subject=8): "blocked <@8> (was blocked before)",
    change("unblock", "spam", "", subject=8): "unblocked <@8>",
    change("pause", "", "a *contest*", reason="a *contest*"): r"paused images: a \*contest\*",
    change("pause", "a contest", "paused"): "new reason of the pause",
    change("resume", "paused", ""): "resumed images",
    change("a_newer_one", "", "x"): r"a\_newer\_one",
}


@pytest.mark.parametrize("one", SAID)
def test_a_change_is_told_with_before_and_after(one: Change) -> None:
    assert change_text(one) == SAID[one]
    assert changed(one) == f"**Done:** {SAID[one]}"


def test_the_longest_line_of_the_log_fits_into_a_message() -> None:
    assert len(log_line(LONGEST)) <= 2000
    names = ", ".join(f"{number} {'*' * WORD_MAX}" for number in range(WORDS_MAX))
    assert len(log_line(change("add_words", "", names))) <= 2000


def test_the_channel_lists_offer_no_threads() -> None:
    """Discord answers 500 to a list that is filled with a thread (discord-api-docs#6719)."""
    view = build_limits(fullest("w"), AdminItem)
    lists = [item.item for item in view.walk_children() if isinstance(item, AdminItem)]
    offered = {kind for each in lists if isinstance(each, ui.ChannelSelect) for kind in each.channel_types}
    threads = {
        discord.ChannelType.public_thread,
        discord.ChannelType.private_thread,
        discord.ChannelType.news_thread,
    }
    assert offered and not offered & threads
