"""Generations and their images: requests, states and moves. Pure; knows no database, network or Discord library."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from discord_api.snowflakes import snowflake_time_ms
from generations.circuit import StopReason
from limits.model import UsageKey
from qwen.models import SEED_MAX, SEED_RANDOM, OutputFormat, Size, TaskRequest

MAX_COUNT = 4
TOKEN_LIFETIME_MS = (
    15 * 60 * 1000
)  # Discord docs: Receiving and Responding, "Interaction tokens are valid for 15 minutes"


class State(StrEnum):
    """The state of one image. SQL stores the values; MOVES says what may follow what."""

    REQUESTED = "requested"  # credits held, waiting in line; still cancellable
    SUBMITTING = "submitting"  # committed before the POST: from here on a crash means "unknown"
    RUNNING = "running"  # the service gave a task id
    SUCCEEDED = "succeeded"  # the image exists and is paid for; not yet posted
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # nowhere to post it; kept
    FAILED = "failed"
    EXPIRED = "expired"  # past its deadline, credits returned; a late success is posted for free
    UNKNOWN = "unknown"  # nobody can say whether the service took it; credits returned, never posted again
    CANCELLED = "cancelled"


MOVES: Mapping[State, frozenset[State]] = {
    # SUBMITTING -> REQUESTED only when the request surely never left this machine.
    State.REQUESTED: frozenset({State.SUBMITTING, State.CANCELLED, State.EXPIRED}),
    State.SUBMITTING: frozenset({State.RUNNING, State.REQUESTED, State.FAILED, State.UNKNOWN}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.EXPIRED}),
    # SUCCEEDED -> FAILED when the image was lost before it could be posted; what was charged is refunded.
    State.SUCCEEDED: frozenset({State.DELIVERED, State.UNDELIVERED, State.FAILED}),
    # DELIVERED -> SUCCEEDED when an older edit that came late removed the image from its card: it is posted again.
    State.DELIVERED: frozenset({State.SUCCEEDED}),
    # UNDELIVERED -> FAILED when its link has died, or is about to be purged; refunded too.
    State.UNDELIVERED: frozenset({State.DELIVERED, State.FAILED}),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset({State.SUCCEEDED}),
    State.UNKNOWN: frozenset({State.SUCCEEDED}),
    State.CANCELLED: frozenset(),
}

WAITING = frozenset({State.REQUESTED})
IN_FLIGHT = frozenset({State.SUBMITTING, State.RUNNING})
MADE = frozenset({State.SUCCEEDED, State.DELIVERED, State.UNDELIVERED})
RETURNED = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN, State.CANCELLED})  # the hold was released
HELD = WAITING | IN_FLIGHT
VISIBLE_ENDINGS = RETURNED | {State.SUCCEEDED}  # a move to one of these changes the card's final text


class Ending(StrEnum):
    """Why an image ended without a result. ui/texts/card has one sentence for each."""

    DECLINED = "declined"  # the service refused the prompt after taking the task
    SERVICE_FAILED = "service_failed"  # the service tried and failed, for a reason of its own
    PROMPT_REFUSED = "prompt_refused"  # 400 on the submit
    KEY_REFUSED = "key_refused"
    ACCOUNT_EMPTY = "account_empty"
    TASK_LOST = "task_lost"  # the service no longer knows a task it had accepted
    NO_IMAGE = "no_image"  # SUCCESS without an image
    IMAGE_UNUSABLE = "image_unusable"  # not an image, or from a forbidden address
    IMAGE_LOST = "image_lost"  # it was made and paid for, but its link died before it could be posted; refunded
    OUTCOME_UNKNOWN = "outcome_unknown"
    DEADLINE = "deadline"
    LINE_DEADLINE = "line_deadline"  # waited in line for as long as an image may take
    CANCELLED = "cancelled"
    NOT_ANSWERED = "not_answered"  # Discord has no card for it


@dataclass(frozen=True, slots=True)
class Request:
    """What to make. The prompt has 1 to 2000 characters; seeds of several images are seed, seed+1, …"""

    prompt: str
    size: Size = Size.SQUARE
    seed: int = 0
    format: OutputFormat = OutputFormat.JPEG
    count: int = 1
    private: bool = False
    spoiler: bool = False

    @classmethod
    def parse(
        cls,
        *,
        prompt: str,
        size: Size,
        seed: int | None,
        format: OutputFormat,
        count: int,
        private: bool,
        spoiler: bool,
        rng: random.Random,
    ) -> Request:
        """Check what a person typed and draw the seed they left out, so that every image can be made again.

        Raises ValueError with a sentence that can be shown. discord.py does not check ranges again (2.7.1,
        app_commands.Range), and a form's text never passes Discord's option limits, so they are checked here.
        """
        _check_kinds(prompt, count, private, spoiler)
        if not 1 <= count <= MAX_COUNT:
            raise ValueError(f"Between 1 and {MAX_COUNT} images can be made at once.")
        chosen = rng.randint(0, SEED_MAX - MAX_COUNT) if seed is None or seed == SEED_RANDOM else seed
        if not prompt.strip():
            raise ValueError("The prompt is empty.")
        # The service's own limits, which also make members of plain strings.
        task = TaskRequest(prompt=prompt, size=size, seed=chosen, output_format=format)
        return cls(task.prompt, task.size, task.seed, task.output_format, count, private, spoiler)

    def seed_at(self, position: int) -> int:
        """The seed of the image at *position* (0-based); wraps at the largest seed the service takes."""
        return (self.seed + position) % (SEED_MAX + 1)


def _check_kinds(prompt: object, count: object, private: object, spoiler: object) -> None:
    """discord.py 2.7.1 hands an option's value over as it came. Raises ValueError with a sentence that can be shown."""
    if not isinstance(prompt, str):
        raise ValueError("The prompt must be text.")
    if type(count) is not int:
        raise ValueError("The number of images must be a whole number.")
    if not (isinstance(private, bool) and isinstance(spoiler, bool)):
        raise ValueError("Private and spoiler are either true or false.")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the request came from and where its card stands. Ids are Discord's snowflakes."""

    interaction_id: int
    application_id: int
    user_id: int
    channel_id: int  # 0: not known; then nothing but the token reaches the card
    guild_id: int | None
    token: str = field(repr=False)  # a credential for 15 minutes; empty once it is of no use
    attachment_size_limit: int  # bytes a file, Discord docs: Interaction object
    locale: str = "en-US"
    bot_in_channel: bool = True  # False: only the token reaches the card there (a user install, a refused bot)

    @property
    def token_expires_at_ms(self) -> int:
        return token_expires_at_ms(self.interaction_id)


def token_expires_at_ms(interaction_id: int) -> int:
    """Return when Discord stops taking an interaction's token, in unix milliseconds."""
    return snowflake_time_ms(interaction_id) + TOKEN_LIFETIME_MS


class SeparateMessage(NamedTuple):
    """A message that holds images beside their card."""

    channel_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a generation: one task of the service, one hold in the ledger. Times are unix milliseconds."""

    generation_id: int
    position: int  # 0-based
    seed: int
    state: State = State.REQUESTED
    due_at_ms: int | None = None  # when the worker has to do its next step; None: never
    admitted_at_ms: int | None = None  # from then on it counts as in flight
    submitted_at_ms: int | None = None
    task_id: str | None = None
    polls: int = 0  # made so far
    last_poll_at_ms: int | None = None
    failures: int = 0  # temporary faults in a row, for the backoff
    ready_at_ms: int | None = None
    consumed_credits: int | None = None
    image_url: str | None = field(default=None, repr=False)
    ending: Ending | None = None
    ending_detail: str | None = None  # the service's own words, one short line
    attachment_id: int | None = None  # on the card, once delivered
    separate_channel_id: int | None = None  # where its image stands in a message of its own, which the card names
    separate_message_id: int | None = None
    file_name: str | None = None  # there; empty when the card has a link to it instead

    @property
    def separate_message(self) -> SeparateMessage | None:
        """The message of its own that holds its image, if there is one."""
        if self.separate_channel_id is None or self.separate_message_id is None:
            return None
        return SeparateMessage(self.separate_channel_id, self.separate_message_id)

    @property
    def image_id(self) -> str:
        """The id the ledger knows it by."""
        return f"{self.generation_id}-{self.position}"


@dataclass(frozen=True, slots=True)
class Generation:
    """One request and its images, shown as one card. Its id is the interaction's id."""

    id: int
    request: Request
    origin: Origin
    created_at_ms: int
    images: tuple[Image, ...]
    fence: int = 0  # grows with each claim; a write with an older fence touches nothing
    message_id: int | None = None  # the card, once Discord has taken it
    revision: int = 0  # grows with each move that changes the card's final text
    published_revision: int = 0
    card_channel_id: int | None = None  # where the card stands, if not where it was asked for (a direct message)
    follow_up_begun_at_ms: int | None = None  # a message by the interaction's token, whose outcome is not written yet
    usage: UsageKey | None = None  # under which its images are counted; None: they are not (of an older version)

    @property
    def is_unpublished(self) -> bool:
        """Whether the newest revision is not on the card yet."""
        return self.published_revision < self.revision

    @property
    def attachment_ids(self) -> dict[int, int]:
        """The attachments on its card according to the rows: image position -> attachment id."""
        return {image.position: image.attachment_id for image in self.images if image.attachment_id is not None}

    @property
    def separate_by_position(self) -> dict[int, SeparateMessage]:
        """The messages beside its card that hold images, by image position."""
        return {image.position: image.separate_message for image in self.images if image.separate_message is not None}

    def bot_reaches(self, channel_id: int) -> bool:
        """Whether the bot's own token reaches its messages in that channel. Those that stand elsewhere than where it
        was asked for are in the requester's direct messages with the bot."""
        return channel_id != self.origin.channel_id or (self.origin.bot_in_channel and not self.request.private)

    @property
    def current_channel_id(self) -> int:
        """Where the card stands now."""
        return self.card_channel_id or self.origin.channel_id

    @property
    def cancellable(self) -> bool:
        return any(image.state is State.REQUESTED for image in self.images)

    @property
    def finished(self) -> bool:
        """Whether every image has come to an end, posted or not."""
        return all(image.state in RETURNED | MADE for image in self.images)

    @property
    def seconds_taken(self) -> float | None:
        """From the first task sent to the last image ready; None while anything is on its way, or without an image."""
        ready = [image for image in self.images if image.state in MADE and image.ready_at_ms is not None]
        if not ready or not self.finished:
            return None
        began = min(image.submitted_at_ms or self.created_at_ms for image in ready)
        return (max(image.ready_at_ms or began for image in ready) - began) / 1000


class CardLink(NamedTuple):
    """Where a card stands that can be jumped to. guild_id None: a direct message."""

    guild_id: int | None
    channel_id: int
    message_id: int


def link_to_card(
    guild_id: int | None, channel_id: int, message_id: int | None, card_channel_id: int | None, *, private: bool
) -> CardLink | None:
    """Return the link to a card of a Generation with these values; None: it has none.

    Discord links to no message that only one person sees; channel 0 is one that discord.py did not tell.
    """
    if message_id is None:
        return None
    if card_channel_id is not None:
        return CardLink(None, card_channel_id, message_id)
    return None if private or not channel_id else CardLink(guild_id, channel_id, message_id)


@dataclass(frozen=True, slots=True)
class Line:
    """The place of a waiting card. Positions are 1-based, among images that are not admitted."""

    position: int
    own_running: int  # images of the same person that are being made
    own_cap: int
    own_position: int  # among the same person's waiting images
    about_seconds: int | None  # None: too few images seen to say
    server_running: int = 0  # images of the same server that are being made, if they are as many as may be; else 0
    server_position: int = 0  # among the same server's waiting images then

    @property
    def waits_for_server(self) -> bool:
        """Whether only the running images of its server keep it waiting."""
        return self.server_running > 0

    @property
    def waits_for_own(self) -> bool:
        """Whether only the person's own running images keep it waiting."""
        return self.own_running >= self.own_cap


@dataclass(frozen=True, slots=True)
class Estimate:
    """How far the images in flight are, as an estimate from past images. With too few seen, only when it was begun."""

    begun_at_ms: int
    share: float | None  # 0 to 0.95
    usual_seconds: tuple[int, int] | None
    ready_at_ms: int | None
    overdue: bool = False
    service_slow: bool = False  # the last polls got no answer


@dataclass(frozen=True, slots=True)
class Progress:
    """The near future of a generation: its place in line while it waits, an estimate while it is made."""

    line: Line | None = None
    estimate: Estimate | None = None
    stopped: StopReason | None = None  # why nothing that waits is sent now; None: it is
    shows_steps: bool = False  # too few images of this size were seen for an estimate: the card says the steps
    is_held_up: bool = False  # more images are admitted than the service takes now: those not sent wait in line too
