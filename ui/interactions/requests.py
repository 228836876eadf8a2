"""From what was typed or pressed to a request that may be taken on: the same checks for the command, buttons and forms.

Pure. Must not know the database; what a person may spend is checked where it is held.
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
    """What a person chose, by command or by form. *seed* None: a new one is drawn."""

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
    """A request with its seed drawn, whose images the bot may post where *interaction* comes from. Raises Refusal."""
    try:
        request = Request.parse(**asdict(options), rng=rng)
    except ValueError as error:  # its text is a sentence of ours, made to be shown
        raise Refusal(texts.bad_input(str(error))) from None
    missing = missing_permissions(interaction, private=options.private)
    if missing:
        raise Refusal(texts.permissions_missing(missing))
    return request


def repeat_request(interaction: discord.Interaction, rng: random.Random, earlier: Request) -> Request:
    """The same prompt and options with a new seed. Raises Refusal, also when the prompt is no longer kept."""
    if not earlier.prompt.strip():
        raise Refusal(texts_buttons.PROMPT_FORGOTTEN)
    return parse_request(interaction, rng, replace(Options.from_request(earlier), seed=None))
