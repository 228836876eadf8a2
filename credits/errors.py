"""The errors of the ledger, with facts only; their sentences are in ui/interactions/errors.

CreditsError
├── InsufficientCredits   the account holds less than the price
├── UnknownHold           settle, release or refund of something that was never held
└── UnknownGrant          no grant by hand has this number
"""

from __future__ import annotations

from credits.model import Balance


class CreditsError(Exception):
    """Anything the ledger refuses."""


class InsufficientCredits(CreditsError):
    """The account holds less than the price. Nothing was held."""

    def __init__(self, needed: int, balance: Balance) -> None:
        super().__init__(f"needs {needed} credits, {balance.available} are available")
        self.needed = needed
        self.balance = balance


class UnknownHold(CreditsError):
    """No hold with this image id exists: a fault in the program, or an id that somebody typed."""

    def __init__(self, image_id: str) -> None:
        super().__init__(f"no hold for image {image_id}")
        self.image_id = image_id


class UnknownGrant(CreditsError):
    """No grant by hand has this number. Nothing was taken."""

    def __init__(self, number: int) -> None:
        super().__init__(f"no grant has the number {number}")
        self.number = number
