"""Why a request or a change is refused by a limit, with facts only; the sentences are in ui/interactions/errors.

LimitError
├── Blocked            this person may ask for nothing here
├── Paused             nothing is taken on here
├── ChannelNotAllowed  not in this channel
├── RoleNotAllowed     not without one of some roles
├── AgeRestrictedOnly  only in places for adults
├── WordNotAllowed     the prompt breaks a rule of words
├── BudgetUsedUp       as much as is made in a period was made
├── RulesChanged       the rules changed while they were checked
├── ChangedMeanwhile   somebody else changed them since the screen was shown
└── TooManyRules       so many are kept already

After each of them nothing was held, charged or changed.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from limits.model import BOT, Cap, Change


class LimitError(Exception):
    """Anything that a limit refuses."""


class Blocked(LimitError):
    """*scope_id*: of the block. *until_ms* None: without end."""

    def __init__(self, scope_id: int, until_ms: int | None, reason: str) -> None:
        super().__init__(f"the person is blocked in {scope_id}")
        self.is_everywhere = scope_id == BOT
        self.until_ms = until_ms
        self.reason = reason


class Paused(LimitError):
    """*scope_id*: of the pause."""

    def __init__(self, scope_id: int, reason: str) -> None:
        super().__init__(f"{scope_id} is paused")
        self.is_everywhere = scope_id == BOT
        self.reason = reason


class ChannelNotAllowed(LimitError):
    """*channel_ids*: where it is allowed."""

    def __init__(self, channel_ids: Collection[int]) -> None:
        super().__init__("the channel is not allowed")
        self.channel_ids = tuple(sorted(channel_ids))


class RoleNotAllowed(LimitError):
    """*role_ids*: one of them is needed."""

    def __init__(self, role_ids: Collection[int]) -> None:
        super().__init__("none of the person's roles is allowed")
        self.role_ids = tuple(sorted(role_ids))


class AgeRestrictedOnly(LimitError):
    """The server allows images in age-restricted places alone."""


class WordNotAllowed(LimitError):
    """*rule*: the name of the rule, or its number."""

    def __init__(self, rule: str) -> None:
        super().__init__("the prompt breaks a rule of words")
        self.rule = rule


class Budget(StrEnum):
    """Whose limit it is."""

    BOT = "bot"
    SERVER = "server"
    PERSON = "person"


class BudgetUsedUp(LimitError):
    """A request is larger than what is left. *back_at_ms*: when the period ends.

    *cap* and *used*: of a server's or a person's in it, in images, without this request; None and 0 for the bot's, of
    which only the owner knows the amount.
    """

    def __init__(self, budget: Budget, back_at_ms: int, cap: Cap | None = None, used: int = 0) -> None:
        super().__init__(f"the budget of the {budget} is used up")
        self.budget = budget
        self.back_at_ms = back_at_ms
        self.cap = cap
        self.used = used


class RulesChanged(LimitError):
    """The server's words changed between the check of the prompt and the transaction: check again."""


class ChangedMeanwhile(LimitError):
    """*last*: what somebody else changed since; None: the audit does not say."""

    def __init__(self, last: Change | None) -> None:
        super().__init__("the rules were changed meanwhile")
        self.last = last


class TooManyRules(LimitError):
    """*limit*: so many rules of one kind may be kept in a server."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} rules are kept already")
        self.limit = limit
