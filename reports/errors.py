"""Why a report is not taken, or not decided, with facts only; the sentences are in ui/interactions/errors.

ReportError
├── AlreadyReported   the same person reported this image before
├── NothingToReport   there is no image of this bot's
├── TooManyReports    so many of one person within an hour
├── ReportGone        the bot no longer knows the report, or its image
└── NotYoursToDecide  neither an owner of the bot nor an admin of the image's server
"""

from __future__ import annotations


class ReportError(Exception):
    """Anything that refuses a report or a decision. Nothing was changed."""


class AlreadyReported(ReportError):
    """The person reported this image before, so the bot no longer shows it to them."""


class NothingToReport(ReportError):
    """The message is none of this bot's, or has no image that was made."""


class TooManyReports(ReportError):
    """*limit*: in an hour. *next_at_ms*: when the next one is taken."""

    def __init__(self, limit: int, next_at_ms: int) -> None:
        super().__init__(f"{limit} reports were sent within an hour")
        self.limit = limit
        self.next_at_ms = next_at_ms


class ReportGone(ReportError):
    """There is no such report, or its image is no longer known."""


class NotYoursToDecide(ReportError):
    """The person may not decide about this report."""
