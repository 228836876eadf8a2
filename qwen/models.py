"""Requests to the image API and the tasks it answers with.

Pure values; must not know HTTP, Discord or the database. Source of every limit: the Qwen-Image-2512 API document
("Create Task", "Check Status", "Pricing"); the seed's range is an assumption, since it names none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from qwen.cleaning import is_ascii_word

MODEL_NAME = "Qwen-Image-2512"
PROMPT_MAX = 2000
SEED_MAX = 2_147_483_647
SEED_RANDOM = -1
CREDITS_PER_IMAGE = 5


class Size(StrEnum):
    """The five sizes the API draws, as it writes them: width*height in pixels."""

    SQUARE = "1024*1024"
    PORTRAIT = "1024*1536"
    LANDSCAPE = "1536*1024"
    PORTRAIT_SMALL = "768*1024"
    LANDSCAPE_SMALL = "1024*768"

    @property
    def width(self) -> int:
        return int(self.value.partition("*")[0])

    @property
    def height(self) -> int:
        return int(self.value.partition("*")[2])

    @property
    def label(self) -> str:
        """For example 1024×1536."""
        return f"{self.width}×{self.height}"

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] (nobody title-cases 1024*1536)
        """For example Portrait 1024×1536."""
        return f"{self.name.partition('_')[0].capitalize()} {self.label}"


class OutputFormat(StrEnum):
    """The file formats of the API."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"

    @property
    def extension(self) -> str:
        """The usual ending of a file name, without the dot."""
        return "jpg" if self is OutputFormat.JPEG else self.value

    @property
    def content_type(self) -> str:
        return f"image/{self.value}"


class TaskStatus(StrEnum):
    """The API's four status values, and UNKNOWN for any other; a task with UNKNOWN counts as still running."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


def parse_status(text: object) -> TaskStatus:
    """Return the status that *text* names; UNKNOWN for anything else. Never raises."""
    if not isinstance(text, str):
        return TaskStatus.UNKNOWN
    try:
        return TaskStatus(text.strip().upper())
    except ValueError:
        return TaskStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One image to be made. Raises ValueError with a sentence when the API's limits are broken.

    `prompt`: 1 to 2000 characters, not only white space. `seed`: 0 to 2147483647, or -1 for a random one.
    `callback_url`: http(s) address the API calls when the task is done; may hold a token, so it is kept out of repr.
    """

    prompt: str = field(repr=False)
    size: Size
    seed: int
    output_format: OutputFormat
    callback_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        # Plain strings that name a member are accepted: not every caller is type-checked.
        object.__setattr__(self, "size", _member(Size, self.size, "size"))
        object.__setattr__(self, "output_format", _member(OutputFormat, self.output_format, "output format"))
        if type(self.seed) is not int or not SEED_RANDOM <= self.seed <= SEED_MAX:
            raise ValueError(
                f"The seed must be a whole number from 0 to {SEED_MAX}, or {SEED_RANDOM} for a random one."
            )
        if self.callback_url is not None:
            _check_callback_url(self.callback_url)


@dataclass(frozen=True, slots=True)
class Task:
    """What the API says of one task.

    `status_text` is the status as it was written, also where `status` was judged by what came with it. `error_message`
    is one clean line of at most 300 characters. `image_urls` may be empty even with SUCCESS. The addresses may be
    signed: not in repr.
    `asked_prompt` and `asked_seed` are what the service says it was asked for, None where it does not say.
    """

    task_id: str
    status: TaskStatus
    status_text: str
    consumed_credits: int | None
    error_message: str | None = field(repr=False)
    image_urls: tuple[str, ...] = field(repr=False)
    asked_prompt: str | None = field(default=None, repr=False)
    asked_seed: int | None = None


def _check_prompt(prompt: object) -> None:
    if not isinstance(prompt, str):
        raise ValueError("The prompt must be text.")
    if not prompt.strip():
        raise ValueError("The prompt must not be empty.")
    if len(prompt) > PROMPT_MAX:
        raise ValueError(f"The prompt has {len(prompt)} characters; at most {PROMPT_MAX} are allowed.")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise ValueError("The prompt holds half of a character (a lone surrogate), which cannot be sent.")


def _member(enum: type[Size | OutputFormat], value: str, name: str) -> Size | OutputFormat:
    try:
        return enum(value)
    except ValueError:
        choices = ", ".join(member.value for member in enum)
        raise ValueError(f"The {name} must be one of {choices}.") from None


def _check_callback_url(url: object) -> None:
    sentence = "The callback address must be a full http or https address."
    if not isinstance(url, str) or not is_ascii_word(url):
        raise ValueError(sentence)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(sentence)
