"""Decide whether a request is allowed by the rules, and what a person is entitled to. Pure."""

from __future__ import annotations

from limits.errors import AgeRestrictedOnly, Blocked, ChannelNotAllowed, Paused, RoleNotAllowed, WordNotAllowed
from limits.model import BOT, Block, BotRules, ContentRule, GuildRules, Pause, Requester, Rules
from limits.words import WordRule


def check_request(rules: Rules, requester: Requester, broken: WordRule | None, now_ms: int) -> None:
    """Raise the first of these that holds; nobody is exempt from them.

    Blocked by the owner, Paused by the owner; then in a server: Blocked, Paused, ChannelNotAllowed, RoleNotAllowed,
    AgeRestrictedOnly, WordNotAllowed. *broken*: the server's rule of words that the prompt breaks.
    """
    _check_scope(BOT, rules.bot.blocks.get(requester.user_id), rules.bot.pause, now_ms)
    if requester.guild_id is None:
        return
    guild = rules.guild
    _check_scope(requester.guild_id, guild.blocks.get(requester.user_id), guild.pause, now_ms)
    _check_place(guild, requester)
    if broken is not None:
        raise WordNotAllowed(broken.name or str(broken.number))


def _check_scope(scope_id: int, block: Block | None, pause: Pause | None, now_ms: int) -> None:
    if block is not None and block.is_active(now_ms):
        raise Blocked(scope_id, block.until_ms, block.reason)
    if pause is not None:
        raise Paused(scope_id, pause.reason)


def _check_place(guild: GuildRules, requester: Requester) -> None:
    if guild.channels and guild.channels.isdisjoint((requester.channel_id, requester.parent_channel_id)):
        raise ChannelNotAllowed(guild.channels)
    everyone = requester.guild_id  # Discord docs: Permissions, "the @everyone role has the same ID as the guild"
    if guild.roles and guild.roles.isdisjoint((*requester.role_ids, everyone)):
        raise RoleNotAllowed(guild.roles)
    if guild.content is ContentRule.AGE_RESTRICTED_ONLY and not requester.age_restricted:
        raise AgeRestrictedOnly


def entitlement(
    bot: BotRules, requester: Requester, stored_source: str | None, *, everybody: int
) -> tuple[int, str | None]:
    """Return the most credits that any tier gives this person for a period, and the tier's source (Tier.source).

    *stored_source*: of the tier that the account was refilled by; a tier of another server than this one counts by it
    alone, since nothing says which roles the person has there. *everybody*: where the owner has set no tier for all;
    the source of that is None.
    """
    best, source = next((tier.credits for tier in bot.tiers if not tier.guild_id), everybody), None
    for tier in bot.tiers:
        if tier.guild_id and tier.guild_id == requester.guild_id:
            applies = tier.role_id in {0, tier.guild_id, *requester.role_ids}
        else:
            applies = bool(tier.guild_id) and tier.source == stored_source
        if applies and tier.credits > best:
            best, source = tier.credits, tier.source
    return best, source
