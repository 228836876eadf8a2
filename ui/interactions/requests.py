"""Check what a person chose and build a request from it: for the command, buttons and forms.

Pure. Must not know the database: credits are checked where they are held.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace

import discord

from generations.model import Request
from qwen.models import OutputFormat, Size
from ui.interactions.errors import Refusal
from ui.interactions.origin import missing_permissions
from ui.texts import buttons as texts_buttons
from ui.texts import card as texts


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chose for one request. *seed* None: draw a new one."""

    prompt: str
    size: Size = Size.SQUARE
    seed: int | None = None
    format: OutputFormat = OutputFormat.JPEG
    count: int = 1
    private: bool = False
    spoiler: bool = False

    @classmethod
    def from_request(cls, request: Request) -> Options:
        return cls(**asdict(request))


def parse_request(interaction: discord.Interaction, rng: random.Random, options: Options) -> Request:
    """Return a request with its seed. Raises Refusal for a bad option, or where the bot lacks a permission to post."""
    try:
        request = Request.parse(**asdict(options), rng=rng)
    except ValueError as error:  # its text is a sentence for people
        raise Refusal(texts.bad_input(str(error))) from None
    missing = missing_permissions(interaction, private=options.private)
    if missing:
        raise Refusal(texts.permissions_missing(missing))
    return request


def repeat_request(interaction: discord.Interaction, rng: random.Random, earlier: Request) -> Request:
    """Return a request with the same prompt and options and a new seed. Raises Refusal, also for a purged prompt."""
    if not earlier.prompt.strip():
        raise Refusal(texts_buttons.PROMPT_FORGOTTEN)
    return parse_request(interaction, rng, replace(Options.from_request(earlier), seed=None))
