"""Build the views of /privacy. Pure; must not know the database or how they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discord import ui

from generations.privacy import Holdings
from ui.texts import privacy as texts
from ui.views.text_view import build_text_view

_RED = 0xED4245


def build_holdings(holdings: Holdings, policy_url: str) -> ui.LayoutView:
    """Build the list of what is kept of a person, and for how long. *policy_url* empty: there is no policy."""
    tally = holdings.tally
    kept = texts.kept_lines(
        prompts=tally.generations,
        images=tally.images,
        purged=tally.purged,
        entries=holdings.entries,
        usage_days=holdings.usage_days,
        blocks=holdings.blocks,
        reports=holdings.reports,
        has_settings=holdings.preferences is not None,
        days=holdings.retention_days,
    )
    policy = [texts.policy(policy_url)] if policy_url else []
    return build_text_view(["\n".join([texts.TITLE, kept, texts.NEVER_MORE, *policy])])


def build_confirmation(buttons: Sequence[ui.Item[Any]]) -> ui.LayoutView:
    """Build the question before everything is deleted. *buttons*: new for every view."""
    return build_text_view([f"{texts.CONFIRM_TITLE}\n{texts.CONFIRM}"], buttons, colour=_RED)


def build_outcome(sentence: str) -> ui.LayoutView:
    """Build the outcome, which replaces the question."""
    return build_text_view([sentence])
