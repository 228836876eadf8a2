"""The screen of a server's admin: check who uses it, show it, make one change, and tell the log channel.

The server is always the one that the interaction comes from. Must not know SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import discord
from discord import ui

from limits.errors import ChangedMeanwhile
from limits.model import GuildOverview
from limits.service import Changed
from ui.interactions.client import ImagineClient
from ui.interactions.errors import Refusal
from ui.interactions.origin import actor_of
from ui.interactions.responses import defer_if_slow, in_time, send_view
from ui.texts import admin as texts
from ui.texts import limits as texts_limits
from ui.texts.admin_changes import changed, changed_by_another
from ui.views.admin_controls import Wrap
from ui.views.cards_admin import build_limits
from ui.views.cards_admin_lists import build_people, build_words

T = TypeVar("T")
Page = Callable[[GuildOverview, Sequence[str]], ui.LayoutView]  # builds one view, with notes above it


def admins_guild(interaction: discord.Interaction[Any]) -> int:
    """Return the server whose admin uses this now. Raises Refusal for anybody else.

    Discord hides the command from others, but not a screen that was opened before a role was taken away.
    """
    permissions = interaction.permissions
    if interaction.guild_id is None or not (permissions.manage_guild or permissions.administrator):
        raise Refusal(texts.NOT_ADMIN)
    return interaction.guild_id


class AdminScreen:
    """One use of the screen. Raises Refusal when it is made for somebody who is no admin here."""

    def __init__(self, interaction: discord.Interaction[ImagineClient], wrap: Wrap) -> None:
        self._guild_id = admins_guild(interaction)
        self.interaction = interaction
        self.services = interaction.client.services
        self.actor = actor_of(interaction)
        self.wrap = wrap

    # ---- pages -----------------------------------------------------------------------------------------------

    def limits(self, overview: GuildOverview, notes: Sequence[str]) -> ui.LayoutView:
        """Build everything that is set."""
        return build_limits(overview, self.wrap, notes)

    def words(self, page: int = 0) -> Page:
        return lambda overview, notes: build_words(overview, self.wrap, page, notes)

    def people(self, page: int = 0) -> Page:
        return lambda overview, notes: build_people(overview, self.wrap, page, notes)

    # ---- what is done ----------------------------------------------------------------------------------------

    async def load_in_time(self) -> GuildOverview:
        """Load what is set for a form, which can't follow a "thinking…". Raises Refusal."""
        return await in_time(asyncio.ensure_future(self._load()), self.services.clock)

    async def show(self, page: Page, notes: Sequence[str] = ()) -> None:
        """Load what is set and show it on *page*."""
        overview = await self._in_time_or_deferred(self._load())
        try:
            await send_view(self.interaction, page(overview, notes))
        except discord.HTTPException as error:
            if error.status != 400 or page != self.limits:
                raise
            # Discord does not document whether a list may be filled with a channel or a role that was deleted.
            await send_view(self.interaction, build_limits(overview, self.wrap, notes, is_filled=False))

    async def apply(self, change: Coroutine[Any, Any, Changed], page: Page) -> bool:
        """Make a change, show the result on *page*, and tell the log channel. False: another change came before.

        Raises what limits.service.Limits raises but ChangedMeanwhile.
        """
        try:
            made = await self._in_time_or_deferred(change)
        except ChangedMeanwhile as error:
            last = error.last
            await self.show(
                page, [texts_limits.changed_meanwhile(None, None) if last is None else changed_by_another(last)]
            )
            return False
        note = texts.CHANGED_NOTHING if made.change is None else changed(made.change)
        telling = asyncio.ensure_future(self._tell(made))
        try:
            await self.show(page, [note])
        finally:  # told also where the screen can't be shown
            untold = await telling
        if untold is not None:
            await self.show(page, [note, texts.not_told(untold)])
        return True

    async def _tell(self, made: Changed) -> int | None:
        """Tell a new change in the log channel, and in the one that it was before. Return the first if it could not be
        told now."""
        change = made.change
        if change is None or not made.is_new:
            return None
        untold = await self.services.guild_log.tell(change.number)
        earlier = change.before if change.action == "log_channel" else ""
        return next((each for each in untold if str(each) != earlier), None)

    def _load(self) -> Coroutine[Any, Any, GuildOverview]:
        return self.services.request_limits.overview(self._guild_id, self.services.clock.now_ms())

    async def _in_time_or_deferred(self, work: Coroutine[Any, Any, T]) -> T:
        if self.interaction.response.is_done():
            return await work
        return await defer_if_slow(self.interaction, asyncio.ensure_future(work), self.services.clock)
