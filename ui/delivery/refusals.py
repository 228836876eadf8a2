"""Say what Discord's refusal of a payload means: whether another place can be tried."""

from __future__ import annotations

import logging

import discord

from discord_api.errors import Verdict, delayed, verdict_of
from observability.repeats import REPEATS
from ui.delivery.payload import Payload

log = logging.getLogger("qwen_imagine.delivery")


class PayloadTooLarge(Exception):
    """Discord takes a card here, but not so many bytes."""


def judge(error: discord.HTTPException, payload: Payload, where: str, *, by_token: bool) -> Verdict:
    """Return the verdict where another place can be tried. Raises DeliveryDelayed and PayloadTooLarge where not."""
    verdict = verdict_of(error, by_token=by_token)
    said, extra = "generation %s: %s: Discord answered %s, code %s: %s", REPEATS if verdict is Verdict.LATER else None
    log.info(said, payload.generation.id, where, error.status, error.code, verdict.value, extra=extra)
    if verdict is Verdict.LATER:
        raise delayed(error) from None
    if verdict is Verdict.TOO_LARGE and payload.uploads:
        raise PayloadTooLarge from None
    return verdict
