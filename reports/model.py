"""A report of an image, and what was decided about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from generations.model import Generation

TEXT_MAX = 500  # characters that a person may add
PER_HOUR = 3  # reports of one person
HOUR_MS = 3_600_000


class Reason(StrEnum):
    """Why an image was reported; SQL stores the values."""

    SEXUAL = "sexual"
    HATEFUL = "hateful"
    REAL_PERSON = "real_person"
    OTHER = "other"


class Decision(StrEnum):
    """What was decided in one scope; SQL stores the values."""

    REMOVED = "removed"  # the messages with the image
    BLOCKED = "blocked"  # its person
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Report:
    """One report. Its id is that of the interaction that sent the form.

    *generation_id* and *person_id*: of the image; None once that person had everything deleted. *reporter_id*: None
    once the reporter had. *guild_id*: the server in which the card stood, None for direct messages.
    """

    id: int
    generation_id: int | None
    person_id: int | None
    reporter_id: int | None
    guild_id: int | None
    reason: Reason
    text: str
    at_ms: int
    told_at_ms: int | None = None  # when everybody who is to know of it had been told


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision: by whom, in which scope (limits.model.BOT, or a server's)."""

    decision: Decision
    scope_id: int
    by_id: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that tells of a report. *recipient_id*: an owner's user id, or the server's log channel."""

    scope_id: int
    recipient_id: int
    channel_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report with all that belongs to it. *generation* None: it is no longer known."""

    report: Report
    generation: Generation | None
    decisions: tuple[Decided, ...] = ()
    notices: tuple[Notice, ...] = ()

    def decided(self, decision: Decision, scope_id: int) -> bool:
        """Whether it was decided so in a scope. An image that was removed is so in all scopes."""
        everywhere = decision is Decision.REMOVED
        return any(each.decision is decision and (everywhere or each.scope_id == scope_id) for each in self.decisions)


def home_guild(generation: Generation) -> int | None:
    """Return the server in which its card stands now; None for direct messages."""
    return generation.origin.guild_id if generation.card_channel_id is None else None


def is_secret(generation: Generation) -> bool:
    """Whether only its person sees it, so that nobody else is shown it unasked."""
    return generation.request.private or home_guild(generation) is None
