"""A channel that refused the bot's own token: saved in the generation's row, and remembered for an hour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from generations.model import DISCORD_EPOCH_MS, TOKEN_LIFETIME_MS, Generation, Request
from generations.token_only_channels import CHANNELS_MAX, KEY, REMEMBERED_SECONDS, TokenOnlyChannels
from store.errors import DatabaseLost
from store.key_values import load_values
from tests.contract.world import CHANNEL, NOON_MS, MovableClock, World, origin

NUMBER = (NOON_MS - DISCORD_EPOCH_MS) << 22


async def asked(world: World) -> Generation:
    return await world.generations.request(Request("a lighthouse"), origin(NUMBER))


async def test_a_refusal_while_the_token_is_valid_makes_the_card_token_only_in_other_processes_too(
    world: World,
) -> None:
    made = await asked(world)
    channels = TokenOnlyChannels(world.clock, world.database)
    assert channels.bot_may_enter(made.origin)
    await channels.refused(made)
    assert not channels.bot_may_enter(made.origin)
    kept = (await world.load(NUMBER)).origin
    assert kept == replace(made.origin, bot_in_channel=False)
    assert not TokenOnlyChannels(world.clock).bot_may_enter(kept)


async def test_a_refusal_after_the_token_expired_leaves_the_card_to_the_bot(world: World) -> None:
    made = await asked(world)
    channels = TokenOnlyChannels(world.clock, world.database)
    world.clock.at_ms += TOKEN_LIFETIME_MS
    await channels.refused(made)
    assert channels.bot_may_enter(made.origin)
    assert (await world.load(NUMBER)).origin.bot_in_channel


async def test_a_card_that_was_posted_in_another_channel_meanwhile_is_not_changed(world: World) -> None:
    made = await asked(world)
    before = replace(made, origin=replace(made.origin, channel_id=CHANNEL + 1))
    await TokenOnlyChannels(world.clock, world.database).refused(before)
    assert (await world.load(NUMBER)).origin.bot_in_channel


async def test_a_new_request_from_a_token_only_channel_is_token_only_for_an_hour(world: World) -> None:
    channels = TokenOnlyChannels(world.clock, world.database)
    await channels.refused(await asked(world))
    fresh, beside = origin(NUMBER + 1), replace(origin(NUMBER + 2), channel_id=CHANNEL + 1)
    world.clock.at_ms += round(REMEMBERED_SECONDS * 1000) - 1
    assert not (await channels.corrected(fresh)).bot_in_channel
    assert await channels.corrected(beside) == beside
    world.clock.at_ms += 1
    assert await channels.corrected(fresh) == fresh


async def test_another_process_knows_a_token_only_channel_for_the_rest_of_the_hour(world: World) -> None:
    await TokenOnlyChannels(world.clock, world.database).refused(await asked(world))
    fresh, beside = origin(NUMBER + 1), replace(origin(NUMBER + 2), channel_id=CHANNEL + 1)
    world.clock.at_ms += round(REMEMBERED_SECONDS * 1000) - 1
    started = TokenOnlyChannels(world.clock, world.database)
    assert await started.corrected(fresh) == replace(fresh, bot_in_channel=False)
    assert await started.corrected(beside) == beside
    world.clock.at_ms += 1
    assert await started.corrected(fresh) == fresh
    assert await TokenOnlyChannels(world.clock, world.database).corrected(fresh) == fresh


async def test_channels_whose_hour_is_over_are_deleted_with_the_next_refusal(world: World) -> None:
    channels = TokenOnlyChannels(world.clock, world.database)
    made = await asked(world)
    for number in range(3):
        await channels.refused(replace(made, origin=replace(made.origin, channel_id=CHANNEL + number)))
        world.clock.at_ms += round(REMEMBERED_SECONDS * 1000) // 2
    async with world.database.transaction() as tx:
        assert sorted(await load_values(tx, KEY)) == [f"{KEY}{CHANNEL + 1}", f"{KEY}{CHANNEL + 2}"]


async def test_another_card_of_a_token_only_channel_is_saved_as_token_only_by_keep(world: World) -> None:
    channels = TokenOnlyChannels(world.clock, world.database)
    other = await world.generations.request(Request("a ship"), origin(NUMBER + 1))
    await channels.refused(await asked(world))
    assert not channels.bot_may_enter(other.origin)
    assert (await world.load(NUMBER + 1)).origin.bot_in_channel
    await channels.keep(other)
    assert not (await world.load(NUMBER + 1)).origin.bot_in_channel


async def test_the_number_of_remembered_channels_is_limited(world: World) -> None:
    channels = TokenOnlyChannels(world.clock)
    made = await asked(world)
    for number in range(CHANNELS_MAX + 1):
        await channels.refused(replace(made, origin=replace(made.origin, channel_id=CHANNEL + number)))
    assert (await channels.corrected(made.origin)).bot_in_channel
    assert len(channels._until) == CHANNELS_MAX


async def test_the_bot_may_not_enter_an_unknown_channel() -> None:
    assert not TokenOnlyChannels(MovableClock()).bot_may_enter(replace(origin(NUMBER), channel_id=0))


async def test_a_refusal_is_remembered_in_memory_while_the_database_is_lost(world: World) -> None:
    made = await asked(world)

    class Away:
        def transaction(self) -> Any:
            raise DatabaseLost("away")

    away: Any = Away()
    channels = TokenOnlyChannels(world.clock, away)
    await channels.refused(made)
    assert not channels.bot_may_enter(made.origin)
    beside = replace(made.origin, channel_id=CHANNEL + 1)
    assert await channels.corrected(beside) == beside
