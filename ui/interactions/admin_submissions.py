"""What the forms of /admin do when they come back, also after a restart. Must not know SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import discord

from ui.interactions.admin import AdminItem
from ui.interactions.admin_forms import (
    FORM_PREFIX,
    SubmittedForm,
    parse_block,
    parse_cap,
    parse_form,
    parse_words,
)
from ui.interactions.admin_screen import AdminScreen
from ui.interactions.client import ImagineClient
from ui.interactions.errors import Refusal, handle_errors
from ui.interactions.form_fields import SubmittedFields, parse_fields
from ui.interactions.forms import send_back_text
from ui.texts import admin as texts
from ui.views.cards_admin import build_budget_question


async def handle_submission(interaction: discord.Interaction[ImagineClient]) -> None:
    """Handle a submitted form of /admin; ignore any other interaction. Words that were refused are sent back."""
    fields = parse_fields(interaction, FORM_PREFIX)
    if fields is None:
        return
    outcome: list[bool] = []
    await handle_errors(interaction, _submit(interaction, fields, outcome))
    typed = fields.first("lines")
    if outcome != [True] and typed.strip():
        await send_back_text(interaction, typed)


async def _submit(interaction: discord.Interaction[Any], fields: SubmittedFields, outcome: list[bool]) -> None:
    """*outcome*: gets whether it was done."""
    screen, form = AdminScreen(interaction, AdminItem), parse_form(fields)
    submit = SUBMISSIONS.get(form.name)
    if submit is None:
        raise Refusal(texts.TOO_OLD)
    outcome.append(await submit(screen, form))


async def _person(screen: AdminScreen, form: SubmittedForm) -> bool:
    limits, cap = screen.services.limits, parse_cap(form.fields)
    return await screen.apply(limits.set_person_cap(screen.actor, cap, expected_version=form.version), screen.limits)


async def _budget(screen: AdminScreen, form: SubmittedForm) -> bool:
    """Set the budget, or ask first if it is used up already."""
    limits, cap = screen.services.limits, parse_cap(form.fields)
    overview = await screen.load_in_time()
    is_new = form.version == overview.rules.version and cap != overview.rules.budget
    if cap is not None and is_new and cap.images <= overview.used[cap.period].images:
        await screen.show(lambda now, _: build_budget_question(now, cap, screen.wrap))
        return True
    return await screen.apply(limits.set_budget(screen.actor, cap, expected_version=form.version), screen.limits)


async def _words(screen: AdminScreen, form: SubmittedForm) -> bool:
    limits, words = screen.services.limits, parse_words(form.fields)
    return await screen.apply(limits.add_words(screen.actor, words, expected_version=form.version), screen.words())


async def _block(screen: AdminScreen, form: SubmittedForm) -> bool:
    limits = screen.services.limits
    who, reason, until_ms = parse_block(form.fields, screen.services.clock.now_ms())
    blocking = limits.block_here(screen.actor, who, reason, until_ms, expected_version=form.version)
    return await screen.apply(blocking, screen.people())


async def _pause(screen: AdminScreen, form: SubmittedForm) -> bool:
    limits, reason = screen.services.limits, form.fields.first("reason").strip()
    return await screen.apply(limits.pause_here(screen.actor, reason, expected_version=form.version), screen.limits)


SUBMISSIONS: Mapping[str, Callable[[AdminScreen, SubmittedForm], Awaitable[bool]]] = {
    "person": _person,
    "budget": _budget,
    "words": _words,
    "block": _block,
    "pause": _pause,
}
