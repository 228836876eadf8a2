"""/credits: the account in every state, always private."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credits.allowance import CreditPeriod
from credits.ledger import TIER
from credits.model import Balance, Entry, EntryKind
from generations.model import CardLink
from generations.service import Statement
from store.transactions import Transaction
from tests.cogs.scene import Scene, words
from ui.views.cards_credits import build_credits


async def account(scene: Scene) -> str:
    result = await scene.alice.slash(scene.channel, "credits")
    assert result.response is not None and result.response.ephemeral
    return words(result.response)


async def test_a_new_person_has_the_whole_allowance_and_its_entry(scene: Scene) -> None:
    text = await account(scene)
    assert "▰▰▰▰▰▰▰▰▰▰  **50 of 50 credits · 10 images**" in text
    assert "Refills to 50 <t:1767312000:R>" in text
    assert "held" not in text


async def test_held_credits_are_listed_separately_with_a_link_to_the_card(scene: Scene) -> None:
    result = await scene.imagine()
    assert result.response is not None
    text = await account(scene)
    assert "**45 of 50 credits · 9 images**" in text and "5 held by 1 image being made" in text
    url = f"https://discord.com/channels/{scene.guild.id}/{scene.channel.id}/{result.response.id}"
    assert f"**−5** · held for an image · [card]({url}) · <t:" in text


async def test_returned_credits_are_shown_with_their_sign(scene: Scene) -> None:
    result = await scene.imagine(count=2)
    assert result.response is not None
    await scene.alice.click(result.response, label="Cancel")
    text = await account(scene)
    assert "**50 of 50 credits · 10 images**" in text
    assert text.count("**+5** · returned") == 2 and text.count("**−5** · held for an image") == 2


async def test_an_image_that_was_made_is_paid_from_its_hold(scene: Scene) -> None:
    await scene.imagine()
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    text = await account(scene)
    assert "**45 of 50 credits · 9 images**" in text and "being made" not in text
    assert "**0** · image made" in text


async def test_only_the_last_ten_entries_are_shown_newest_first(scene: Scene) -> None:
    for _ in range(3):
        result = await scene.imagine(count=2)
        assert result.response is not None
        await scene.alice.click(result.response, label="Cancel")
    lines = [line for line in (await account(scene)).splitlines() if line.startswith(("**+", "**−", "**0"))]
    assert len(lines) == 10
    assert lines[0].startswith("**+5** · returned")


async def test_bonus_is_shown_apart_and_counts_for_images(scene: Scene) -> None:
    def give(tx: Transaction) -> None:
        ledger, now_ms = scene.services.ledger, scene.clock.now_ms()
        ledger.grant(tx, scene.alice.id, 7, "a present", "for your patience", scene.alice.id, now_ms)
        ledger.take(tx, scene.alice.id, 1, "a take", "a slip", scene.alice.id, now_ms)

    await scene.database.real.run(give)
    text = await account(scene)
    assert "**50 of 50 credits · 11 images with your bonus**" in text
    assert "and **6 bonus credits**, which don't expire and are used last" in text
    assert "**+7** · for your patience" in text and "**−1** · a slip" in text


def test_what_a_lower_allowance_took_is_described() -> None:
    entry = Entry("take:refill:1:2:after:3", 1, EntryKind.TAKE, -30, 0, None, TIER, 0)
    lowered = Statement(balance=Balance(1, 20, 0, 20, None, bonus=1), held_images=0, entries=((entry, None),))
    assert "**−30** · taken, as your allowance is lower now" in shown(lowered)
    assert "and **1 bonus credit**, which" in shown(lowered)


@pytest.mark.scene(allowance=20, period=CreditPeriod.NEVER)
async def test_credits_that_are_given_once_are_described_as_such(scene: Scene) -> None:
    text = await account(scene)
    assert "**20 of 20 credits · 4 images**" in text
    assert "Given once, not refilled" in text and "Refills" not in text


@pytest.mark.scene(allowance=0)
async def test_an_allowance_of_zero_is_listed_as_zero(scene: Scene) -> None:
    assert "0 of 0 credits · 0 images" in await account(scene)


async def test_it_works_in_the_bots_dm(scene: Scene) -> None:
    result = await scene.env.create_user("carol").slash("credits")
    assert result.response is not None and "50 of 50 credits" in words(result.response)


async def test_a_slow_database_is_waited_for_with_a_private_deferral(scene: Scene) -> None:
    scene.database.delays = [1.2]
    result = await scene.alice.slash(scene.channel, "credits")
    await scene.env.advance_time(2)
    assert result.response is not None and result.response.ephemeral
    assert "50 of 50 credits" in words(result.response)


async def test_after_a_database_fault_the_person_is_told_privately(scene: Scene) -> None:
    scene.database.failures = 1
    result = await scene.alice.slash(scene.channel, "credits")
    assert result.response is not None and result.response.ephemeral
    assert "failed" in words(result.response)


def statement(available: int, *, allowance: int = 50, reason: str = "refill", entries: int = 1) -> Statement:
    entry = Entry("grant:x", 1, EntryKind.GRANT, 10, 0, None, reason, 0)
    longest = CardLink(2**63 - 1, 2**63 - 1, 2**63 - 1)
    return Statement(
        balance=Balance(1, available, 0, allowance, None),
        held_images=0,
        entries=tuple((entry, longest) for _ in range(entries)),
    )


def shown(of: Statement) -> str:
    container = build_credits(of).to_components()[0]
    return "\n".join(part["content"] for part in container["components"] if part["type"] == 10)  # type: ignore[typeddict-item]


def test_a_balance_above_the_allowance_fills_the_bar() -> None:
    assert "▰▰▰▰▰▰▰▰▰▰  **80 credits · 16 images**" in shown(statement(80))


def test_the_reason_of_a_grant_is_escaped() -> None:
    text = shown(statement(10, reason="[free](https://evil.example) @everyone"))
    assert "](https" not in text.replace("[card](https", "") and "@everyone" not in text


def test_what_was_taken_by_hand_shows_its_reason_whatever_that_says() -> None:
    entry = Entry("take:x", 1, EntryKind.TAKE, -5, 0, None, TIER, 0, actor_id=2)
    text = shown(replace(statement(10), entries=((entry, None),)))
    assert f"**−5** · {TIER} · " in text


def test_ten_of_the_longest_entries_stay_within_discords_limit() -> None:
    view = build_credits(statement(10, reason="*" * 500, entries=10))
    assert view.content_length() <= 4000 and view.total_children_count <= 40


def test_an_account_without_entries_says_so() -> None:
    assert "Nothing was booked yet." in shown(statement(10, entries=0))
