"""/owner: what the bot's owner can see and change; always private, and checked at every call.

The servers of OWNER_GUILDS have it, or else the bot's direct messages.
"""

from __future__ import annotations

import discord
from discord import app_commands
from discord.ext import commands

from generations.model import MAX_COUNT
from limits.service import REASON_MAX
from ui.interactions.client import ImagineClient, InteractionServices
from ui.interactions.owner import OWNER_ITEMS, OwnerActions, respond
from ui.interactions.owner_inputs import AMOUNT_MAX, DAYS_MAX, NUMBER_MAX, USAGE_DAYS_MAX

Interaction = discord.Interaction[ImagineClient]
Reason = app_commands.Range[str, 1, REASON_MAX]
Amount = app_commands.Range[int, 1, AMOUNT_MAX]
Id = app_commands.Range[str, 15, 30]

WHY = "Why; people see it in /credits, and it stays in the audit"
WHY_AUDIT = "Why; it stays in the audit"
WHO = "Who; an id can be pasted, also of somebody who left"
SERVER = "The id of a server; left out: everybody"
ROLE = "The id of a role in that server; left out: everybody there"


class OwnerCog(commands.Cog):
    """The commands /owner …"""

    owner = app_commands.Group(
        name="owner", description="For the bot's owner", default_permissions=discord.Permissions.none()
    )
    tier = app_commands.Group(name="tier", description="What people get in a period", parent=owner)

    def __init__(self, services: InteractionServices) -> None:
        self._services = services
        self._actions = OwnerActions(services)

    @owner.command(name="grant", description="Give bonus credits, which don't expire")
    @app_commands.describe(user=WHO, amount="How many", reason=WHY)
    async def grant(self, interaction: Interaction, user: discord.User, amount: Amount, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.grant(interaction, user, amount, reason))

    @owner.command(name="take", description="Take credits: bonus first, never what is held")
    @app_commands.describe(user=WHO, amount="How many at most", reason=WHY)
    async def take(self, interaction: Interaction, user: discord.User, amount: Amount, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.take(interaction, user, amount, reason))

    @owner.command(name="undo", description="Take back a grant, as far as it was not used")
    @app_commands.describe(number="The number of the grant's entry", reason=WHY)
    async def undo(
        self, interaction: Interaction, number: app_commands.Range[int, 1, NUMBER_MAX], reason: Reason
    ) -> None:
        await respond(interaction, self._services, lambda: self._actions.undo(interaction, number, reason))

    @owner.command(name="refund", description="Give back what one image cost")
    @app_commands.describe(
        image="The number that Details shows, or a link to the message", reason=WHY, position="Which of several images"
    )
    async def refund(
        self,
        interaction: Interaction,
        image: app_commands.Range[str, 15, 200],
        reason: Reason,
        position: app_commands.Range[int, 1, MAX_COUNT] | None = None,
    ) -> None:
        await respond(interaction, self._services, lambda: self._actions.refund(interaction, image, reason, position))

    @tier.command(name="set", description="Set what everybody, a server, or a role in a server gets; the best counts")
    @app_commands.describe(credits="Credits in each period", reason=WHY_AUDIT, server=SERVER, role=ROLE)
    async def set_tier(
        self,
        interaction: Interaction,
        credits: app_commands.Range[int, 0, AMOUNT_MAX],
        reason: Reason,
        server: Id | None = None,
        role: Id | None = None,
    ) -> None:
        await respond(
            interaction, self._services, lambda: self._actions.set_tier(interaction, credits, reason, server, role)
        )

    @tier.command(name="remove", description="Remove a tier")
    @app_commands.describe(reason=WHY_AUDIT, server=SERVER, role=ROLE)
    async def remove_tier(
        self, interaction: Interaction, reason: Reason, server: Id | None = None, role: Id | None = None
    ) -> None:
        await respond(interaction, self._services, lambda: self._actions.remove_tier(interaction, reason, server, role))

    @owner.command(name="exempt", description="Let no cap and no limit of requests a minute count for somebody")
    @app_commands.describe(user=WHO, reason=WHY_AUDIT)
    async def exempt(self, interaction: Interaction, user: discord.User, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.exempt(interaction, user, reason))

    @owner.command(name="unexempt", description="Take an exemption back")
    @app_commands.describe(user=WHO, reason=WHY_AUDIT)
    async def unexempt(self, interaction: Interaction, user: discord.User, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.unexempt(interaction, user, reason))

    @owner.command(name="block", description="Block somebody wherever the bot is")
    @app_commands.describe(
        user=WHO,
        reason="Why; they are told",
        days="For so many days",
        until="Until a day such as 2026-12-31, or 2026-12-31 18:00",
    )
    async def block(
        self,
        interaction: Interaction,
        user: discord.User,
        reason: Reason,
        days: app_commands.Range[int, 1, DAYS_MAX] | None = None,
        until: app_commands.Range[str, 10, 16] | None = None,
    ) -> None:
        await respond(interaction, self._services, lambda: self._actions.block(interaction, user, reason, days, until))

    @owner.command(name="unblock", description="Take that back; blocks of single servers stay")
    @app_commands.describe(user=WHO, reason=WHY_AUDIT)
    async def unblock(self, interaction: Interaction, user: discord.User, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.unblock(interaction, user, reason))

    @owner.command(name="pause", description="Take no requests on, anywhere; what was taken on is finished")
    @app_commands.describe(reason="Why; people are told")
    async def pause(self, interaction: Interaction, reason: Reason) -> None:
        await respond(interaction, self._services, lambda: self._actions.pause(interaction, reason))

    @owner.command(name="resume", description="Take requests on again")
    async def resume(self, interaction: Interaction) -> None:
        await respond(interaction, self._services, lambda: self._actions.resume(interaction))

    @owner.command(name="status", description="Processes, line, image API, spend, ledger, database")
    async def status(self, interaction: Interaction) -> None:
        await respond(interaction, self._services, self._actions.status)

    @owner.command(name="usage", description="A chart of what everybody used: images, credits, waits, servers")
    @app_commands.describe(days="The last so many days, today included; 30 unless you say")
    async def usage(self, interaction: Interaction, days: app_commands.Range[int, 1, USAGE_DAYS_MAX] = 30) -> None:
        await respond(interaction, self._services, lambda: self._actions.usage(days))

    @owner.command(name="ledger", description="Somebody's balance and entries, with their numbers")
    @app_commands.describe(user=WHO)
    async def ledger(self, interaction: Interaction, user: discord.User) -> None:
        await respond(interaction, self._services, lambda: self._actions.ledger(user))


async def setup(bot: ImagineClient) -> None:
    """Add the cog. discord.py calls this when the extension is loaded."""
    bot.add_dynamic_items(*OWNER_ITEMS)
    cog = OwnerCog(bot.services)
    guild_ids = bot.services.settings.owner_guilds
    is_in_guilds = bool(guild_ids)
    for group in cog.walk_app_commands():
        if isinstance(group, app_commands.Group):
            group.allowed_contexts = app_commands.AppCommandContext(
                guild=is_in_guilds, dm_channel=not is_in_guilds, private_channel=False
            )
    await bot.add_cog(cog, guilds=[discord.Object(guild_id) for guild_id in guild_ids])
