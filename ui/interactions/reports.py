"""Report an image: the form, opened from a message's menu or from Details, and what comes back from it.

The form's custom_id names the generation, so a form that was opened before a restart works. Must not know the database.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from discord_api.snowflakes import ID_MAX
from generations.clock import done_within
from generations.errors import NotThere
from reports.errors import NothingToReport
from reports.model import Reason
from ui.interactions.client import ImagineClient
from ui.interactions.errors import NOBODY, Refusal, defer
from ui.interactions.form_fields import parse_fields
from ui.interactions.responses import DEFER_AFTER_SECONDS, in_time
from ui.texts import reports as texts
from ui.views.cards_reports import REASON, TEXT, build_form

FORM_PREFIX = "report:form:"
_CUSTOM_ID = re.compile(rf"{FORM_PREFIX}([0-9]{{1,20}}):[0-9]{{1,20}}", re.ASCII)
_CARD_BUTTON = re.compile(r"imagine:[a-z]+:([0-9]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SubmittedReport:
    """A report's form as it came back."""

    custom_id: str
    fields: Mapping[str, str]

    def parse(self) -> tuple[int, Reason, str]:
        """Return the generation's id, the reason and the text. Raises Refusal and NotThere."""
        found = _CUSTOM_ID.fullmatch(self.custom_id)
        if found is None or int(found[1]) > ID_MAX:
            raise NotThere
        try:
            reason = Reason(self.fields.get(REASON, ""))
        except ValueError:
            raise Refusal(texts.FORM_UNREADABLE) from None
        return int(found[1]), reason, self.fields.get(TEXT, "")


async def open_form(interaction: discord.Interaction[ImagineClient], generation_id: int) -> None:
    """Send the form if this image can be reported by this person. Raises what Reports.check() raises."""
    if generation_id > ID_MAX:
        raise NotThere
    services = interaction.client.services
    checking = services.reports.check(generation_id, interaction.user.id)
    await in_time(asyncio.ensure_future(checking), services.clock)
    form = build_form(f"{FORM_PREFIX}{generation_id}:{interaction.id}")
    form.stop()  # discord.py 2.7.1 would keep one that runs (see forms.send_form)
    await interaction.response.send_modal(form)


async def open_form_for(interaction: discord.Interaction[ImagineClient], message: discord.Message) -> None:
    """Send the form for the image in *message*: a card of this bot, or a message beside one.

    Raises NothingToReport, and what Reports.check() raises.
    """
    own = interaction.client.user  # whose id is another one than the application's for applications before 2016
    if message.application_id != interaction.application_id and (own is None or message.author.id != own.id):
        raise NothingToReport
    generation_id = next(_named_generations(message.components), None)
    if generation_id is None:
        services = interaction.client.services
        finding = asyncio.ensure_future(services.reports.find_separate(message.channel.id, message.id))
        generation_id = await in_time(finding, services.clock)
    if generation_id is None:
        raise NothingToReport
    await open_form(interaction, generation_id)


def parse_report(interaction: discord.Interaction[Any]) -> SubmittedReport | None:
    """Return a submitted form of a report; None: the interaction is something else."""
    found = parse_fields(interaction, FORM_PREFIX)
    return None if found is None else SubmittedReport(found.custom_id, found.firsts)


async def file_report(interaction: discord.Interaction[ImagineClient], form: SubmittedReport) -> None:
    """Take the report, thank the reporter privately, and have the others told. Raises what Reports.file() raises."""
    services = interaction.client.services
    generation_id, reason, text = form.parse()
    filing = asyncio.ensure_future(
        services.reports.file(interaction.id, interaction.user.id, generation_id, reason, text)
    )
    if not await done_within(filing, DEFER_AFTER_SECONDS, services.clock):
        await defer(interaction, private=True)
    filed = await filing
    services.report_notices.tell(filed.report.id)
    if interaction.response.is_done():
        await interaction.edit_original_response(content=texts.THANKS, allowed_mentions=NOBODY)
    else:
        await interaction.response.send_message(texts.THANKS, ephemeral=True, allowed_mentions=NOBODY)


def _named_generations(components: Sequence[Any]) -> Iterator[int]:
    """Yield the generations that the buttons of a card name, at any depth."""
    for component in components:
        found = _CARD_BUTTON.fullmatch(getattr(component, "custom_id", None) or "")
        if found is not None:
            yield int(found[1])
        yield from _named_generations(getattr(component, "children", ()))
