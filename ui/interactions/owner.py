"""What /owner does: check who asks, change what is asked, and say it in words. Must not know the database.

An interaction that is delivered twice changes nothing the second time, and is answered with the same words: nothing
here depends on when it is read.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import discord
from discord import ui

from charts.plot import MAX_TOP
from charts.usage_report import describe
from discord_api.errors import NO_ANSWER
from discord_api.snowflakes import ID_MAX, snowflake_time_ms
from generations.credit_changes import CreditChange, LedgerPage
from limits.model import Tier
from limits.service import Changed
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.errors import NOBODY, Refusal, with_mentions
from ui.interactions.items import InteractionItem
from ui.interactions.origin import actor_of
from ui.interactions.owner_inputs import (
    AMOUNT_MAX,
    NUMBER_MAX,
    USAGE_DAYS_MAX,
    check_number,
    check_person,
    check_reason,
    parse_image,
    parse_tier_place,
    parse_until,
)
from ui.interactions.responses import defer_if_slow, send_view
from ui.texts import owner as texts
from ui.texts.escaping import escape
from ui.views.cards_owner import build_ledger, build_status

REASON_UNITS = 600  # UTF-16 units of a reason after escaping

Interaction = discord.Interaction[ImagineClient]


@dataclass(frozen=True, slots=True)
class Chart:
    """A sentence with a PNG. *description*: its alt text."""

    text: str
    png: bytes
    description: str

    def file(self) -> discord.File:
        return discord.File(io.BytesIO(self.png), "usage.png", description=self.description)


Answer = str | ui.LayoutView | Chart


async def respond(
    interaction: Interaction, services: InteractionServices, work: Callable[[], Awaitable[Answer]]
) -> None:
    """Do *work* if an owner asks for it, and send its answer privately. Raises what *work* raises, and Refusal."""
    doing = asyncio.ensure_future(_checked(interaction, services, work))
    answer = await defer_if_slow(interaction, doing, services.clock)
    if isinstance(answer, ui.LayoutView):
        await send_view(interaction, answer)
        return
    text, files = (answer.text, [answer.file()]) if isinstance(answer, Chart) else (answer, [])
    text = with_mentions(interaction, text)
    if interaction.response.is_done():
        await interaction.edit_original_response(content=text, attachments=files, allowed_mentions=NOBODY)
    else:
        await interaction.response.send_message(text, files=files, ephemeral=True, allowed_mentions=NOBODY)


async def _checked(
    interaction: Interaction, services: InteractionServices, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    try:
        owners = await services.owners.load()
    except (discord.HTTPException, *NO_ANSWER):
        raise Refusal(texts.OWNER_UNKNOWN) from None
    if interaction.user.id not in owners.allowed:
        raise Refusal(texts.NOT_OWNER)
    return await work()


class OwnerActions:
    """One method for each command of /owner. Each takes what was typed and returns the sentence to show."""

    def __init__(self, services: InteractionServices) -> None:
        self._services = services
        self._limits = services.limits
        self._credits = services.credit_changes

    async def grant(self, interaction: Interaction, user: discord.abc.User, amount: int, reason: str) -> str:
        user_id, amount = check_person(user), check_number("amount", amount, 1, AMOUNT_MAX)
        change = await self._credits.grant(actor_of(interaction), user_id, amount, check_reason(reason))
        number, amount = _booked(change)
        return texts.granted(user_id, amount, _escaped(reason), change.balance, number)

    async def take(self, interaction: Interaction, user: discord.abc.User, amount: int, reason: str) -> str:
        user_id, amount = check_person(user), check_number("amount", amount, 1, AMOUNT_MAX)
        change = await self._credits.take(actor_of(interaction), user_id, amount, check_reason(reason))
        if change.number is None:
            return texts.nothing_to_take(user_id, change.balance)
        number, taken = _booked(change)
        return texts.taken(user_id, taken, amount, _escaped(reason), change.balance, number)

    async def undo(self, interaction: Interaction, grant: int, reason: str) -> str:
        grant = check_number("number", grant, 1, NUMBER_MAX)
        change = await self._credits.undo(actor_of(interaction), grant, check_reason(reason))
        user_id = change.user_id
        if change.number is None:
            return texts.nothing_to_undo(user_id, grant, change.balance)
        if change.was_done:
            return texts.was_done(change.number)
        number, taken = _booked(change)
        return texts.undone(user_id, taken, grant, _escaped(reason), change.balance, number)

    async def refund(self, interaction: Interaction, image: str, reason: str, position: int | None) -> str:
        named = parse_image(image, position)
        change = await self._credits.refund(actor_of(interaction), named, check_reason(reason))
        if change.number is None:
            return texts.NO_REFUND
        if change.was_done:
            return texts.was_done(change.number)
        number, amount = _booked(change)
        return texts.refunded(change.user_id, amount, _escaped(reason), change.balance, number)

    async def set_tier(
        self, interaction: Interaction, amount: int, reason: str, server: str | None, role: str | None
    ) -> str:
        place = parse_tier_place(server, role)
        tier = Tier(*place, check_number("credits", amount, 0, AMOUNT_MAX))
        changed = await self._limits.set_tier(actor_of(interaction), tier, check_reason(reason))
        if changed.change is None:
            return texts.tier_unchanged(texts.tier_of(*place))
        period = self._services.settings.credit_period
        return texts.tier_set(texts.tier_of(*place), tier.credits, period, _escaped(reason), changed.change.number)

    async def remove_tier(self, interaction: Interaction, reason: str, server: str | None, role: str | None) -> str:
        place = parse_tier_place(server, role)
        changed = await self._limits.remove_tier(actor_of(interaction), *place, check_reason(reason))
        if changed.change is None:
            return texts.no_tier(texts.tier_of(*place))
        return texts.tier_removed(texts.tier_of(*place), _escaped(reason), changed.change.number)

    async def exempt(self, interaction: Interaction, user: discord.abc.User, reason: str) -> str:
        user_id = check_person(user)
        changed = await self._limits.exempt(actor_of(interaction), user_id, check_reason(reason))
        if changed.change is None:
            return texts.exemption_unchanged(user_id, exempt=True)
        return texts.exempted(user_id, _escaped(reason), changed.change.number)

    async def unexempt(self, interaction: Interaction, user: discord.abc.User, reason: str) -> str:
        user_id = check_person(user)
        changed = await self._limits.unexempt(actor_of(interaction), user_id, check_reason(reason))
        if changed.change is None:
            return texts.exemption_unchanged(user_id, exempt=False)
        return texts.unexempted(user_id, _escaped(reason), changed.change.number)

    async def block(
        self, interaction: Interaction, user: discord.abc.User, reason: str, days: int | None, until: str | None
    ) -> str:
        user_id, reason = check_person(user), check_reason(reason)
        until_ms = parse_until(days, until, self._services.settings.timezone, snowflake_time_ms(interaction.id))
        changed = await self._limits.block_everywhere(actor_of(interaction), user_id, reason, until_ms)
        if changed.change is None:
            return texts.block_unchanged(user_id)
        return texts.blocked(user_id, until_ms, _escaped(reason), changed.change.number)

    async def unblock(self, interaction: Interaction, user: discord.abc.User, reason: str) -> str:
        user_id = check_person(user)
        changed = await self._limits.unblock_everywhere(actor_of(interaction), user_id, check_reason(reason))
        if changed.change is None:
            return texts.not_blocked(user_id)
        return texts.unblocked(user_id, _escaped(reason), changed.change.number)

    async def pause(self, interaction: Interaction, reason: str) -> str:
        changed = await self._limits.pause_everywhere(actor_of(interaction), check_reason(reason))
        if changed.change is None:
            return texts.pause_unchanged()
        return texts.paused(_escaped(reason), changed.change.at_ms, changed.change.number)

    async def resume(self, interaction: Interaction) -> str:
        changed: Changed = await self._limits.resume_everywhere(actor_of(interaction))
        if changed.change is None:
            return texts.NOT_PAUSED
        return texts.resumed(changed.change.at_ms, changed.change.number)

    async def status(self) -> ui.LayoutView:
        status = await self._services.status.read()
        return build_status(status, is_discord_away=self._services.delivery.is_discord_away)

    async def usage(self, days: int) -> Chart:
        services, days = self._services, check_number("days", days, 1, USAGE_DAYS_MAX)
        report = await services.usage_charts.load(0, days, services.clock.now_ms())
        report = replace(report, credits_a_day=services.settings.spend_limit_day)
        servers = [entry.id for entry in report.top[:MAX_TOP]]
        names = await services.names.of_guilds(servers)
        labels = {each: names.get(each) or str(each) for each in servers}
        png = await services.usage_charts.draw(report, texts.USAGE_TITLE, labels)
        return Chart(texts.usage(days), png, describe(report))

    async def ledger(self, user: discord.abc.User) -> ui.LayoutView:
        return await ledger_view(self._services, check_person(user), None)


async def ledger_view(services: InteractionServices, user_id: int, below: int | None) -> ui.LayoutView:
    """Build a page of somebody's ledger, with the buttons that turn it."""
    page = await services.credit_changes.page(user_id, below)
    return build_ledger(page, _turns(page))


def _turns(page: LedgerPage) -> list[ui.Item[Any]]:
    newest = [] if page.is_newest else [LedgerButton(page.user_id, 0)]
    return [*newest, *([LedgerButton(page.user_id, page.entries[-1].number)] if page.has_older else [])]


class LedgerButton(
    InteractionItem,
    ui.DynamicItem[ui.Button[Any]],
    template=re.compile(r"owner:ledger:(?P<user_id>[0-9]{1,20}):(?P<below>[0-9]{1,20})"),
):
    """Shows the entries of a person below a number; 0: the newest. Whoever presses it must be an owner still."""

    def __init__(self, user_id: int, below: int) -> None:
        label = texts.OLDER if below else texts.NEWEST
        custom_id = f"owner:ledger:{user_id}:{below}"
        super().__init__(ui.Button(label=label, style=discord.ButtonStyle.secondary, custom_id=custom_id))
        self.user_id, self.below = user_id, below

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(min(int(match["user_id"]), ID_MAX), min(int(match["below"]), ID_MAX))

    async def respond(self, interaction: Interaction) -> None:
        """Replace this page."""
        services = interaction.client.services
        await respond(interaction, services, lambda: ledger_view(services, self.user_id, self.below or None))


OWNER_ITEMS = (LedgerButton,)


def _booked(change: CreditChange) -> tuple[int, int]:
    """Return the number of the entry and its amount."""
    assert change.number is not None  # noqa: S101 (callers have looked, and a grant always has one)
    return change.number, change.amount


def _escaped(reason: str) -> str:
    return escape(reason, REASON_UNITS)
