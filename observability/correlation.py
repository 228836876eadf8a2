"""What the lines that are logged now belong to: an interaction or a generation, its image, person and server.

A context variable: a task that is begun meanwhile inherits it. Knows no Discord and no log.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Subject(NamedTuple):
    """*correlation_id*: of the interaction; a generation has the id of the one that asked for it. *image*: 0-based."""

    correlation_id: int
    user_id: int | None = None
    guild_id: int | None = None
    is_generation: bool = False
    image: int | None = None


SUBJECT: ContextVar[Subject | None] = ContextVar("subject", default=None)


def set_interaction(interaction_id: int, user_id: int | None, guild_id: int | None) -> None:
    """Have all lines of this task, and of tasks that it begins, carry the ids of an interaction."""
    SUBJECT.set(Subject(interaction_id, user_id, guild_id))


def set_generation(generation_id: int, user_id: int, guild_id: int | None, image: int | None = None) -> None:
    """Have all lines of this task, and of tasks that it begins, carry the ids of a generation, or of one *image*."""
    SUBJECT.set(Subject(generation_id, user_id, guild_id, is_generation=True, image=image))
