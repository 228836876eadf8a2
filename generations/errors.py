"""The errors of generations, with facts only; their sentences are in ui/interactions/errors.

GenerationError
├── LineFull           the line holds all it may hold
├── TooManyRequests    this person asked for as much as is taken on in a minute
├── Stopped            no image can be made until the owner does something about it
├── Draining           the bot is stopping and takes nothing new
├── NotCancellable     too late, already over, or not there
├── NotYours           somebody else's
├── NotThere           nothing of the kind that this person may see
├── NoSuchImage        no image has that number, message or position
├── WhichImage         it has several images, and none was named
├── StillAtWork        something of this person's is under way, so it can't be erased
├── IllegalMove        a state that may not follow (a programming fault)
├── MovedOn            the image was changed meanwhile by something that needs no claim
└── LostClaim          another process took the work over; stop at once
DeliveryDelayed        Discord can't take it now; it is published again later
"""

from __future__ import annotations

from generations.circuit import StopReason


class GenerationError(Exception):
    """Anything the generation service refuses."""


class LineFull(GenerationError):
    """The line holds all it may hold. Nothing was held or charged."""

    def __init__(self, limit: int, free_at_ms: int | None) -> None:
        super().__init__(f"{limit} images wait already")
        self.limit = limit
        self.free_at_ms = free_at_ms


class TooManyRequests(GenerationError):
    """So many requests of this person were taken on within a minute. Nothing was held or charged.

    *limit*: requests a minute. *next_at_ms*: when the next one is taken on.
    """

    def __init__(self, limit: int, next_at_ms: int) -> None:
        super().__init__(f"{limit} requests were taken on within a minute")
        self.limit = limit
        self.next_at_ms = next_at_ms


class Stopped(GenerationError):
    """The circuit is open: no request is taken on until an image can be made again. Nothing was held or charged."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"no image can be made: {reason.value}")
        self.reason = reason


class Draining(GenerationError):
    """The bot is stopping. Nothing was held or charged."""


class NotCancellable(GenerationError):
    """Nothing of it waits any more: it is being made, it has ended, or it does not exist."""


class NotYours(GenerationError):
    """Only the requester, or somebody with Manage Messages where the card stands, may do this."""

    def __init__(self, owner_id: int) -> None:
        super().__init__("it belongs to somebody else")
        self.owner_id = owner_id


class NotThere(GenerationError):
    """It does not exist, or it is private and somebody else's: the answer does not say which."""


class NoSuchImage(GenerationError):
    """No generation has that number or message, or none of its images that position."""


class WhichImage(GenerationError):
    """A generation was named that has several *images*."""

    def __init__(self, images: int) -> None:
        super().__init__(f"it has {images} images")
        self.images = images


class StillAtWork(GenerationError):
    """Images of this person are under way, and credits are held for them. Nothing was erased."""

    def __init__(self, images: int) -> None:
        super().__init__(f"{images} images are under way")
        self.images = images


class IllegalMove(GenerationError):
    """MOVES has no such move, or the image is in a state that only another writer can have brought it to."""

    def __init__(self, image_id: str, source: str, target: str) -> None:
        super().__init__(f"image {image_id} can't go from {source} to {target}")
        self.image_id = image_id


class MovedOn(GenerationError):
    """The image left its state without a claim: it was cancelled, or the process that had posted it noted its task
    after all. Nothing was changed."""

    def __init__(self, image_id: str, source: str) -> None:
        super().__init__(f"image {image_id} is no longer {source}")
        self.image_id = image_id


class LostClaim(GenerationError):
    """The lease ran out and another worker holds the generation now."""

    def __init__(self, generation_id: int) -> None:
        super().__init__(f"generation {generation_id} is claimed by another worker")
        self.generation_id = generation_id


class DeliveryDelayed(Exception):
    """Discord can't take it now (an outage, a limit). Nothing is lost: publishing is due again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"Discord can't take it now, again in {retry_after_seconds:.0f} s")
        self.retry_after_seconds = retry_after_seconds
