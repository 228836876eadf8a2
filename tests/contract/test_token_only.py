"""A channel that refused the bot's own token: kept in the generation's row, and remembered until the bot may post."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from discord_api.snowflakes import snowflake_at
from generations.model import TOKEN_LIFETIME_MS, Generation, Request
from generations.token_only_channels import (
    CHANNELS_MAX,
    DAY_MS,
    KEY,
    LOOKUP_INTERVAL_SECONDS,
    UNUSED_MS,
    TokenOnlyChannels,
)
from store.errors import DatabaseLost
from store.key_values import load_values
from tests.contract.harness import CHANNEL, NOON_MS, Harness, MovableClock, origin

NUMBER = snowflake_at(NOON_MS)


async def asked(harness: Harness) -> Generation:
    return (await harness.request(Request("a lighthouse"), origin(NUMBER))).generation


async def test_a_refusal_while_the_token_is_valid_makes_the_card_token_only_in_other_processes_too(
    harness: Harness,
) -> None:
    made = await asked(harness)
    channels = TokenOnlyChannels(harness.clock, harness.database)
    assert channels.bot_may_enter(made.origin)
    await channels.refused(made)
    assert not channels.bot_may_enter(made.origin)
    kept = (await harness.load(NUMBER)).origin
    assert kept == replace(made.origin, bot_in_channel=False)
    assert not TokenOnlyChannels(harness.clock).bot_may_enter(kept)


async def test_a_refusal_after_the_token_expired_leaves_the_card_to_the_bot(harness: Harness) -> None:
    made = await asked(harness)
    channels = TokenOnlyChannels(harness.clock, harness.database)
    harness.clock.at_ms += TOKEN_LIFETIME_MS
    await channels.refused(made)
    assert channels.bot_may_enter(made.origin)
    assert (await harness.load(NUMBER)).origin.bot_in_channel


async def test_a_card_that_was_posted_in_another_channel_meanwhile_is_not_changed(harness: Harness) -> None:
    made = await asked(harness)
    before = replace(made, origin=replace(made.origin, channel_id=CHANNEL + 1))
    await TokenOnlyChannels(harness.clock, harness.database).refused(before)
    assert (await harness.load(NUMBER)).origin.bot_in_channel


async def kept_channels(harness: Harness) -> list[str]:
    return sorted(await harness.database.run(load_values, KEY))


async def test_new_requests_from_that_channel_are_token_only_however_late_they_come(harness: Harness) -> None:
    channels = TokenOnlyChannels(harness.clock, harness.database)
    await channels.refused(await asked(harness))
    fresh, beside = origin(NUMBER + 1), replace(origin(NUMBER + 2), channel_id=CHANNEL + 1)
    for _ in range(3):
        harness.clock.at_ms += UNUSED_MS - 1
        assert await channels.corrected(fresh, bot_may_post=False) == replace(fresh, bot_in_channel=False)
        assert await channels.corrected(beside, bot_may_post=False) == beside


async def test_new_requests_from_that_channel_are_token_only_in_other_processes_too(harness: Harness) -> None:
    await TokenOnlyChannels(harness.clock, harness.database).refused(await asked(harness))
    fresh, beside = origin(NUMBER + 1), replace(origin(NUMBER + 2), channel_id=CHANNEL + 1)
    harness.clock.at_ms += UNUSED_MS - 1
    started = TokenOnlyChannels(harness.clock, harness.database)
    assert await started.corrected(fresh, bot_may_post=False) == replace(fresh, bot_in_channel=False)
    assert await started.corrected(beside, bot_may_post=False) == beside


async def test_a_channel_that_another_process_keeps_meanwhile_is_known_when_it_is_looked_up_again(
    harness: Harness,
) -> None:
    channels, fresh = TokenOnlyChannels(harness.clock, harness.database), origin(NUMBER + 1)
    assert await channels.corrected(fresh, bot_may_post=False) == fresh
    await TokenOnlyChannels(harness.clock, harness.database).refused(await asked(harness))
    harness.clock.at_ms += round(LOOKUP_INTERVAL_SECONDS * 1000) - 1
    assert await channels.corrected(fresh, bot_may_post=False) == fresh, "not looked up"
    harness.clock.at_ms += 1
    assert await channels.corrected(fresh, bot_may_post=False) == replace(fresh, bot_in_channel=False)


async def test_a_request_with_access_for_the_bot_ends_token_only_for_every_process(harness: Harness) -> None:
    other = TokenOnlyChannels(harness.clock, harness.database)
    await TokenOnlyChannels(harness.clock, harness.database).refused(await asked(harness))
    fresh = origin(NUMBER + 1)
    assert await other.corrected(fresh, bot_may_post=True) == fresh
    assert await kept_channels(harness) == []
    assert await other.corrected(fresh, bot_may_post=False) == fresh
    assert await TokenOnlyChannels(harness.clock, harness.database).corrected(fresh, bot_may_post=False) == fresh


async def test_a_successful_call_by_the_bots_token_ends_token_only_too(harness: Harness) -> None:
    channels = TokenOnlyChannels(harness.clock, harness.database)
    made = await asked(harness)
    await channels.refused(made)
    await channels.reached(CHANNEL + 1)
    assert not channels.bot_may_enter(made.origin)
    await channels.reached(CHANNEL)
    assert channels.bot_may_enter(made.origin)
    assert await kept_channels(harness) == []


async def test_token_only_channels_unused_for_thirty_days_are_deleted_at_the_next_refusal(
    harness: Harness,
) -> None:
    channels = TokenOnlyChannels(harness.clock, harness.database)
    made = await asked(harness)
    for number in range(3):
        await channels.refused(replace(made, origin=replace(made.origin, channel_id=CHANNEL + number)))
        harness.clock.at_ms += UNUSED_MS // 2
    assert await kept_channels(harness) == [f"{KEY}{CHANNEL + 1}", f"{KEY}{CHANNEL + 2}"]


async def test_a_request_renews_its_channel_once_a_day(harness: Harness) -> None:
    channels = TokenOnlyChannels(harness.clock, harness.database)
    made = await asked(harness)
    await channels.refused(made)
    for _ in range(2):
        harness.clock.at_ms += DAY_MS - 1
        await channels.corrected(origin(NUMBER + 1), bot_may_post=False)
    assert await harness.database.run(load_values, KEY) == {f"{KEY}{CHANNEL}": str(harness.clock.at_ms)}
    harness.clock.at_ms += UNUSED_MS - 1
    await channels.refused(replace(made, origin=replace(made.origin, channel_id=CHANNEL + 1)))
    assert len(await kept_channels(harness)) == 2


async def test_another_card_of_a_token_only_channel_is_saved_as_token_only_by_keep(harness: Harness) -> None:
    channels = TokenOnlyChannels(harness.clock, harness.database)
    other = (await harness.request(Request("a ship"), origin(NUMBER + 1))).generation
    await channels.refused(await asked(harness))
    assert not channels.bot_may_enter(other.origin)
    assert (await harness.load(NUMBER + 1)).origin.bot_in_channel
    await channels.keep(other)
    assert not (await harness.load(NUMBER + 1)).origin.bot_in_channel


async def test_the_number_of_remembered_channels_is_limited(harness: Harness) -> None:
    channels = TokenOnlyChannels(harness.clock)
    made = await asked(harness)
    for number in range(CHANNELS_MAX + 1):
        await channels.refused(replace(made, origin=replace(made.origin, channel_id=CHANNEL + number)))
    assert (await channels.corrected(made.origin, bot_may_post=False)).bot_in_channel
    assert len(channels._channels) == CHANNELS_MAX


async def test_the_bot_may_not_enter_an_unknown_channel() -> None:
    assert not TokenOnlyChannels(MovableClock()).bot_may_enter(replace(origin(NUMBER), channel_id=0))


async def test_a_refusal_is_remembered_in_memory_while_the_database_is_lost(harness: Harness) -> None:
    made = await asked(harness)

    class LostDatabase:
        async def run(self, *_: Any) -> Any:
            raise DatabaseLost("away")

        read = run

    away: Any = LostDatabase()
    channels = TokenOnlyChannels(harness.clock, away)
    await channels.refused(made)
    assert not channels.bot_may_enter(made.origin)
    beside = replace(made.origin, channel_id=CHANNEL + 1)
    assert await channels.corrected(beside, bot_may_post=False) == beside
