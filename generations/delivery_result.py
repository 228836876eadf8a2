"""The outcome of publishing a card: the place, and Discord's ids there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from generations.model import SeparateMessage


class Place(StrEnum):
    """Where a card or image was published."""

    CARD = "card"
    CHANNEL = "channel"
    DIRECT_MESSAGE = "direct_message"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The outcome of publishing. By image position, for the images that it uploaded: attachment ids and file names; the
    name is empty where it could only link to an image. NOWHERE: there was no place left for the last of the images;
    those named here were posted before."""

    place: Place
    message_id: int | None = None
    channel_id: int | None = None
    attachments: Mapping[int, int] = field(default_factory=dict[int, int])
    file_names: Mapping[int, str] = field(default_factory=dict[int, str])
    separate: Mapping[int, SeparateMessage] = field(
        default_factory=dict[int, SeparateMessage]
    )  # those posted in a message of their own
    card_retry_seconds: float | None = None  # the images are posted, but the card must be published again after so long
