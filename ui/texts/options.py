"""The options of /imagine, for the command, the form, /settings and /help. Pure. Must not know Discord's library."""

from __future__ import annotations

from dataclasses import dataclass

from generations.model import MAX_COUNT
from generations.prices import price_of
from qwen.models import PROMPT_MAX, OutputFormat, Size


@dataclass(frozen=True, slots=True)
class Option:
    """One option. Discord docs: an option's description has at most 100 characters, a form's label 45."""

    name: str  # of the command's option, the form's field and the preference
    title: str  # above a field of the form and a list of /settings
    description: str  # under the command's option
    choices: tuple[tuple[str, str], ...] = ()  # value and label; empty: not one of a list


PROMPT = Option("prompt", "Prompt", f"What the image shows, up to {PROMPT_MAX} characters")
SIZE = Option(
    "size",
    "Size",
    "If left out: as in your /settings, or Square 1024×1024",
    tuple((size.value, size.title) for size in Size),
)
SEED = Option("seed", "Seed", "The same seed and prompt make the same image again; left out or -1: a new one")
FORMAT = Option(
    "format",
    "File format",
    "The file format; if left out: as in your /settings, or jpeg",
    tuple((format.value, format.value) for format in OutputFormat),
)
COUNT = Option("count", "Images", f"How many images, 1 to {MAX_COUNT}; each costs {price_of(1)} credits")
PRIVATE = Option("private", "Who sees your images", "Only you can see it; if left out: as in your /settings")
SPOILER = Option("spoiler", "Spoiler", "Post it blurred until somebody clicks on it")

OPTIONS = (PROMPT, SIZE, SEED, FORMAT, COUNT, PRIVATE, SPOILER)
