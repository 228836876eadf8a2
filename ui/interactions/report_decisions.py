"""The buttons under a report: Remove, Block person, Dismiss, and Open for the owner.

A custom_id is "report:<action>:<report id>"; whether the person may press is checked each time. Must not know the
database.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import discord
from discord import ui

from discord_api.errors import NO_ANSWER
from discord_api.snowflakes import ID_MAX
from generations.history import Page
from generations.model import MADE, Generation
from images.provenance import mark_as_ai
from limits.model import BOT
from qwen.images import DownloadedImage, FoundImage
from reports.errors import NotYoursToDecide, ReportGone
from reports.model import Decision, ReportFile
from reports.service import check_removable
from ui.interactions.client import ImagineClient
from ui.interactions.errors import NOBODY, Refusal, defer, respond_privately
from ui.interactions.form_fields import parse_fields
from ui.interactions.items import InteractionItem
from ui.interactions.origin import actor_of
from ui.interactions.responses import in_time
from ui.texts import reports as texts
from ui.views.cards_reports import DAYS, REASON, build_block_form, build_opened
from ui.views.file_names import file_name

log = logging.getLogger("qwen_imagine.reports")

DAY_MS = 86_400_000
DAYS_MAX = 3650
BLOCK_PREFIX = "report:blockform:"
_BLOCK_ID = re.compile(rf"{BLOCK_PREFIX}([0-9]{{1,20}}):[0-9]{{1,20}}", re.ASCII)
_DAYS = re.compile(r"[0-9]{1,5}", re.ASCII)


class _ReportButton(InteractionItem, ui.DynamicItem[ui.Button[Any]], template=r"report:[a-z]+:[0-9]{1,20}"):
    """A button about one report."""

    action: ClassVar[str] = ""
    label: ClassVar[str] = ""
    style: ClassVar[discord.ButtonStyle] = discord.ButtonStyle.secondary

    def __init__(self, report_id: int) -> None:
        super().__init__(ui.Button(label=self.label, style=self.style, custom_id=f"report:{self.action}:{report_id}"))
        self.report_id = report_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(int(match["id"]))


class RemoveReportedButton(_ReportButton, template=r"report:remove:(?P<id>[0-9]{1,20})"):
    """Deletes the messages with the image."""

    action, label, style = "remove", texts.REMOVE, discord.ButtonStyle.danger

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await interaction.response.defer()
        file, scope_id = await _find(interaction, self.report_id)
        if file.decided(Decision.REMOVED, scope_id):
            await _show(interaction, file, scope_id)
            return
        generation = check_removable(file, scope_id)
        if not generation.finished or generation.is_unpublished:  # the worker would post it anew
            raise Refusal(texts.STILL_MADE)
        left = await interaction.client.services.card_deletion.delete_reported(generation, everywhere=scope_id == BOT)
        if left is None:
            raise Refusal(texts.NOT_REACHED)
        await _decide(interaction, self.report_id, Decision.REMOVED, scope_id)
        if left:
            await respond_privately(interaction, texts.left_beside(left))


class BlockReportedButton(_ReportButton, template=r"report:block:(?P<id>[0-9]{1,20})"):
    """Opens the form that blocks the person: everywhere for the bot's owner, else in the server."""

    action, label = "block", texts.BLOCK

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        finding = asyncio.ensure_future(_find(interaction, self.report_id))
        await in_time(finding, interaction.client.services.clock)
        form = build_block_form(f"{BLOCK_PREFIX}{self.report_id}:{interaction.id}")
        form.stop()  # discord.py 2.7.1 would keep one that runs (see forms.send_form)
        await interaction.response.send_modal(form)


class DismissReportButton(_ReportButton, template=r"report:dismiss:(?P<id>[0-9]{1,20})"):
    """Closes the report without doing anything."""

    action, label = "dismiss", texts.DISMISS

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await interaction.response.defer()
        _, scope_id = await _find(interaction, self.report_id)
        await _decide(interaction, self.report_id, Decision.DISMISSED, scope_id)


class OpenReportedButton(_ReportButton, template=r"report:open:(?P<id>[0-9]{1,20})"):
    """Shows the prompt and the image to the bot's owner alone, after that was written into the audit."""

    action, label = "open", texts.OPEN

    async def respond(self, interaction: discord.Interaction[ImagineClient]) -> None:
        await defer(interaction, private=True)
        if interaction.user.id not in await _owners(interaction):
            raise NotYoursToDecide
        services = interaction.client.services
        generation = await services.reports.open(min(self.report_id, ID_MAX), actor_of(interaction))
        log.info("report %s: its image was opened by user %s", self.report_id, interaction.user.id)
        urls = await _urls_on_card(interaction, generation)
        found: Mapping[int, FoundImage] = {} if urls else await services.reports.download(generation)
        files = _files(generation, found, interaction.filesize_limit)
        made = sum(image.state in MADE for image in generation.images)
        media_urls = [*urls, *(f"attachment://{file.filename}" for file in files)]
        view = build_opened(generation, media_urls, max(0, made - len(media_urls)))
        await interaction.edit_original_response(view=view, attachments=files, allowed_mentions=NOBODY)


async def block_reported(
    interaction: discord.Interaction[ImagineClient], custom_id: str, fields: Mapping[str, str]
) -> None:
    """Block the person of the reported image as the form says. Raises Refusal, ReportGone and NotYoursToDecide."""
    found = _BLOCK_ID.fullmatch(custom_id)
    if found is None:
        raise ReportGone
    await interaction.response.defer()
    days, reason, report_id = _parse_days(fields.get(DAYS, "")), fields.get(REASON, "").strip(), int(found[1])
    file, scope_id = await _find(interaction, report_id)
    person_id, services, actor = file.report.person_id, interaction.client.services, actor_of(interaction)
    if file.decided(Decision.BLOCKED, scope_id):
        await _show(interaction, file, scope_id)
        return
    if person_id is None:
        raise ReportGone
    until_ms = None if days is None else services.clock.now_ms() + days * DAY_MS
    if scope_id == BOT:
        await services.limits.block_everywhere(actor, person_id, reason, until_ms)
    else:
        await services.limits.block_here(actor, person_id, reason, until_ms)
    await _decide(interaction, report_id, Decision.BLOCKED, scope_id)


def parse_block(interaction: discord.Interaction[Any]) -> tuple[str, Mapping[str, str]] | None:
    """Return custom_id and fields of a submitted form of "Block person"; None: the interaction is something else."""
    found = parse_fields(interaction, BLOCK_PREFIX)
    return None if found is None else (found.custom_id, found.firsts)


def report_buttons(report_id: int, decisions: Sequence[Decision], may_open: bool) -> list[ui.Item[Any]]:
    """Build the buttons under a report: those of *decisions*, and Open."""
    kinds: list[type[_ReportButton]] = [_BUTTONS[decision] for decision in decisions]
    return [kind(report_id) for kind in [*kinds, *([OpenReportedButton] if may_open else [])]]


async def _find(interaction: discord.Interaction[ImagineClient], report_id: int) -> tuple[ReportFile, int]:
    """Return the report, and the scope that the person decides for: the image's server, if they have Manage Server in
    it and press there, else the bot, if they own it. Raises ReportGone, NotYoursToDecide and Refusal."""
    if report_id > ID_MAX:
        raise ReportGone
    file = await interaction.client.services.reports.load(report_id)
    permissions = interaction.permissions
    is_admin = permissions.manage_guild or permissions.administrator
    if is_admin and interaction.guild_id is not None and interaction.guild_id == file.report.guild_id:
        return file, interaction.guild_id
    if interaction.user.id not in await _owners(interaction):
        raise NotYoursToDecide
    return file, BOT


async def _owners(interaction: discord.Interaction[ImagineClient]) -> frozenset[int]:
    """Raises Refusal when Discord does not say now."""
    try:
        return (await interaction.client.services.owners.load()).allowed
    except (discord.HTTPException, *NO_ANSWER):
        raise Refusal(texts.OWNER_UNKNOWN) from None


async def _decide(
    interaction: discord.Interaction[ImagineClient], report_id: int, decision: Decision, scope_id: int
) -> None:
    """Note the decision, and show it wherever the report was told."""
    services = interaction.client.services
    file = await services.reports.decide(report_id, decision, scope_id, actor_of(interaction))
    log.info("report %s: %s by user %s", report_id, decision.value, interaction.user.id)
    services.report_notices.refresh(file, but=None if interaction.message is None else interaction.message.id)
    await _show(interaction, file, scope_id)


async def _show(interaction: discord.Interaction[ImagineClient], file: ReportFile, scope_id: int) -> None:
    """Put the newest state in place of the message whose button was pressed."""
    view = interaction.client.services.report_notices.build(file, scope_id)
    await interaction.edit_original_response(view=view, allowed_mentions=NOBODY)


async def _urls_on_card(interaction: discord.Interaction[ImagineClient], generation: Generation) -> Sequence[str]:
    link = Page((generation,), None, None).link(generation)
    if link is None or not generation.bot_reaches(link.channel_id):
        return ()
    return await interaction.client.services.thumbnails.find_one(generation, link)


def _files(generation: Generation, found: Mapping[int, FoundImage], limit: int) -> list[discord.File]:
    """Build the files of images that fit into one message of *limit* bytes together."""
    files: list[discord.File] = []
    for position, image in sorted(found.items()):
        data = mark_as_ai(image.data, image.format) if isinstance(image, DownloadedImage) else b""
        if isinstance(image, DownloadedImage) and len(data) <= limit:
            limit -= len(data)
            name = file_name(generation, generation.images[position], image)
            files.append(discord.File(io.BytesIO(data), name))
    return files


def _parse_days(typed: str) -> int | None:
    """Return the days; None: without end. Raises Refusal."""
    text = typed.strip()
    if not text:
        return None
    if _DAYS.fullmatch(text) is None or not 1 <= int(text) <= DAYS_MAX:
        raise Refusal(texts.DAYS_UNREADABLE)
    return int(text)


_BUTTONS: Mapping[Decision, type[_ReportButton]] = {
    Decision.REMOVED: RemoveReportedButton,
    Decision.BLOCKED: BlockReportedButton,
    Decision.DISMISSED: DismissReportButton,
}

# For Client.add_dynamic_items.
REPORT_ITEMS = (RemoveReportedButton, BlockReportedButton, DismissReportButton, OpenReportedButton)
